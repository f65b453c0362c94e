"""Everything that is said about one predictions file: WA, UA, F1, calibration, spread over folds and speakers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from earnest.evaluation.confusion import HEADLINES, ClassScores, class_scores, confusion_counts, headline_scores
from earnest.evaluation.intervals import N_RESAMPLES, Interval, Spread, bootstrap, spread
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.reliability import CalibrationScores, calibration_scores


@dataclass(frozen=True)
class Scores:
    """Everything ``metrics.json`` says about one predictions file; shares from 0 to 1.

    Attributes
    ----------
    wa, ua, macro_f1, weighted_f1 : over all rows together
    n, n_answered : rows, and those with an answer
    confusion : true class in rows, predicted in columns; rows without an answer are in ``unanswered``
    folds : fold → headline scores and n
    over_folds : headline → mean and sd over folds
    intervals : headline → bootstrap interval over speakers
    calibration : None when the file has no probabilities
    """

    classes: tuple[str, ...]
    n: int
    n_answered: int
    wa: float
    ua: float
    macro_f1: float
    weighted_f1: float
    per_class: Mapping[str, ClassScores]
    confusion: tuple[tuple[int, ...], ...]
    unanswered: Mapping[str, int]
    folds: Mapping[str, Mapping[str, float]]
    over_folds: Mapping[str, Spread]
    intervals: Mapping[str, Interval]
    calibration: CalibrationScores | None

    @property
    def coverage(self) -> float:
        """Share of rows with an answer."""
        return self.n_answered / self.n

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for ``metrics.json``."""
        return {
            "n": self.n,
            "coverage": self.coverage,
            **{name: getattr(self, name) for name in HEADLINES},
            "over_folds": {name: value.to_dict() for name, value in self.over_folds.items()},
            "intervals": {name: value.to_dict() for name, value in self.intervals.items()},
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "per_class": {name: value.to_dict() for name, value in self.per_class.items()},
            "classes": list(self.classes),
            "confusion": [list(row) for row in self.confusion],
            "unanswered": dict(self.unanswered),
            "folds": {name: dict(value) for name, value in self.folds.items()},
        }


def score(predictions: Predictions, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> Scores:
    """Score predictions; ``rng`` draws the bootstrap."""
    classes = predictions.classes
    counts = confusion_counts(predictions.emotion, predictions.predicted, len(classes))
    folds = {name: _fold_scores(predictions.of_fold(name)) for name in predictions.folds}
    probabilities = predictions.probabilities
    return Scores(
        classes=classes,
        n=len(predictions),
        n_answered=int((predictions.predicted >= 0).sum()),
        **{name: float(value) for name, value in headline_scores(counts).items()},
        per_class=dict(zip(classes, class_scores(counts), strict=True)),
        confusion=tuple(tuple(row) for row in counts[:, :-1].tolist()),
        unanswered=dict(zip(classes, counts[:, -1].tolist(), strict=True)),
        folds=folds,
        over_folds={name: spread([fold[name] for fold in folds.values()]) for name in HEADLINES},
        intervals=bootstrap(predictions, rng, n_resamples),
        calibration=None if probabilities is None else calibration_scores(probabilities, predictions.emotion),
    )


def _fold_scores(predictions: Predictions) -> dict[str, float]:
    counts = confusion_counts(predictions.emotion, predictions.predicted, len(predictions.classes))
    return {**{name: float(value) for name, value in headline_scores(counts).items()}, "n": len(predictions)}
