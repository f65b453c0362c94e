"""Calibration of probabilities (Guo et al., 2017), fitted on validation logits, never on test; its error and curves."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from earnest.errors import counted

Floats = npt.NDArray[np.float64]
N_BINS = 15
N_DRAWS = 200
FLOAT32_OFF = float(np.finfo(np.float32).eps) / 2  # how far a probability of float32 may be off


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram, over the rows that have probabilities.

    Attributes
    ----------
    confidence, accuracy : shape (bins,), mean highest probability and share right, NaN in an empty bin
    counts : shape (bins,), rows
    """

    confidence: Floats
    accuracy: Floats
    counts: npt.NDArray[np.int64]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean over rows of the distance between confidence and accuracy; NaN of none."""
        if not self.counts.any():
            return float("nan")
        # Σ_b n_b/n · |acc_b − conf_b|.
        return float(np.nansum(self.counts * np.abs(self.accuracy - self.confidence)) / self.counts.sum())


def known_rows(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Whether each row of probabilities (rows, classes) has them, shape (rows,); a row without is NaN."""
    return np.asarray(~np.isnan(probabilities).any(axis=1))


def reliability(
    probabilities: npt.NDArray[np.floating], true: npt.NDArray[np.integer], n_bins: int = N_BINS
) -> Reliability:
    """Compare confidence and share right in bins of equal width.

    Parameters
    ----------
    probabilities : shape (rows, classes); NaN rows are left out
    true : shape (rows,), class numbers
    """
    confidence, right = _answers(probabilities, true)
    # Naeini et al. (2015); Guo et al. (2017), eq. 3: bin b holds (b/B, (b + 1)/B].
    bins = _bins(confidence, n_bins)
    counts = np.bincount(bins, minlength=n_bins)
    some = np.where(counts, counts, np.nan)  # 0/NaN: an empty bin has no mean
    return Reliability(
        confidence=np.bincount(bins, weights=confidence, minlength=n_bins) / some,
        accuracy=np.bincount(bins, weights=right, minlength=n_bins) / some,
        counts=counts.astype(np.int64),
    )


@dataclass(frozen=True)
class ExpectedEce:
    """The calibration error that chance alone gives: mean and 95 % quantile."""

    mean: float
    q95: float

    def verdict(self, ece: float) -> str:
        """Say whether an error is more than chance explains, and what chance gives."""
        more = "more" if ece > self.q95 else "no more"
        return f"{more} than chance explains (chance: {self.mean:.3f} on average, 95 % below {self.q95:.3f})"


def expected_ece(
    probabilities: npt.NDArray[np.floating], rng: np.random.Generator, n_draws: int = N_DRAWS
) -> ExpectedEce:
    """Return the ECE of a model whose probabilities are true: its labels are drawn from them, again and again.

    A few hundred utterances in 15 bins never match exactly; an ECE below the quantile is no sign of bad calibration.
    Answers are taken for independent: where speakers differ, a calibrated model is above the quantile more often.

    Parameters
    ----------
    probabilities : shape (rows, classes); NaN rows are left out, one row is needed
    """
    confidence = probabilities[known_rows(probabilities)].max(axis=1).astype(np.float64)
    if not len(confidence):
        raise ValueError("An expected calibration error needs at least one row with probabilities.")
    # A label drawn from the probabilities is the answer with the answer's probability, so only how many are right in
    # each bin need be drawn. That confidences differ a little within a bin moves the result by less than 1 %.
    bins = _bins(confidence, N_BINS)
    counts, sums = np.bincount(bins), np.bincount(bins, weights=confidence)
    right = rng.binomial(counts, np.clip(sums / np.maximum(counts, 1), 0, 1), size=(n_draws, len(counts)))
    errors = np.abs(right - sums).sum(axis=1) / len(confidence)  # (draws,): Σ_b |right_b − Σ conf| / n
    return ExpectedEce(float(errors.mean()), float(np.quantile(errors, 0.95)))


