"""Higher or lower at the same speed."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.align import aligned
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range
from earnest.augment.speed import at_speed
from earnest.augment.time_stretch import stretched
from earnest.settings.limits import LowHigh


def pitch_shifted(waveform: Waveform, semitones: float, sample_rate_hz: int) -> Waveform:
    """Move the pitch, and the formants with it: stretch in time, then play that much faster.

    Parameters
    ----------
    waveform : shape (samples,)
    semitones : 12 is twice the frequency

    Returns
    -------
    shape (samples,), float32
    """
    ratio = 2 ** (semitones / 12)  # equal temperament
    return aligned(at_speed(stretched(waveform, 1 / ratio, sample_rate_hz), ratio), len(waveform))


@AUGMENTATIONS.register("pitch-shift")
@dataclass(frozen=True)
class PitchShift(Augmentation):
    """Move the pitch by a number of semitones, whole or not.

    Attributes
    ----------
    semitones : lowest and highest; below 0 is lower
    """

    semitones: Annotated[Range, LowHigh(ge=-24, le=24)] = (-2.0, 2.0)

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `pitch_shifted`."""
        return pitch_shifted(waveform, rng.uniform(*self.semitones), sample_rate_hz)
