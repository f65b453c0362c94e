"""Counts of true against predicted classes, and what follows from them: WA, UA, F1, precision and recall.

A row without an answer counts as wrong everywhere. A class that doesn't occur among the true labels is left out of UA
(its recall doesn't exist); macro-F1 goes over the classes that occur in the true labels or the answers. Both are what
scikit-learn's ``balanced_accuracy_score`` and ``f1_score`` compute.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
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
    counts = np.bincount(cells_of(true, predicted, n_classes), minlength=n_classes * (n_classes + 1))
    return counts.reshape(n_classes, n_classes + 1).astype(np.int64)


def cells_of(true: Counts, predicted: Counts, n_classes: int) -> Counts:
    """Number the cell of each row in the matrix of `confusion_counts`, or in one of several below each other."""
    # Cell (t, p) is number t·(C + 1) + p of one count; column C holds those without an answer.
    return np.asarray(true * (n_classes + 1) + np.where(predicted < 0, n_classes, predicted))


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
    support = counts.sum(axis=-1)  # (…, n_classes), row sums: TP + FN
    answered = counts[..., :-1].sum(axis=-2)  # (…, n_classes), column sums: TP + FP
    n = support.sum(axis=-1)
    occurs = support > 0
    recall = right / np.maximum(support, 1)  # diagonal over row sums
    f1 = 2 * right / np.maximum(support + answered, 1)  # 2·P·R / (P + R) = 2·TP / (2·TP + FP + FN)
    return {
        "wa": right.sum(axis=-1) / n,
        # A class without rows adds 0 to the sum, and is not in the divisor either.
        "ua": recall.sum(axis=-1) / occurs.sum(axis=-1),
        "macro_f1": f1.sum(axis=-1) / (occurs | (answered > 0)).sum(axis=-1),
        "weighted_f1": (f1 * support).sum(axis=-1) / n,
    }


def ua_of(counts: Counts) -> float:
    """Compute the UA of one confusion matrix, the mean recall over the classes that occur."""
    return float(headline_scores(counts)["ua"])


def normalised(counts: npt.NDArray[np.integer], by: Literal["true", "predicted"]) -> Floats:
    """Divide counts by those of their true class (rows sum to one) or of their answer (columns sum to one).

    Parameters
    ----------
    counts : shape (n_classes, columns), true class in rows; a last column may count the rows without an answer

    Returns
    -------
    shape as ``counts``, 0 to 1; 0 in a row or column without any
    """
    totals = counts.sum(axis=1 if by == "true" else 0, keepdims=True)
    return np.asarray(counts / np.maximum(totals, 1), dtype=np.float64)


@dataclass(frozen=True)
class ClassScores:
    """One class: None where the value doesn't exist (precision without answers, recall without utterances)."""

    precision: float | None
    recall: float | None
    f1: float | None
    n: int


def class_scores(counts: Counts) -> list[ClassScores]:
    """Return precision, recall, F1 and number of utterances of each class."""
    scores = []
    for index in range(len(counts)):
        # precision = right/answered, recall = right/support, F1 = 2·P·R/(P + R) = 2·right/(support + answered).
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
