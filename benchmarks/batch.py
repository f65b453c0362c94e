"""Thousands of recordings by `earnest batch`, beside `earnest predict --jobs 2`: complete, exactly once, how fast?

    python benchmarks/batch.py $EARNEST_DATA --inputs 20000 --work /tmp/batch-benchmark --engines processes,ray

Real clips under other names, as FLAC, WAV, OGG and MP3 in turns, 50 files that are broken, and one recording of ten
hours (clips among silence). Made in --work, which may be deleted afterwards. Runs alternate: predict, one worker, two
workers, each so often as --rounds says; told are medians, the seconds of starting (a run about one clip) taken off.
Memory is the largest resident set of any process of the run, looked at twice a second.
"""

import argparse
import csv
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

FORMATS = {"flac": "FLAC", "wav": "WAV", "ogg": "OGG", "mp3": "MP3"}
N_BROKEN, LONG_HOURS, RATE_HZ = 50, 10, 16_000
N_ORIGINALS = 200


@dataclass(frozen=True)
class Run:
    """What a command took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def make_inputs(data: Path, folder: Path, count: int, hours: float) -> int:
    """Write the recordings below a folder; return how many there are."""
    found = sorted(path for path in data.glob("*/**/*") if path.suffix in (".wav", ".flac") and path.is_file())
    chosen = random.Random(0).sample(found, min(N_ORIGINALS, len(found)))
    originals = folder / "originals"
    originals.mkdir(parents=True)
    for number, path in enumerate(chosen):
        suffix, form = list(FORMATS.items())[number % len(FORMATS)]
        samples, rate_hz = soundfile.read(path, dtype="float32")
        with suppress(soundfile.SoundFileError):  # MP3 and OGG don't take every rate
            soundfile.write(originals / f"{number:03d}.{suffix}", samples, rate_hz, format=form)
    made = sorted(originals.iterdir())
    inputs = folder / "inputs"
    inputs.mkdir()
    for number in range(count - N_BROKEN - 1):
        original = made[number % len(made)]
        place = inputs / f"{number // 1000:03d}" / f"{number:06d}{original.suffix}"
        place.parent.mkdir(exist_ok=True)
        os.link(original, place)
    for number in range(N_BROKEN):
        data_of = made[number % len(made)].read_bytes()
        (inputs / f"broken-{number:02d}.wav").write_bytes(
            data_of[: 20 * number] if number % 2 else b"no sound" * number
        )
    write_long(inputs / "long.flac", chosen, hours)
    return count


def write_long(path: Path, clips: Sequence[Path], hours: float) -> None:
    """Write a recording in which a clip follows each minute of silence."""
    left, rng = int(hours * 3600 * RATE_HZ), np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16") as file:
        for number in range(10**6):
            samples, rate_hz = soundfile.read(clips[number % len(clips)], dtype="float32", always_2d=True)
            mono = samples[:: max(1, rate_hz // RATE_HZ), 0]
            quiet = rng.normal(0, 1e-4, 60 * RATE_HZ).astype(np.float32)
            piece = np.concatenate([quiet, mono])[:left]
            file.write(piece)
            left -= len(piece)
            if left <= 0:
                return


def measured(words: Sequence[str], codes: Sequence[int] = (0, 3)) -> Run:
    """Run ``earnest``; look at the memory of all its processes."""
    before, begin = os.times(), time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "earnest", *words], stderr=subprocess.DEVNULL)
    peak = [0.0]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            peak[0] = max([peak[0], *resident_mb(process.pid)])

    looking = threading.Thread(target=look)
    looking.start()
    code = process.wait()
    over.set()
    looking.join()
    if code not in codes:
        raise SystemExit(f"earnest {' '.join(words)}: exit code {code}")
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(time.perf_counter() - begin, cpu_s, peak[0])


def resident_mb(pid: int) -> Iterator[float]:
    """Yield the resident sets of a process and of all below it."""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii").split("VmRSS:")
        yield int(status[1].split()[0]) / 1024 if len(status) > 1 else 0.0
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in task.read_text(encoding="ascii").split():
                yield from resident_mb(int(child))


def check(inputs: Path, output: Path, n_inputs: int) -> None:
    """Compare the keys of all shards with the files that there are, and the answers' number."""
    import pyarrow.parquet

    keys = [
        key
        for path in output.glob("shards/*.parquet")
        for key in pyarrow.parquet.read_table(path, columns=["path"])["path"].to_pylist()
    ]
    there = {str(path) for path in inputs.rglob("*") if path.is_file()}
    counts = f"{len(keys)} rows, {len(set(keys))} keys, {len(there)} files ({n_inputs} planned)"
    say(f"{output.name}: {counts}; missing {len(there - set(keys))}, strange {len(set(keys) - there)}")


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def told(name: str, runs: Sequence[Run], start: Run, n_inputs: int) -> str:
    """Return a row of the table."""
    wall_s = statistics.median(run.wall_s for run in runs) - start.wall_s
    cpu_s = statistics.median(run.cpu_s for run in runs) - start.cpu_s
    peak = max(run.peak_mb for run in runs)
    return f"| {name} | {start.wall_s:.1f} | {wall_s:.1f} | {n_inputs / wall_s:.0f} | {cpu_s:.1f} | {peak:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--hours", type=float, default=LONG_HOURS)
    parser.add_argument("--model", default="small")
    parser.add_argument("--rounds", type=int, default=1, help="0: only whether all is there, exactly once")
    parser.add_argument("--engines", default="processes")
    asked = parser.parse_args()
    inputs = asked.work / "inputs"
    n_inputs = asked.inputs if inputs.is_dir() else make_inputs(asked.data, asked.work, asked.inputs, asked.hours)
    without_long = asked.work / "without-long.csv"
    with without_long.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path"])
        writer.writerows([str(path)] for path in sorted(inputs.rglob("*")) if path.is_file() and path.stem != "long")
    one = asked.work / "one.csv"
    one.write_text(f"path\n{min(inputs.glob('000/*'))}\n", encoding="utf-8")
    sides = {"predict --jobs 2": ["predict", "--jobs", "2"]}
    for engine in asked.engines.split(","):
        for jobs in (1, 2):
            sides[f"batch, {engine}, {jobs}"] = ["batch", "run", "--jobs", str(jobs), "--engine", engine]
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    starts = {}
    for name, words in sides.items() if asked.rounds else ():
        starts[name] = measured(command(words, one, asked.work / "start", asked.model))
    for number in range(asked.rounds):
        for name, words in sides.items():
            output = asked.work / f"{name.replace(' ', '')}-{number}"
            runs[name].append(measured(command(words, without_long, output, asked.model)))
            say(name + " " + json.dumps(runs[name][-1].__dict__))
    say("| | start s | s | inputs a second | CPU s | peak MB of a process |\n|---|---|---|---|---|---|")
    for name, some in runs.items() if asked.rounds else ():
        say(told(name, some, starts[name], n_inputs - 1))
    for engine in asked.engines.split(","):
        output = asked.work / f"all-{engine}"
        run = measured(command(["batch", "run", "--jobs", "2", "--engine", engine], inputs, output, asked.model))
        say(f"with the long one, {engine}: {run}")
        check(inputs, output, n_inputs)


def command(words: Sequence[str], source: Path, output: Path, model: str) -> list[str]:
    """Return the words of a run that begins anew."""
    if words[0] == "predict":
        return [*words, str(source), "--output", f"{output}.parquet", "--overwrite", "--model", model, "-q"]
    shutil.rmtree(output, ignore_errors=True)
    return [*words, str(source), "--output", str(output), "--model", model, "-q"]


if __name__ == "__main__":
    main()
