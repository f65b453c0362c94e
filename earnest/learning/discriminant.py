"""Linear discriminants with shrunk covariance, in closed form: what turns embeddings into class scores."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from earnest.errors import RecipeError

Floats = npt.NDArray[np.float64]


def standardised(embeddings: Floats) -> tuple[Floats, Floats, Floats]:
    """Return embeddings (rows, width) less their mean by their deviation, and both (width,)."""
    # z = (x − μ)/σ, value by value: shrinkage towards a multiple of I then means the same for every value of x.
    mean, deviation = embeddings.mean(axis=0), embeddings.std(axis=0)
    # A value that is the same for all clips tells nothing; divided by one it stays zero.
    deviation[deviation == 0] = 1.0
    return (embeddings - mean) / deviation, mean, deviation


def shrunk_slopes(within: Floats, shrinkage: float, centres: Floats) -> Floats:
    """Return the slopes (classes, width) of a linear discriminant; ``within`` (width, width) is changed.

    It becomes (1 − s)·S + s·tr(S)/D·I (Ledoit and Wolf, 2004, with a fixed s).
    """
    # S' = (1 − s)·S + s·(tr S/D)·I: eigenvalues move towards their mean, directions stay. So S' can be inverted where
    # there are fewer clips than values; tr S' = tr S.
    width = len(within)
    scatter = np.trace(within) / width
    within *= 1 - shrinkage
    within[np.diag_indices(width)] += shrinkage * scatter
    # slopes A = M·S'⁻¹ (classes, D), M the class means: solved as S'·Aᵀ = Mᵀ, without the inverse. Without shrinkage S
    # may be singular: least squares gives the solution of smallest norm.
    slopes = np.linalg.lstsq(within, centres.T)[0].T if shrinkage == 0 else np.linalg.solve(within, centres.T).T
    return np.asarray(slopes, np.float64)


def discriminant(
    embeddings: Floats,
    targets: npt.NDArray[np.integer],
    shrinkage: float,
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
    if len(np.unique(targets)) < n_classes or n_classes < 2:
        raise RecipeError("The discriminant needs two or more classes, each with training clips.")
    weights, bias = pooled_discriminant(embeddings, targets, shrinkage, n_classes, corpora)
    experts, parts = [], rows_by_corpus(np.ones(len(targets), bool), corpora)
    for own in parts:
        classes, numbers = np.unique(targets[own], return_inverse=True)
        if len(classes) < 2 or len(own) == len(targets):
            continue
        # A class that a corpus lacks has the mean score of its others: it says nothing of it.
        expert, beside = np.zeros_like(weights), np.zeros_like(bias)
        slopes, constants = pooled_discriminant(embeddings[own], numbers, shrinkage, len(classes))
        size = _size(slopes, constants, embeddings[own])
        expert[classes], beside[classes] = (slopes - slopes.mean(axis=0)) / size, (constants - constants.mean()) / size
        experts.append((expert, beside))
    if not experts:
        return weights, bias
    # δ = ½·δ_all + ½·σ_all·(1/K)·Σ_k δ_k/σ_k, with σ the deviation of scores less their mean over classes.
    half = np.sqrt(np.mean([_size(weights, bias, embeddings[own]) ** 2 for own in parts])) / (2 * len(experts))
    expert, beside = (np.sum(values, axis=0) for values in zip(*experts, strict=True))
    return weights / 2 + half * expert, bias / 2 + half * beside


def _size(weights: Floats, bias: Floats, embeddings: Floats) -> float:
    """Return the deviation of the scores of rows and classes, less a row's mean over classes."""
    scores = embeddings @ (weights - weights.mean(axis=0)).T + (bias - bias.mean())
    return float(scores.std()) or 1.0


