"""Gain: louder or softer."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range
from earnest.settings.limits import LowHigh


def with_gain(waveform: Waveform, gain_db: float) -> Waveform:
    """Multiply an utterance of any shape by 10^(gain_db/20); float32, not clipped to [-1, 1]."""
    return (waveform * np.float32(10 ** (gain_db / 20))).astype(np.float32)


@AUGMENTATIONS.register("gain")
@dataclass(frozen=True)
class Gain(Augmentation):
    """Change the level by a number of decibels.

    Attributes
    ----------
    gain_db : lowest and highest
    """

    gain_db: Annotated[Range, LowHigh(ge=-60, le=60)] = (-6.0, 6.0)

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `with_gain`."""
        return with_gain(waveform, rng.uniform(*self.gain_db))