@dataclass(frozen=True)
class RiskCoverage:
    """Accuracy when only the most confident rows are answered.

    Attributes
    ----------
    coverage : shape (rows,), rising from 1/rows to 1
    accuracy : shape (rows,), share right of the rows answered
    """

    coverage: Floats
    accuracy: Floats

    @property
    def aurc(self) -> float:
        """Area under the risk–coverage curve: mean of 1 − accuracy over all coverages, 0 is best."""
        return float(1 - self.accuracy.mean())

    def accuracy_at(self, coverage: float) -> float:
        """Return the accuracy over the smallest share of most confident rows that is at least ``coverage``."""
        if not 0 < coverage <= 1:
            raise ValueError(f"A coverage is above 0 and at most 1, got {coverage}.")
        # Less a little, because 0.07 · 100 is 7.000000000000001 in floats and 7 rows are enough.
        n_kept = max(int(np.ceil(coverage * len(self.accuracy) - 1e-9)), 1)
        return float(self.accuracy[n_kept - 1])


def selective(probabilities: npt.NDArray[np.floating], true: npt.NDArray[np.integer]) -> RiskCoverage:
    """Answer the most confident rows first.

    Rows of equal confidence count as one block, each as right as the block's mean, so that the order of rows doesn't
    matter. Rows without probabilities come last, as wrong.

    Parameters
    ----------
    probabilities : shape (rows, classes), NaN in rows that have none
    true : shape (rows,), class numbers
    """
    if not len(true):
        raise ValueError("A risk-coverage curve needs at least one row.")
    confidence, right = _answers(probabilities, true)
    # Blocks of equal confidence, the most confident first.
    _, block, sizes = np.unique(-confidence, return_inverse=True, return_counts=True)
    share = np.bincount(block, weights=right, minlength=len(sizes)) / sizes
    in_order = np.concatenate([np.repeat(share, sizes), np.zeros(len(true) - len(confidence))])
    n_kept = np.arange(1, len(true) + 1)
    # Geifman and El-Yaniv (2017): risk at coverage c = 1 − share right among the c·n most confident.
    return RiskCoverage(n_kept / len(true), np.cumsum(in_order) / n_kept)


@dataclass(frozen=True)
class CalibrationScores:
    """Calibration in three numbers, over the rows that have probabilities, by the likeliest class of each.

    Attributes
    ----------
    ece : expected calibration error: mean distance between confidence and share right, 15 bins of equal width
    brier : mean over rows of the summed squared error over classes, 0 to 2
    n : rows with probabilities
    expected_ece : what chance alone gives, None where it was not asked for
    n_rows : all rows, 0 where nobody counted
    n_unsure, n_other : of the ``n`` rows, those without an answer, and with another answer than the likeliest class
    ece_told : of the rows with an answer, None where all have one
    """

    ece: float
    brier: float
    n: int
    expected_ece: ExpectedEce | None = None
    n_rows: int = 0
    n_unsure: int = 0
    n_other: int = 0
    ece_told: float | None = None

    @property
    def sentence(self) -> str:
        """Write the error, of how many, and beside it what chance gives where that is known."""
        some = f" of {self.n} of {self.n_rows} answers" if self.n < self.n_rows else ""
        verdict = "" if self.expected_ece is None else f", {self.expected_ece.verdict(self.ece)}"
        return f"ECE {self.ece:.3f}{some}{verdict}"

    @property
    def notes(self) -> list[str]:
        """Say where the likeliest class is not what was answered."""
        notes = []
        if self.n_unsure:
            told = "" if self.ece_told is None else f"; of those with one alone it is {self.ece_told:.3f}"
            rows = f"{self.n_unsure} of {self.n} rows"
            notes.append(f"ECE counts rows without an answer too ({rows}), by their likeliest class{told}.")
        if self.n_other:
            notes.append(
                f"ECE goes by the likeliest class, which in {counted(self.n_other, 'row')} is another than the one "
                "answered. WA and UA go by what was answered."
            )
        return notes


def calibration_scores(
    probabilities: npt.NDArray[np.floating], true: npt.NDArray[np.integer], rng: np.random.Generator | None = None
) -> CalibrationScores | None:
    """Score probabilities, shape (rows, classes), NaN rows left out; None when none is left.

    ``rng`` draws for the expected error; without it there is none.
    """
    known = known_rows(probabilities)
    if not known.any():
        return None
    # Brier (1950): mean over rows of Σ_c (p_c − [c is true])².
    errors = probabilities[known].astype(np.float64)
    errors[np.arange(len(errors)), true[known]] -= 1
    brier = float((errors**2).sum(axis=1).mean())
    expected = None if rng is None else expected_ece(probabilities, rng)
    return CalibrationScores(reliability(probabilities, true).ece, brier, len(errors), expected)


