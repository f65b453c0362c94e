"""Cross-validation of the closed-form head: each recording answered by one that hasn't learnt from its group."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from earnest.bundle import Bundle
from earnest.evaluation.calibration import fit_temperature, softmax
from earnest.learning.discriminant import (
    ABSENT,
    Floats,
    Numbers,
    best_shrinkage,
    discriminants,
    grouped_folds,
    size_of_scores,
)
from earnest.learning.domain import Domain, fit_domain
from earnest.onnx.surgery import last_layer_of

MOST_LEFT_OUT_ALONE = 12  # groups that each make a fold of their own
N_FOLDS, N_FOLDS_OF_CLIPS = 10, 5
FEWEST_FOR_THRESHOLD = 50
HIGHEST_THRESHOLD = 0.9
SCORE_COUNTS = 24.0  # what a score of the base counts beside a value of the embedding


@dataclass(frozen=True, eq=False)
class LastLayer:
    """The scores W·e + b of a base for its own classes: W (classes, width), b (classes,).

    A few dozen recordings can't say which of thousands of directions tell emotions apart. The scores of a model that
    learnt it from thousands do, though it learnt from other people and perhaps other classes.
    """

    weights: Floats
    bias: Floats

    @classmethod
    def of(cls, bundle: Bundle) -> "LastLayer | None":
        """Read the last layer of a bundle's graph; None where its scores are made otherwise."""
        found = last_layer_of(bundle.model_bytes())
        return None if found is None else cls(*(values.astype(np.float64) for values in found))

    def centred(self) -> "LastLayer":
        """Return the scores less their mean over classes, which carries nothing."""
        return LastLayer(self.weights - self.weights.mean(axis=0), self.bias - self.bias.mean())

    def scores(self, embeddings: Floats) -> Floats:
        """Return the scores (rows, classes) of embeddings (rows, width)."""
        return np.asarray(embeddings @ self.weights.T + self.bias)


