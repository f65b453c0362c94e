"""What probabilities are good for beside the answer: top-k, ROC and precision-recall curves, when not to answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.evaluation.calibration import selective
from earnest.evaluation.predictions import Predictions

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
    own = probabilities[np.arange(len(true)), true][:, None]  # (rows, 1)
    earlier = np.arange(probabilities.shape[1]) < true[:, None]
    before = (probabilities > own) | ((probabilities == own) & earlier)  # NaN compares as False: left to `answered`
    answered = ~np.isnan(probabilities).any(axis=1)
    return float((answered & (before.sum(axis=1) < k)).mean())


def roc_auc(scores: npt.NDArray[np.floating], is_positive: Bools) -> float:
    """Return the area under the ROC curve: the chance that a positive has a higher score than a negative, ties half."""
    known = ~np.isnan(scores)
    positives, negatives = scores[known & is_positive], np.sort(scores[known & ~is_positive])
    if not (len(positives) and len(negatives)):
        raise ValueError("The area under a ROC curve needs positives and negatives.")
    # Mann and Whitney (1947): U = Σ over positives of (negatives below + half of those equal); AUC = U / (n₊·n₋).
    beaten = np.searchsorted(negatives, positives, "left") + np.searchsorted(negatives, positives, "right")
    return float(beaten.sum() / (2 * len(positives) * len(negatives)))


def macro(
    measure: Callable[[npt.NDArray[np.floating], Bools], float],
    probabilities: npt.NDArray[np.floating],
    true: npt.NDArray[np.integer],
) -> float | None:
    """Return the mean of ``measure`` (class against the rest) over the classes that occur.

    Rows without probabilities are left out; None when fewer than two classes are left.

    Parameters
    ----------
    measure : such as `roc_auc`
    probabilities : shape (rows, classes), NaN in rows that have none
    true : shape (rows,), class numbers
    """
    known = ~np.isnan(probabilities).any(axis=1)
    rows, labels = probabilities[known], true[known]
    occurring = np.unique(labels)
    if len(occurring) < 2:
        return None
    return float(np.mean([measure(rows[:, index], labels == index) for index in occurring]))


COVERAGES = (0.8, 0.5)
RANKS = (2, 3)


@dataclass(frozen=True)
class ConfidenceScores:
    """Scores of the probabilities; a row without any counts as wrong in all but ``auc``.

    Attributes
    ----------
    top : k → share of rows whose true class is among the k most probable
    auc : area under the ROC curve of a class against the rest, mean over the classes that occur; None for one class
    aurc : area under the risk–coverage curve
    accuracy_at : coverage → WA over that share of the rows, the most confident
    """

    top: Mapping[int, float]
    auc: float | None
    aurc: float
    accuracy_at: Mapping[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "top": {str(k): share for k, share in self.top.items()},
            "auc": self.auc,
            "aurc": self.aurc,
            "accuracy_at": {f"{coverage:g}": accuracy for coverage, accuracy in self.accuracy_at.items()},
        }


def confidence_scores(predictions: Predictions) -> ConfidenceScores | None:
    """Score the probabilities; None when there are none."""
    probabilities, true = predictions.probabilities, predictions.emotion
    if probabilities is None or np.isnan(probabilities).any(axis=1).all():
        return None
    curve = selective(probabilities, true)
    return ConfidenceScores(
        top={k: top_k(probabilities, true, k) for k in RANKS},
        auc=macro(roc_auc, probabilities, true),
        aurc=curve.aurc,
        accuracy_at={coverage: curve.accuracy_at(coverage) for coverage in COVERAGES},
    )
