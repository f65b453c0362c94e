"""Batch runs of tests: made-up recordings of several kinds, and what the shards of a run hold."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import soundfile

from earnest.testing.sounds import voice, write_voice

PROGRAM = [sys.executable, "-c", "from earnest.apps.cli.main import main; main()", "batch"]


def write_clips(folder: Path, count: int, n_broken: int = 0) -> list[str]:
    """Write short voices as WAV and FLAC, and files that are none; return their paths, sorted."""
    folder.mkdir(parents=True)
    made = [write_voice(folder / f"made-{seed}.wav", 0.3 + 0.2 * seed, seed=seed).read_bytes() for seed in range(4)]
    for seed in range(4):
        (folder / f"made-{seed}.wav").unlink()
    for number in range(count):
        (folder / f"{number:04d}.wav").write_bytes(made[number % 4])
    for number in range(n_broken):
        (folder / f"broken-{number:04d}.wav").write_bytes(b"not a recording"[: number % 15])
    return sorted(map(str, folder.iterdir()))


def write_tar(path: Path, count: int) -> list[str]:
    """Write a tar file as WebDataset has them, labels beside the sounds; return the keys of its recordings."""
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            for name, data in ((f"{number:03d}.flac", flac(number)), (f"{number:03d}.json", b'{"emotion": "sad"}')):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return [f"{path}/{number:03d}.flac" for number in range(count)]


def flac(seed: int) -> bytes:
    """Return a short voice as the bytes of a FLAC file."""
    data = io.BytesIO()
    soundfile.write(data, voice(0.4, seed=seed), 16_000, format="FLAC")
    return data.getvalue()


def rows_in(output: Path) -> list[dict[str, Any]]:
    """Return the rows of all shards."""
    import pyarrow.parquet

    return list(pyarrow.parquet.read_table(output / "shards").to_pylist())


def keys_in(output: Path) -> list[str]:
    """Return the keys of all rows, sorted; equal ones stay."""
    return sorted(row["path"] for row in rows_in(output))


def started(*words: object, **settings: Any) -> "subprocess.Popen[str]":
    """Start ``earnest batch`` in a process of its own."""
    return subprocess.Popen([*PROGRAM, *map(str, words)], stderr=subprocess.PIPE, text=True, **settings)


def finished(*words: object, exit_code: int = 0) -> str:
    """Run ``earnest batch``; return what it says."""
    run = started(*words)
    _, said = run.communicate(timeout=300)
    assert run.returncode == exit_code, said
    return said
