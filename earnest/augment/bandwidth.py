"""Recordings that end below half of their sample rate."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range
from earnest.augment.spectrum import Spectrum, edge, filtered
from earnest.settings.limits import LowHigh


def band_limited(waveform: Waveform, highest_hz: float, sample_rate_hz: int) -> Waveform:
    """Leave out what is above a frequency; a tenth of it higher nothing is left.

    Parameters
    ----------
    waveform : shape (samples,)

    Returns
    -------
    shape (samples,), float32
    """
    return filtered(waveform, sample_rate_hz, partial(_gains, highest_hz=highest_hz))


def _gains(frequencies_hz: Spectrum, highest_hz: float) -> Spectrum:
    return edge(frequencies_hz, 1.1 * highest_hz, highest_hz)


@AUGMENTATIONS.register("bandwidth")
@dataclass(frozen=True)
class Bandwidth(Augmentation):
    """Limit the bandwidth.

    Attributes
    ----------
    highest_hz : lowest and highest frequency up to which all is kept
    """

    highest_hz: Annotated[Range, LowHigh(ge=100, le=100_000)] = (3000.0, 7000.0)

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `band_limited`."""
        return band_limited(waveform, rng.uniform(*self.highest_hz), sample_rate_hz)
