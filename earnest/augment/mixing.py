"""Speech and noise at a signal-to-noise ratio."""

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.level import power


def mix_at_snr(speech: Waveform, noise: Waveform, snr_db: float) -> Waveform:
    """Add noise so that 10·log10(P_speech / P_noise) equals ``snr_db``.

    Parameters
    ----------
    speech, noise : shape (samples,), same length, float32
    snr_db : power ratio in decibels, over the whole clip

    Returns
    -------
    shape (samples,), float32, not clipped to [-1, 1]; where one of the two is silent, the speech alone
    """
    speech_power, noise_power = power(speech), power(noise)
    if not (speech_power > 0 and noise_power > 0):
        return speech.copy()
    factor = np.sqrt(speech_power / noise_power * 10 ** (-snr_db / 10))
    return np.asarray(speech + factor * noise, np.float32)
