"""Make sounds that are no speech, to train and to test a gate that has to say so.

Usage: python scripts/make_sounds.py FOLDER [PER_CLASS]

Writes PER_CLASS (60) files of 1 to 8 s a class, 16 kHz mono, FOLDER/<class>/000.flac and so on; what lies there
already is kept. Most are made by arithmetic (see scripts/sounds/); the classes music-* are random MIDI files played
by fluidsynth, and are left out where it is absent (Debian: `apt install fluidsynth timgm6mb-soundfont`). Nobody's
recording is in them. The same seed and versions give the same files. Needs scipy.
"""

import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from sounds import instruments, music, nature, signals, things
from sounds.parts import RATE_HZ, Array, Sound, recorded

SEED = 21
PER_CLASS = 60
N_PROCESSES = 2
MADE: dict[str, Sound] = {**signals.SOUNDS, **things.SOUNDS, **nature.SOUNDS, **instruments.SOUNDS}


def mixture(rng: np.random.Generator, n_samples: int) -> Array:
    """Two or three sounds of the other classes at once, none more than 20 dB below the loudest."""
    total = np.zeros(n_samples)
    for name in rng.choice(sorted(MADE), int(rng.integers(2, 4)), replace=False):
        sound = MADE[str(name)](rng, n_samples)
        total += sound / (np.abs(sound).max() + 1e-12) * 10 ** (-rng.uniform(0, 20) / 20)
    return total


def classes() -> dict[str, Sound]:
    """Every class that can be made here, and its maker."""
    font = music.font()
    played = {name: music.musician(name, font) for name in music.INSTRUMENTS} if font else {}
    return {**MADE, **signals.QUIET, "mixture": mixture, **played}


def make(name: str, number: int, n_samples: int | None = None) -> NDArray[np.float32]:
    """One sound of a class, at most 1 in amplitude; 1 to 8 s long where no length is given."""
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), number])
    n_samples = n_samples or int(RATE_HZ * rng.uniform(1, 8))
    sound = classes()[name](rng, n_samples)
    while not sound.any():  # a short stretch of a slow pattern can fall into its pause
        sound = classes()[name](rng, n_samples)
    return np.asarray(sound, dtype=np.float32) if name in signals.QUIET else recorded(rng, sound)


def write(folder: Path, name: str, number: int) -> None:
    """Write one sound, unless it is there."""
    path = folder / name / f"{number:03d}.flac"
    if path.exists():
        return
    unfinished = path.with_suffix(".part")
    soundfile.write(unfinished, make(name, number), RATE_HZ, format="FLAC", subtype="PCM_16")
    unfinished.rename(path)


def main(folder: Path, per_class: int) -> None:
    """Make missing sounds."""
    if not music.font():
        sys.stderr.write("No music-* classes: fluidsynth or a General MIDI sound font is not installed.\n")
    for name in classes():
        (folder / name).mkdir(parents=True, exist_ok=True)
    jobs = [(folder, name, number) for name in classes() for number in range(per_class)]
    with ProcessPoolExecutor(N_PROCESSES, get_context("spawn")) as processes:
        list(processes.map(write, *zip(*jobs, strict=True), chunksize=16))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else PER_CLASS)