def _answers(
    probabilities: npt.NDArray[np.floating], true: npt.NDArray[np.integer]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return confidence and whether right of the rows that have probabilities."""
    known = known_rows(probabilities)
    rows = probabilities[known]
    return rows.max(axis=1).astype(np.float64), rows.argmax(axis=1) == true[known]


def _bins(confidence: Floats, n_bins: int) -> npt.NDArray[np.int64]:
    # ⌈c·B⌉ − 1, so that bin b is (b/B, (b + 1)/B]; a confidence of 0 would be in bin −1. As float32, 0.2, 0.4, 0.6 and
    # 0.8 lie up to 3·10⁻⁸ above themselves, and their bins end there.
    return np.clip(np.ceil((confidence - FLOAT32_OFF) * n_bins).astype(np.int64) - 1, 0, n_bins - 1)


# Discriminants of few rows have large logits. A temperature outside says that the logits are wrong, not their scale.
LOWEST, HIGHEST = 0.05, 200.0
N_STEPS = 60  # halvings of [log LOWEST, log HIGHEST]: the last is far below float64 resolution of any probability
SMALLEST = float(np.finfo(np.float32).tiny)  # probabilities come as float32


def bound_warnings(what: str, temperature: float) -> list[str]:
    """Warn of a fit that ended at the lowest or highest temperature that is tried."""
    if 1.001 * LOWEST < temperature < 0.999 * HIGHEST:
        return []
    return [
        f"The temperature of the {what} is {temperature:.3g}, the last that is tried: its scores say nothing of how "
        "sure it may be. More utterances and speakers help."
    ]


def softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """Return softmax(logits / temperature) over the last axis, shape as ``logits``."""
    return np.exp(log_softmax(logits, temperature))


def log_softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """Return log softmax(logits / temperature) over the last axis, shape as ``logits``."""
    scaled = logits.astype(np.float64) / temperature
    # log Σ exp(z) = m + log Σ exp(z − m) with m = max z: nothing overflows.
    scaled -= scaled.max(axis=-1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True)))


def undone(probabilities: npt.NDArray[np.floating], temperature: float) -> Floats:
    """Turn softmax(logits / temperature) into softmax(logits), shape (rows, classes); NaN rows stay NaN.

    log p = logits / T − c for a c of the row, which softmax forgets. The logits themselves can't be had back.
    """
    return softmax(np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) * temperature)


@dataclass(frozen=True)
class Quality:
    """Expected calibration error and mean negative log-likelihood (natural logarithm) of ``n`` utterances."""

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
    """The calibration of probabilities, as in ``run.json`` and ``bundle.json``.

    Attributes
    ----------
    weight, bias : empty; one a class in bundles that were made with vector scaling, whose graph does it
    before, after : on the utterances that it was fitted on, which the weights had not seen, at temperature 1 and
        calibrated
    """

    method: Literal["temperature", "vector"]
    before: Quality
    after: Quality
    weight: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()


def fit_temperature(logits: npt.NDArray[np.floating], true: npt.NDArray[np.integer]) -> float:
    """Return the temperature with the smallest negative log-likelihood, between 0.05 and 200.

    The likelihood is concave in 1/T, so its slope, mean(logit of the true class − expected logit), changes sign once:
    bisection on it finds the optimum. Logits without a single error have theirs at T → 0, where all is certain; theirs
    is the temperature of the mean confidence that n right answers of n allow, (n + 1)/(n + 2) (Laplace, 1814).

    Parameters
    ----------
    logits : shape (rows, classes), of validation data, finite
    true : shape (rows,), class numbers
    """
    if not len(true):
        raise ValueError("A temperature needs at least one row.")
    if not np.isfinite(logits).all():
        raise ValueError("A temperature needs finite logits.")
    n, all_right = len(true), bool((logits.argmax(axis=1) == true).all())

    def is_too_flat(temperature: float) -> bool:
        if all_right:
            return float(softmax(logits, temperature).max(axis=1).mean()) < (n + 1) / (n + 2)
        # d/d(1/T) log softmax(z/T)_y = z_y − Σ_c p_c·z_c: more likely when sharper
        expected = (softmax(logits, temperature) * logits).sum(axis=1)
        return float((logits[np.arange(n), true] - expected).mean()) > 0

    # In log T, so that every halving is worth the same factor.
    low, high = np.log(LOWEST), np.log(HIGHEST)
    for _ in range(N_STEPS):
        middle = (low + high) / 2
        if is_too_flat(float(np.exp(middle))):
            high = middle
        else:
            low = middle
    return float(np.exp((low + high) / 2))
