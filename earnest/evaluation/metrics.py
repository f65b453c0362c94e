"""How good predictions are: accuracy (WA), mean recall (UA), F1, calibration, spread over folds and speakers.

A row without an answer counts as wrong everywhere. A class that doesn't occur among the true labels is left out of UA
(its recall doesn't exist); macro-F1 goes over the classes that occur in the true labels or the answers. Both are what
scikit-learn's ``balanced_accuracy_score`` and ``f1_score`` compute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from earnest.evaluation.predictions import Predictions

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
N_RESAMPLES = 2000
CONFIDENCE = 0.95
N_BINS = 15
HEADLINES = ("wa", "ua", "macro_f1", "weighted_f1")


def confusion_counts(true: Counts, predicted: Counts, n_classes: int) -> Counts:
    """Count true class (rows) against predicted class (columns).

    Parameters
    ----------
    true : shape (rows,), 0 … n_classes − 1
    predicted : shape (rows,), −1 for no answer

    Returns
    -------
    shape (n_classes, n_classes + 1); the last column counts the rows without an answer
    """
    columns = np.where(predicted < 0, n_classes, predicted)
    cells = np.bincount(true * (n_classes + 1) + columns, minlength=n_classes * (n_classes + 1))
    return cells.reshape(n_classes, n_classes + 1).astype(np.int64)


def headline_scores(counts: npt.NDArray[np.integer]) -> dict[str, Floats]:
    """Compute WA, UA, macro-F1 and weighted F1 of one or many confusion matrices.

    Parameters
    ----------
    counts : shape (…, n_classes, n_classes + 1), as `confusion_counts` makes them; each holds at least one row

    Returns
    -------
    name → shape (…), 0 to 1
    """
    right = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)  # (…, n_classes)
    support = counts.sum(axis=-1)
    answered = counts[..., :-1].sum(axis=-2)
    n = support.sum(axis=-1)
    occurs = support > 0
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(support + answered, 1)
    return {
        "wa": right.sum(axis=-1) / n,
        "ua": recall.sum(axis=-1) / occurs.sum(axis=-1),
        "macro_f1": f1.sum(axis=-1) / (occurs | (answered > 0)).sum(axis=-1),
        "weighted_f1": (f1 * support).sum(axis=-1) / n,
    }


@dataclass(frozen=True)
class ClassScores:
    """One class: None where the value doesn't exist (precision without answers, recall without utterances)."""

    precision: float | None
    recall: float | None
    f1: float | None
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, "n": self.n}


def class_scores(counts: Counts) -> list[ClassScores]:
    """Return precision, recall, F1 and number of utterances of each class."""
    scores = []
    for index in range(len(counts)):
        right, support, answered = int(counts[index, index]), int(counts[index].sum()), int(counts[:, index].sum())
        scores.append(
            ClassScores(
                precision=right / answered if answered else None,
                recall=right / support if support else None,
                f1=2 * right / (support + answered) if support + answered else None,
                n=support,
            )
        )
    return scores


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n − 1) over folds; no deviation for a single fold."""

    mean: float
    sd: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"mean": self.mean, "sd": self.sd}


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation."""
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


@dataclass(frozen=True)
class Interval:
    """A percentile bootstrap interval.

    Attributes
    ----------
    over : what was drawn with replacement: whole speakers, or single utterances when fewer than two speakers are known
    """

    low: float
    high: float
    over: Literal["speakers", "utterances"]
    confidence: float = CONFIDENCE

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"low": self.low, "high": self.high, "over": self.over, "confidence": self.confidence}


def bootstrap(
    predictions: Predictions, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> dict[str, Interval]:
    """Draw whole speakers with replacement and return an interval for each headline score.

    The clips of one speaker resemble each other, so drawing clips would make the interval far too narrow. The order of
    the rows doesn't matter.
    """
    clusters, over = _clusters(predictions)
    n_clusters = int(clusters.sum()) if over == "utterances" else len(clusters)
    weights = clusters / n_clusters if over == "utterances" else np.full(n_clusters, 1 / n_clusters)
    drawn = rng.multinomial(n_clusters, weights, size=n_resamples)  # (resamples, clusters or cells)
    n_classes = len(predictions.classes)
    cells = drawn if over == "utterances" else drawn @ clusters
    scores = headline_scores(cells.reshape(n_resamples, n_classes, n_classes + 1))
    tail = (1 - CONFIDENCE) / 2
    limits = {name: np.quantile(values, (tail, 1 - tail)) for name, values in scores.items()}
    return {name: Interval(float(low), float(high), over) for name, (low, high) in limits.items()}


def _clusters(predictions: Predictions) -> tuple[Counts, Literal["speakers", "utterances"]]:
    """Return cell counts a speaker, shape (speakers, cells); or of all rows, shape (cells,)."""
    n_classes = len(predictions.classes)
    speakers = sorted(predictions.speaker.present())
    if "" in speakers or len(speakers) < 2:
        return confusion_counts(predictions.emotion, predictions.predicted, n_classes).ravel(), "utterances"
    owner = predictions.speaker.numbered(speakers)
    columns = np.where(predictions.predicted < 0, n_classes, predictions.predicted)
    counts = np.zeros((len(speakers), n_classes * (n_classes + 1)), dtype=np.int64)
    np.add.at(counts, (owner, predictions.emotion * (n_classes + 1) + columns), 1)
    return counts, "speakers"


@dataclass(frozen=True)
class CalibrationScores:
    """How far probabilities can be believed, over the rows that have them.

    Attributes
    ----------
    ece : expected calibration error: mean distance between confidence and share right, 15 bins of equal width
    brier : mean over rows of the summed squared error over classes, 0 to 2
    n : rows with probabilities
    """

    ece: float
    brier: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"ece": self.ece, "brier": self.brier, "n": self.n}


def calibration_scores(probabilities: npt.NDArray[np.floating], true: Counts) -> CalibrationScores | None:
    """Score probabilities, shape (rows, classes), NaN rows left out; None when none is left."""
    known = ~np.isnan(probabilities).any(axis=1)
    if not known.any():
        return None
    p, labels = probabilities[known].astype(np.float64), true[known]
    confidence = p.max(axis=1)
    right = p.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * N_BINS).astype(np.int64) - 1, 0, N_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=N_BINS)
    p[np.arange(len(p)), labels] -= 1
    return CalibrationScores(float(np.abs(gaps).sum() / len(p)), float((p**2).sum(axis=1).mean()), len(p))


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
