"""Made-up sound for tests: voices, and recordings that nobody speaks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile

from earnest.audio.waveform import Waveform

Feeds: TypeAlias = dict[str, npt.NDArray[Any]]

TOO_LONG_S = 31.0  # a second above a bundle's longest_s
SILENT_ROW = "a silent row between two voices, the last one padded"


def voice(
    seconds: float = 1.0, sample_rate_hz: int = 16_000, pitch_hz: float = 180.0, level: float = 0.1, seed: int = 0
) -> Waveform:
    """Return twelve harmonics of a wavering pitch, four syllables a second, with a little noise, shape (samples,)."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    # f(t) = f₀·(1 + 0.1·sin 2πwt), with w from 0.5 to 2 Hz; its phase φ(t) = 2π·Σ f/rate.
    pitch = pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time_s))
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate_hz
    # Σ_k sin(kφ)/k: harmonics whose amplitude falls as in a sawtooth; the envelope is 0.1 to 1, four times a second.
    wave = sum(np.sin(number * phase) / number for number in range(1, 13))
    envelope = 0.55 - 0.45 * np.cos(2 * np.pi * 4 * time_s)
    return np.asarray(level * envelope * wave + rng.normal(0, 0.001, len(time_s)), np.float32)


def write_voice(path: Path, seconds: float = 1.0, sample_rate_hz: int = 16_000, seed: int = 0) -> Path:
    """Write a made-up voice in the format that the suffix names."""
    soundfile.write(path, voice(seconds, sample_rate_hz, seed=seed), sample_rate_hz)
    return path


def extreme_feeds(sample_rate_hz: int) -> dict[str, Feeds]:
    """Inputs of a graph by name: ``waveform`` (batch, samples) float32 and ``lengths`` (batch,) int64."""
    feeds = {name: feeds_of(waveform) for name, waveform in extreme_waveforms(sample_rate_hz).items()}
    spoken = voice(1.0, sample_rate_hz)
    for name, length in (("length 0", 0), ("length below 0", -5), ("length behind the end", 10 * len(spoken))):
        feeds[name] = {**feeds_of(spoken), "lengths": np.array([length])}
    rows = [spoken, np.zeros_like(spoken), voice(1.0, sample_rate_hz, pitch_hz=240, seed=1)]
    lengths = np.array([len(spoken), len(spoken), len(spoken) // 2])
    feeds[SILENT_ROW] = {"waveform": np.stack(rows), "lengths": lengths}
    feeds |= {alone(row): feeds_of(rows[row][: lengths[row]]) for row in range(len(rows))}
    return feeds


def extreme_waveforms(sample_rate_hz: int) -> Mapping[str, Waveform]:
    """One waveform (samples,) a name, most of a second."""
    rng, n = np.random.default_rng(0), sample_rate_hz
    noise = rng.uniform(-1, 1, n)
    time_s = np.arange(n) / sample_rate_hz
    waveforms = {
        "digital silence": np.zeros(n),
        "one sample of silence": np.zeros(1),
        "one sample": np.array([0.3]),
        "seven samples": noise[:7],
        "shorter than a frame": noise[:150],
        "constant offset": np.full(n, 0.5),
        "one click": np.where(np.arange(n) == n // 2, 1.0, 0.0),
        "denormal numbers": np.full(n, 1e-40),
        "noise at -180 dB": 1e-9 * noise,
        "noise at -140 dB": 1e-7 * noise,
        "clipped square wave": np.where(np.sin(2 * np.pi * 220 * time_s) >= 0, 1.0, -1.0),
        "a thousand times full scale": 1e3 * noise,
        "whole numbers of 32 bits": 2.0**31 * noise,
        "longer than the longest": np.resize(voice(1.0, sample_rate_hz), round(TOO_LONG_S * n)),
        "silence longer than the longest": np.zeros(round(TOO_LONG_S * n)),
    }
    return {name: waveform.astype(np.float32) for name, waveform in waveforms.items()}


def feeds_of(waveform: Waveform) -> Feeds:
    """Inputs of a graph for one waveform (samples,)."""
    return {"waveform": waveform[None], "lengths": np.array([len(waveform)])}


def alone(row: int) -> str:
    """The name of a row of `SILENT_ROW` without its neighbours and without what lies behind its end."""
    return f"row {row} of the batch alone"
