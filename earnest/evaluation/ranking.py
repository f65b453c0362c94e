"""Scores of a ranking: top-k, ROC and precision–recall curves of one class against the rest."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def top_k(probabilities: npt.NDArray[np.floating], true: npt.NDArray[np.integer], k: int) -> float:
    """Return the share of rows whose true class is among the ``k`` most probable.

    Of equal probabilities the earlier class comes first, as in argmax. A row without probabilities counts as wrong.

    Parameters
    ----------
    probabilities : shape (rows, classes), NaN in rows that have none
    true : shape (rows,), class numbers
    """
    if k < 1 or not len(true):
        raise ValueError(f"Top-k needs k of at least 1 and at least one row, got k = {k} and {len(true)} rows.")
    own = probabilities[np.arange(len(true)), true][:, None]
    earlier = np.arange(probabilities.shape[1]) < true[:, None]
    before = (probabilities > own) | ((probabilities == own) & earlier)
    answered = ~np.isnan(probabilities).any(axis=1)
    return float((answered & (before.sum(axis=1) < k)).mean())


@dataclass(frozen=True)
class Roc:
    """True over false positives, from the strictest threshold (nothing accepted, infinity) to the laxest.

    Attributes
    ----------
    false_positive_rate, true_positive_rate, thresholds : shape (points,); a score at the threshold is accepted
    """

    false_positive_rate: Floats
    true_positive_rate: Floats
    thresholds: Floats


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision over recall, from the strictest threshold to the laxest; before the first, precision 1 at recall 0.

    Attributes
    ----------
    precision, recall, thresholds : shape (points,); the first threshold, infinity, accepts nothing
    """

    precision: Floats
    recall: Floats
    thresholds: Floats


def roc(scores: npt.NDArray[np.floating], is_positive: Bools) -> Roc:
    """Return the receiver operating characteristic, one point a distinct score.

    Parameters
    ----------
    scores : shape (rows,), higher means rather positive; NaN rows are left out
    is_positive : shape (rows,)

    Raises
    ------
    ValueError
        When there are no positives or no negatives.
    """
    thresholds, hits, false_alarms = _accepted(scores, is_positive)
    if not (hits[-1] and false_alarms[-1]):
        raise ValueError("A ROC curve needs positives and negatives.")
    return Roc(false_alarms / false_alarms[-1], hits / hits[-1], thresholds)


def precision_recall(scores: npt.NDArray[np.floating], is_positive: Bools) -> PrecisionRecall:
    """Return the precision–recall curve, one point a distinct score; parameters as in `roc`.

    Raises
    ------
    ValueError
        When there are no positives.
    """
    thresholds, hits, false_alarms = _accepted(scores, is_positive)
    if not hits[-1]:
        raise ValueError("A precision-recall curve needs positives.")
    accepted = hits + false_alarms
    precision = np.where(accepted, hits / np.maximum(accepted, 1), 1.0)
    return PrecisionRecall(precision, hits / hits[-1], thresholds)


def roc_auc(scores: npt.NDArray[np.floating], is_positive: Bools) -> float:
    """Return the area under `roc`: the chance that a positive has a higher score than a negative, ties half."""
    known = ~np.isnan(scores)
    positives, negatives = scores[known & is_positive], np.sort(scores[known & ~is_positive])
    if not (len(positives) and len(negatives)):
        raise ValueError("The area under a ROC curve needs positives and negatives.")
    beaten = np.searchsorted(negatives, positives, "left") + np.searchsorted(negatives, positives, "right")
    return float(beaten.sum() / (2 * len(positives) * len(negatives)))


def average_precision(scores: npt.NDArray[np.floating], is_positive: Bools) -> float:
    """Return the precision averaged over the positives, by steps and without interpolation."""
    curve = precision_recall(scores, is_positive)
    return float((np.diff(curve.recall) * curve.precision[1:]).sum())


def macro(
    measure: Callable[[npt.NDArray[np.floating], Bools], float],
    probabilities: npt.NDArray[np.floating],
    true: npt.NDArray[np.integer],
) -> float | None:
    """Return the mean of ``measure`` (class against the rest) over the classes that occur.

    Rows without probabilities are left out; None when fewer than two classes are left.

    Parameters
    ----------
    measure : `roc_auc` or `average_precision`
    probabilities : shape (rows, classes), NaN in rows that have none
    true : shape (rows,), class numbers
    """
    known = ~np.isnan(probabilities).any(axis=1)
    rows, labels = probabilities[known], true[known]
    occurring = np.unique(labels)
    if len(occurring) < 2:
        return None
    return float(np.mean([measure(rows[:, index], labels == index) for index in occurring]))


def _accepted(scores: npt.NDArray[np.floating], is_positive: Bools) -> tuple[Floats, Floats, Floats]:
    """Return thresholds, and how many positives and negatives each accepts; the first accepts nothing."""
    known = ~np.isnan(scores)
    order = np.argsort(-scores[known], kind="stable")
    falling, positive = scores[known][order].astype(np.float64), is_positive[known][order]
    last_of_ties = np.flatnonzero(np.diff(falling, append=-np.inf))
    hits = np.cumsum(positive)[last_of_ties]
    thresholds = np.concatenate([[np.inf], falling[last_of_ties]])
    return thresholds, np.concatenate([[0.0], hits]), np.concatenate([[0.0], last_of_ties + 1.0 - hits])
