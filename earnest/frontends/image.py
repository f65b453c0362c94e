"""Spectrogram to image, inside the graph."""

from collections.abc import Iterable
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.errors import CorpusError, RecipeError
from earnest.frontends.trim import floor_of, frame_mask
from earnest.settings.front_end import Image

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of red, green, blue
DELTA_WIDTH = 5  # frames, NTU's
SMALLEST_RANGE_DB = 1e-3  # a bin that never varies would divide by zero


class ImageSize(NamedTuple):
    """The image that a network takes."""

    channels: int
    height: int
    width: int

    def after(self, channels: int, kernel_size: int, stride: int = 1, padding: int = 0) -> "ImageSize":
        """Return the size behind a convolution or a pooling."""
        # ⌊(n + 2·padding − kernel)/stride⌋ + 1
        height, width = ((size + 2 * padding - kernel_size) // stride + 1 for size in self[1:])
        if min(height, width) < 1:
            raise RecipeError(
                f"[image]: {self.height} by {self.width} values are left where the network needs {kernel_size} by "
                f"{kernel_size}. Choose a larger height and width, or longer segments."
            )
        return ImageSize(channels, height, width)


class SpectrogramImage(nn.Module):
    """Decibels to an image of one size: channels, scaling, resizing, normalisation.

    ``deltas`` are those of ``librosa.feature.delta`` (order 1 and 2, a window of five frames, mode "interp"), on
    the frames of one segment. Resizing is torch's bilinear one without antialiasing (``align_corners=False``); where an
    utterance is seen as a whole, each one is resized from its own length.

    Parameters
    ----------
    n_rows : rows that come in, those of all sources below one another
    length : frames that come in, 0 where each utterance has its own number
    """

    lowest: Tensor
    highest: Tensor
    mean: Tensor
    deviation: Tensor
    kernels: Tensor
    rows: Tensor

    def __init__(self, settings: Image, n_rows: int, length: int) -> None:
        super().__init__()
        if not length and not settings.width:
            raise RecipeError("[image]: width must be set, or [segments] needs a length: images have one size.")
        self.settings = settings
        # The three versions lie below one another.
        self.n_bands = n_rows // 3 if settings.channels_from == "noise-reverb" else n_rows
        self.size = ImageSize(settings.channels, settings.height or self.n_bands, settings.width or length)
        shape = (settings.sources, self.n_bands, 1)
        learned = settings.scaling == "per-bin"
        self.register_buffer("lowest", torch.full(shape, settings.lowest_db), persistent=learned)
        self.register_buffer("highest", torch.full(shape, settings.highest_db), persistent=learned)
        imagenet = settings.normalise == "imagenet"
        mean = torch.tensor(IMAGENET_MEAN) if imagenet else torch.zeros(settings.sources)
        deviation = torch.tensor(IMAGENET_DEVIATION) if imagenet else torch.ones(settings.sources)
        learned = settings.normalise == "statistics"
        self.register_buffer("mean", mean[:, None, None], persistent=learned)
        self.register_buffer("deviation", deviation[:, None, None], persistent=learned)
        self.register_buffer("kernels", delta_kernels(DELTA_WIDTH), persistent=False)
        self.register_buffer("rows", bilinear_rows(self.n_bands, self.size.height), persistent=False)

    def fit(self, frames: Iterable[Tensor]) -> Self:
        """Take ranges and statistics from training frames, each (rows, frames)."""
        if self.settings.scaling != "per-bin" and self.settings.normalise != "statistics":
            return self
        clips = [self.sources(clip[None], torch.tensor([clip.shape[1]]))[0] for clip in frames]
        if not clips:
            raise CorpusError("There are no training recordings, from which the image's ranges are taken.")
        if self.settings.scaling == "per-bin":
            self.lowest.copy_(torch.stack([clip.amin(dim=2, keepdim=True) for clip in clips]).amin(dim=0))
            self.highest.copy_(torch.stack([clip.amax(dim=2, keepdim=True) for clip in clips]).amax(dim=0))
        if self.settings.normalise == "statistics":
            scaled = [self.scaled(clip).double() for clip in clips]
            count = sum(clip.shape[1] * clip.shape[2] for clip in scaled)
            # (sources,), over all pixels of all utterances.
            mean = torch.stack([clip.sum(dim=(1, 2)) for clip in scaled]).sum(dim=0) / count
            # A second pass: no difference of large sums.
            squares = torch.stack([(clip - mean[:, None, None]).square().sum(dim=(1, 2)) for clip in scaled])
            self.mean.copy_(mean[:, None, None])
            # σ = √(1/n · Σ (x − μ)²)
            self.deviation.copy_((squares.sum(dim=0) / count).sqrt().clamp(min=1e-6)[:, None, None])
        return self

    def forward(self, frames: Tensor, n_frames: Tensor) -> Tensor:
        """Map (batch, rows, frames) decibels with ``n_frames`` (batch,) to images (batch, channels, height, width)."""
        image = self.scaled(self.sources(frames, n_frames))  # (batch, sources, bands, frames)
        if self.settings.low_at_bottom:
            image = image.flip(2)
        if self.settings.height:
            image = torch.matmul(self.rows, image)  # (batch, sources, height, frames)
        if self.settings.width:
            image = resized_columns(image, n_frames, self.settings.width)  # (batch, sources, height, width)
        image = image.expand(-1, self.settings.channels, -1, -1)  # one source becomes equal channels
        return image if self.settings.normalise == "none" else (image - self.mean) / self.deviation

    def sources(self, frames: Tensor, n_frames: Tensor) -> Tensor:
        """Return the channels before copying, (batch, sources, bands, frames)."""
        if self.settings.channels_from == "copies":
            return frames[:, None]
        if self.settings.channels_from == "noise-reverb":
            return torch.stack(torch.split(frames, self.n_bands, dim=1), dim=1)
        inside = frame_mask(n_frames, frames.shape[2])[:, None]
        own = torch.where(inside, frames, floor_of(frames, n_frames))[:, None]
        return torch.cat([own, self._deltas(own, n_frames)], dim=1)

    def scaled(self, channels: Tensor) -> Tensor:
        """Scale (…, sources, bands, frames) to 0 to 1, where the settings say so."""
        if self.settings.scaling == "none":
            return channels
        span = (self.highest - self.lowest).clamp(min=SMALLEST_RANGE_DB)
        return ((channels - self.lowest) / span).clamp(0, 1)

    def _deltas(self, own: Tensor, n_frames: Tensor) -> Tensor:
        width = DELTA_WIDTH
        # A spare window behind the utterance, at its floor, so that even one frame has a window.
        extended = torch.cat([own, own.amin(dim=(2, 3), keepdim=True).expand(-1, -1, own.shape[2], width)], dim=3)
        slopes = functional.conv2d(extended, self.kernels)  # (batch, 2, bands, frames + 1)
        # At both ends the slope is that of the outermost whole window.
        positions = (torch.arange(own.shape[3], device=own.device) - width // 2).clamp(min=0)[None]
        positions = torch.minimum(positions, (n_frames[:, None] - width).clamp(min=0))
        return slopes.gather(3, positions[:, None, None].expand(-1, 2, own.shape[2], -1))


def delta_kernels(width: int) -> Tensor:
    """Return first and second derivative of a line and a parabola fitted to ``width`` frames, (2, 1, 1, width)."""
    steps = torch.arange(width, dtype=torch.float32) - width // 2
    squares = steps.square()
    # Least squares over t = −h … h (Savitzky and Golay, 1964): slope Σ t·x / Σ t²; curvature from t² less its mean.
    curve = width * squares - squares.sum()
    second = 2 * curve / (width * squares.square().sum() - squares.sum().square())
    return torch.stack([steps / squares.sum(), second])[:, None, None]


def bilinear_rows(n_rows: int, height: int) -> Tensor:
    """Return the matrix (height, n_rows) that resizes rows bilinearly."""
    # Pixel centres at halves, as torch's interpolate with align_corners=False; weight 1 − distance.
    centres = ((torch.arange(height) + 0.5) * (n_rows / height) - 0.5).clamp(0, n_rows - 1)
    return (1 - (centres[:, None] - torch.arange(n_rows)[None]).abs()).clamp(min=0)


def resized_columns(image: Tensor, n_columns: Tensor, width: int) -> Tensor:
    """Resize (batch, channels, rows, columns) to ``width`` columns from each image's own number (batch,)."""
    last = (n_columns - 1)[:, None]
    # Column j of the result has its centre at (j + ½)·n/width − ½ of the utterance's own n columns.
    step = n_columns[:, None] / width
    centres = ((torch.arange(width, device=image.device) + 0.5)[None] * step - 0.5).clamp(min=0)  # (batch, width)
    left = torch.minimum(centres.floor().to(last.dtype), last)
    right = torch.minimum(left + 1, last)
    share = (centres - left)[:, None, None]
    shape = (-1, image.shape[1], image.shape[2], -1)
    # (batch, channels, rows, width).
    near, far = (image.gather(3, index[:, None, None].expand(shape)) for index in (left, right))
    return near * (1 - share) + far * share
