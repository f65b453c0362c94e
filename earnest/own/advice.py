"""What would help a model of one's own most: measured by learning from half of what is there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earnest.learning.crossval import LabelledEmbeddings, OutOfFold
from earnest.learning.discriminant import Floats, Numbers
from earnest.own.bundle import ClassResult

FEW_SPEAKERS, FEW_A_CLASS = 8, 20
OFTEN = 0.15  # of a class that is taken for another one: worth a word
GAIN = 0.02  # of UA from twice as much: worth a word
N_HALVES = 10  # one half is a toss of who is in it


@dataclass(frozen=True)
class UaChange:
    """A difference in UA and its standard error over groups, 0 to 1."""

    value: float
    error: float


def advice_on(
    data: LabelledEmbeddings, out: OutOfFold, classes: Sequence[ClassResult], n_speakers: int, seed: int
) -> list[str]:
    """Return sentences, the most helpful first.

    Parameters
    ----------
    n_speakers : 0 where they are unknown
    """
    told = []
    if not n_speakers:
        told.append(
            "Name the speakers (--speaker-column or --speaker-pattern): only then the numbers show how well the model "
            "works for people that it never heard."
        )
    elif n_speakers == 1:
        told.append("Recordings of more speakers: with one, the numbers say nothing about other people.")
    what = "speakers" if n_speakers > 1 else "recordings"
    if are_guesses(data, out):
        told.append("Its answers can't be told from guesses: the labels can't be heard, are wrong, or are too few.")
    else:
        told.append(advice_on_more(gain_of_the_second_half(data, out, seed), what, n_speakers))
    alone = [one.name for one in classes if one.n_speakers == 1 and n_speakers > 1]
    tested = [one for one in classes if one.name not in alone]
    confused = max(tested, key=lambda one: one.taken_share * (1 - one.recall), default=None)
    if confused and confused.taken_share >= OFTEN:
        told.append(
            f"Clearer examples of '{confused.name}' against '{confused.taken_for}': "
            f"{100 * confused.taken_share:.0f} % of the {confused.n} were taken for it. Perhaps their labels overlap."
        )
    smallest = min(classes, key=lambda one: one.n)
    if smallest.n < FEW_A_CLASS:
        told.append(f"More of '{smallest.name}': {smallest.n} recordings are few.")
    if alone:
        told.append(f"A second speaker of {', '.join(alone)}: with one, this class is never tested on another speaker.")
    return told


def advice_on_more(gain: UaChange, what: str, n_speakers: int) -> str:
    """Say whether more of the same kind may help, or that it can't be told.

    Parameters
    ----------
    what : "speakers" or "recordings", of which half was left out
    """
    least, most = gain.value - 2 * gain.error, gain.value + 2 * gain.error
    if gain.value > GAIN and least > 0:
        return (
            f"More {what}: with half of the {what} UA was {100 * gain.value:.1f} points lower, and twice as many may "
            "help as much again."
        )
    if 1 < n_speakers < FEW_SPEAKERS:
        return f"More speakers: results of {n_speakers} say little about other people."
    lower = f"{100 * gain.value:.1f} points lower" if gain.value >= 0.0005 else "no lower"
    if most <= GAIN:
        return f"With half of the {what} UA was {lower}: more of the same kind may help little."
    return (
        f"With half of the {what} UA was {lower}, give or take {200 * gain.error:.1f}: whether more of the same kind "
        "help can't be told from so few."
    )


def are_guesses(data: LabelledEmbeddings, out: OutOfFold) -> bool:
    """Whether UA is within two standard errors of guesses, or below."""
    targets, groups = _asked(data)
    counts = np.bincount(targets, minlength=out.logits.shape[1])
    chance = 1 / len(counts)
    found = _over_groups((out.probabilities.argmax(axis=1) == targets) - chance, targets, groups)
    # Guesses among K classes: each recall has mean 1/K and variance 1/K·(1 − 1/K)/n_k, and UA is their mean. Where
    # labels go with speakers, whose answers are alike, it varies more: the larger error counts.
    of_guesses = chance * np.sqrt((chance * (1 - chance) / counts).sum())
    return bool(found.value < 2 * max(of_guesses, found.error))


def gain_of_the_second_half(data: LabelledEmbeddings, out: OutOfFold, seed: int) -> UaChange:
    """Return how much lower UA is with heads of half of the other groups, the mean of ten halves."""
    asked = np.flatnonzero(~data.is_copy)
    targets, groups = _asked(data)
    rng = np.random.default_rng(seed)
    right = np.zeros((N_HALVES, len(asked)))
    for fold, shrinkage in zip(np.unique(out.folds).tolist(), out.shrinkages, strict=True):
        others, held = np.flatnonzero(out.folds != fold), out.folds == fold
        for of_half in right:
            half = _half(groups[others], targets[others], rng)
            # And their copies, as the whole head had.
            weights, bias = data.take(np.isin(data.groups, groups[others[half]])).discriminant(shrinkage)
            answers = (data.embeddings[asked[held]] @ weights.T + bias + out.offset).argmax(axis=1)
            of_half[held] = answers == targets[held]
    return _over_groups((out.logits.argmax(axis=1) == targets) - right.mean(axis=0), targets, groups)


def _asked(data: LabelledEmbeddings) -> tuple[Numbers, npt.NDArray[np.str_]]:
    """Return targets and groups of the rows that are no copies."""
    asked = np.flatnonzero(~data.is_copy)
    return data.targets[asked], np.array([data.groups[row] for row in asked.tolist()])


def _over_groups(values: Floats, targets: Numbers, groups: npt.NDArray[np.str_]) -> UaChange:
    """Return the mean over classes of a value a row, and its standard error over groups; infinite of one group."""
    counts = np.bincount(targets)
    # 1/K · Σ_k (1/n_k) Σ_{i of class k} v_i, as a sum over groups: Var = G/(G − 1) · Σ_g (x_g − mean)².
    weighted = values / ((counts > 0).sum() * counts[targets])
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=weighted)
    n = len(sums)
    error = float(np.sqrt(n / (n - 1)) * np.sqrt(((sums - sums.mean()) ** 2).sum())) if n > 1 else float("inf")
    return UaChange(float(sums.sum()), error)


def _half(groups: npt.NDArray[np.str_], targets: Numbers, rng: np.random.Generator) -> Numbers:
    """Return the rows of half of the groups, drawn anew until each class is there, ten times at most."""
    names = np.unique(groups)
    for _ in range(10):
        rows = np.flatnonzero(np.isin(groups, rng.permutation(names)[: max(len(names) // 2, 1)]))
        if len(np.unique(targets[rows])) == len(np.unique(targets)):
            break
    return np.asarray(rows, np.int64)
