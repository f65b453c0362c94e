"""A spectrogram to look at; what networks hear is in the graph."""

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform
from earnest.frontends.mel import mel_filters

N_MELS, FLOOR_DB = 64, 80.0
WINDOW_S, HOP_S = 0.032, 0.01
MOST_FRAMES = 256  # a card is some 300 pixels wide


def log_mel(waveform: Waveform, sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """Return decibels below the loudest value, for looking at, not for a network.

    Returns
    -------
    shape (64, at most 257 frames), −80 to 0; from 0 Hz to half the rate
    """
    n_fft = round(WINDOW_S * sample_rate_hz)
    hop = max(round(HOP_S * sample_rate_hz), len(waveform) // MOST_FRAMES)
    padded = np.pad(waveform, (0, max(0, n_fft - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop] * np.hanning(n_fft)
    power = np.abs(np.fft.rfft(frames)) ** 2
    bands = mel_filters(sample_rate_hz, n_fft, N_MELS, 0.0, sample_rate_hz / 2) @ power.T
    decibels = 10 * np.log10(np.maximum(bands, 1e-10))
    return np.asarray(np.maximum(decibels - decibels.max(), -FLOOR_DB))
