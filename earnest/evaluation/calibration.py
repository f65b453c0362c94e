"""Making probabilities honest (Guo et al., 2017): fitted on validation logits, never on test.

One temperature scales all logits. Vector scaling adds a weight and a bias a class.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earnest.evaluation.reliability import reliability
from earnest.training_settings import CalibrationMethod

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


def negative_log_likelihood(
    logits: npt.NDArray[np.floating], true: npt.NDArray[np.integer], temperature: float = 1.0
) -> float:
    """Return the mean of −log p(true class), natural logarithm.

    Parameters
    ----------
    logits : shape (rows, classes)
    true : shape (rows,), class numbers
    """
    return float(-log_softmax(logits, temperature)[np.arange(len(true)), true].mean())


@dataclass(frozen=True)
class Calibration:
    """Logits → probabilities: softmax(weight · log softmax(logits / temperature) + bias).

    Attributes
    ----------
    weight, bias : one a class; empty without vector scaling, where they would be 1 and 0
    """

    temperature: float = 1.0
    weight: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()

    def log_probabilities(self, logits: npt.NDArray[np.floating]) -> Floats:
        """Return the logarithms of the probabilities, shape (rows, classes) as ``logits``."""
        plain = log_softmax(logits, self.temperature)
        return log_softmax(plain * np.array(self.weight) + np.array(self.bias)) if self.weight else plain

    def undone(self, probabilities: npt.NDArray[np.floating]) -> Floats:
        """Return softmax(logits) from probabilities, shape (rows, classes); NaN rows stay NaN.

        Logits themselves can't be had back: softmax forgets their sum.
        """
        logs = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
        if self.weight:
            logs = _unweighted(logs - np.array(self.bias), np.array(self.weight))
        return softmax(logs * self.temperature)


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
    weight, bias : of vector scaling, see `Calibration`
    before, after : on the validation clips that it was fitted on, at temperature 1 and calibrated
    """

    method: CalibrationMethod
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


def _unweighted(logs: Floats, weight: Floats) -> Floats:
    """Solve weight · x = logs + c for log-probabilities x: the constant c of each row makes exp(x) sum to one."""
    # exp(x).sum() rises with c. At the lower end each exp(x) is at most 1/classes; at the upper one of them is 1.
    high = (-logs).min(axis=1, keepdims=True)
    low = high - weight.max() * np.log(logs.shape[1])
    for _ in range(N_STEPS):
        middle = (low + high) / 2
        too_much = np.exp((logs + middle) / weight).sum(axis=1, keepdims=True) > 1
        low, high = np.where(too_much, low, middle), np.where(too_much, middle, high)
    return np.asarray((logs + (low + high) / 2) / weight)
