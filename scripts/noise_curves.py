"""Draw docs/noise.png and write docs/noise.md from finished evaluations with noise.

    python scripts/noise_curves.py runs/emocatcher-ravdess-6fold runs/emocatcher-noise-ravdess-6fold …

Each folder is of `earnest evaluate --noise`, all with the same noises, levels and folds. Their metrics-noise.json go to
docs/results/noise/.
"""

import json
import shutil
import statistics
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from recipe_table import has_flattened

from earnest.evaluation.predictions import joined, read_predictions
from earnest.evaluation.report import NoiseCurve, read_history
from earnest.evaluation.texts import markdown_table, spread_text
from earnest.files.writing import write_atomically
from earnest.plots.results import plot_noise_curves
from earnest.training.record import read_record

DOCS = Path(__file__).parent.parent / "docs"
KEPT = DOCS / "results" / "noise"
TEXT = """# Noise

What background noise costs EmoCatcher's network. It was trained in three ways: without noise, with noise mixing, and
with noise mixing and stability training. The networks answered test recordings as they are (clean) and with recorded
noise: {title}, {n} test recordings, seed {seed}. {spread} WA (weighted accuracy) is the share of recordings that are
right. UA (unweighted accuracy) is the mean recall over classes. Both are in per cent. The decibels are the
signal-to-noise ratio.

![UA over the signal-to-noise ratio]({picture})

{table}

Noise of the test: {tested} ({n_tested} recordings of ESC-10). Noise of the training: {trained}. No kind is in both, and
{heard} of the test's recordings were heard in training. {drawn} The signal-to-noise ratio is taken over the whole
recording. Which part of which noise a recording gets depends on the recording and the level alone, so all networks hear
the same.{unchanged}

{reading}

## How

```sh
{commands}
```

with the corpora and `noise-esc10` in the folder that `EARNEST_DATA` names, then `python scripts/noise_curves.py
{folders}`. Epochs are chosen by UA on clean validation recordings. Nothing was chosen with noise or on test recordings.
The weight of the divergence (how much stability training counts in the loss) is NTU's, not tuned.

{training}

Seconds are medians over epochs (in brackets: the fastest), on one thread of a two-core machine. Other work on the
machine slowed the trainings unequally. Flattened means: the lowest validation loss of the last quarter of the epochs is
not more than 1 % below the lowest before.
"""


CAUTION = """How far to trust it: the {n} test recordings come from few speakers, and each network was trained once a
fold. So differences of a few points may be due to chance. Stability training learns from each recording clean and noisy
in the same step, while noise mixing learns from one of the two. What the divergence alone adds was not measured. The
next table shows how many recordings of the test became right / wrong, compared with `{plain}`:"""


@dataclass(frozen=True)
class Result:
    """One evaluation: its metrics-noise.json, and lines about its trainings."""

    name: str
    folder: Path
    document: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Result":
        document = json.loads((folder / "metrics-noise.json").read_text(encoding="utf-8"))
        return cls(Path(document["command"].split()[2]).stem, folder, document)

    @property
    def curve(self) -> NoiseCurve:
        return NoiseCurve.from_document(self.document, str(self.folder))

    def right(self, level: float | None) -> npt.NDArray[np.bool_]:
        """Whether the answer to each recording is right, shape (recordings,); None is clean."""
        names = (
            [f"predictions-noise-{level:g}.csv"]
            if level is not None
            else [f"{fold}/predictions.csv" for fold in self.document["folds"]]
        )
        found = joined([read_predictions(self.folder / name) for name in names])
        return np.asarray(found.predicted == found.emotion)

    def trainings(self) -> list[str]:
        lines = []
        for fold in self.document["folds"]:
            history, record = read_history(self.folder / fold / "history.csv"), read_record(self.folder / fold)
            seconds = [row["seconds"] for row in history]
            time = f"{statistics.median(seconds):.1f} ({min(seconds):.1f})"
            flat = "yes" if has_flattened(history) else "no"
            lines.append(f"| {self.name} | {fold} | {record.best_epoch} of {record.epochs} | {time} | {flat} |")
        return lines


