"""Made-up voices: seeded harmonics under a speech-like envelope."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile


def voice(
    seconds: float = 1.0, sample_rate_hz: int = 16_000, pitch_hz: float = 180.0, level: float = 0.1, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Return twelve harmonics of a wavering pitch, four syllables a second, with a little noise, shape (samples,)."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    pitch = pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time_s))
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate_hz
    wave = sum(np.sin(number * phase) / number for number in range(1, 13))
    envelope = 0.55 - 0.45 * np.cos(2 * np.pi * 4 * time_s)
    return (level * envelope * wave + rng.normal(0, 0.001, len(time_s))).astype(np.float32)


def write_voice(path: Path, seconds: float = 1.0, sample_rate_hz: int = 16_000, seed: int = 0) -> Path:
    """Write a made-up voice in the format that the suffix names."""
    soundfile.write(path, voice(seconds, sample_rate_hz, seed=seed), sample_rate_hz)
    return path
