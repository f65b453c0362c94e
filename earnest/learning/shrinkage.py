"""Linear discriminants of few rows at several shrinkages, and the choice of one among speakers.

The same discriminant as `earnest.learning.discriminant.discriminant` of one corpus. With the rows X (n, D), weighted so
that S = XᵀX, the shrunk covariance is S' = (1 − s)·XᵀX + a·I with a = s·tr(S)/D. Where there are fewer rows than values
(Woodbury's identity),

    S'⁻¹ = (I − (1 − s)·Xᵀ·((1 − s)·XXᵀ + a·I)⁻¹·X) / a,

so that a matrix (n, n) is solved instead of one (D, D).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from earnest.learning.discriminant import Floats, standardised

Numbers = npt.NDArray[np.int64]
SHRINKAGES = (0.2, 0.4, 0.6, 0.8, 0.95)
USUAL = 0.6  # of every model that ships
ABSENT = -1e4  # the score of a class without training rows: it is never the answer
N_INNER = 3  # folds that choose the shrinkage
MOST_ROWS = 1_000  # that it is chosen on


def discriminants(
    embeddings: Floats, targets: Numbers, n_classes: int, shrinkages: Sequence[float] = SHRINKAGES
) -> Iterator[tuple[Floats, Floats]]:
    """Yield weights (classes, width) and bias (classes,) at each shrinkage, above 0.

    Classes are weighted equally; scores are less their mean over classes.

    Parameters
    ----------
    embeddings : shape (rows, width)
    targets : shape (rows,), numbers of the classes
    """
    present, places = np.unique(targets, return_inverse=True)
    scaled, mean, deviation = standardised(embeddings)
    width = scaled.shape[1]
    centres = np.stack([scaled[places == place].mean(axis=0) for place in range(len(present))])
    # S = (1/C)·Σ_c (1/n_c)·Σ (z − m_c)(z − m_c)ᵀ = XᵀX with the rows x = (z − m_c)/√(C·n_c).
    rows = (scaled - centres[places]) / np.sqrt(len(present) * np.bincount(places)[places])[:, None]
    scatter = float((rows**2).sum()) / width  # tr(S)/D
    few = len(rows) < width
    products = rows @ rows.T if few else rows.T @ rows
    crossed = rows @ centres.T if few else np.empty(0)
    for shrinkage in shrinkages:
        floor = shrinkage * scatter
        shrunk = (1 - shrinkage) * products
        shrunk[np.diag_indices(len(shrunk))] += floor
        if few:
            slopes = (centres - (1 - shrinkage) * (rows.T @ np.linalg.solve(shrunk, crossed)).T) / floor
        else:
            slopes = np.linalg.solve(shrunk, centres.T).T
        weights, bias = np.zeros((n_classes, width)), np.full(n_classes, ABSENT)
        own = slopes / deviation
        constants = -0.5 * np.einsum("cw,cw->c", slopes, centres) - own @ mean
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
    np.add.at(counts, (group_of, classes), 1)
    total = counts.sum(axis=0)
    order = rng.permutation(len(names))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    held, fold_of = np.zeros((n_folds, counts.shape[1])), np.empty(len(names), np.int64)
    for group in order:
        # Spread over folds if this group went there; of equal ones the smallest fold.
        there = [held + one[:, None] * counts[group] for one in np.eye(n_folds)]
        spread = [round(float(np.std(counted / total, axis=0).mean()), 12) for counted in there]
        fold = min(range(n_folds), key=lambda one: (spread[one], held[one].sum()))
        held[fold] += counts[group]
        fold_of[group] = fold
    return np.asarray(fold_of[group_of], np.int64)


def best_shrinkage(
    embeddings: Floats, targets: Numbers, n_classes: int, groups: Sequence[str], rng: np.random.Generator
) -> float:
    """Return `USUAL` unless the answers about groups left out are better at another by more than a standard error.

    Better is by UA. On EmoDB, nEMO and RAVDESS the best by UA or by likelihood, taken without that caution, was worse
    in the outer folds than `USUAL` for all.

    Parameters
    ----------
    groups : of each row; whole groups are left out, and of many rows some groups are looked at
    """
    rows = _some(groups, rng)
    embeddings, targets, groups = embeddings[rows], targets[rows], [groups[row] for row in rows.tolist()]
    folds = grouped_folds(groups, targets, N_INNER, rng)
    answers = np.full((len(SHRINKAGES), len(targets)), -1)
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        if len(np.unique(targets[~held])) > 1:
            found = discriminants(embeddings[~held], targets[~held], n_classes)
            for place, (weights, bias) in enumerate(found):
                answers[place, held] = (embeddings[held] @ weights.T + bias).argmax(axis=1)
    right = answers == targets
    counts = np.unique(targets, return_counts=True)[1]
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
    counts = np.cumsum([(names == name).sum() for name in order])
    n_groups = max(int(np.searchsorted(counts, MOST_ROWS)) + 1, N_INNER)
    return np.flatnonzero(np.isin(names, order[:n_groups]))
