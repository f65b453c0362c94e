"""Linear discriminants at many shrinkages for little more than one costs, and the choice of one among speakers.

The same discriminant as `earnest.learning.discriminant.discriminant` of one corpus. With the rows X (n, D), weighted so
that S = XᵀX, the shrunk covariance is S' = (1 − s)·XᵀX + a·I with a = s·tr(S)/D. Its inverse needs one
eigendecomposition whatever s is: of XXᵀ (n, n) where there are fewer rows than values, else of XᵀX (D, D).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from earnest.evaluation.calibration import fit_temperature, log_softmax
from earnest.learning.discriminant import Floats, standardised

Numbers = npt.NDArray[np.int64]
SHRINKAGES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
ABSENT = -1e4  # the score of a class without training rows: it is never the answer
N_INNER, FEWER_INNER = 5, 3  # folds that choose the shrinkage, of few and of many rows
MANY_ROWS = 3_000


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
    basis, variances, inside = _eigen(rows, centres)
    scatter = float((rows**2).sum()) / width  # tr(S)/D
    for shrinkage in shrinkages:
        floor = shrinkage * scatter
        # M·S'⁻¹ = (1/a)·M − (M·V)·diag(1/a − 1/((1 − s)·λ + a))·Vᵀ, V the eigenvectors of S with variance λ > 0.
        less = 1 / floor - 1 / ((1 - shrinkage) * variances + floor)
        slopes = centres / floor - (inside * less) @ basis
        weights, bias = np.zeros((n_classes, width)), np.full(n_classes, ABSENT)
        own = slopes / deviation
        constants = -0.5 * np.einsum("cw,cw->c", slopes, centres) - own @ mean
        weights[present], bias[present] = own - own.mean(axis=0), constants - constants.mean()
        yield weights, bias


def _eigen(rows: Floats, centres: Floats) -> tuple[Floats, Floats, Floats]:
    """Return eigenvectors of XᵀX (directions, width), their variances (directions,), and M·V (classes, directions)."""
    if len(rows) < rows.shape[1]:
        variances, vectors = np.linalg.eigh(rows @ rows.T)
        kept = variances > 1e-12 * variances[-1]
        # v = Xᵀu/√λ
        basis = (vectors[:, kept] / np.sqrt(variances[kept])).T @ rows
        return basis, variances[kept], centres @ basis.T
    variances, vectors = np.linalg.eigh(rows.T @ rows)
    return vectors.T, np.maximum(variances, 0.0), centres @ vectors


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
    """Return the shrinkage whose answers about groups that it hasn't learnt from are likeliest, calibrated.

    Parameters
    ----------
    groups : of each row; whole groups are left out
    """
    n_folds = N_INNER if len(targets) < MANY_ROWS else FEWER_INNER
    folds = grouped_folds(groups, targets, n_folds, rng)
    scores = np.full((len(SHRINKAGES), len(targets), n_classes), np.nan)
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        if len(np.unique(targets[~held])) < 2:
            continue
        found = discriminants(embeddings[~held], targets[~held], n_classes)
        for place, (weights, bias) in enumerate(found):
            scores[place, held] = embeddings[held] @ weights.T + bias
    rows = np.arange(len(targets))
    known = np.isfinite(scores[0, rows, targets]) & (scores[0, rows, targets] > ABSENT / 2)
    if not known.any():
        return 0.6
    losses = [_loss(scores[place, known], targets[known]) for place in range(len(SHRINKAGES))]
    return SHRINKAGES[int(np.argmin(losses))]


def _loss(scores: Floats, targets: Numbers) -> float:
    """Return the negative log-likelihood at the best temperature, each class counting the same."""
    logs = log_softmax(scores, fit_temperature(scores, targets))[np.arange(len(targets)), targets]
    return float(-np.mean([logs[targets == target].mean() for target in np.unique(targets)]))
