"""Trimming of silence inside the graph, and segments of utterances, cut there: the frames that a network is given.

So no runtime implements either again.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SMOOTHING_FRAMES = 10  # standard deviation of the Gaussian over the sorted energies
RADIUS = 4 * SMOOTHING_FRAMES  # there the Gaussian has come down to e^(−8) = 0.0003
SPARE_FRAMES = 3
RANGE_DB = 40.0  # energies further below the utterance's peak count as equal


def frame_mask(n_frames: Tensor, frames: int) -> Tensor:
    """Return (batch, frames), True where a frame belongs to its utterance."""
    # 32 bits: in the graph, comparing the positions of all samples takes half the time.
    positions = torch.arange(frames, device=n_frames.device, dtype=torch.int32)
    return positions[None, :] < n_frames.to(torch.int32)[:, None]


def first_and_end(active: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first active frame and the one after the last, both (batch,); the whole length if none is active."""
    positions = torch.arange(active.shape[1], device=active.device)[None, :]
    far = active.shape[1] + 1  # behind every frame
    first = torch.where(active, positions, far).amin(dim=1)
    end = torch.where(active, positions, -1).amax(dim=1) + 1
    nothing = end == 0
    return torch.where(nothing, torch.zeros_like(first), first), torch.where(nothing, n_frames, end)


class GradientTrim(nn.Module):
    """EmoCatcher's rule: the threshold lies where the sorted curve of frame energies rises fastest.

    Decibels are limited to 40 below the utterance's peak and scaled to [0, 1], summed over mel bands, sorted, smoothed
    with a Gaussian of 10 frames; frames above the smoothed value at the steepest point count as speech, and from the
    first to the last of them, three spare frames before and two after, the utterance is kept.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        offsets = np.arange(-RADIUS, RADIUS + 1)
        weights = np.exp(-0.5 * (offsets / SMOOTHING_FRAMES) ** 2)  # e^(−t²/2σ²)
        self.register_buffer("kernel", torch.from_numpy((weights / weights.sum()).astype(np.float32)), persistent=False)

    def forward(self, decibels: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return start and end frame, each (batch,), of ``decibels`` (batch, n_mels, frames) on power."""
        inside = frame_mask(n_frames, decibels.shape[2])
        energy = self._energy(decibels, inside)
        threshold = self._threshold(energy, inside, n_frames)
        first, end = first_and_end((energy > threshold[:, None]) & inside, n_frames)
        # ``end`` is the one after the last: −1 + 3 spares two frames behind it.
        return (first - SPARE_FRAMES).clamp(min=0), torch.minimum(end - 1 + SPARE_FRAMES, n_frames)

    def _energy(self, decibels: Tensor, inside: Tensor) -> Tensor:
        # Twice the decibels with a range of 80 in the original: it takes power for amplitude.
        lowest_possible = decibels.amin(dim=(1, 2), keepdim=True)
        visible = torch.where(inside[:, None], decibels, lowest_possible)
        peak = visible.amax(dim=(1, 2), keepdim=True)
        limited = torch.maximum(decibels, (peak - RANGE_DB).clamp(min=-50.0))
        floor = torch.where(inside[:, None], limited, peak).amin(dim=(1, 2), keepdim=True)
        # Each value 0 to 1, summed over bands.
        return ((limited - floor) / (peak - floor).clamp(min=1e-6)).sum(dim=1)  # (batch, frames)

    def _threshold(self, energy: Tensor, inside: Tensor, n_frames: Tensor) -> Tensor:
        frames = energy.shape[1]
        # What lies outside is sorted behind all energies, which are at most n_mels.
        ascending = torch.where(inside, energy, torch.full_like(energy, 1e6)).sort(dim=1).values
        last = n_frames[:, None] - 1
        # Half-sample symmetric extension at both ends of each utterance, however short: … b a | a b c | c b …
        positions = torch.arange(frames + 2 * RADIUS, device=energy.device)[None, :] - RADIUS
        wrapped = torch.remainder(positions, 2 * n_frames[:, None])
        mirrored = torch.minimum(wrapped, 2 * last + 1 - wrapped)
        extended = ascending.gather(1, mirrored)
        smooth = functional.conv1d(extended[:, None], self.kernel[None, None])[:, 0]  # (batch, frames)
        here = torch.arange(frames, device=energy.device)[None, :].expand(energy.shape)
        above, below = torch.minimum(here + 1, last.clamp(min=0)), (here - 1).clamp(min=0)
        step = (above - below).clamp(min=1)
        # Central difference, one-sided at both ends, as numpy.gradient.
        slope = (smooth.gather(1, above) - smooth.gather(1, torch.minimum(below, above))) / step
        # Argmax of d(energy)/d(rank).
        steepest = torch.where(inside, slope, torch.full_like(slope, -1.0)).argmax(dim=1, keepdim=True)
        return smooth.gather(1, steepest)[:, 0]


