"""Do the fold models of an evaluation, exported as what ships is, say the same to `earnest predict`?

    python scripts/predict_folds.py runs/results/small-ravdess-6fold --formats onnx onnx-int8

Exports each fold's model with `earnest export`, runs `earnest predict` on the files of its test recordings, and
compares with the predictions of `earnest evaluate`. Writes docs/results/parity/predict-folds.md; what an earlier call
measured of other evaluations stays in its JSON file. Corpora come from $EARNEST_DATA.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from earnest.evaluation.confusion import confusion_counts, headline_scores
from earnest.export.bundle import split_clips
from earnest.training.record import read_record

OUTPUT = Path(__file__).resolve().parent.parent / "docs" / "results" / "parity" / "predict-folds.json"
AT_ONCE = 500  # paths in a command
NOTE = """\
# Fold models through `earnest predict`

Written by `python scripts/predict_folds.py RUN …`: each fold's model, exported by `earnest export`, asked by `earnest
predict` about the files of its own test clips, beside what `earnest evaluate` had said of them. Per cent, all folds
together: WA (weighted accuracy, the share that is right), UA (unweighted accuracy, the mean recall over classes), and
"lost" in points of WA against the evaluation. Refused are clips in which `predict` hears no speech; the others count.

| evaluation | format | clips | refused | WA, evaluate | WA, predict | UA, evaluate | UA, predict | lost | same label |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""


def answers(run: Path, form: str, paths: Sequence[str]) -> list[str]:
    """Export a run and return what `earnest predict` calls each file."""
    with TemporaryDirectory() as name:
        bundle, table = Path(name) / "bundle", Path(name) / "answers.csv"
        earnest("export", str(run), "--output", str(bundle), "--format", form, "--quiet")
        found: dict[str, str] = {}
        for start in range(0, len(paths), AT_ONCE):
            some = paths[start : start + AT_ONCE]
            options = ("--output", str(table), "--overwrite", "--quiet", "--adapt", "off", "--no-abstain")
            earnest("predict", *some, "--model", str(bundle), *options)
            with table.open(encoding="utf-8", newline="") as file:
                found |= {row["path"]: likeliest(row) for row in csv.DictReader(file)}
    return [found[path] for path in paths]


def earnest(*words: str) -> None:
    """Run a command; its errors end this."""
    subprocess.run([sys.executable, "-m", "earnest", *words], check=True, stdout=subprocess.DEVNULL)


def likeliest(row: dict[str, str]) -> str:
    """Return the class of the greatest probability, "" without an answer: several segments may be "mixed"."""
    probabilities = {name.removeprefix("p_"): float(cell) for name, cell in row.items() if name[:2] == "p_" and cell}
    return max(probabilities, key=probabilities.__getitem__, default="")


def measure(run: Path, form: str) -> dict[str, Any]:
    """Compare the two answers to each test recording of a fold."""
    classes = read_record(run).classes
    clips = split_clips(run, {})["test"]
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        evaluated = {f"{row['corpus']}/{row['utterance_id']}": row["predicted"] for row in csv.DictReader(file)}
    told = answers(run, form, [str(clip.path) for clip, _ in clips])
    heard = [(one, name) for one, name in zip(clips, told, strict=True) if name]
    before = [classes.index(evaluated[clip.key]) for (clip, _), _ in heard]
    after = [classes.index(name) for _, name in heard]
    targets = np.array([target for (_, target), _ in heard])
    return {
        "evaluate": confusion_counts(targets, np.array(before), len(classes)).tolist(),
        "predict": confusion_counts(targets, np.array(after), len(classes)).tolist(),
        "refused": len(clips) - len(heard),
        "same_label": sum(one == other for one, other in zip(before, after, strict=True)),
    }


def line(name: str, form: str, folds: Sequence[dict[str, Any]]) -> str:
    """Return one line of the table."""
    scores = {}
    for what in ("evaluate", "predict"):
        counts = np.sum([fold[what] for fold in folds], axis=0)
        scores[what], n = headline_scores(counts), int(counts.sum())
    cells = [f"{100 * scores[what][metric]:.2f}" for metric in ("wa", "ua") for what in ("evaluate", "predict")]
    cells.append(f"{100 * (scores['evaluate']['wa'] - scores['predict']['wa']):.2f}")
    cells.append(f"{100 * sum(fold['same_label'] for fold in folds) / n:.2f}")
    refused = sum(fold.get("refused", 0) for fold in folds)
    return f"| `{name}` | `{form}` | {n:,} | {refused} | {' | '.join(cells)} |"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluations", nargs="+", type=Path)
    parser.add_argument("--formats", nargs="+", default=["onnx"])
    options = parser.parse_args()
    stored = json.loads(OUTPUT.read_text("utf-8")) if OUTPUT.exists() else {}
    for evaluation in options.evaluations:
        runs = sorted(path.parent for path in evaluation.glob("*/run.json"))
        for form in options.formats:
            stored.setdefault(evaluation.name, {})[form] = [measure(run, form) for run in runs]
            OUTPUT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    lines = [line(name, form, folds) for name, forms in stored.items() for form, folds in forms.items()]
    OUTPUT.with_suffix(".md").write_text(NOTE + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
