"""Write docs/results/recipes/README.md: what recipes of all systems reach on the same recordings, and at what cost.

Usage: python scripts/recipe_table.py RUN [RUN ...]

RUN is the folder of `earnest train RECIPE --protocol ravdess-6fold --scheme ravdess8 --fold f1`, or of
`earnest evaluate` (all folds). Rows that are already in docs/results/recipes stay unless the same recipe is given
again. Latency is that of the exported graph, 3 s of noise at the model's rate, onnxruntime with one thread, best of 30:
the machine has other work.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from earnest.errors import EarnestError
from earnest.evaluation.report import read_history
from earnest.evaluation.texts import NONE, markdown_row, markdown_table
from earnest.export.onnx import to_onnx
from earnest.training.record import read_record
from earnest.training.run import load_run

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "recipes"
CLIP_S, REPEATS, WARM_UP = 3.0, 30, 3
COLUMNS = ("recipe", "folds", "WA", "UA", "parameters", "epochs", "best", "why it ended", "s an epoch", "ms a clip")
HEAD = """# Recipes of all systems on the same recordings

RAVDESS speech, eight classes, `ravdess-6fold` (speaker-independent). WA (weighted accuracy) is the share of recordings
that are right, UA (unweighted accuracy) the mean recall over classes, per cent, ± standard deviation over folds where
there are several. The table is from `python scripts/recipe_table.py RUN [RUN ...]`.

* **Start.** Every network started from random weights, except those that start from Whisper or earnest's student;
  published ImageNet weights were not there.
* **Epochs** were chosen on validation recordings; the test recordings were scored once. "not flattened" means that
  validation loss was still falling in the last quarter of the epochs: such a row says nothing about how good its recipe
  can be. Where a run differs from its recipe (fewer epochs), `--set` in its command in recipes.json says so.
* **Today.** Rows are of the day when they were measured: `base` and `small` have learnt since, today's are in
  [results](../README.md). `--set training.precision=bf16` was of an earlier version: leave it out. Networks of images
  compute so by themselves on a processor that multiplies bfloat16, and take about three times as long on others.
* **Seconds** are rough: they are of one core of a shared machine, which was sometimes overloaded. Of ntu-fcn-gap, its
  8-kHz kin, ntu-alexnet, vino-densenet and ntu-alexnet-stability they are of two cores, the median epoch. Epochs of
  multitask-cnn, 73 to 777 s beside other trainings, had taken 22 s on an idle machine in bf16. ntu-alexnet learnt its
  last 42 epochs with torch's fused optimiser, 23 to 41 s each, and those before without.
* **GPU.** ntu-resnet18 and ntu-vgg11 had their 100 epochs on one H100 in bfloat16, 2.1 and 3.3 s each beside other
  trainings. Their seconds and milliseconds in the table are those of earlier runs of 8 and 2 epochs on one core, from
  which `scripts/five.py --plan` estimates (ntu-vgg11 stood still for most of its first epoch there; its second took
  537 s).
