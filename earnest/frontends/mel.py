"""Mel filters after Slaney's Auditory Toolbox (1998), as librosa builds them by default.

They make what networks hear, in the graph, and a spectrogram to look at, without torch.
"""

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform

LINEAR_HZ_PER_MEL = 200.0 / 3
KNEE_HZ = 1000.0  # linear below, logarithmic above
KNEE_MEL = KNEE_HZ / LINEAR_HZ_PER_MEL  # 15
LOG_STEP = np.log(6.4) / 27.0  # 27 steps from 1 kHz to 6.4 kHz

Floats = npt.NDArray[np.float64]
N_MELS, FLOOR_DB = 64, 80.0
WINDOW_S, HOP_S = 0.032, 0.01
MOST_FRAMES = 256  # a card is some 300 pixels wide


def hz_to_mel(hz: npt.ArrayLike) -> Floats:
    """Convert frequencies to Slaney mels; any shape."""
    hz = np.asarray(hz, dtype=np.float64)
    # m = f/66.7 below 1 kHz, 15 + 27·ln(f/1000)/ln 6.4 above; 1e-9 keeps ln 0 out of the branch not taken.
    return np.where(hz < KNEE_HZ, hz / LINEAR_HZ_PER_MEL, KNEE_MEL + np.log(np.maximum(hz, 1e-9) / KNEE_HZ) / LOG_STEP)


def mel_to_hz(mel: npt.ArrayLike) -> Floats:
    """Convert Slaney mels to frequencies; any shape."""
    mel = np.asarray(mel, dtype=np.float64)
    # f = 66.7·m below 15 mel, 1000·6.4^((m − 15)/27) above.
    return np.where(mel < KNEE_MEL, mel * LINEAR_HZ_PER_MEL, KNEE_HZ * np.exp(LOG_STEP * (mel - KNEE_MEL)))


def mel_filters(
    sample_rate_hz: int, n_fft: int, n_mels: int, fmin_hz: float, fmax_hz: float
) -> npt.NDArray[np.float32]:
    """Return triangular filters of equal area.

    Returns
    -------
    shape (n_mels, n_fft // 2 + 1), float32, for power spectra
    """
    # The last bin of an even n_fft is half the rate; that of an odd one lies half a step below.
    bins_hz = np.linspace(0, sample_rate_hz * (n_fft // 2) / n_fft, n_fft // 2 + 1)
    # Equal steps on the mel scale; filter i rises from corner i to i + 1 and falls to i + 2.
    corners_hz = mel_to_hz(np.linspace(hz_to_mel(fmin_hz), hz_to_mel(fmax_hz), n_mels + 2))
    low, centre, high = corners_hz[:-2, None], corners_hz[1:-1, None], corners_hz[2:, None]  # each (n_mels, 1)
    triangles = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    # Height 2 / width: equal area (Slaney, 1998), so white noise gives equal bands.
    return (np.maximum(0, triangles) * 2 / (high - low)).astype(np.float32)


def log_mel(waveform: Waveform, sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """Return decibels below the loudest value, for looking at, not for a network.

    Returns
    -------
    shape (64, at most 257 frames), −80 to 0, of silence −80; from 0 Hz to half the rate
    """
    n_fft = round(WINDOW_S * sample_rate_hz)
    hop = max(round(HOP_S * sample_rate_hz), len(waveform) // MOST_FRAMES)
    padded = np.pad(waveform, (0, max(0, n_fft - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop] * np.hanning(n_fft)
    # Power |X|² (frames, n_fft/2 + 1) → bands (64, frames) → decibels 10·log₁₀, the loudest value at 0.
    power = np.abs(np.fft.rfft(frames)) ** 2
    bands = mel_filters(sample_rate_hz, n_fft, N_MELS, 0.0, sample_rate_hz / 2) @ power.T
    loudest = max(float(bands.max()), 1e-10)
    return np.asarray(10 * np.log10(np.maximum(bands / loudest, 10 ** (-FLOOR_DB / 10))))
