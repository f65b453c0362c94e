"""Cross-corpus results as a matrix: trained on rows, tested on columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earnest.evaluation.metrics import Scores, score
from earnest.evaluation.plots import DARK_CELL, DPI, INK, MUTED, headline, new_figure
from earnest.evaluation.predictions import Predictions
from earnest.files.writing import replacing

MARK = "within"
NOTE = "within: unseen speakers of the corpus that was trained on; all other cells: a corpus that was never heard"


@dataclass(frozen=True)
class Matrix:
    """Scores of every pair of corpora.

    Attributes
    ----------
    cells : (trained on, tested on) → scores; where both are the same, over held-out speakers
    """

    corpora: tuple[str, ...]
    cells: Mapping[tuple[str, str], Scores]

    @classmethod
    def of(cls, predictions: Predictions, prefix: str = "from-") -> "Matrix":
        """Score the predictions of folds called ``from-CORPUS`` by the corpus of their clips."""
        corpora = tuple(fold.removeprefix(prefix) for fold in predictions.folds)
        cells = {}
        for trained, fold in zip(corpora, predictions.folds, strict=True):
            in_fold = predictions.of_fold(fold)
            for tested in sorted(set(in_fold.corpus)):
                rows = np.flatnonzero(in_fold.corpus == tested)
                cells[trained, tested] = score(in_fold.take(rows), np.random.default_rng(0))
        return cls(tuple(sorted(set(predictions.corpus))), cells)

    @property
    def rows(self) -> list[str]:
        """The corpora that were trained on."""
        return list(dict.fromkeys(trained for trained, _ in self.cells))

    def to_dict(self) -> dict[str, Any]:
        """Return one entry a cell."""
        return {
            "note": NOTE,
            "cells": [
                {
                    "trained_on": trained,
                    "tested_on": tested,
                    "within_corpus": trained == tested,
                    "n": scores.n,
                    "wa": scores.wa,
                    "ua": scores.ua,
                    "intervals": {name: scores.intervals[name].to_dict() for name in ("wa", "ua")},
                }
                for (trained, tested), scores in self.cells.items()
            ],
        }

    def table(self) -> list[list[str]]:
        """Return a row of texts for each corpus trained on: its name, then UA in per cent a column."""
        return [[trained, *(self._text(trained, tested) for tested in self.corpora)] for trained in self.rows]

    def _text(self, trained: str, tested: str) -> str:
        if (trained, tested) not in self.cells:
            return "–"
        text = f"{100 * self.cells[trained, tested].ua:.1f}"
        return f"{text} ({MARK})" if trained == tested else text


def plot_matrix(matrix: Matrix, path: Path, title: str) -> None:
    """Draw UA of every pair; cells of one corpus with itself are framed."""
    rows, columns = matrix.rows, list(matrix.corpora)
    figure = new_figure(2.6 + 1.25 * len(columns), 2.1 + 0.8 * len(rows))
    axes = figure.subplots()
    values = np.array([[_ua(matrix, row, column) for column in columns] for row in rows])
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for place, value in np.ndenumerate(values):
        _write(axes, place, float(value), matrix.cells.get((rows[place[0]], columns[place[1]])))
        if rows[place[0]] == columns[place[1]]:
            box = {"fill": False, "edgecolor": INK, "linewidth": 1.8}
            axes.add_patch(_rectangle(place[1] - 0.48, place[0] - 0.48, box))
    axes.set_xticks(range(len(columns)), columns, rotation=25, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("tested on", color=MUTED)
    axes.set_ylabel("trained on", color=MUTED)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    headline(figure, title, "UA in %; framed: unseen speakers of the same corpus")
    with replacing(path) as beside:
        figure.savefig(beside, dpi=DPI)


def _ua(matrix: Matrix, row: str, column: str) -> float:
    scores = matrix.cells.get((row, column))
    return float("nan") if scores is None else scores.ua


def _rectangle(x: float, y: float, look: Mapping[str, Any]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), 0.96, 0.96, **look)


def _write(axes: Any, place: Sequence[int], value: float, scores: Scores | None) -> None:
    if scores is None:
        return
    colour = "white" if value >= DARK_CELL else INK
    axes.text(place[1], place[0] - 0.08, f"{100 * value:.1f}", ha="center", va="center", color=colour, fontsize=11)
    axes.text(place[1], place[0] + 0.26, f"n {scores.n}", ha="center", va="center", color=colour, fontsize=7)
