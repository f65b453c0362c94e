"""What would help most: measured on what is there, by learning from less of it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from earnest.learning.crossval import LabelledEmbeddings, OutOfFold
from earnest.learning.discriminant import Floats
from earnest.learning.shrinkage import Numbers, discriminants
from earnest.own.learned import ClassResult

FEW_SPEAKERS, FEW_A_CLASS = 8, 20
OFTEN = 0.15  # of a class that is taken for another one: worth a word
GAIN = 0.02  # of UA from twice as much: worth a word


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
            "Say who speaks (--speaker-column or --speaker-pattern): only then do the numbers say how well it "
            "understands people that it has not heard."
        )
    gain = gain_of_the_second_half(data, out, seed)
    what = "speakers" if n_speakers else "recordings"
    if gain > GAIN:
        told.append(
            f"More {what}: with half of the {what} UA was {100 * gain:.1f} points lower, and twice as many may help "
            "as much again."
        )
    elif n_speakers and n_speakers < FEW_SPEAKERS:
        told.append(f"More speakers: {n_speakers} say little about other people.")
    else:
        told.append(
            f"With half of the {what} UA was {100 * gain:.1f} points lower: more of the same kind may help little."
        )
    confused = max(classes, key=lambda one: one.taken_share * (1 - one.recall))
    if confused.taken_share >= OFTEN:
        told.append(
            f"Clearer examples of '{confused.name}' against '{confused.taken_for}': "
            f"{100 * confused.taken_share:.0f} % of the {confused.n} were taken for it. Perhaps their labels overlap."
        )
    smallest = min(classes, key=lambda one: one.n)
    if smallest.n < FEW_A_CLASS:
        told.append(f"More of '{smallest.name}': {smallest.n} recordings are few.")
    alone = [one.name for one in classes if one.n_speakers == 1 and n_speakers > 1]
    if alone:
        told.append(f"A second speaker of {', '.join(alone)}: with one, it is never tested on somebody else.")
    return told


def gain_of_the_second_half(data: LabelledEmbeddings, out: OutOfFold, seed: int) -> float:
    """Return how much lower UA is where each fold's head learns from half of the other groups."""
    asked = np.flatnonzero(~data.is_copy)
    targets, groups = data.targets[asked], np.array([data.groups[row] for row in asked.tolist()])
    rng = np.random.default_rng(seed)
    answers = np.full(len(asked), -1)
    for fold, shrinkage in zip(np.unique(out.folds).tolist(), out.shrinkages, strict=True):
        others = np.flatnonzero(out.folds != fold)
        half = _half(groups[others], targets[others], rng)
        held = out.folds == fold
        rows = asked[others[half]]
        weights, bias = next(discriminants(data.embeddings[rows], data.targets[rows], data.n_classes, [shrinkage]))
        answers[held] = (data.embeddings[asked[held]] @ weights.T + bias).argmax(axis=1)
    return ua_of(out.logits.argmax(axis=1), targets) - ua_of(answers, targets)


def _half(groups: npt.NDArray[np.str_], targets: Numbers, rng: np.random.Generator) -> Numbers:
    """Return the rows of half of the groups, drawn anew until each class is there, ten times at most."""
    names = np.unique(groups)
    for _ in range(10):
        rows = np.flatnonzero(np.isin(groups, rng.permutation(names)[: max(len(names) // 2, 1)]))
        if len(np.unique(targets[rows])) == len(np.unique(targets)):
            break
    return np.asarray(rows, np.int64)


def ua_of(answers: Numbers, targets: Numbers) -> float:
    """Return the mean recall over the classes that are there."""
    return float(np.mean([(answers[targets == target] == target).mean() for target in np.unique(targets)]))


def class_results(
    names: Sequence[str], probabilities: Floats, targets: Numbers, speakers: Sequence[str]
) -> list[ClassResult]:
    """Return a row a class.

    Parameters
    ----------
    speakers : of each row, "" where unknown
    """
    answers = probabilities.argmax(axis=1)
    found = []
    for number, name in enumerate(names):
        own = targets == number
        counts = np.bincount(answers[own], minlength=len(names)) / own.sum()
        wrong = counts.copy()
        wrong[number] = 0
        other = int(wrong.argmax())
        known = {speakers[row] for row in np.flatnonzero(own).tolist()} - {""}
        found.append(
            ClassResult(name, int(own.sum()), len(known), float(counts[number]), names[other], float(wrong[other]))
        )
    return found
