"""What do INT8 and 16 bits cost? Runs of all folds of a protocol, exported in each format, on their test speakers.

python scripts/format_accuracy.py runs/base-f1 runs/base-f2 … --name base --output docs/results/parity

The runs are those of `earnest train RECIPE --protocol ravdess-6fold --fold f1` and so on. INT8 is calibrated on the
training speakers of each run and judged on its validation speakers; test speakers are heard here for the first time.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from onnx import ModelProto

from earnest.audio.io import load_waveform
from earnest.bundle import FORMATS, Bundle, BundleInfo, Format, sha256_of
from earnest.evaluation.metrics import confusion_counts, headline_scores
from earnest.export.calibration import clips_of
from earnest.export.formats import Form, model_files
from earnest.export.onnx import traced
from earnest.recipe import read_recipe
from earnest.runtime.engine import engine_for
from earnest.runtime.graph import Graph
from earnest.training.record import read_record
from earnest.training.run import load_run

DEFAULT: tuple[Format, ...] = ("onnx", "onnx-fp16", "onnx-int8", "openvino-int8")


def answers(run: Path, graph: ModelProto, form: Format, waveforms: list[np.ndarray]) -> np.ndarray:
    """Write a run's graph in one format and return the probabilities of each clip, (clips, classes)."""
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
        return np.concatenate([network.run([waveform], ("probabilities",))["probabilities"] for waveform in waveforms])


def main() -> None:
    """Write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=DEFAULT)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    classes = read_record(options.runs[0]).classes
    targets: list[int] = []
    found: dict[str, list[np.ndarray]] = {form: [] for form in options.formats}
    for run in options.runs:
        rows = clips_of(run, "test", {})
        targets += [target for _, target in rows]
        rate_hz = read_recipe(run).front_end.sample_rate_hz
        waveforms = [load_waveform(row.path, rate_hz, row.start_s, row.end_s) for row, _ in rows]
        graph = traced(load_run(run))
        for form in options.formats:
            found[form].append(answers(run, graph, form, waveforms))
            sys.stderr.write(f"{run.name} {form}\n")
    table = {form: np.concatenate(values) for form, values in found.items()}
    exact = table[options.formats[0]]
    lines = {}
    for form, probabilities in table.items():
        scores = headline_scores(confusion_counts(np.array(targets), probabilities.argmax(1), len(classes)))
        differences = np.abs(probabilities - exact)
        lines[form] = {
            "wa": round(scores["wa"], 4),
            "ua": round(scores["ua"], 4),
            "same_label": round(float((probabilities.argmax(1) == exact.argmax(1)).mean()), 4),
            "largest_difference": round(float(differences.max()), 5),
            "mean_difference": round(float(differences.mean()), 5),
        }
    document = {"runs": [run.name for run in options.runs], "n": len(targets), "formats": lines}
    options.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1)
    (options.output / f"accuracy-{options.name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
