"""``earnest bench``: how fast it is on this machine, beside how others do it."""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import click

import earnest
from earnest.apps.cli._options import ModelOptions, options
from earnest.apps.cli._recordings import sources_of
from earnest.apps.cli.output import echo_json, echo_table, output_options, overwrite_option
from earnest.errors import MissingExtraError, counted
from earnest.files.writing import refuse_existing, replacing, write_json
from earnest.runtime.predictor import Predictor

DPI = 160
INK, MUTED, OURS, THEIRS = "#1a1a1a", "#666666", "#0072b2", "#b4b4b4"
PANELS = {"clip, ": "one clip, ms", "first answer": "first answer of a process, s", "folder": "recordings a second"}


def plot_bench(result: Mapping[str, Any], path: Path) -> None:
    """Draw one panel a measure that has a baseline; none, none."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing", "report") from None
    groups = {
        title: [row for row in result["rows"] if row["what"].startswith(start)] for start, title in PANELS.items()
    }
    groups = {
        title: [row for row in rows if not {"floor", "processes"} & set(row["what"].split())]
        for title, rows in groups.items()
    }
    groups = {title: rows for title, rows in groups.items() if len(rows) > 1}
    if not groups:
        return
    figure = Figure(figsize=(3.6 * len(groups), 2.6), layout="constrained", facecolor="white")
    for axes, (title, rows) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
        names = [_name(row["what"]) for row in rows]
        values = [row["value"] for row in rows]
        bars = axes.barh(names, values, color=[OURS if name == "earnest" else THEIRS for name in names])
        labels = [f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}" for value in values]
        axes.bar_label(bars, labels, padding=3, fontsize=8, color=INK)
        axes.set_title(title, loc="left", fontsize=9, color=INK)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.2 * max(values))
        axes.set_xticks([])
        axes.tick_params(length=0, labelsize=8, colors=MUTED)
        axes.spines[:].set_visible(False)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=DPI)


def _name(what: str) -> str:
    for shape, name in (("emocatcher", "EmoCatcher's\npipeline"), ("librosa", "librosa\nand torch")):
        if shape in what:
            return name
    return "earnest"


DEMO = Path(earnest.__file__).parent / "demo"
SHAPES = ("emocatcher", "librosa")
FILE = "bench.json"
PARTS = ("clip", "start", "folder", "long")


@click.command()
@options("model", ModelOptions)
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="Recordings; default: those of the demo."
)
@click.option("--baseline", type=click.Path(path_type=Path, exists=True), help="benchmarks/baseline.py of a checkout.")
@click.option("--parts", default=",".join(PARTS), show_default=True, metavar="LIST", help="What to measure.")
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
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=os.cpu_count() or 1,
    show_default="cores",
    help="Recordings of the folder to decode at a time.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for bench.json and .png."
)
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
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure latency, start, throughput, long sound and memory.

    With --baseline two pipelines of librosa and torch are measured too, EmoCatcher's and one with the network of
    earnest's first small model, and ratios are given. Run nothing else meanwhile.

    \b
    Example:
      earnest bench --folder recordings/ --baseline benchmarks/baseline.py --hours 1,10 --output docs/results/speed
    """
    if output:
        refuse_existing(output / FILE, overwrite)
    wanted = _words(parts, PARTS)
    recordings = [str(path) for path in sources_of([str(folder or DEMO)])]
    predictor = model.load()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for row in _measured(
            predictor, model.model, recordings, baseline, wanted, _numbers(hours), repeats, jobs, Path(scratch)
        ):
            rows.append(row)
            if not quiet and sys.stderr.isatty():
                click.echo(f"{row['what']}: {row['value']:.3g} {row['unit']}", err=True)
    result = {"machine": _machine(), "model": predictor.info.name, "recordings": len(recordings), "rows": rows}
    if output:
        _write(result, output)
    if as_json:
        echo_json(result)
    else:
        echo_table(
            ("measure", "value", "unit", "ratio", "note"), [_cells(row) for row in rows], right=("value", "ratio")
        )


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
    from earnest.apps.cli import _bench_measure as measure

    paths = [Path(recording) for recording in recordings]
    clip = measure.write_clip(paths, scratch / "clip.wav")
    shapes = SHAPES if baseline else ()
    if "clip" in wanted:
        latency = measure.measure_latency(model, clip, repeats)
        floor = sum(latency.stages_ms.values())
        stages = ", ".join(f"{stage} {value:.2f}" for stage, value in latency.stages_ms.items())
        yield _row("clip, bytes to answer, p50", latency.p50_ms, "ms", note=f"3 s at 48 kHz, p95 {latency.p95_ms:.2f}")
        yield _row("clip, floor", floor, "ms", latency.p50_ms / floor, stages)
        for shape in shapes:
            times = json.loads(_baseline(baseline, shape, "warm", str(clip), str(repeats)))
            value = sorted(times[measure.WARM_UP :])[(len(times) - measure.WARM_UP) // 2]
            yield _row(f"clip, {shape} with torch, p50", value, "ms", value / latency.p50_ms)
    if "start" in wanted:
        own = [sys.executable, "-m", "earnest", "predict", str(clip), "--model", name]
        start_s = measure.measure_start(own)
        yield _row("first answer of a process", start_s, "s")
        for shape in shapes:
            value = measure.measure_start([sys.executable, str(baseline), shape, "first", str(clip)], 3)
            yield _row(f"first answer, {shape} with torch", value, "s", value / start_s)
    if "folder" in wanted:
        rate = measure.measure_folder(model, recordings, jobs)
        yield _row(
            "folder", rate, "recordings/s", note=f"{counted(len(recordings), 'recording')}, {counted(jobs, 'job')}"
        )
        common = os.path.commonpath([path.parent for path in paths])
        for shape, processes in product(shapes, sorted({1, jobs})):
            found = json.loads(_baseline(baseline, shape, "folder", common, str(processes)))
            value = found["recordings"] / found["seconds"]
            label = f"folder, {shape} with torch" + (f", {processes} processes" if processes > 1 else "")
            yield _row(label, value, "recordings/s", rate / value)
    if "long" in wanted:
        yield from _long(model, name, paths, hours, scratch)


def _long(
    model: Predictor, name: str, paths: Sequence[Path], hours: Sequence[float], scratch: Path
) -> Iterator[dict[str, Any]]:
    from earnest.apps.cli import _bench_measure as measure

    some = paths[:: max(len(paths) // 200, 1)]
    minute = measure.measure_long(model, name, measure.write_long(some, 1 / 60, scratch / "minute.flac"), 1 / 60)
    yield _row("one minute, peak memory", minute.peak_mib, "MiB")
    for length in hours:
        recording = measure.write_long(some, length, scratch / "long.flac")
        found = measure.measure_long(model, name, recording, length)
        stages = ", ".join(f"{stage} {value:.1f}" for stage, value in found.stages_cpu_s.items())
        note = f"{found.wall_s:.1f} s, {found.cpu_s:.1f} CPU s: {stages}"
        yield _row(f"{length:g} h of speech with pauses, times faster", 3600 * length / found.wall_s, "x", note=note)
        more = found.peak_mib - minute.peak_mib
        yield _row(f"{length:g} h, peak memory", found.peak_mib, "MiB", note=f"{more:+.1f} to one minute")
        silent = measure.measure_long(model, name, measure.write_silence(length, scratch / "silent.flac"), length)
        more = silent.peak_mib - minute.peak_mib
        yield _row(f"{length:g} h of silence, peak memory", silent.peak_mib, "MiB", note=f"{more:+.1f} to one minute")


def _baseline(program: Path | None, *words: str) -> str:
    from earnest.apps.cli._bench_measure import run_child

    return run_child([sys.executable, str(program), *words]).output


def _row(what: str, value: float, unit: str, ratio: float | None = None, note: str = "") -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "ratio": ratio, "note": note}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    return (
        row["what"],
        f"{row['value']:,.3g}" if row["value"] < 1000 else f"{row['value']:,.0f}",
        row["unit"],
        ratio,
        row["note"],
    )


def _machine() -> str:
    import onnxruntime

    versions = (
        f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}, earnest {earnest.__version__}"
    )
    return f"{platform.system()} {platform.machine()}, {counted(os.cpu_count() or 1, 'core')}, {versions}"


def _words(text: str, known: Sequence[str]) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if wrong := [word for word in words if word not in known]:
        raise click.UsageError(f"--parts: there is no '{wrong[0]}'. Choose from {', '.join(known)}.")
    return words


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        raise click.UsageError(f"--hours expects numbers such as 1,10, got '{text}'.") from None
    if not all(0 < number <= 40 for number in numbers):
        raise click.UsageError("--hours must be above 0 and at most 40.")
    return numbers


def _write(result: dict[str, Any], output: Path) -> None:

    write_json(output / FILE, result)
    plot_bench(result, output / "bench.png")
