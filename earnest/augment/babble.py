"""Babble: several voices at once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.level import at_level
from earnest.augment.noise_files import drawn_stretch

FEWEST, MOST = 4, 7  # voices, as in audEERING's ser-tests
LEVEL_DBFS = -26.0  # of each voice, so that none stands out


def babble(voices: Sequence[Path], n_samples: int, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
    """Add up random stretches of four to seven recordings, each at the same level.

    Parameters
    ----------
    voices : recordings of speech, at least one; with fewer than are drawn, some speak twice

    Returns
    -------
    shape (n_samples,), float32, not clipped to [-1, 1]
    """
    n_voices = int(rng.integers(FEWEST, MOST + 1))
    chosen = rng.choice(len(voices), n_voices, replace=len(voices) < n_voices)
    stretches = [drawn_stretch(voices[index], n_samples, sample_rate_hz, rng) for index in chosen]
    return np.asarray(sum(at_level(stretch, LEVEL_DBFS) for stretch in stretches), np.float32)
