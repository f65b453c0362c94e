"""Add Node and headless Chromium to a table of `earnest parity`: the same clips, the same reference.

earnest parity RUN BUNDLE PATHS … --limit 200 --output docs/results/parity
python web/bench/parity.py RUN BUNDLE PATHS … --limit 200 --output docs/results/parity

Clips are cut to 3 s, which the package hears at once: longer ones it answers by windows.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from harness import WEB, Tasks, awaited, build, chromium, served, wait_for

from earnest.apps.cli.parity import readable_files
from earnest.audio.waveform import Waveform
from earnest.bundle import load_bundle
from earnest.export.parity import (
    LATENCY_S,
    N_STARTS,
    N_TIMED,
    Probabilities,
    Row,
    torch_outputs,
    varied,
    write_rows,
)
from earnest.files.reading import read_json
from earnest.training.run import load_run

RUNTIMES = ("onnxruntime-web, Node", "onnxruntime-web, Chromium")


def probabilities_of(answers: Sequence[dict[str, dict[str, float]]], classes: Sequence[str]) -> Probabilities:
    """Return shape (clips, classes)."""
    return np.array([[answer["probabilities"][name] for name in classes] for answer in answers], np.float32)


def tasks_of(folder: Path, waveforms: Sequence[Waveform], rate_hz: int) -> Tasks:
    """Return one call for each waveform."""
    folder.mkdir()
    tasks = Tasks(folder)
    for waveform in waveforms:
        tasks.add("predict", waveform, rate_hz)
    return tasks


def browser_rows(run: Path, folder: Path, waveforms: Sequence[Waveform], scratch: Path) -> list[Row]:
    """Answer all waveforms in both, and one of 3 s many times."""
    classifier, bundle = load_run(run), load_bundle(folder)
    classes, rate_hz = bundle.info.classes, bundle.info.sample_rate_hz
    n_window = round(LATENCY_S * rate_hz)
    waveforms = [waveform[:n_window] for waveform in waveforms]
    reference = np.concatenate([torch_outputs(classifier, [waveform])["probabilities"] for waveform in waveforms])
    all_tasks = tasks_of(scratch / "all", waveforms, rate_hz)
    window = np.resize(waveforms[0], n_window)
    one_task = tasks_of(scratch / "one", [window], rate_hz)
    by_node = all_tasks.by_node(folder)
    timed = tasks_of(scratch / "timed", [window], rate_hz)
    timed.time(N_TIMED)
    (node_ms,) = timed.by_node(folder)
    starts, firsts = [], []
    for _ in range(N_STARTS):
        start = perf_counter()
        one_task.by_node(folder)
        starts.append(perf_counter() - start)
    all_tasks.save()
    with served(web=WEB, model=folder, tasks=all_tasks.folder, one=one_task.folder) as address:
        url, page = f"{address}/model", f"{address}/web/bench/page.html"
        with chromium() as driver:
            driver.get(page)
            wait_for(driver, "window.ready")
            by_chromium = awaited(driver, "window.answers(a)", url)
            name = all_tasks.write(window)
            chromium_ms = awaited(driver, "window.latencies(a, b, c, d)", url, name, rate_hz, N_TIMED)
        for _ in range(N_STARTS):
            with chromium() as driver:
                driver.get(f"{page}?first={url}")
                firsts.append(wait_for(driver, "window.firstAnswer")["after_ms"] / 1e3)
    n_bytes, form = (folder / "model.onnx").stat().st_size, str(bundle.info.format)
    measured = ((by_node, node_ms, min(starts)), (by_chromium, chromium_ms, min(firsts)))
    return [
        Row.measured((name, form), probabilities_of(found, classes), reference, n_bytes, latencies, (start_s, None))
        for name, (found, latencies, start_s) in zip(RUNTIMES, measured, strict=True)
    ]


def main() -> None:
    """Measure, and write the table again with these rows at its end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    build()
    clips, _ = readable_files([str(path) for path in asked.paths], asked.limit)
    waveforms = varied(clips, load_bundle(asked.bundle).info.sample_rate_hz)
    with tempfile.TemporaryDirectory() as scratch:
        rows = browser_rows(asked.run, asked.bundle, waveforms, Path(scratch))
    before = [Row(**row) for row in read_json(asked.output / f"{asked.run.name}.json")["rows"]]
    kept = [row for row in before if row.runtime not in RUNTIMES]
    write_rows(asked.output, asked.run.name, len(clips), [*kept, *rows])


if __name__ == "__main__":
    main()
