"""How loud each moment is, and which part of a recording is loud enough to be heard."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform

Levels: TypeAlias = npt.NDArray[np.float64]

FRAME_S = 0.025
SILENCE_DBFS = -65.0  # the quietest clips of RAVDESS reach -53
SPEECH_RANGE_DB = 35.0


def frame_levels_dbfs(waveform: Waveform, sample_rate_hz: int) -> Levels:
    """Return the level of each frame of 25 ms: 20·log10 of its standard deviation (a constant offset is silence).

    Parameters
    ----------
    waveform : shape (samples,); an incomplete last frame is left out unless it is the only one

    Returns
    -------
    shape (frames,), in dB relative to a standard deviation of one; -200 for digital silence
    """
    n_frame = min(max(round(FRAME_S * sample_rate_hz), 1), len(waveform))
    if n_frame == 0:
        return np.empty(0)
    return levels_dbfs(waveform[: len(waveform) // n_frame * n_frame].reshape(-1, n_frame))


def levels_dbfs(frames: Waveform) -> Levels:
    """Return the level of each of ``frames``, shape (frames, samples), as `frame_levels_dbfs` does."""
    centred = frames - frames.mean(axis=1, keepdims=True)
    powers = np.einsum("ij,ij->i", centred, centred) / frames.shape[1]  # half the time of frames.var
    return np.asarray(10 * np.log10(powers.astype(np.float64) + 1e-20))


def is_silent(levels: Levels) -> bool:
    """Whether no frame is louder than -65 dBFS."""
    return not len(levels) or float(levels.max()) <= SILENCE_DBFS


def active_part(waveform: Waveform, sample_rate_hz: int) -> tuple[int, int] | None:
    """Return where sound louder than -65 dBFS and than 35 dB below the loudest frame starts and ends; None without.

    Parameters
    ----------
    waveform : shape (samples,)
    """
    levels = frame_levels_dbfs(waveform, sample_rate_hz)
    if is_silent(levels):
        return None
    active = np.flatnonzero(levels > max(SILENCE_DBFS, float(levels.max()) - SPEECH_RANGE_DB))
    n_frame = max(round(FRAME_S * sample_rate_hz), 1)
    return int(active[0]) * n_frame, min(int(active[-1] + 1) * n_frame, len(waveform))
