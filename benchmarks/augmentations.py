"""Time each augmentation on a clip of three seconds at 16 kHz, one thread: milliseconds a clip.

    python benchmarks/augmentations.py [--noises FOLDER] [--repeats 200]

FOLDER holds noise recordings; without it `noise-files` is left out. They are decoded before the clock starts, as in a
training they are after the first clips. Prints a table: median, and the 95th percentile over draws.
"""

import argparse
import os
import sys
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when the libraries are loaded
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

import earnest  # noqa: E402
from earnest.audio.io import load_waveform  # noqa: E402
from earnest.audio.waveform import Waveform  # noqa: E402
from earnest.augment.align import aligned  # noqa: E402
from earnest.augment.base import (  # noqa: E402
    AUGMENTATIONS,
    Transform,
    build_chain,
)
from earnest.augment.noise_files import NoiseFiles, noise_recording  # noqa: E402

RATE_HZ = 16_000
SECONDS = 3
FORMATS = ("mp3", "vorbis", "opus")


def main() -> None:
    """Print one row an augmentation; `codec` has one a format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noises", type=Path)
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    clip = aligned(load_waveform(Path(earnest.__file__).parent / "demo" / "plain.flac", RATE_HZ), SECONDS * RATE_HZ)
    say("| augmentation | ms a clip | 95 % below |")
    say("|---|---|---|")
    for label, table in tables(options.noises):
        spent_ms = 1000 * np.array(timed(build_chain([table], RATE_HZ), clip, options.repeats))
        say(f"| {label} | {np.median(spent_ms):.2f} | {np.percentile(spent_ms, 95):.2f} |")


def tables(noises: Path | None) -> list[tuple[str, dict[str, object]]]:
    """Return a label and a recipe table for each row; decode the noises."""
    rows: list[tuple[str, dict[str, object]]] = []
    for name in AUGMENTATIONS.names():
        if name == "codec":
            rows += [(f"codec, {item}", {"name": name, "formats": [item]}) for item in FORMATS]
        elif name != "noise-files":
            rows.append((name, {"name": name}))
        elif noises is not None:
            for path, _ in NoiseFiles(str(noises)).recordings:
                noise_recording(path, RATE_HZ)
            rows.append((name, {"name": name, "folder": str(noises)}))
    return rows


def timed(transform: Transform, clip: Waveform, repeats: int) -> list[float]:
    """Return the seconds of each draw, after five that don't count."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        transform(clip, rng)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        transform(clip, rng)
        seconds.append(time.perf_counter() - start)
    return seconds


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
