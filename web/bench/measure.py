"""Measure the browser package in headless Chromium and in Node, and write ``docs/results/browser/``.

EARNEST_DATA=… python web/bench/measure.py [--clips 200] [--repeats 40]
"""

import argparse
import gzip
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soxr
from harness import WEB, Tasks, awaited, build, chromium, served, wait_for

from earnest.audio.activity import NETWORK
from earnest.audio.io import decode
from earnest.audio.waveform import Waveform
from earnest.bundle import SHIPPED
from earnest.runtime.predictor import Predictor

OUTPUT = WEB.parent / "docs" / "results" / "browser"
MODELS = ("small", "base")
RATES_HZ = (16_000, 48_000, 44_100, 22_050, 8_000)
WINDOW_S = 3.0
SECTIONS = ("sizes", "speed", "parity")
DOWNLOAD = (
    "earnest.js",
    "earnest.worker.js",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)


@dataclass(frozen=True)
class Clip:
    """A real recording at some rate and level, and the same at the model's rate, resampled by soxr."""

    waveform: Waveform
    sample_rate_hz: int
    at_model_rate: Waveform


def clips(data: Path, count: int, model_rate_hz: int = 16_000) -> Iterator[Clip]:
    """Yield clips of three corpora in turn: every second one joined from two, rates and levels (±12 dB) mixed."""
    rng = np.random.default_rng(0)
    folders = {"ravdess": "**/*.flac", "emodb": "*.flac", "crema-d": "**/*.opus"}
    paths = [sorted((data / name).glob(pattern)) for name, pattern in folders.items()]
    for number in range(count):
        candidates = paths[number % len(paths)]
        chosen = [candidates[int(rng.integers(len(candidates)))] for _ in range(1 + number % 2)]
        recordings = [decode(path) for path in chosen]
        rate_hz = recordings[0].sample_rate_hz
        waveform = np.concatenate([recording.waveform for recording in recordings])
        waveform = waveform * np.float32(10 ** (rng.uniform(-12, 12) / 20))
        wanted_hz = RATES_HZ[number % len(RATES_HZ)]
        if wanted_hz != rate_hz:
            waveform = soxr.resample(waveform, rate_hz, wanted_hz, quality="VHQ")
        at_model_rate = soxr.resample(waveform, wanted_hz, model_rate_hz, quality="HQ")
        yield Clip(waveform.astype(np.float32), wanted_hz, at_model_rate.astype(np.float32))


def parity(model: str, chosen: Sequence[Clip]) -> dict[str, Any]:
    """Compare Node and Chromium with Python, on the same samples and through the package's own resampler."""
    predictor = Predictor.load(model)
    with tempfile.TemporaryDirectory() as folder:
        tasks, expected = Tasks(Path(folder)), []
        for clip in chosen:
            tasks.add("predict", clip.at_model_rate, 16_000)
            tasks.add("predict", clip.waveform, clip.sample_rate_hz)
            expected.append(predictor.predict((clip.at_model_rate, 16_000)).to_dict())
            expected.append(predictor.predict((clip.waveform, clip.sample_rate_hz)).to_dict())
        found = {"node": tasks.by_node(SHIPPED / model, NETWORK), "chromium": by_chromium(tasks, model)}
    return {
        f"{runtime}, {way}": differences(expected[start::2], answers[start::2])
        for runtime, answers in found.items()
        for start, way in enumerate(("samples at 16 kHz", "any rate, own resampler"))
    }


def by_chromium(tasks: Tasks, model: str) -> list[Any]:
    """Answer all tasks in a page."""
    mounts = {"web": WEB, "models": SHIPPED, "tasks": tasks.folder, "activity": NETWORK.parent}
    with served(**mounts) as address, chromium() as driver:
        driver.set_script_timeout(1_200)
        driver.get(f"{address}/web/bench/page.html")
        wait_for(driver, "window.ready")
        activity = f"{address}/activity/{NETWORK.name}"
        return list(awaited(driver, "window.answers(a, b)", f"{address}/models/{model}", activity))


