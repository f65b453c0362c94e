"""Level: the root mean square of an utterance."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range, power
from earnest.settings.limits import LowHigh


def at_level(waveform: Waveform, level_dbfs: float) -> Waveform:
    """Scale an utterance so that 20·log10 of its root mean square is ``level_dbfs``; silence stays silence.

    Parameters
    ----------
    waveform : shape (samples,)
    level_dbfs : 0 is a root mean square of one

    Returns
    -------
    shape (samples,), float32, not clipped to [-1, 1]
    """
    present = power(waveform)
    # factor² · P = 10^(L/10), L in dBFS
    factor = np.sqrt(10 ** (level_dbfs / 10) / present) if present > 0 else 1.0
    return (waveform * factor).astype(np.float32)


@AUGMENTATIONS.register("level")
@dataclass(frozen=True)
class Level(Augmentation):
    """Bring utterances to one level, or to one drawn from a range.

    Attributes
    ----------
    level_dbfs : lowest and highest root mean square; ``[0, 0]`` is Moody's root mean square of one
    """

    level_dbfs: Annotated[Range, LowHigh(ge=-100, le=20)] = (-30.0, -15.0)

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `at_level`."""
        return at_level(waveform, rng.uniform(*self.level_dbfs))
