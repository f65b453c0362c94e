"""Scores of valence, arousal and dominance; pairs with an unknown value (NaN) are left out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.evaluation.prediction_table import AFFECT

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AffectScores:
    """One of valence, arousal and dominance, over the ``n`` rows that have both answer and rating."""

    rmse: float
    ccc: float | None
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"rmse": self.rmse, "ccc": self.ccc, "n": self.n}


def affect_scores(predicted: npt.NDArray[np.floating], true: npt.NDArray[np.floating]) -> dict[str, AffectScores]:
    """Score valence, arousal and dominance, as far as anything is known of them.

    Parameters
    ----------
    predicted, true : shape (rows, 3), NaN where unknown, on the same scale
    """
    scores = {}
    for name, answers, ratings in zip(AFFECT, predicted.T, true.T, strict=True):
        error = rmse(answers, ratings)
        if error is not None:
            n = len(_known(answers, ratings)[0])
            scores[name] = AffectScores(error, concordance(answers, ratings), n)
    return scores


def rmse(predicted: npt.NDArray[np.floating], true: npt.NDArray[np.floating]) -> float | None:
    """Return the root mean square error, in the unit of the values; None without a known pair.

    Parameters
    ----------
    predicted, true : shape (rows,), NaN where unknown
    """
    errors = np.subtract(*_known(predicted, true))
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else None


def concordance(predicted: npt.NDArray[np.floating], true: npt.NDArray[np.floating]) -> float | None:
    """Return Lin's concordance correlation coefficient, −1 to 1; None where nothing varies.

    It is 2·cov / (var + var + (difference of means)²): correlation, less what scale and offset are wrong.

    Parameters
    ----------
    predicted, true : shape (rows,), NaN where unknown
    """
    first, second = _known(predicted, true)
    if not len(first):
        return None
    covariance = np.mean((first - first.mean()) * (second - second.mean()))
    total = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(2 * covariance / total) if total > 0 else None


def _known(predicted: npt.NDArray[np.floating], true: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    known = ~(np.isnan(predicted) | np.isnan(true))
    return predicted[known].astype(np.float64), true[known].astype(np.float64)
