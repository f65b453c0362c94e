"""``earnest bench``: how fast it is on this machine, beside how others do it; each measurement runs what people run."""

import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

import earnest
from earnest.apps.cli import say
from earnest.apps.cli._options import JOBS, ModelOptions, listed, numbers, options
from earnest.apps.cli._recordings import NamedRecordings, readable
from earnest.apps.cli._typed import EXIT_SOME_FAILED, FOLDER, output_options, overwrite_option
from earnest.audio.activity import ACTIVITY_HZ, FRAME_SAMPLES, activity_called
from earnest.audio.io import load_waveform, open_audio, resampled
from earnest.audio.waveform import Waveform
from earnest.errors import EarnestError, counted
from earnest.files.writing import refuse_existing, write_atomically, write_json
from earnest.plots.style import BLUE, INK, MUTED, new_figure, picture
from earnest.runtime.predictor import Predictor

THEIRS = "#b4b4b4"
PANELS = {"clip, ": "one clip, ms", "first answer": "first answer of a process, s", "folder": "recordings a second"}


def plot_bench(result: Mapping[str, Any], path: Path) -> None:
    """Draw one panel a measure that has a baseline; none, none."""
    shown = [row for row in result["rows"] if not {"floor", "processes"} & set(row["what"].split())]
    groups = {title: [row for row in shown if row["what"].startswith(start)] for start, title in PANELS.items()}
    groups = {title: rows for title, rows in groups.items() if len(rows) > 1}
    if not groups:
        return
    figure = new_figure(3.6 * len(groups), 2.6)
    for axes, (title, rows) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
        names = [_name(row["what"]) for row in rows]
        values = [row["value"] for row in rows]
        bars = axes.barh(names, values, color=[BLUE if name == "earnest" else THEIRS for name in names])
        labels = [f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}" for value in values]
        axes.bar_label(bars, labels, padding=3, fontsize=8, color=INK)
        axes.set_title(title, loc="left", fontsize=9, color=INK)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.2 * max(values))
        axes.set_xticks([])
        axes.tick_params(length=0, labelsize=8, colors=MUTED)
        axes.spines[:].set_visible(False)
    write_atomically(path, picture(figure, path.suffix))


def _name(what: str) -> str:
    for shape, name in (("emocatcher", "EmoCatcher's\npipeline"), ("librosa", "librosa\nand torch")):
        if shape in what:
            return name
    return "earnest"


DEMO = Path(earnest.__file__).parent / "demo"
SHAPES = ("emocatcher", "librosa")
RESULT, PICTURE = "bench.json", "bench.png"
PARTS = ("clip", "start", "folder", "long")


