"""Measurements of speed and memory; each runs what people run, and children are whole processes."""

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest.audio.activity import ACTIVITY_HZ, FRAME_SAMPLES, activity_called
from earnest.audio.io import load_waveform, open_audio, resampled
from earnest.audio.waveform import Waveform
from earnest.errors import EarnestError, counted
from earnest.runtime.predictor import Predictor

CLIP_S, CLIP_HZ = 3.0, 48_000
WARM_UP = 5
# What the system counts as a child's peak begins with its parent's size, so on Linux the child says its own at the end.
_TELLS_PEAK = """
import atexit, pathlib, sys
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: status.exists() and sys.stderr.write(status.read_text()))
from earnest.apps.cli.main import main
main()
"""


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one answer, and of its stages alone."""

    p50_ms: float
    p95_ms: float
    stages_ms: dict[str, float]


@dataclass(frozen=True)
class Child:
    """What one process took."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    output: str


@dataclass(frozen=True)
class LongFile:
    """One long recording through ``earnest timeline``, a process of its own."""

    hours: float
    wall_s: float
    cpu_s: float
    peak_mib: float
    stages_cpu_s: dict[str, float]


def write_clip(sources: Sequence[Path], path: Path) -> Path:
    """Write three seconds of speech as people record it: 48 kHz, 16 bits, WAV."""
    import soundfile

    waveform = np.concatenate([load_waveform(source, CLIP_HZ) for source in sources[:8]])
    n_samples = round(CLIP_S * CLIP_HZ)
    soundfile.write(path, np.resize(waveform, n_samples), CLIP_HZ, subtype="PCM_16")
    return path


def measure_latency(model: Predictor, clip: Path, repeats: int) -> Latency:
    """Time bytes → probabilities, and decode, resampling and network alone, one thread, warm."""
    data = clip.read_bytes()
    rate = model.info.sample_rate_hz
    with open_audio(data) as audio:
        blocks, from_hz = list(audio.blocks), audio.sample_rate_hz
    waveform = np.concatenate(list(resampled(iter(blocks), from_hz, rate)))

    def decode() -> None:
        with open_audio(data) as audio:
            list(audio.blocks)

    stages = {
        "decode": _median_ms(decode, repeats),
        "resample": _median_ms(lambda: list(resampled(iter(blocks), from_hz, rate)), repeats),
        "network with STFT": _median_ms(lambda: model.graph.run([waveform]), repeats),
    }
    whole = _times_ms(lambda: model.predict(data), repeats)
    return Latency(float(np.median(whole)), float(np.percentile(whole, 95)), stages)


def _median_ms(work: Callable[[], object], repeats: int) -> float:
    return float(np.median(_times_ms(work, repeats)))


def _times_ms(work: Callable[[], object], repeats: int) -> npt.NDArray[np.float64]:
    found = []
    for _ in range(repeats + WARM_UP):
        start = time.perf_counter()
        work()
        found.append(1000 * (time.perf_counter() - start))
    return np.array(found[WARM_UP:])


