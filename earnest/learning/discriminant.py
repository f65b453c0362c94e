"""Linear discriminants with shrunk covariance, in closed form: what turns embeddings into class scores.

Of few rows they are made at several shrinkages, and one is chosen among speakers: the same discriminant as
`discriminant` of one corpus. With the rows X (n, D), weighted so that S = XᵀX, the shrunk covariance is
S' = (1 − s)·XᵀX + a·I with a = s·tr(S)/D. Where there are fewer rows than values (Woodbury's identity),

    S'⁻¹ = (I − (1 − s)·Xᵀ·((1 − s)·XXᵀ + a·I)⁻¹·X) / a,

so that a matrix (n, n) is solved instead of one (D, D).

Values can count less than others: w·z in place of z, with w (D,) up to 1. Without shrinkage it would change nothing;
with it S' = (1 − s)·S + s·t·diag(1/w²) in terms of z, so that a value with a small w is taken for noise first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earnest.errors import RecipeError

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
SHRINKAGES = (0.2, 0.4, 0.6, 0.8, 0.95)
USUAL = 0.6  # what own recordings are learnt with, unless another is better by more than chance
SMALLEST_VARIANCE = 1e-8  # of the largest, along the directions of a covariance that is not shrunk
ABSENT = -1e4  # the score of a class without training rows: it is never the answer
N_INNER = 3  # folds that choose the shrinkage
MOST_ROWS = 1_000  # that it is chosen on


def standardised(embeddings: Floats, value_weights: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """Return embeddings (rows, width) less their mean by their deviation, and both (width,).

    Parameters
    ----------
    value_weights : see `Shrinkage`; the deviation returned is by it
    """
    # z = w·(x − μ)/σ, value by value: shrinkage towards a multiple of I then means the same for every value of x, but
    # for the weights w.
    mean, deviation = embeddings.mean(axis=0), embeddings.std(axis=0)
    # A value that is the same for all utterances tells nothing; divided by one it stays zero.
    deviation[deviation == 0] = 1.0
    if value_weights is not None:
        deviation = deviation / value_weights
    return (embeddings - mean) / deviation, mean, deviation


@dataclass(frozen=True, eq=False)
class Shrinkage:
    """Shrinkage of the covariance within classes: (1 − s)·S + s·tr(S)/D·I of weighted values.

    Attributes
    ----------
    share : s, from 0 to 1 (Ledoit and Wolf, 2004, with a fixed s)
    value_weights : (width,), above 0, what each value of the embedding counts; None where all count the same
    """

    share: float
    value_weights: Floats | None = None

    def of_values(self, share: float, values: Numbers) -> "Shrinkage":
        """Return another share for some of the embedding's values."""
        return Shrinkage(share, None if self.value_weights is None else self.value_weights[values])

    def slopes(self, within: Floats, centres: Floats) -> Floats:
        """Return the slopes (classes, width) of a linear discriminant; ``within`` (width, width) is changed."""
        # S' = (1 − s)·S + s·(tr S/D)·I: eigenvalues move towards their mean, directions stay. So S' can be inverted
        # where there are fewer clips than values; tr S' = tr S. Where each class has one clip, S is 0: the nearest mean
        # wins.
        width = len(within)
        scatter = np.trace(within) / width or 1.0
        within *= 1 - self.share
        within[np.diag_indices(width)] += self.share * scatter
        # slopes A = M·S'⁻¹ (classes, D), M the class means: solved as S'·Aᵀ = Mᵀ, without the inverse. Without
        # shrinkage S may be singular: least squares gives the solution of smallest norm. What varies as little as
        # float32 rounds counts as constant: inverted, it would be all of the answer.
        if self.share == 0:
            return np.asarray(np.linalg.lstsq(within, centres.T, SMALLEST_VARIANCE)[0].T, np.float64)
        return np.asarray(np.linalg.solve(within, centres.T).T, np.float64)


