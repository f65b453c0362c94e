"""Cross-corpus results as a matrix: trained on rows, tested on columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from earnest.evaluation.metrics import Scores, score
from earnest.evaluation.predictions import Predictions

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