"""


def main(folders: list[Path]) -> None:
    """Add or replace the rows of these folders and write the table anew."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept = RESULTS / "recipes.json"
    rows = {row["recipe"]: row for row in json.loads(kept.read_text("utf-8"))} if kept.exists() else {}
    for folder in folders:
        row = row_of(folder)
        rows[row["recipe"]] = row
    ordered = sorted(rows.values(), key=lambda row: -row["ua"])
    kept.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    text = "\n".join([HEAD, *table(ordered)]) + "\n"
    (RESULTS / "README.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def row_of(folder: Path) -> dict[str, Any]:
    """Measure one recipe's runs."""
    runs = [folder] if (folder / "run.json").exists() else sorted(path.parent for path in folder.glob("*/run.json"))
    if not runs:
        raise EarnestError(f"{folder}: holds no finished run.")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    records = [read_record(run) for run in runs]
    histories = [read_history(run / "history.csv") for run in runs if (run / "history.csv").exists()]
    words = metrics["command"].split()
    return {
        "recipe": Path(words[2]).stem,
        "command": metrics["command"],
        "folds": len(runs),
        "wa": 100 * metrics["wa"],
        "ua": 100 * metrics["ua"],
        "wa_sd": 100 * spread(metrics, "wa", len(runs)),
        "ua_sd": 100 * spread(metrics, "ua", len(runs)),
        "parameters": records[0].n_parameters,
        "epochs": [record.epochs for record in records],
        "best_epochs": [record.best_epoch for record in records],
        "stop_reasons": sorted({record.stop_reason for record in records}),
        "flattened": all(has_flattened(history) for history in histories),
        "seconds_an_epoch": median(row["seconds"] for history in histories for row in history) if histories else None,
        "latency_ms": latency_ms(runs[0]),
    }


FEWEST_EPOCHS = 10
LAST_SHARE = 0.25  # of the epochs, in which nothing must have got better
SMALLEST_GAIN = 0.01  # of the loss


def has_flattened(history: Sequence[Mapping[str, float]]) -> bool:
    """Whether the validation loss had stopped falling when training ended.

    It had, if the lowest loss of the last quarter of the epochs is not more than 1% below the lowest before. A
    curve that rises again has flattened too. One of fewer than ten epochs, or without validation, has not: nothing can
    be said.

    Parameters
    ----------
    history : rows with "valid_loss", one an epoch
    """
    losses = [row["valid_loss"] for row in history if "valid_loss" in row]
    if len(losses) < FEWEST_EPOCHS or len(losses) < len(history):
        return False
    n_last = round(LAST_SHARE * len(losses))
    before, last = min(losses[:-n_last]), min(losses[-n_last:])
    return last >= (1 - SMALLEST_GAIN) * before


def spread(metrics: dict[str, Any], name: str, n_folds: int) -> float:
    """Return the standard deviation over folds, 0 for one."""
    return float(np.std([fold[name] for fold in metrics["folds"].values()], ddof=1)) if n_folds > 1 else 0.0


def latency_ms(run: Path) -> float:
    """Return the least milliseconds of one recording in onnxruntime, one thread, from waveform to probabilities."""
    import onnxruntime  # after earnest, which forbids it to tell its makers

    classifier = load_run(run)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = to_onnx(classifier).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    n_samples = round(CLIP_S * classifier.front_end.settings.sample_rate_hz)
    waveform = np.random.default_rng(0).normal(0, 0.1, (1, n_samples)).astype(np.float32)
    times = []
    for _ in range(WARM_UP + REPEATS):
        start = time.perf_counter()
        session.run(["probabilities"], {"waveform": waveform, "lengths": np.array([n_samples])})
        times.append(1000 * (time.perf_counter() - start))
    return min(times[WARM_UP:])


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the rows as Markdown."""
    lines = markdown_table(COLUMNS, "lrrrrrrlrr", ())
    for row in rows:
        ended = ", ".join(row["stop_reasons"]) + ("" if row["flattened"] else ", not flattened")
        cells = (
            row["recipe"],
            "f1" if row["folds"] == 1 else str(row["folds"]),
            with_spread(row["wa"], row["wa_sd"]),
            with_spread(row["ua"], row["ua_sd"]),
            f"{row['parameters']:,}",
            span(row["epochs"]),
            span(row["best_epochs"]),
            ended,
            NONE if row["seconds_an_epoch"] is None else f"{row['seconds_an_epoch']:.1f}",
            f"{row['latency_ms']:.1f}",
        )
        lines.append(markdown_row(cells))
    return lines


def with_spread(value: float, deviation: float) -> str:
    """Return "53.8 ± 4.8", without the second part where there is none."""
    return f"{value:.1f} ± {deviation:.1f}" if deviation else f"{value:.1f}"


def span(numbers: list[int]) -> str:
    """Return "41" or "41 to 88"; "–" where there are no epochs."""
    low, high = min(numbers), max(numbers)
    if not high:
        return NONE
    return str(low) if low == high else f"{low} to {high}"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main([Path(name) for name in sys.argv[1:]])