def differences(expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how far probabilities lie apart, and how often status and emotion agree."""
    apart = [
        [abs(share - other["probabilities"][name]) for name, share in one["probabilities"].items()]
        for one, other in zip(expected, found, strict=True)
    ]
    same = [
        (one["status"], one["emotion"]) == (other["status"], other["emotion"])
        for one, other in zip(expected, found, strict=True)
    ]
    return {
        "clips": len(found),
        "largest": max(max(row, default=0.0) for row in apart),
        "mean": float(np.mean(np.concatenate(apart))),
        "same_answer": float(np.mean(same)),
    }


def speed(model: str, waveform: Waveform, repeats: int) -> dict[str, Any]:
    """Measure answers to one window in a page: latency, how long the page stood still, time to the first answer."""
    with tempfile.TemporaryDirectory() as folder:
        tasks = Tasks(Path(folder))
        name = tasks.write(waveform)
        seconds = len(waveform) / 16_000
        with served(web=WEB, models=SHIPPED, tasks=tasks.folder) as address:
            url, page = f"{address}/models/{model}", f"{address}/web/bench/page.html"
            with chromium() as driver:
                driver.get(page)
                wait_for(driver, "window.ready")
                latencies = awaited(driver, "window.latencies(a, b, c, d)", url, name, 16_000, 10 * repeats)
                warm = latencies[len(latencies) // 4 :]
                work = "window.longestBlock(() => window.latencies(a, b, c, d))"
                blocks = [awaited(driver, work, url, name, 16_000, repeats) for _ in range(5)]
                nothing = "window.longestBlock(() => new Promise((done) => setTimeout(done, 1000)))"
                idle = [awaited(driver, nothing) for _ in range(5)]
            firsts = [first_answer(f"{page}?first={url}") for _ in range(5)]
    return {
        "window_s": seconds,
        "best_ms": min(warm),
        "median_ms": median(warm),
        "times_real_time": 1000 * seconds / min(warm),
        "first_answer_best_ms": min(firsts),
        "first_answer_median_ms": median(firsts),
        "longest_block_ms": [block["longest_gap_ms"] for block in blocks],
        "long_tasks": sum(len(block["long_tasks_ms"]) for block in blocks),
        "longest_block_idle_ms": [block["longest_gap_ms"] for block in idle],
    }


def first_answer(page: str) -> float:
    """Return the milliseconds from opening a page in a new browser to its first answer."""
    with chromium() as driver:
        driver.get(page)
        return float(wait_for(driver, "window.firstAnswer")["after_ms"])


def sizes() -> dict[str, dict[str, int]]:
    """Return what a page downloads: bytes, as they are and compressed."""
    paths = {name: WEB / "dist" / name for name in DOWNLOAD}
    for model in MODELS:
        paths |= {f"{model}/{name}": SHIPPED / model / name for name in ("bundle.json", "model.onnx")}
    return {
        name: {"raw": path.stat().st_size, "gzip": len(gzip.compress(path.read_bytes(), 9)), "brotli": brotli(path)}
        for name, path in paths.items()
    }


def brotli(path: Path) -> int:
    """Return the size after Node's brotli at its default, strongest level."""
    code = "console.log(require('zlib').brotliCompressSync(require('fs').readFileSync(process.argv[1])).length)"
    return int(subprocess.run(["node", "-e", code, str(path)], capture_output=True, text=True, check=True).stdout)


def report(found: Mapping[str, Any]) -> str:
    """Return the page for people."""
    where, idle_ms = found["speed"], 0.0
    lines = [
        "# In the browser",
        "",
        f"Measured on {where['day']}, with the bundles of that day, by `python web/bench/measure.py` in "
        f"{where['chromium']} (headless, one thread, SIMD) and Node {where['node']} with onnxruntime-web "
        f"{where['onnxruntime_web']}, on a machine with {where['cores']} cores that was busy with other work (load "
        f"{where['load']:.1f}). The best of many is about what an idle one would "
        "give.",
        "",
        "| model | 3 s, best | median | × real time | first answer, best | median | page stood still, 5 times |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for model in MODELS:
        row = where[model]
        blocks = row["longest_block_ms"]
        idle_ms = max(idle_ms, *row["longest_block_idle_ms"])
        lines.append(
            f"| `{model}` | {row['best_ms']:.1f} ms | {row['median_ms']:.1f} ms | {row['times_real_time']:.0f} | "
            f"{row['first_answer_best_ms'] / 1000:.2f} s | {row['first_answer_median_ms'] / 1000:.2f} s | "
            f"{min(blocks):.0f} … {max(blocks):.0f} ms |"
        )
    lines += [
        "",
        "Latency is what the page measures, with the messages to the worker and back. The time to the first answer "
        "begins with the navigation in a new browser; files come from a server on the same machine. The page stood "
        "still: the longest time between ticks of 4 ms while the worker answered (least … most). Without any work it "
        f"was up to {idle_ms:.0f} ms, because of the scheduler of this machine.",
        "",
        "## Same numbers",
        "",
        "Difference of probabilities to Python's (Δp), over clips of RAVDESS, EmoDB and CREMA-D, every second one "
        "joined from two, ±12 dB, at 8, 16, 22.05, 44.1 and 48 kHz.",
        "",
        "| model | where | clips | max Δp | mean Δp | same answer |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for model, ways in found["parity"].items():
        lines += [
            f"| `{model}` | {way} | {row['clips']} | {row['largest']:.1e} | {row['mean']:.1e} "
            f"| {row['same_answer']:.1%} |"
            for way, row in ways.items()
        ]
    lines += ["", "## Download", "", "What the package needs; [the page](../../page.md) loads more.", ""]
    lines += ["| file | bytes | gzip | brotli |", "|---|---:|---:|---:|"]
    lines += [
        f"| {name} | {size['raw']:,} | {size['gzip']:,} | {size['brotli']:,} |" for name, size in found["sizes"].items()
    ]
    for model in MODELS:
        parts = [size for name, size in found["sizes"].items() if "/" not in name or name.startswith(f"{model}/")]
        total = {kind: sum(part[kind] for part in parts) for kind in ("raw", "gzip", "brotli")}
        lines.append(
            f"| **all, with `{model}`** | **{total['raw']:,}** | **{total['gzip']:,}** | **{total['brotli']:,}** |"
        )
    return "\n".join(lines) + "\n"


def versions() -> dict[str, Any]:
    """Return what was measured, and where."""
    package = json.loads((WEB / "package.json").read_text("utf-8"))
    with chromium() as driver:
        browser = f"Chromium {driver.capabilities['browserVersion']}"
    return {
        "day": date.today().isoformat(),
        "chromium": browser,
        "node": subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip(),
        "onnxruntime_web": package["devDependencies"]["onnxruntime-web"],
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Measure and write; what is not asked for is kept from the last time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=SECTIONS, metavar="|".join(SECTIONS))
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=40)
    asked = parser.parse_args()
    build()
    chosen = list(clips(Path(os.environ["EARNEST_DATA"]), asked.clips))
    window = np.concatenate([clip.at_model_rate for clip in chosen[:4]])[: round(WINDOW_S * 16_000)]
    measured: dict[str, Callable[[], dict[str, Any]]] = {
        "sizes": sizes,
        "speed": lambda: {model: speed(model, window, asked.repeats) for model in MODELS} | versions(),
        "parity": lambda: {model: parity(model, chosen) for model in MODELS},
    }
    OUTPUT.mkdir(parents=True, exist_ok=True)
    stored = OUTPUT / "browser.json"
    found = json.loads(stored.read_text("utf-8")) if stored.exists() else {}
    for section in asked.sections:
        found[section] = measured[section]()
        stored.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if all(section in found for section in SECTIONS):
        (OUTPUT / "README.md").write_text(report(found), encoding="utf-8")


if __name__ == "__main__":
    main()
