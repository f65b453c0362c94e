"""A made-up corpus for the notebooks: six voices, three emotions, no recordings of anybody."""

from pathlib import Path

import numpy as np
import soundfile

from earnest.corpora.manifest import Utterance, write_manifest
from earnest.testing.sounds import voice

RATE_HZ = 16_000
MANNERS = {  # pitch against the voice's own, level
    "neutral": (1.0, 0.10),
    "happy": (1.4, 0.16),
    "sad": (0.75, 0.04),
}


def write_voices(folder: Path, n_takes: int = 6) -> Path:
    """Write the clips and their manifest; return the manifest's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(0), []
    for speaker in range(6):
        own_hz = (110 if speaker % 2 else 200) * (1 + 0.03 * speaker)
        for emotion, (pitch, level) in MANNERS.items():
            for take in range(n_takes):
                path = folder / f"{speaker}-{emotion}-{take}.wav"
                pitch_hz = own_hz * pitch * rng.uniform(0.85, 1.15)
                loudness = level * rng.uniform(0.6, 1.6)
                seconds = float(rng.uniform(0.6, 1.2))
                soundfile.write(path, voice(seconds, RATE_HZ, pitch_hz, loudness, len(rows)).clip(-1, 1), RATE_HZ)
                # As if somebody had rated them, from 1 to 5.
                arousal = float(np.clip(np.round(1 + 20 * loudness + rng.normal(0, 0.4), 1), 1, 5))
                rows.append(
                    Utterance(path.stem, path, corpus="voices", speaker=f"voices-{speaker}", emotion=emotion,
                              gender="male" if speaker % 2 else "female", arousal=arousal)
                )  # fmt: skip
    write_manifest(rows, folder / "voices.csv")
    return folder / "voices.csv"