@click.command()
@options("model", ModelOptions)
@click.option("--folder", type=FOLDER, help="Folder of recordings. Default: the demo's.")
@click.option("--baseline", type=click.Path(path_type=Path, exists=True), help="benchmarks/baseline.py of a checkout.")
@click.option("--parts", default=",".join(PARTS), show_default=True, metavar="LIST", help="Parts to measure.")
@click.option(
    "--hours", default="1", show_default=True, metavar="LIST", help="Hours of the long recordings, such as 1,10."
)
@click.option(
    "--repeats",
    type=click.IntRange(10, 10_000),
    default=100,
    show_default=True,
    help="How often one recording is timed.",
)
@click.option("--jobs", **JOBS, help="Recordings of the folder to decode at a time.")
@click.option("-o", "--output", type=FOLDER, help="Folder to write: bench.json and bench.png.")
@overwrite_option
@output_options
def command(
    model: ModelOptions,
    folder: Path | None,
    baseline: Path | None,
    parts: str,
    hours: str,
    repeats: int,
    jobs: int,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Measure latency, start, throughput, long sound and memory.

    With --baseline two pipelines of librosa and torch are measured too, EmoCatcher's and one with the network of
    earnest's first small model, and ratios are given. Run nothing else meanwhile. The exit code is 3 when recordings
    of the folder are left out, as they can't be read.

    \b
    Example:
      earnest bench --folder recordings/ --baseline benchmarks/baseline.py --hours 1,10 --output docs/results/speed
    """
    if output:
        for name in (RESULT, PICTURE):
            refuse_existing(output / name, overwrite)
    wanted = _parts(parts)
    if not hasattr(os, "wait4") and (baseline or {"start", "long"} & set(wanted)):
        raise EarnestError("Windows doesn't tell what a child process took. Give --parts clip,folder, no --baseline.")
    found, unread = readable(NamedRecordings([str(folder or DEMO)]).sources())
    recordings = [str(source) for source in found]
    predictor = model.load()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        asked = wanted, _hours(hours), repeats, jobs
        for row in _measured(predictor, model.model, recordings, baseline, *asked, Path(scratch)):
            rows.append(row)
            if not say.is_quiet() and sys.stderr.isatty():
                click.echo(f"{row['what']}: {row['value']:.3g} {row['unit']}", err=True)
    result = {"machine": _machine(), "model": predictor.info.name, "recordings": len(recordings), "rows": rows}
    if output:
        write_json(output / RESULT, result)
        plot_bench(result, output / PICTURE)
    if not say.answer(result):
        columns = ("measure", "value", "unit", "ratio", "note")
        say.table(columns, [_cells(row) for row in rows], right=("value", "ratio"))
    if unread:
        raise SystemExit(EXIT_SOME_FAILED)


def _measured(
    model: Predictor,
    name: str,
    recordings: Sequence[str],
    baseline: Path | None,
    wanted: Sequence[str],
    hours: Sequence[float],
    repeats: int,
    jobs: int,
    scratch: Path,
) -> Iterator[dict[str, Any]]:
    paths = [Path(recording) for recording in recordings]
    clip = write_clip(paths, scratch / "clip.wav")
    shapes = SHAPES if baseline else ()
    if "clip" in wanted:
        times_ms, stages_ms = measure_latency(model, clip, repeats)
        p50_ms, p95_ms = (float(np.percentile(times_ms, share)) for share in (50, 95))
        floor = sum(stages_ms.values())
        stages = ", ".join(f"{stage} {value:.2f}" for stage, value in stages_ms.items())
        yield _row("clip, bytes to answer, p50", p50_ms, "ms", note=f"3 s at 48 kHz, p95 {p95_ms:.2f}")
        yield _row("clip, floor", floor, "ms", p50_ms / floor, stages)
        for shape in shapes:
            times = _baseline(baseline, shape, "warm", str(clip), str(repeats))
            value = sorted(times[WARM_UP:])[(len(times) - WARM_UP) // 2]
            yield _row(f"clip, {shape} with torch, p50", value, "ms", value / p50_ms)
    if "start" in wanted:
        own = [sys.executable, "-Pm", "earnest", "predict", str(clip), "--model", name]
        start_s = measure_start(own)
        yield _row("first answer of a process", start_s, "s")
        for shape in shapes:
            value = measure_start([sys.executable, str(baseline), shape, "first", str(clip)], 3)
            yield _row(f"first answer, {shape} with torch", value, "s", value / start_s)
    if "folder" in wanted:
        rate = measure_folder(model, recordings, jobs)
        yield _row(
            "folder", rate, "recordings/s", note=f"{counted(len(recordings), 'recording')}, {counted(jobs, 'job')}"
        )
        linked = _linked(paths, scratch / "folder")
        for shape, processes in product(shapes, sorted({1, jobs})):
            found = _baseline(baseline, shape, "folder", str(linked), str(processes))
            value = found["recordings"] / found["seconds"]
            label = f"folder, {shape} with torch" + (f", {processes} processes" if processes > 1 else "")
            yield _row(label, value, "recordings/s", rate / value)
    if "long" in wanted:
        yield from _long(model, name, paths, hours, scratch)


def _long(
    model: Predictor, name: str, paths: Sequence[Path], hours: Sequence[float], scratch: Path
) -> Iterator[dict[str, Any]]:
    some = paths[:: max(len(paths) // 200, 1)]
    minute, _ = measure_long(model, name, write_long(some, 1 / 60, scratch / "minute.flac"))
    yield _row("one minute, peak memory", minute.peak_mib, "MiB")
    for length in hours:
        found, stages_s = measure_long(model, name, write_long(some, length, scratch / "long.flac"))
        stages = ", ".join(f"{stage} {value:.1f}" for stage, value in stages_s.items())
        note = f"{found.wall_s:.1f} s, {found.cpu_s:.1f} CPU s: {stages}"
        yield _row(f"{length:g} h of speech with pauses, times faster", 3600 * length / found.wall_s, "x", note=note)
        more = found.peak_mib - minute.peak_mib
        yield _row(f"{length:g} h, peak memory", found.peak_mib, "MiB", note=f"{more:+.1f} to one minute")
        silent, _ = measure_long(model, name, write_silence(length, scratch / "silent.flac"))
        more = silent.peak_mib - minute.peak_mib
        yield _row(f"{length:g} h of silence, peak memory", silent.peak_mib, "MiB", note=f"{more:+.1f} to one minute")


def _linked(paths: Sequence[Path], folder: Path) -> Path:
    """Make a folder of links to recordings, so that a baseline finds the same ones."""
    folder.mkdir()
    for number, path in enumerate(paths):
        (folder / f"{number:06d}{path.suffix}").symlink_to(path.absolute())
    return folder


def _baseline(program: Path | None, *words: str) -> Any:
    told = run_child([sys.executable, str(program), *words]).output
    try:
        return json.loads(told)
    except ValueError:
        raise EarnestError(f"{program}: wrote no JSON. A baseline answers as benchmarks/baseline.py does.") from None


def _row(what: str, value: float, unit: str, ratio: float | None = None, note: str = "") -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "ratio": ratio, "note": note}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    value = f"{row['value']:,.3g}" if row["value"] < 1000 else f"{row['value']:,.0f}"
    return row["what"], value, row["unit"], "" if row["ratio"] is None else f"{row['ratio']:.2f}", row["note"]


def _machine() -> str:
    import onnxruntime

    of_onnx = f"onnxruntime {onnxruntime.__version__}"
    versions = f"Python {platform.python_version()}, {of_onnx}, earnest {earnest.__version__}"
    return f"{platform.system()} {platform.machine()}, {counted(os.cpu_count() or 1, 'core')}, {versions}"


def _parts(text: str) -> Sequence[str]:
    words = listed(text) or ("",)
    if wrong := [word for word in words if word not in PARTS]:
        raise click.UsageError(f"--parts: there is no '{wrong[0]}'. Choose from {', '.join(PARTS)}.")
    return words


def _hours(text: str) -> Sequence[float]:
    hours = numbers(text, "--hours", "1,10")
    if not hours or not all(0 < one <= 40 for one in hours):
        raise click.UsageError("--hours must be above 0 and at most 40.")
    return hours


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
class Child:
    """Time and memory of one process."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    output: str


def write_clip(sources: Sequence[Path], path: Path) -> Path:
    """Write three seconds of speech as people record it: 48 kHz, 16 bits, WAV."""
    import soundfile

    waveform = np.concatenate([load_waveform(source, CLIP_HZ) for source in sources[:8]])
    n_samples = round(CLIP_S * CLIP_HZ)
    soundfile.write(path, np.resize(waveform, n_samples), CLIP_HZ, subtype="PCM_16")
    return path


def measure_latency(model: Predictor, clip: Path, repeats: int) -> tuple[npt.NDArray[np.float64], dict[str, float]]:
    """Return milliseconds from bytes to probabilities, and of decode, resampling and network alone; warm."""
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
    return _times_ms(lambda: model.predict(data), repeats), stages


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

    Raises `EarnestError` when it fails, with the last line that it said.
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
    for row in model.predict_many(paths, jobs):
        if row.error:
            raise EarnestError(row.error)
    return len(paths) / (time.perf_counter() - start)


def write_long(sources: Sequence[Path], hours: float, path: Path) -> Path:
    """Write hours of speech as FLAC: recordings in random order, pauses of 0.3 to 2 seconds between them."""
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


def measure_long(model: Predictor, name: str, recording: Path) -> tuple[Child, dict[str, float]]:
    """Run ``earnest timeline`` on a long recording in its own process; return it, and CPU seconds of stages in ours."""
    words = ["timeline", str(recording), "--json", "--model", name]
    child = run_child([sys.executable, "-Pc", _TELLS_PEAK, *words])
    windows = json.loads(child.output)["windows"]
    stages = {"decode": _cpu_s(lambda: _decode(recording)), "activity": _cpu_s(lambda: _activity(recording))}
    stages["activity"] -= stages["decode"]
    seconds = [window["end_s"] - window["start_s"] for window in windows]
    rng = np.random.default_rng(0)
    lengths = [max(round(length * model.info.sample_rate_hz), 1) for length in seconds[:200]]
    some = [rng.normal(0, 0.1, length).astype(np.float32) for length in lengths]
    if some:
        stages["network"] = _cpu_s(lambda: [model.graph.run([item]) for item in some]) * len(seconds) / len(some)
    return child, stages


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
