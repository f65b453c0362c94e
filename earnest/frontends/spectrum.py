"""Power spectra of overlapping frames, in two equal forms: a fast one to train with, one that every runtime takes."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional


def periodic_window(shape: str, length: int) -> Tensor:
    """Return the window "hann" or "hamming" for spectral analysis (period ``length``), shape (length,)."""
    make = torch.hann_window if shape == "hann" else torch.hamming_window
    return make(length, periodic=True, dtype=torch.float64).float()


def waves(n_fft: int) -> npt.NDArray[np.float32]:
    """Return one period of cosine and of minus sine, shape (2, n_fft)."""
    angle = 2 * np.pi * np.arange(n_fft) / n_fft
    return np.stack([np.cos(angle), -np.sin(angle)]).astype(np.float32)


def folded_kernel(n_fft: int, n_bins: int, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return weighted cosines and minus sines of the distance from a window's middle, shape (2, rows, bins).

    The phase k·(2n − window's length) mod 2·n_fft is exact in integers; cosines of large float angles would not be.

    Parameters
    ----------
    weights : as `folded_window` gives, shape (rows,)
    """
    phase = np.outer(distances(weights), np.arange(n_bins)) % (2 * n_fft)
    return waves(2 * n_fft)[:, phase] * weights[:, None]


def folded_window(window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a periodic window from its middle to its end, shape (rows,), one value more than that half.

    The last value is the first sample's, whose mirror image lies behind the window; in a window of even length the
    middle is its own mirror image and counts half. An even number of rows would not tell such windows from odd ones,
    but the middle does: it is the largest value, and then less than the one beside it.
    """
    length = len(window)
    weights = np.append(window[(length + 1) // 2 :], window[0])
    if length % 2 == 0:
        weights[0] *= 0.5
    return weights


def distances(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return twice the distance, in samples, of each row of a folded window from the middle, shape (rows,)."""
    is_even = len(weights) < 2 or weights[0] < weights[1]
    return 2 * np.arange(len(weights)) + (0 if is_even else 1)


def mean_power(padded: Tensor, win_length: int, hop_length: int) -> Tensor:
    """Return the mean square of each frame, (batch, frames), of a padded waveform (batch, samples).

    Squares are first summed in parts that hops and frames are whole multiples of: few of them overlap.
    """
    part = math.gcd(win_length, hop_length)
    n_whole = padded.shape[1] // part * part
    sums = padded[:, :n_whole].square().reshape(padded.shape[0], 1, -1, part).mean(dim=3)
    return functional.avg_pool1d(sums, win_length // part, hop_length // part)[:, 0]


class FourierTransform(nn.Module):
    """Power spectra by the real FFT: the form for training.

    Parameters
    ----------
    n_fft : points of the transform; the window of ``win_length`` samples lies in their middle
    hop_length : samples from one frame to the next
    n_bins : how many of the lowest bins are wanted
    """

    window: Tensor

    def __init__(self, n_fft: int, win_length: int, hop_length: int, n_bins: int, window: str = "hann") -> None:
        super().__init__()
        self.n_fft, self.win_length, self.hop_length, self.n_bins = n_fft, win_length, hop_length, n_bins
        self.register_buffer("window", periodic_window(window, win_length), persistent=False)

    def forward(self, padded: Tensor) -> Tensor:
        """Return (batch, bins, frames) of a padded waveform (batch, samples)."""
        frames = padded.unfold(1, self.win_length, self.hop_length) * self.window  # (batch, frames, win_length)
        spectrum = torch.fft.rfft(frames, n=self.n_fft)[..., : self.n_bins]
        power: Tensor = spectrum.real.square() + spectrum.imag.square()
        return power.transpose(1, 2)


class FoldedTransform(nn.Module):
    """The same power spectra as one product of matrices: exports to every runtime with dynamic batch and length.

    Windows are symmetric: the sum of two samples equally far from the middle meets the cosine, their difference the
    sine. That halves the work of a plain product, and of a convolution with all waves.
    """

    kernel: Tensor

    def __init__(self, n_fft: int, win_length: int, hop_length: int, n_bins: int, window: str = "hann") -> None:
        super().__init__()
        self.win_length, self.hop_length = win_length, hop_length
        weights = folded_window(periodic_window(window, win_length).numpy())
        self.register_buffer("kernel", torch.from_numpy(folded_kernel(n_fft, n_bins, weights)), persistent=False)

    def forward(self, padded: Tensor) -> Tensor:
        """Return (batch, bins, frames) of a padded waveform (batch, samples)."""
        frames = self._frames(padded)
        n_mirrored = self.win_length // 2 + 1
        later = functional.pad(frames[:, :, (self.win_length + 1) // 2 :], (0, 1))
        earlier = frames[:, :, :n_mirrored].flip(2)
        parts = torch.matmul(torch.stack([later + earlier, later - earlier], dim=1), self.kernel)
        real, imaginary = parts[:, 0], parts[:, 1]
        # In the graph, a power takes three times as long as a product.
        return (real * real + imaginary * imaginary).transpose(1, 2)

    def _frames(self, padded: Tensor) -> Tensor:
        """Cut out (batch, frames, win_length), hop by hop: a gather of every sample would take as long as the rest."""
        hop = self.hop_length
        n_frames = (padded.shape[1] - self.win_length) // hop + 1
        n_hops = -(-self.win_length // hop)
        whole = functional.pad(padded, (0, n_hops * hop))[:, : (n_frames + n_hops - 1) * hop]
        hops = whole.reshape(padded.shape[0], -1, hop)
        return torch.cat([hops[:, first : first + n_frames] for first in range(n_hops)], dim=2)[:, :, : self.win_length]
