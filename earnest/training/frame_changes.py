"""Changes to log-mel frames that stand for changes to the sound: nearly free, where recomputing frames is not.

Time stretching without pitch, noise (powers add), a narrow band, a part of a clip and masks (Park et al., 2019).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from earnest.errors import RecipeError

Frames = npt.NDArray[np.float32]
DECIBELS = 10.0
TINY = 1e-12


@dataclass(frozen=True)
class FrameChanges:
    """How often frames are changed, and how much.

    Attributes
    ----------
    noise : folder of recordings below ``$EARNEST_DATA``, "" for none; ``noise_names`` are the parts of paths used
    crop, stretch, noisy, narrow, masked : share of clips that each happens to
    shortest_part : of a clip that a crop leaves
    stretch_range : of durations
    snr_db : range of signal-to-noise ratios
    lowest_band, highest_band : a narrow band ends at a mel band drawn from here
    mask_bands, mask_frames : most that a mask hides
    """

    noise: str = ""
    noise_names: tuple[str, ...] = ()
    crop: float = 0.3
    stretch: float = 0.5
    noisy: float = 0.4
    narrow: float = 0.08
    masked: float = 0.5
    shortest_part: float = 0.6
    stretch_range: tuple[float, float] = (0.87, 1.15)
    snr_db: tuple[float, float] = (3.0, 30.0)
    lowest_band: int = 50
    highest_band: int = 62
    mask_bands: int = 10
    mask_frames: int = 20

    def __post_init__(self) -> None:
        for name in ("crop", "stretch", "noisy", "narrow", "masked"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"{name} must be from 0 to 1, got {getattr(self, name)}.")
        checks = (
            (0 < self.shortest_part <= 1, "shortest_part must be above 0 and at most 1"),
            (0.5 <= self.stretch_range[0] <= self.stretch_range[1] <= 2, "stretch_range must be from 0.5 to 2"),
            (self.snr_db[0] <= self.snr_db[1], "snr_db must be a range"),
            (1 <= self.lowest_band <= self.highest_band, "lowest_band must be from 1 to highest_band"),
            (self.mask_bands >= 1 and self.mask_frames >= 1, "mask_bands and mask_frames must be at least 1"),
        )
        for right, message in checks:
            if not right:
                raise RecipeError(f"{message}.")


def changed(
    frames: Tensor, changes: FrameChanges, noises: Sequence[Tensor], top_db: float, rng: np.random.Generator
) -> Tensor:
    """Return a clip's frames changed at random; what comes in stays as it is.

    Parameters
    ----------
    frames : (n_mels, frames), decibels
    noises : frames of noise, each (n_mels, frames); without any, no noise is added
    top_db : the front end's: nothing lies further below the loudest value
    """
    if rng.random() < changes.crop:
        n_kept = max(1, int(frames.shape[1] * rng.uniform(changes.shortest_part, 1)))
        start = int(rng.integers(frames.shape[1] - n_kept + 1))
        frames = frames[:, start : start + n_kept]
    if rng.random() < changes.stretch:
        n_frames = max(1, int(frames.shape[1] * rng.uniform(*changes.stretch_range)))
        frames = functional.interpolate(frames[None], size=n_frames, mode="linear")[0]
    if noises and rng.random() < changes.noisy:
        noise = noises[int(rng.integers(len(noises)))]
        frames = with_noise(frames, noise, rng.uniform(*changes.snr_db), top_db, int(rng.integers(noise.shape[1])))
    if rng.random() < changes.narrow:
        frames = frames.clone()
        frames[int(rng.integers(changes.lowest_band, changes.highest_band + 1)) :] = frames.max() - top_db
    if rng.random() < changes.masked:
        frames = _masked(frames, changes, rng)
    return frames


def with_noise(frames: Tensor, noise: Tensor, snr_db: float, top_db: float, start: int = 0) -> Tensor:
    """Add the powers of noise, from its frame ``start`` on and around, at a ratio of mean powers."""
    at = (start + torch.arange(frames.shape[1])) % noise.shape[1]
    power, added = _power(frames), _power(noise[:, at])
    gain = power.mean() / (added.mean() + TINY) * 10 ** (-snr_db / DECIBELS)
    mixed = DECIBELS * (power + gain * added + TINY).log10()
    return mixed.clamp(min=float(mixed.max()) - top_db)


def _power(decibels: Tensor) -> Tensor:
    return torch.pow(10.0, decibels / DECIBELS)


def _masked(frames: Tensor, changes: FrameChanges, rng: np.random.Generator) -> Tensor:
    frames, mean = frames.clone(), frames.mean()
    for dimension, most in ((0, changes.mask_bands), (1, changes.mask_frames)):
        size = frames.shape[dimension]
        width = int(rng.integers(1, most + 1))
        frames.narrow(dimension, int(rng.integers(max(1, size - width))), min(width, size)).fill_(mean)
    return frames