@dataclass(frozen=True, eq=False)
class LabelledEmbeddings:
    """Embeddings with labels and groups, to learn from.

    Attributes
    ----------
    embeddings : shape (rows, width)
    targets : shape (rows,), numbers of the classes
    groups : of each row, which stay together: speakers, or recordings where those are unknown
    is_copy : shape (rows,): changed copies are learnt from and never answered
    base : whose scores are learnt from beside the embeddings; None where it may have learnt from these very recordings
    """

    embeddings: Floats
    targets: Numbers
    groups: Sequence[str]
    n_classes: int
    is_copy: npt.NDArray[np.bool_]
    base: LastLayer | None = None

    def shrinkage(self, seed: int) -> float:
        """Return the shrinkage that answers groups left out best."""
        values, counts = self._values
        rng = np.random.default_rng(seed)
        return best_shrinkage(values, self.targets, self.n_classes, self.groups, rng, counts)

    def discriminant(self, shrinkage: float) -> tuple[Floats, Floats]:
        """Return weights (classes, width) and bias (classes,) of a head for the embeddings.

        The deviation of its scores is one, so that heads of several shrinkages share one temperature.
        """
        values, counts = self._values
        weights, bias = next(discriminants(values, self.targets, self.n_classes, [shrinkage], counts))
        if self.base is not None:
            # With s = W₀·e + b₀ beside e, δ = V·e + U·s + b = (V + U·W₀)·e + (b + U·b₀): one layer of the embedding.
            base, width = self.base.centred(), self.embeddings.shape[1]
            on_scores = weights[:, width:]  # U, (classes, classes of the base)
            weights, bias = weights[:, :width] + on_scores @ base.weights, bias + on_scores @ base.bias
        there = np.unique(self.targets)
        size = size_of_scores(weights[there], bias[there], self.embeddings)
        weights[there], bias[there] = weights[there] / size, bias[there] / size
        return weights, bias

    @cached_property
    def _values(self) -> tuple[Floats, Floats | None]:
        """Return the values (rows, values) to learn from, and their weights."""
        if self.base is None:
            return self.embeddings, None
        scores = self.base.centred().scores(self.embeddings)
        counts = np.repeat([1.0, SCORE_COUNTS], [self.embeddings.shape[1], scores.shape[1]])
        return np.hstack([self.embeddings, scores]), counts

    def take(self, chosen: npt.NDArray[np.bool_]) -> "LabelledEmbeddings":
        """Return some rows."""
        groups = [group for group, is_chosen in zip(self.groups, chosen.tolist(), strict=True) if is_chosen]
        return LabelledEmbeddings(
            self.embeddings[chosen], self.targets[chosen], groups, self.n_classes, self.is_copy[chosen], self.base
        )


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Out-of-fold answers of heads to groups that they haven't learnt from; rows without copies.

    Attributes
    ----------
    folds : shape (rows,)
    logits : shape (rows, classes); `ABSENT` for a class that the others don't have
    distances : shape (rows,), how far from what the fold's head learnt from; None of too few rows
    shrinkages : of each fold's head
    temperature : the best of all rows
    probabilities : shape (rows, classes), each fold's by the temperature of the others, see `calibrated`
    offset : shape (classes,), what `with_shares` has added to each row of the logits
    """

    folds: Numbers
    logits: Floats
    distances: Floats | None
    shrinkages: tuple[float, ...]
    temperature: float
    probabilities: Floats
    offset: Floats | float = 0.0


def folds_of(groups: Sequence[str], targets: Numbers, knows_speakers: bool, seed: int) -> Numbers:
    """Number the fold of each row: each speaker alone where they are few, else in ten folds; five without speakers."""
    names = np.unique(np.array(groups), return_inverse=True)
    if knows_speakers and len(names[0]) <= MOST_LEFT_OUT_ALONE:
        return np.asarray(names[1], np.int64)
    n_folds = N_FOLDS if knows_speakers else N_FOLDS_OF_CLIPS
    return grouped_folds(groups, targets, n_folds, np.random.default_rng(seed))


def cross_validate(data: LabelledEmbeddings, folds: Numbers, seed: int) -> OutOfFold:
    """Answer each row by a head that was fitted, its shrinkage chosen, on the other folds alone.

    Parameters
    ----------
    folds : of all rows, copies too
    """
    asked = ~data.is_copy
    logits = np.full((len(data.targets), data.n_classes), ABSENT)
    distances = np.full(len(data.targets), np.nan)
    shrinkages = []
    for fold in range(int(folds.max()) + 1):
        held = (folds == fold) & asked
        others = data.take(folds != fold)
        shrinkage = others.shrinkage(seed)
        weights, bias = others.discriminant(shrinkage)
        logits[held] = data.embeddings[held] @ weights.T + bias  # (held, classes)
        shrinkages.append(shrinkage)
        if domain := domain_of(others):
            distances[held] = domain.distances(data.embeddings[held])
    logits, targets, kept = logits[asked], data.targets[asked], folds[asked]
    known = distances[asked]
    return OutOfFold(
        kept,
        logits,
        None if np.isnan(known).any() else known,
        tuple(shrinkages),
        temperature_of(logits, targets),
        calibrated(logits, targets, kept),
    )


def calibrated(logits: Floats, targets: Numbers, folds: Numbers) -> Floats:
    """Return probabilities (rows, classes), those of each fold by the temperature of all others.

    The heads that gave the others their logits have learnt from this fold: answers are nested, percentages are not.
    Heads without both folds would be as many fits as pairs of folds, for temperatures that are hardly other ones.
    """
    probabilities = np.empty_like(logits)
    for fold in np.unique(folds):
        held = folds == fold
        probabilities[held] = softmax(logits[held], temperature_of(logits[~held], targets[~held]))
    return probabilities


def with_shares(out: OutOfFold, targets: Numbers) -> tuple[OutOfFold, Floats]:
    """Return the answers for class priors as in the recordings, with the offset of a head's bias.

    p_c ∝ π_c·exp(z_c/T) = exp((z_c + T·ln π_c)/T), π_c the share of the class.
    """
    n_classes = out.logits.shape[1]
    offset = out.temperature * np.log(np.bincount(targets, minlength=n_classes) / len(targets))
    told = np.empty_like(out.logits)
    for fold in np.unique(out.folds):
        held = out.folds == fold
        # Temperature and shares as the other folds have them; a class that they lack is as rare as one recording.
        temperature = temperature_of(out.logits[~held], targets[~held])
        counts = np.maximum(np.bincount(targets[~held], minlength=n_classes), 1)
        told[held] = softmax(out.logits[held] + temperature * np.log(counts / counts.sum()), temperature)
    return replace(out, logits=out.logits + offset, probabilities=told, offset=offset), offset


def temperature_of(logits: Floats, targets: Numbers) -> float:
    """Return the temperature of logits (rows, classes); rows whose class had nobody to be learnt from don't count."""
    # An absent class has the logit −10,000; half of it tells that from the logits of the others.
    known = logits[np.arange(len(targets)), targets] > ABSENT / 2
    return fit_temperature(logits[known], targets[known]) if known.any() else 1.0


def domain_of(data: LabelledEmbeddings) -> Domain | None:
    """Return where known sound lies; its threshold is still that of the rows themselves."""
    plain = data.embeddings[~data.is_copy]
    return fit_domain(plain, plain, np.inf)


def abstain_below(probabilities: Floats, targets: Numbers) -> float:
    """Return the confidence below which answers are more often wrong than right, out of fold.

    It is where the sum over told answers of (right − ½) is largest; 0.5 of few rows, at most 0.9.
    """
    if len(targets) < FEWEST_FOR_THRESHOLD:
        return 0.5
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    # G(n) = Σ (right − ½) over the n most confident rows: it rises where more than half of them are right.
    gain = np.cumsum((probabilities.argmax(axis=1) == targets)[order] - 0.5)
    # Of equal maxima the last: as much is answered as possible.
    place = len(gain) - 1 - int(gain[::-1].argmax())
    lowest = float(confidence[order[place]])
    # The highest of C probabilities is 1/C or more.
    return float(round(min(max(lowest, 1 / probabilities.shape[1]), HIGHEST_THRESHOLD), 2))
