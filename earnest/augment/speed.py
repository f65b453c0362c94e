"""Faster and higher, or slower and lower: another tape speed."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.align import aligned
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range
from earnest.settings.limits import LowHigh


def at_speed(waveform: Waveform, rate: float) -> Waveform:
    """Resample an utterance so that at its old sample rate it plays ``rate`` times as fast.

    Parameters
    ----------
    waveform : shape (samples,)
    rate : above 1 is faster, shorter and higher

    Returns
    -------
    shape (samples / rate, rounded, at least one), float32
    """
    import soxr

    # As if from ``rate`` Hz to 1 Hz: one sample for every ``rate``.
    return aligned(soxr.resample(waveform, rate, 1.0, quality="HQ"), max(round(len(waveform) / rate), 1))


@AUGMENTATIONS.register("speed")
@dataclass(frozen=True)
class Speed(Augmentation):
    """Change speed and pitch together.

    Attributes
    ----------
    rate : lowest and highest; 0.9 is slower, lower and a ninth longer
    """

    keeps_length: ClassVar[bool] = False
    rate: Annotated[Range, LowHigh(ge=0.25, le=4)] = (0.9, 1.1)

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `at_speed`."""
        return at_speed(waveform, rng.uniform(*self.rate))
