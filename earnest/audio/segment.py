"""Cutting a stream of blocks into windows, and how loud each moment is."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform

Levels: TypeAlias = npt.NDArray[np.float64]

FRAME_S = 0.025
SILENCE_DBFS = -65.0  # the quietest clips of RAVDESS reach -53
SPEECH_RANGE_DB = 35.0


def windows(blocks: Iterator[Waveform], n_samples: int) -> Iterator[Waveform]:
    """Join blocks and cut them anew into windows of ``n_samples``; the last one is what is left, 1 to ``n_samples``."""
    parts: list[Waveform] = []
    n_waiting = 0
    for block in blocks:
        parts.append(block)
        n_waiting += len(block)
        if n_waiting > n_samples:
            joined = _joined(parts)
            n_whole = (n_waiting - 1) // n_samples  # the last window is held back: it may be the end
            for start in range(0, n_whole * n_samples, n_samples):
                yield joined[start : start + n_samples]
            parts, n_waiting = [joined[n_whole * n_samples :]], n_waiting - n_whole * n_samples
    if n_waiting:
        yield _joined(parts)


def _joined(parts: list[Waveform]) -> Waveform:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


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


def speech_seconds(levels: Levels) -> float:
    """Return the seconds louder than -65 dBFS and than 35 dB below the loudest frame; a simple energy rule."""
    if is_silent(levels):
        return 0.0
    return FRAME_S * int(np.count_nonzero(levels > max(SILENCE_DBFS, float(levels.max()) - SPEECH_RANGE_DB)))
