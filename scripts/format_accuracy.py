"""Accuracy of INT8 and 16 bits: the models of all folds of `earnest evaluate`, in each format, on their test speakers.

python scripts/format_accuracy.py runs/results/base-ravdess-6fold runs/results/small-ravdess-6fold

INT8 is calibrated on the training speakers of each fold and controlled on its validation speakers; test speakers are
heard here for the first time. Writes docs/results/parity/int8-folds.json and .md; what the first holds already is left
out, so a run that was ended goes on.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnx import ModelProto

from earnest.bundle import FORMATS, Bundle, BundleInfo, Format, sha256_of
from earnest.evaluation.confusion import confusion_counts, headline_scores
from earnest.export.bundle import Form, QuantisationClips, load_clips, model_files, split_clips
from earnest.export.onnx import traced
from earnest.runtime.graph import Graph, engine_for
from earnest.settings.recipe import read_recipe
from earnest.training.record import read_record
from earnest.training.run import load_run

EXACT: Format = "onnx"
DEFAULT: tuple[Format, ...] = (EXACT, "onnx-fp16", "onnx-int8", "openvino-int8")
OUTPUT = Path(__file__).resolve().parent.parent / "docs" / "results" / "parity" / "int8-folds.json"
NOTE = """\
# INT8 and 16 bits on unseen speakers

Written by `python scripts/format_accuracy.py {names}`:
the fold models of these evaluations, each exported in each format and asked about its own test speakers ({n:,} answers
in all). WA is weighted accuracy (the share that is right), UA unweighted accuracy (the mean recall over classes). In
per cent; from "WA lost" on compared with `onnx`, which is exact; MB of the graph.

| evaluation | format | WA | UA | WA lost | same label | largest difference of a probability | mean | MB |
|---|---|---:|---:|---:|---:|---:|---:|---:|
"""


def answers(run: Path, graph: ModelProto, form: Format, clips: QuantisationClips) -> tuple[np.ndarray, int]:
    """Write a run's graph in one format; return its probabilities (recordings, classes) and its size in bytes."""
    copy = ModelProto()
    copy.CopyFrom(graph)
    files = model_files(copy, Form(form), run, {})
    rate_hz = read_recipe(run).front_end.sample_rate_hz
    digests = {name: sha256_of(data) for name, data in files.items()}
    info = BundleInfo(run.name, "0", read_record(run).classes, rate_hz, "", digests)
    with TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        bundle = Bundle(Path(folder), info)
        network = Graph(bundle, engine_for(bundle))
        found = [network.run([waveform], ("probabilities",))["probabilities"] for waveform in clips.waveforms]
    return np.concatenate(found), sum(map(len, files.values()))


def measure(run: Path, forms: Sequence[Format], found: dict[str, Any]) -> Iterator[None]:
    """Add the answers of each format to the test recordings of a fold; pause after each."""
    missing = [form for form in forms if form not in found]
    if not missing:
        return
    clips = load_clips(run, split_clips(run, {})["test"])
    graph, n_classes = traced(load_run(run)), len(read_record(run).classes)
    exact, n_exact = answers(run, graph, EXACT, clips)
    for form in missing:
        probabilities, n_bytes = (exact, n_exact) if form == EXACT else answers(run, graph, form, clips)
        differences = np.abs(probabilities - exact)
        found[form] = {
            "confusion": confusion_counts(clips.targets, probabilities.argmax(1), n_classes).tolist(),
            "same_label": int((probabilities.argmax(1) == exact.argmax(1)).sum()),
            "largest": float(differences.max()),
            "mean": float(differences.mean()),
            "n_bytes": n_bytes,
        }
        sys.stderr.write(f"{run} {form}: {found[form]['same_label']} of {len(exact)} as exact\n")
        yield


def lines(name: str, folds: dict[str, Any]) -> list[str]:
    """Return one line of the table for each format."""
    found, wa_exact = [], 0.0
    for form in next(iter(folds.values())):
        if not all(form in fold for fold in folds.values()):
            continue  # an ended run goes on some day
        rows = [fold[form] for fold in folds.values()]
        counts = np.sum([row["confusion"] for row in rows], axis=0)
        scores, n = headline_scores(counts), int(counts.sum())
        wa_exact = scores["wa"] if form == EXACT else wa_exact
        cells = [
            f"{100 * scores['wa']:.2f}",
            f"{100 * scores['ua']:.2f}",
            f"{100 * (wa_exact - scores['wa']):.2f}",
            f"{100 * sum(row['same_label'] for row in rows) / n:.2f}",
            f"{max(row['largest'] for row in rows):.4f}",
            f"{np.mean([row['mean'] for row in rows]):.5f}",
            f"{max(row['n_bytes'] for row in rows) / 1e6:.2f}",
        ]
        found.append(f"| `{name}` | `{form}` | {' | '.join(cells)} |")
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluations", nargs="+", type=Path)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=DEFAULT, help="the exact one, onnx, first")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    stored = json.loads(options.output.read_text("utf-8")) if options.output.exists() else {}
    for evaluation in options.evaluations:
        folds = stored.setdefault(evaluation.name, {})
        for run in sorted(path.parent for path in evaluation.glob("*/run.json")):
            for _ in measure(run, options.formats, folds.setdefault(run.name, {})):
                options.output.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    n = sum(int(np.sum(fold[EXACT]["confusion"])) for folds in stored.values() for fold in folds.values())
    text = NOTE.format(names=" ".join(f"runs/results/{name}" for name in stored), n=n)
    text += "\n".join(line for name, folds in stored.items() for line in lines(name, folds)) + "\n"
    options.output.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
