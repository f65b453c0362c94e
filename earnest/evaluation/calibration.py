"""Making probabilities honest by one temperature (Guo et al., 2017): fitted on validation logits, never on test."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from earnest.evaluation.reliability import reliability

Floats = npt.NDArray[np.float64]
LOWEST, HIGHEST = 0.05, 20.0  # a temperature outside says that the logits are wrong, not their scale
N_STEPS = 60  # halvings of [log LOWEST, log HIGHEST]: the last is far below float64 resolution of any probability
SMALLEST = float(np.finfo(np.float32).tiny)  # probabilities come as float32


def softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """Return softmax(logits / temperature) over the last axis, shape as ``logits``."""
    return np.exp(log_softmax(logits, temperature))


def log_softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """Return log softmax(logits / temperature) over the last axis, shape as ``logits``."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True)))


def undone(probabilities: npt.NDArray[np.floating], temperature: float) -> Floats:
    """Turn softmax(logits / temperature) into softmax(logits), shape (rows, classes); NaN rows stay NaN.

    log p = logits / T − c for a c of the row, which softmax forgets. The logits themselves can't be had back.
    """
    return softmax(np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) * temperature)


@dataclass(frozen=True)
class Quality:
    """Expected calibration error and mean negative log-likelihood (natural logarithm) of ``n`` clips."""

    ece: float
    nll: float
    n: int


def quality(probabilities: npt.NDArray[np.floating], true: npt.NDArray[np.integer]) -> Quality:
    """Measure probabilities, shape (rows, classes), one row at least, without NaN."""
    logs = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
    nll = float(-logs[np.arange(len(true)), true].mean())
    return Quality(reliability(probabilities, true).ece, nll, len(true))


@dataclass(frozen=True)
class FittedCalibration:
    """What ``run.json`` and ``bundle.json`` say about how probabilities were calibrated.

    Attributes
    ----------
    weight, bias : empty; one a class in bundles that were made with vector scaling, whose graph does it
    before, after : on the validation clips that it was fitted on, at temperature 1 and calibrated
    """

    method: Literal["temperature", "vector"]
    before: Quality
    after: Quality
    weight: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()


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