def _of_embeddings(slopes: Floats, centres: Floats, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """Return weights (classes, width) and bias (classes,) for embeddings as they are, of slopes for standardised ones.

    Scores are δ_c(x) = m_c·S'⁻¹·z − ½·m_c·S'⁻¹·m_c, with equal priors, so that log π_c is left out. With z = (x − μ)/σ
    they are linear in x: weights M·S'⁻¹/σ, bias −½·m_c·S'⁻¹·m_c − weights·μ.
    """
    weights = slopes / deviation
    return weights, -0.5 * np.einsum("cw,cw->c", slopes, centres) - weights @ mean


def discriminant(
    embeddings: Floats,
    targets: npt.NDArray[np.integer],
    shrinkage: Shrinkage,
    n_classes: int,
    corpora: Sequence[str] | None = None,
) -> tuple[Floats, Floats]:
    """Return weights (classes, width) and bias (classes,) of the scores of embeddings (rows, width).

    Of several corpora half of the score is that of one discriminant of all, and half the mean of one discriminant each
    (a product of experts; Hinton, 2002): what each corpus alone says of an emotion is less about the differences
    between these corpora, and holds better in the next one.

    Parameters
    ----------
    corpora : of each row; None for one
    """
    _refuse_absent(targets, n_classes)
    weights, bias = pooled_discriminant(embeddings, targets, shrinkage, n_classes, corpora)
    experts, parts = [], rows_by_corpus(np.ones(len(targets), bool), corpora)
    for own in parts:
        classes, numbers = np.unique(targets[own], return_inverse=True)
        if len(classes) < 2 or len(own) == len(targets):
            continue
        # A class that a corpus lacks has the mean score of its others: it says nothing of it.
        expert, beside = np.zeros_like(weights), np.zeros_like(bias)
        slopes, constants = pooled_discriminant(embeddings[own], numbers, shrinkage, len(classes))
        size = size_of_scores(slopes, constants, embeddings[own])
        expert[classes], beside[classes] = (slopes - slopes.mean(axis=0)) / size, (constants - constants.mean()) / size
        experts.append((expert, beside))
    if not experts:
        return weights, bias
    # δ = ½·δ_all + ½·σ_all·(1/K)·Σ_k δ_k/σ_k, with σ the deviation of scores less their mean over classes.
    half = np.sqrt(np.mean([size_of_scores(weights, bias, embeddings[own]) ** 2 for own in parts])) / (2 * len(experts))
    expert, beside = (np.sum(values, axis=0) for values in zip(*experts, strict=True))
    return weights / 2 + half * expert, bias / 2 + half * beside


def _refuse_absent(targets: npt.NDArray[np.integer], n_classes: int) -> None:
    n_there = len(np.unique(targets))
    if n_there < n_classes or n_classes < 2:
        raise RecipeError(
            f"The training recordings hold {n_there} of {n_classes} classes, and a discriminant needs each of two or "
            "more. Add recordings of more speakers, or name another --protocol or --scheme."
        )


def size_of_scores(weights: Floats, bias: Floats, embeddings: Floats) -> float:
    """Return the deviation of the scores of rows and classes, less a row's mean over classes."""
    # (rows, classes), less the row's mean over classes: only differences of scores change an answer.
    scores = embeddings @ (weights - weights.mean(axis=0)).T + (bias - bias.mean())
    return float(scores.std()) or 1.0


def pooled_discriminant(
    embeddings: Floats,
    targets: npt.NDArray[np.integer],
    shrinkage: Shrinkage,
    n_classes: int,
    corpora: Sequence[str] | None = None,
) -> tuple[Floats, Floats]:
    """Return weights and bias of one discriminant, as `discriminant` does; every class has rows.

    Classes are weighted equally, and in each class the corpora that have it: a large corpus does not decide alone how
    an emotion sounds.
    """
    scaled, mean, deviation = standardised(embeddings, shrinkage.value_weights)
    width = scaled.shape[1]
    centres, within = np.empty((n_classes, width)), np.zeros((width, width))
    for target in range(n_classes):
        parts = [scaled[rows] for rows in rows_by_corpus(targets == target, corpora)]
        # m_c = mean over corpora k of m_ck: a corpus counts once, however many utterances it has.
        centres[target] = np.mean([own.mean(axis=0) for own in parts], axis=0)
        for own in parts:
            off = own - centres[target]
            # S = (1/C)·Σ_c (1/K_c)·Σ_k (1/n_ck)·Σ (z − m_c)(z − m_c)ᵀ: classes, and their corpora, count alike.
            within += off.T @ off / (len(off) * len(parts) * n_classes)
    slopes = shrinkage.slopes(within, centres)  # M·S'⁻¹, (classes, width)
    return _of_embeddings(slopes, centres, mean, deviation)


def rows_by_corpus(chosen: npt.NDArray[np.bool_], corpora: Sequence[str] | None) -> list[npt.NDArray[np.int64]]:
    """Return the positions of chosen rows, those of each corpus together; without ``corpora`` there is one."""
    rows = np.flatnonzero(chosen)
    if corpora is None:
        return [rows]
    names = np.array([corpora[row] for row in rows.tolist()])
    return [rows[names == name] for name in sorted(set(names.tolist()))]


def speaker_discriminant(
    embeddings: Floats,
    targets: npt.NDArray[np.integer],
    speakers: Sequence[str],
    shrinkage: Shrinkage,
    prior: float,
    n_classes: int,
) -> tuple[Floats, Floats]:
    """Return weights (speakers · classes, width), bias (speakers · classes,) of the scores of embeddings (rows, width).

    Every pair of a speaker and a class is a class of its own in a linear discriminant (mixture discriminant analysis;
    Hastie and Tibshirani, 1996, where subclasses are found by clustering). A pair has few utterances, often none, so
    that its mean is that of these and of ``prior`` utterances at the point that the class's mean and the speaker's own
    offset from all class means add up to. Speakers are in alphabetical order, and a speaker's classes side by side.
    Scores are less their mean over all pairs, which changes no probability and keeps them small.

    Parameters
    ----------
    speakers : of each row
    """
    _refuse_absent(targets, n_classes)
    scaled, mean, deviation = standardised(embeddings, shrinkage.value_weights)
    width, speaker_of = scaled.shape[1], np.unique(np.array(speakers), return_inverse=True)[1]
    n_speakers = int(speaker_of.max()) + 1
    # m_c (classes, width): the mean of a class over all speakers.
    class_means = np.stack([scaled[targets == target].mean(axis=0) for target in range(n_classes)])
    means = np.empty((n_speakers, n_classes, width))
    for speaker in range(n_speakers):
        # o_v (width,): how far this speaker lies from the class means, on average over its utterances: its timbre.
        offset = (scaled[speaker_of == speaker] - class_means[targets[speaker_of == speaker]]).mean(axis=0)
        for target in range(n_classes):
            own = scaled[(speaker_of == speaker) & (targets == target)]
            # p_vc = (Σ x + n₀·(m_c + o_v)) / (n + n₀): the posterior mean of a normal whose prior mean is m_c + o_v and
            # whose prior counts as n₀ utterances.
            means[speaker, target] = (own.sum(axis=0) + prior * (class_means[target] + offset)) / (len(own) + prior)
    # One covariance within all pairs (MDA's M-step with fixed memberships): S = (1/N)·Σ (x − p_vc)(x − p_vc)ᵀ.
    off = scaled - means[speaker_of, targets]
    # (speakers · classes, width), the classes of a speaker side by side, as `SpeakerDependentHead` wants them
    centres = means.reshape(-1, width)
    slopes = shrinkage.slopes(off.T @ off / len(off), centres)
    weights, bias = _of_embeddings(slopes, centres, mean, deviation)
    # The same number less for all pairs: softmax does not see it, and float32 rounds small scores less.
    return weights - weights.mean(axis=0), bias - bias.mean()


def discriminants(
    embeddings: Floats,
    targets: Numbers,
    n_classes: int,
    shrinkages: Sequence[float] = SHRINKAGES,
    value_weights: Floats | None = None,
) -> Iterator[tuple[Floats, Floats]]:
    """Yield weights (classes, width) and bias (classes,) at each shrinkage, above 0.

    Classes are weighted equally; scores are less their mean over classes.

    Parameters
    ----------
    embeddings : shape (rows, width)
    targets : shape (rows,), numbers of the classes
    value_weights : see `Shrinkage`
    """
    present, places = np.unique(targets, return_inverse=True)
    scaled, mean, deviation = standardised(embeddings, value_weights)
    width = scaled.shape[1]
    centres = np.stack([scaled[places == place].mean(axis=0) for place in range(len(present))])
    # S = (1/C)·Σ_c (1/n_c)·Σ (z − m_c)(z − m_c)ᵀ = XᵀX with the rows x = (z − m_c)/√(C·n_c).
    rows = (scaled - centres[places]) / np.sqrt(len(present) * np.bincount(places)[places])[:, None]
    scatter = float((rows**2).sum()) / width or 1.0  # tr(S)/D; one row a class has none: then the nearest mean wins
    few = len(rows) < width
    products = rows @ rows.T if few else rows.T @ rows
    crossed = rows @ centres.T if few else np.empty(0)
    for shrinkage in shrinkages:
        floor = shrinkage * scatter
        shrunk = (1 - shrinkage) * products
        shrunk[np.diag_indices(len(shrunk))] += floor
        if few:
            # S'⁻¹·M by the identity above: (M − (1 − s)·Xᵀ·((1 − s)·XXᵀ + a·I)⁻¹·X·M) / a, a = s·tr(S)/D.
            slopes = (centres - (1 - shrinkage) * (rows.T @ np.linalg.solve(shrunk, crossed)).T) / floor
        else:
            slopes = np.linalg.solve(shrunk, centres.T).T
        weights, bias = np.zeros((n_classes, width)), np.full(n_classes, ABSENT)
        own, constants = _of_embeddings(slopes, centres, mean, deviation)
        weights[present], bias[present] = own - own.mean(axis=0), constants - constants.mean()
        yield weights, bias


def grouped_folds(groups: Sequence[str], targets: Numbers, n_folds: int, rng: np.random.Generator) -> Numbers:
    """Number the fold of each row (rows,): whole groups, in folds of about equal size and equal shares of classes.

    Groups are taken in the order of their size, those of equal size as drawn, and each goes where it makes the counts
    of classes most even (as scikit-learn's StratifiedGroupKFold does).
    """
    names, group_of = np.unique(np.array(groups), return_inverse=True)
    n_folds = min(n_folds, len(names))
    classes = np.unique(targets, return_inverse=True)[1]
    counts = np.zeros((len(names), int(classes.max()) + 1))
    np.add.at(counts, (group_of, classes), 1)  # (groups, classes)
    total = counts.sum(axis=0)
    order = rng.permutation(len(names))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    held, fold_of = np.zeros((n_folds, counts.shape[1])), np.empty(len(names), np.int64)
    for group in order:
        # Spread over folds if this group went there; of equal ones the smallest fold.
        there = [held + one[:, None] * counts[group] for one in np.eye(n_folds)]  # each (folds, classes)
        # Deviation over folds of a class's share, mean over classes; rounded, so that equal spreads compare equal.
        spread = [round(float(np.std(counted / total, axis=0).mean()), 12) for counted in there]
        fold = min(range(n_folds), key=lambda one: (spread[one], held[one].sum()))
        held[fold] += counts[group]
        fold_of[group] = fold
    return np.asarray(fold_of[group_of], np.int64)


def best_shrinkage(
    embeddings: Floats,
    targets: Numbers,
    n_classes: int,
    groups: Sequence[str],
    rng: np.random.Generator,
    value_weights: Floats | None = None,
) -> float:
    """Return `USUAL` unless the answers about groups left out are better at another by more than a standard error.

    Better is by UA. On EmoDB, nEMO and RAVDESS the best by UA or by likelihood, taken without that caution, was worse
    in the outer folds than `USUAL` for all.

    Parameters
    ----------
    groups : of each row; whole groups are left out, and of many rows some groups are looked at
    value_weights : see `Shrinkage`
    """
    rows = _some(groups, rng)
    embeddings, targets, groups = embeddings[rows], targets[rows], [groups[row] for row in rows.tolist()]
    folds = grouped_folds(groups, targets, N_INNER, rng)
    answers = np.full((len(SHRINKAGES), len(targets)), -1)  # −1 is never right
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        if len(np.unique(targets[~held])) > 1:
            found = discriminants(embeddings[~held], targets[~held], n_classes, value_weights=value_weights)
            for place, (weights, bias) in enumerate(found):
                answers[place, held] = (embeddings[held] @ weights.T + bias).argmax(axis=1)
    right = answers == targets
    counts = np.unique(targets, return_counts=True)[1]
    # r_c, the share of the rows of class c that is right: (shrinkages, classes).
    recalls = np.array([[one[targets == target].mean() for target in np.unique(targets)] for one in right])
    ua = recalls.mean(axis=1)
    best, usual = int(ua.argmax()), SHRINKAGES.index(USUAL)
    # var(UA) = (1/C²)·Σ_c r_c·(1 − r_c)/n_c, of the better one.
    recall = recalls[best]
    error = float(np.sqrt((recall * (1 - recall) / counts).sum())) / len(counts)
    return SHRINKAGES[best] if ua[best] > ua[usual] + error else USUAL


def _some(groups: Sequence[str], rng: np.random.Generator) -> Numbers:
    """Return all rows, or those of drawn groups until there are `MOST_ROWS`, and of `N_INNER` groups at least."""
    names = np.array(groups)
    if len(names) <= MOST_ROWS:
        return np.arange(len(names))
    order = rng.permutation(np.unique(names))
    # Rows of the first group, of the first two, …
    counts = np.cumsum([(names == name).sum() for name in order])
    n_groups = max(int(np.searchsorted(counts, MOST_ROWS)) + 1, N_INNER)
    return np.flatnonzero(np.isin(names, order[:n_groups]))
