"""Everything that is said about one predictions file: WA, UA, F1, calibration, spread over folds and speakers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from earnest.evaluation.confidence import ConfidenceScores, confidence_scores
from earnest.evaluation.confusion import (
    HEADLINES,
    ClassScores,
    class_scores,
    confusion_counts,
    headline_scores,
    normalised,
)
from earnest.evaluation.gender import GenderScores, gender_scores
from earnest.evaluation.intervals import N_RESAMPLES, Interval, Spread, bootstrap, spread
from earnest.evaluation.prediction_table import Predictions, TextColumn
from earnest.evaluation.reliability import CalibrationScores, calibration_scores
from earnest.evaluation.slices import Slice, gaps, own_columns, recall_gaps, slices


@dataclass(frozen=True)
class Scores:
    """Everything ``metrics.json`` says about one predictions file; shares from 0 to 1.

    Attributes
    ----------
    wa, ua, macro_f1, weighted_f1 : over all rows together
    n, n_answered : rows, and those with an answer
    confusion : true class in rows, predicted in columns; rows without an answer are in ``unanswered``
    folds : fold → headline scores and n; with probabilities also ECE, and the mean and 95 % quantile that chance gives
    over_folds : headline → mean and sd over folds
    intervals : headline → bootstrap interval over speakers
    calibration, confidence : None when the file has no probabilities
    slices : by gender, speaker and corpus, where the file tells several apart, and by what else was asked for; those
        by gender have intervals
    recall_gaps : class → largest difference in recall between genders; None where there are too few clips
    gender : of the answers to it, None where there are none
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
    confidence: ConfidenceScores | None
    slices: tuple[Slice, ...]
    recall_gaps: Mapping[str, float | None]
    gender: GenderScores | None

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
            "confidence": None if self.confidence is None else self.confidence.to_dict(),
            "per_class": {name: value.to_dict() for name, value in self.per_class.items()},
            "classes": list(self.classes),
            "confusion": [list(row) for row in self.confusion],
            "confusion_axes": {"rows": "true", "columns": "predicted"},
            "confusion_by_true": self.confusion_shares("true"),
            "confusion_by_predicted": self.confusion_shares("predicted"),
            "unanswered": dict(self.unanswered),
            "folds": {name: dict(value) for name, value in self.folds.items()},
            "slices": {name: [part.to_dict() for part in parts] for name, parts in self._slices_by_column().items()},
            "gaps": {name: gap.to_dict() for name, gap in gaps(self.slices).items()},
            "recall_gaps": {"gender": dict(self.recall_gaps)},
            "gender": None if self.gender is None else self.gender.to_dict(),
        }

    def confusion_shares(self, by: Literal["true", "predicted"]) -> list[list[float]]:
        """Return the confusion matrix divided by the clips of each true class, or by the answers of each class."""
        counts = np.column_stack([np.array(self.confusion), [self.unanswered[name] for name in self.classes]])
        shares: list[list[float]] = normalised(counts, by)[:, :-1].tolist()
        return shares

    def _slices_by_column(self) -> dict[str, list[Slice]]:
        columns: dict[str, list[Slice]] = {}
        for part in self.slices:
            columns.setdefault(part.name, []).append(part)
        return columns


def score(
    predictions: Predictions,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    columns: Mapping[str, TextColumn] | None = None,
) -> Scores:
    """Score predictions.

    Parameters
    ----------
    rng : draws the bootstrap, and labels for the expected calibration error
    columns : what else to slice by, name → one text a row, see `earnest.evaluation.slices.manifest_columns`
    """
    classes = predictions.classes
    counts = confusion_counts(predictions.emotion, predictions.predicted, len(classes))
    intervals = bootstrap(predictions, rng, n_resamples)
    folds = {name: _fold_scores(predictions.of_fold(name), rng) for name in predictions.folds}
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
        intervals=intervals,
        calibration=_calibration(predictions, rng),
        confidence=confidence_scores(predictions),
        slices=(
            *slices(predictions, own_columns(predictions, ("gender",)), rng),
            *slices(predictions, {**own_columns(predictions, ("speaker", "corpus")), **(columns or {})}),
        ),
        recall_gaps=recall_gaps(predictions, predictions.gender),
        gender=gender_scores(predictions, rng, n_resamples),
    )


def _fold_scores(predictions: Predictions, rng: np.random.Generator) -> dict[str, float]:
    counts = confusion_counts(predictions.emotion, predictions.predicted, len(predictions.classes))
    scores = {**{name: float(value) for name, value in headline_scores(counts).items()}, "n": len(predictions)}
    calibration = _calibration(predictions, rng)
    if calibration is None or calibration.expected_ece is None:
        return scores
    expected = calibration.expected_ece
    return {**scores, "ece": calibration.ece, "expected_ece": expected.mean, "expected_ece_q95": expected.q95}


def _calibration(predictions: Predictions, rng: np.random.Generator) -> CalibrationScores | None:
    if predictions.probabilities is None:
        return None
    return calibration_scores(predictions.probabilities, predictions.emotion, rng)
