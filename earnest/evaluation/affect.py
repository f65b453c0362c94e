"""Scores of valence, arousal and dominance; pairs with an unknown value (NaN) are left out."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


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