def main(folders: list[Path]) -> None:
    results = [Result.read(folder) for folder in folders]
    first = results[0].document
    for key in ("title", "folds", "n", "seed", "protocol"):
        if any(result.document[key] != first[key] for result in results):
            raise SystemExit(f"The evaluations differ in {key}; they can't be in one picture.")
    if any(result.document["noise"]["names"] != first["noise"]["names"] for result in results):
        raise SystemExit("The evaluations differ in their noises; they can't be in one picture.")
    KEPT.mkdir(parents=True, exist_ok=True)
    for result in results:
        shutil.copy(result.folder / "metrics-noise.json", KEPT / f"{result.name}-{first['protocol']}.json")
    heard = any(result.document["noise"]["heard_in_training"] for result in results)
    tested = f"Noise {'partly' if heard else 'not'} heard in training: {', '.join(first['noise']['names'])}"
    curves = {result.name: result.curve for result in results}
    title = f"{first['title']}, {first['n']} recordings"
    write_atomically(DOCS / "noise.png", plot_noise_curves(curves, title, tested))
    (DOCS / "noise.md").write_text(wrapped(page(results)), encoding="utf-8")


def wrapped(text: str) -> str:
    """Fill paragraphs; tables, pictures and commands stay as they are."""
    parts = text.split("\n\n")
    as_is = ("|", "#", "!", "```")
    return "\n\n".join(part if part.startswith(as_is) else fill(part) for part in parts).rstrip() + "\n"


def fill(paragraph: str) -> str:
    return textwrap.fill(" ".join(paragraph.split()), 118, break_long_words=False, break_on_hyphens=False)


def page(results: list[Result]) -> str:
    first = results[0].document
    several = len(first["folds"]) > 1
    unchanged = sum(result.document["n_without_noise"] for result in results)
    lowest, highest = _training_table(results)["snr_db"]
    head = "| recipe | fold | epoch chosen | seconds an epoch | validation loss had flattened |"
    lines = [line for result in results for line in result.trainings()]
    return TEXT.format(
        title=first["title"],
        n=first["n"],
        seed=first["seed"],
        spread="Mean ± standard deviation over folds." if several else "One fold, so there is no spread over folds.",
        picture="noise.png",
        table="\n\n".join(table(results, quantity) for quantity in ("ua", "wa")),
        tested=", ".join(first["noise"]["names"]),
        n_tested=first["noise"]["recordings"],
        trained=", ".join(_training_table(results)["names"]),
        heard=max(result.document["noise"]["heard_in_training"] for result in results) or "none",
        drawn=f"In training three of ten recordings stay clean, the others get {lowest:g} to {highest:g} dB.",
        unchanged=f" {unchanged} noisy answers are to clean recordings: only pauses were drawn." if unchanged else "",
        reading="\n\n".join([CAUTION.format(n=first["n"], plain=results[0].name), turned(results)]),
        commands="\n".join(result.document["command"] for result in results),
        folders=" ".join(f"runs/{result.folder.name}" for result in results),
        training="\n".join([head, "|---|---|---:|---:|---|", *lines]),
    )


def table(results: list[Result], quantity: str) -> str:
    levels = list(results[0].curve.levels)
    columns = (quantity.upper(), "clean", *(f"{level:g} dB" for level in reversed(levels)))
    column, rows = 0 if quantity == "wa" else 1, []
    for result in results:
        points = [result.curve.clean, *(result.curve.levels[level] for level in reversed(levels))]
        rows.append([f"**{result.name}**", *(spread_text(point[column]) for point in points)])
    return "\n".join(markdown_table(columns, "l" + "r" * (len(columns) - 1), rows))


def turned(results: list[Result]) -> str:
    levels = [None, *reversed(results[0].curve.levels)]
    head = ["clean", *(f"{level:g} dB" for level in levels if level is not None)]
    lines = [f"| | {' | '.join(head)} |", "|---|" + "---:|" * len(levels)]
    for result in results[1:]:
        pairs = [(result.right(level), results[0].right(level)) for level in levels]
        cells = [f"{(ours & ~plain).sum()} / {(plain & ~ours).sum()}" for ours, plain in pairs]
        lines.append(f"| **{result.name}** | {' | '.join(cells)} |")
    return "\n".join(lines)


def _training_table(results: list[Result]) -> dict[str, Any]:
    tables = [table for result in results for table in result.document["recipe"]["augment"]]
    if any(table != tables[0] for table in tables):
        raise SystemExit("The recipes differ in their noises; the page has room for one kind of training.")
    return dict(tables[0])


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