def run_child(command: Sequence[str]) -> Child:
    """Run a program to its end and take its time and its own peak memory.

    Raises
    ------
    EarnestError
        When it fails, with the last line that it said.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
        start = time.perf_counter()
        streams = [(os.POSIX_SPAWN_DUP2, output.fileno(), 1), (os.POSIX_SPAWN_DUP2, messages.fileno(), 2)]
        child = os.posix_spawnp(command[0], list(command), os.environ, file_actions=streams)
        _, status, usage = os.wait4(child, 0)
        wall_s = time.perf_counter() - start
        output.seek(0)
        messages.seek(0)
        said = messages.read().decode("utf-8", "replace")
        if status:
            raise EarnestError(
                f"{command[0]} {command[-1]} failed: {(said.strip().splitlines() or ['no message'])[-1]}"
            )
        told = re.search(r"^VmHWM:\s*(\d+) kB", said, re.MULTILINE)
        peak_mib = int(told[1]) / 2**10 if told else usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        return Child(wall_s, usage.ru_utime + usage.ru_stime, peak_mib, output.read().decode("utf-8", "replace"))


def measure_start(command: Sequence[str], repeats: int = 5) -> float:
    """Return the median seconds of a whole process; the first run, which fills the disk's cache, doesn't count."""
    return float(np.median([run_child(command).wall_s for _ in range(repeats + 1)][1:]))


def measure_folder(model: Predictor, paths: Sequence[str], jobs: int) -> float:
    """Return recordings a second, warm."""
    next(model.predict_many(paths[:1]))
    start = time.perf_counter()
    n_answered = sum(1 for row in model.predict_many(paths, jobs) if row.status != "error")
    if n_answered < len(paths):
        raise EarnestError(
            f"{len(paths) - n_answered} of {counted(len(paths), 'recording')} can't be read. `earnest predict` "
            "on them says why."
        )
    return len(paths) / (time.perf_counter() - start)


def write_long(sources: Sequence[Path], hours: float, path: Path) -> Path:
    """Write hours of speech as FLAC: clips in random order, pauses of 0.3 to 2 seconds between them."""
    import soundfile

    rng = np.random.default_rng(0)
    clips = [load_waveform(source, ACTIVITY_HZ) for source in sources]
    n_left = round(hours * 3600 * ACTIVITY_HZ)
    with soundfile.SoundFile(path, "w", ACTIVITY_HZ, 1, format="FLAC") as file:
        while n_left > 0:
            pause = np.zeros(round(rng.uniform(0.3, 2.0) * ACTIVITY_HZ), np.float32)
            part = np.concatenate([clips[rng.integers(len(clips))], pause])[:n_left]
            file.write(part)
            n_left -= len(part)
    return path


def write_silence(hours: float, path: Path) -> Path:
    """Write hours of digital silence, some kilobytes a minute."""
    import soundfile

    minute = np.zeros(60 * ACTIVITY_HZ, np.float32)
    with soundfile.SoundFile(path, "w", ACTIVITY_HZ, 1, format="FLAC") as file:
        for _ in range(round(60 * hours)):
            file.write(minute)
    return path


def measure_long(model: Predictor, name: str, recording: Path, hours: float) -> LongFile:
    """Run ``earnest timeline`` on a long recording, then time its stages in this process."""
    words = ["timeline", str(recording), "--json", "--model", name]
    child = run_child([sys.executable, "-c", _TELLS_PEAK, *words])
    windows = json.loads(child.output)["windows"]
    stages = {"decode": _cpu_s(lambda: _decode(recording)), "activity": _cpu_s(lambda: _activity(recording))}
    stages["activity"] -= stages["decode"]
    seconds = [window["end_s"] - window["start_s"] for window in windows]
    rng = np.random.default_rng(0)
    lengths = [max(round(length * model.info.sample_rate_hz), 1) for length in seconds[:200]]
    some = [rng.normal(0, 0.1, length).astype(np.float32) for length in lengths]
    if some:
        stages["network"] = _cpu_s(lambda: [model.graph.run([item]) for item in some]) * len(seconds) / len(some)
    return LongFile(hours, child.wall_s, child.cpu_s, child.peak_mib, stages)


def _cpu_s(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _decode(recording: Path) -> None:
    with open_audio(recording, np.inf) as audio:
        for _ in audio.blocks:
            pass


def _activity(recording: Path) -> None:
    detector = activity_called()
    rest: Waveform = np.empty(0, np.float32)
    with open_audio(recording, np.inf) as audio:
        for block in resampled(audio.blocks, audio.sample_rate_hz, ACTIVITY_HZ):
            samples = np.concatenate([rest, block])
            n_whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
            detector.probabilities(samples[:n_whole].reshape(-1, FRAME_SAMPLES))
            rest = samples[n_whole:]