def pooled_discriminant(
    embeddings: Floats,
    targets: npt.NDArray[np.integer],
    shrinkage: float,
    n_classes: int,
    corpora: Sequence[str] | None = None,
) -> tuple[Floats, Floats]:
    """Return weights and bias of one discriminant, as `discriminant` does; every class has rows.

    Classes are weighted equally, and in each class the corpora that have it: a large corpus does not decide alone how
    an emotion sounds.
    """
    scaled, mean, deviation = standardised(embeddings)
    width = scaled.shape[1]
    centres, within = np.empty((n_classes, width)), np.zeros((width, width))
    for target in range(n_classes):
        parts = [scaled[rows] for rows in rows_by_corpus(targets == target, corpora)]
        # m_c = mean over corpora k of m_ck: a corpus counts once, however many clips it has.
        centres[target] = np.mean([own.mean(axis=0) for own in parts], axis=0)
        for own in parts:
            off = own - centres[target]
            # S = (1/C)·Σ_c (1/K_c)·Σ_k (1/n_ck)·Σ (z − m_c)(z − m_c)ᵀ: classes, and their corpora, count alike.
            within += off.T @ off / (len(off) * len(parts) * n_classes)
    slopes = shrunk_slopes(within, shrinkage, centres)  # M·S'⁻¹, (classes, width)
    # Scores δ_c(x) = m_c·S'⁻¹·z − ½·m_c·S'⁻¹·m_c + const.; equal priors, so log π_c is left out. With z = (x − μ)/σ
    # they are linear in x: weights M·S'⁻¹/σ, bias −½·m_c·S'⁻¹·m_c − weights·μ.
    weights = slopes / deviation
    return weights, -0.5 * np.einsum("cw,cw->c", slopes, centres) - weights @ mean


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
    shrinkage: float,
    prior: float,
    n_classes: int,
) -> tuple[Floats, Floats]:
    """Return weights (speakers · classes, width), bias (speakers · classes,) of the scores of embeddings (rows, width).

    Every pair of a speaker and a class is a class of its own in a linear discriminant (mixture discriminant analysis;
    Hastie and Tibshirani, 1996, where subclasses are found by clustering). A pair has few clips, often none, so that
    its mean is that of these and of ``prior`` clips at the point that the class's mean and the speaker's own offset
    from all class means add up to. Speakers are in alphabetical order, and a speaker's classes side by side. Scores are
    less their mean over all pairs, which changes no probability and keeps them small.

    Parameters
    ----------
    speakers : of each row
    """
    if len(np.unique(targets)) < n_classes or n_classes < 2:
        raise RecipeError("The discriminant needs two or more classes, each with training clips.")
    scaled, mean, deviation = standardised(embeddings)
    width, speaker_of = scaled.shape[1], np.unique(np.array(speakers), return_inverse=True)[1]
    n_speakers = int(speaker_of.max()) + 1
    # m_c (classes, width): the mean of a class over all speakers.
    class_means = np.stack([scaled[targets == target].mean(axis=0) for target in range(n_classes)])
    means = np.empty((n_speakers, n_classes, width))
    for speaker in range(n_speakers):
        # o_v (width,): how far this speaker lies from the class means, on average over its clips: its timbre.
        offset = (scaled[speaker_of == speaker] - class_means[targets[speaker_of == speaker]]).mean(axis=0)
        for target in range(n_classes):
            own = scaled[(speaker_of == speaker) & (targets == target)]
            # p_vc = (Σ x + n₀·(m_c + o_v)) / (n + n₀): the posterior mean of a normal whose prior mean is m_c + o_v and
            # whose prior counts as n₀ clips.
            means[speaker, target] = (own.sum(axis=0) + prior * (class_means[target] + offset)) / (len(own) + prior)
    # One covariance within all pairs (MDA's M-step with fixed memberships): S = (1/N)·Σ (x − p_vc)(x − p_vc)ᵀ.
    off = scaled - means[speaker_of, targets]
    # (speakers · classes, width), the classes of a speaker side by side, as `SpeakerDependentHead` wants them
    centres = means.reshape(-1, width)
    slopes = shrunk_slopes(off.T @ off / len(off), shrinkage, centres)
    # δ(x) = p·S⁻¹·z − ½·p·S⁻¹·p with z = (x − μ)/σ; in terms of x: weights S⁻¹p/σ, and −weights·μ goes into the bias.
    weights = slopes / deviation
    bias = -0.5 * np.einsum("cw,cw->c", slopes, centres) - weights @ mean
    # The same number less for all pairs: softmax does not see it, and float32 rounds small scores less.
    return weights - weights.mean(axis=0), bias - bias.mean()