def peak_trim(frame_power: Tensor, n_frames: Tensor, below_peak_db: float) -> tuple[Tensor, Tensor]:
    """Keep from the first to the last frame whose mean power is less than ``below_peak_db`` under the loudest frame's.

    Parameters
    ----------
    frame_power : (batch, frames)
    n_frames : (batch,)

    Returns
    -------
    start and end frame, each (batch,)
    """
    inside = frame_mask(n_frames, frame_power.shape[1])
    power = torch.where(inside, frame_power, torch.zeros_like(frame_power))
    threshold = power.amax(dim=1, keepdim=True) * 10 ** (-below_peak_db / 10)  # decibels on power: 10·log10
    return first_and_end((power > threshold) & inside, n_frames)


def floor_of(frames: Tensor, n_frames: Tensor) -> Tensor:
    """Return the lowest value of each utterance's own frames, (batch, 1, 1)."""
    inside = frame_mask(n_frames, frames.shape[2])[:, None]
    return torch.where(inside, frames, torch.full_like(frames, torch.inf)).amin(dim=(1, 2), keepdim=True)


def crop(frames: Tensor, n_frames: Tensor, length: int, padding: Tensor, place: Tensor | None = None) -> Tensor:
    """Cut ``length`` frames from every utterance; a shorter one is continued at both ends.

    Parameters
    ----------
    frames : (batch, bands, frames)
    n_frames : (batch,)
    padding : (batch, 1, 1), the value outside an utterance
    place : (batch,) from 0 to below 1, where in its spare room the crop lies; default: in the middle

    Returns
    -------
    (batch, bands, length)
    """
    spare = n_frames - length  # negative where an utterance is shorter
    if place is None:
        start = torch.div(spare, 2, rounding_mode="floor")
    else:
        # Uniform over 0 … spare; negative: zeros before the utterance.
        start = spare.sign() * (place * (spare.abs() + 1)).floor().to(spare.dtype)
    positions = start[:, None] + torch.arange(length, device=frames.device)[None]
    inside = (positions >= 0) & (positions < n_frames[:, None])
    source = positions.clamp(min=0, max=frames.shape[2] - 1)[:, None].expand(-1, frames.shape[1], -1)
    return torch.where(inside[:, None], frames.gather(2, source), padding)


def blocks(frames: Tensor, n_frames: Tensor, length: int, padding: Tensor) -> tuple[Tensor, Tensor]:
    """Cut every utterance into blocks of ``length`` frames without overlap; the last one is continued at its end.

    The last frame of a spectrogram is centred on the utterance's end, so an utterance of exactly so many hops needs no
    block for it alone.

    Parameters
    ----------
    frames : (batch, bands, frames)
    n_frames : (batch,)
    padding : (batch, 1, 1), the value behind an utterance

    Returns
    -------
    pieces : (batch, blocks, bands, length)
    live : (batch, blocks), True where a block holds frames of its utterance
    """
    # ⌈(frames − 1) / length⌉ blocks, one at least: the last frame alone makes none.
    behind_first = torch.sym_max(frames.shape[2] - 2, 0)  # type: ignore[no-untyped-call]
    n_blocks = behind_first // length + 1
    starts = torch.arange(n_blocks, device=frames.device) * length
    positions = starts[:, None] + torch.arange(length, device=frames.device)[None]  # (blocks, length)
    pieces = frames[:, :, positions.clamp(max=frames.shape[2] - 1)]  # (batch, bands, blocks, length)
    inside = positions[None, None] < n_frames[:, None, None, None]
    live = starts[None] < (n_frames[:, None] - 1).clamp(min=1)
    return torch.where(inside, pieces, padding[..., None]).transpose(1, 2), live
