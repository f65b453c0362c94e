"""One temperature that makes probabilities honest (Guo et al., 2017): fitted on validation logits, never on test."""

import numpy as np
import numpy.typing as npt

LOWEST, HIGHEST = 0.05, 20.0  # a temperature outside says that the logits are wrong, not their scale
N_STEPS = 60  # halvings of [log LOWEST, log HIGHEST]: the last is far below float64 resolution of any probability


def softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return softmax(logits / temperature) over the last axis, shape as ``logits``."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def negative_log_likelihood(
    logits: npt.NDArray[np.floating], true: npt.NDArray[np.integer], temperature: float = 1.0
) -> float:
    """Return the mean of −log p(true class), natural logarithm.

    Parameters
    ----------
    logits : shape (rows, classes)
    true : shape (rows,), class numbers
    """
    scaled = logits.astype(np.float64) / temperature
    highest = scaled.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(scaled - highest).sum(axis=1)) + highest[:, 0]
    return float((log_sums - scaled[np.arange(len(true)), true]).mean())


def fit_temperature(logits: npt.NDArray[np.floating], true: npt.NDArray[np.integer]) -> float:
    """Return the temperature with the smallest negative log-likelihood, between 0.05 and 20.

    The likelihood is concave in 1/T, so its slope, mean(logit of the true class − expected logit), changes sign once:
    bisection on it finds the optimum. Logits without a single error have theirs at T → 0 and get the lower bound.

    Parameters
    ----------
    logits : shape (rows, classes), of validation data, finite
    true : shape (rows,), class numbers
    """
    if not len(true):
        raise ValueError("A temperature needs at least one row.")
    if not np.isfinite(logits).all():
        raise ValueError("A temperature needs finite logits.")
    low, high = np.log(LOWEST), np.log(HIGHEST)
    for _ in range(N_STEPS):
        middle = (low + high) / 2
        if _slope(logits, true, float(np.exp(middle))) > 0:  # more likely when sharper
            high = middle
        else:
            low = middle
    return float(np.exp((low + high) / 2))


def _slope(logits: npt.NDArray[np.floating], true: npt.NDArray[np.integer], temperature: float) -> float:
    expected = (softmax(logits, temperature) * logits).sum(axis=1)
    return float((logits[np.arange(len(true)), true] - expected).mean())
