"""Level: the root mean square of an utterance, and speech and noise at a signal-to-noise ratio."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range
from earnest.settings.limits import LowHigh


def power(waveform: npt.NDArray[np.floating]) -> float:
    """Return the mean square of an utterance, shape (samples,), added up in double precision."""
    return float(np.mean(np.square(waveform, dtype=np.float64)))


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


def mix_at_snr(speech: Waveform, noise: Waveform, snr_db: float) -> Waveform:
    """Add noise so that 10·log10(P_speech / P_noise) equals ``snr_db``.

    Parameters
    ----------
    speech, noise : shape (samples,), same length, float32
    snr_db : power ratio in decibels, over the whole utterance

    Returns
    -------
    shape (samples,), float32, not clipped to [-1, 1]; where one of the two is silent, the speech alone
    """
    speech_power, noise_power = power(speech), power(noise)
    if not (speech_power > 0 and noise_power > 0):
        return speech.copy()
    factor = np.sqrt(speech_power / noise_power * 10 ** (-snr_db / 10))  # factor² · P_noise = P_speech / 10^(SNR/10)
    return np.asarray(speech + factor * noise, np.float32)
