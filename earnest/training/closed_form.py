"""Closed-form heads: linear discriminants with shrunk covariance, folded into a last linear layer."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from earnest.errors import RecipeError
from earnest.models.classifier import Layer, Network
from earnest.models.speaker_dependent import SpeakerDependentHead
from earnest.training.clips import EmbeddingCache
from earnest.training.examples import Example

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


FEWEST_NEW = 3  # speakers


def fit_discriminant(
    network: Network,
    train: Sequence[Example],
    shrinkage: float,
    n_classes: int,
    cache: EmbeddingCache,
    layer: Layer = "output",
    speaker_prior: float = 10.0,
) -> None:
    """Set a last layer so that its logits are the discriminant scores of the embedding.

    Embeddings are standardised on ``train``; the within-class covariance S becomes (1 − s)·S + s·tr(S)/D·I
    (Ledoit and Wolf, 2004, with a fixed s); classes are weighted equally, and corpora within a class.

    Parameters
    ----------
    network : gives embeddings, which training leaves as they are, and has a linear ``layer`` of ``n_classes``
    cache : of the network's embeddings
    shrinkage : s, from 0 to 1
    speaker_prior : where the layer has class means of each speaker, see `speaker_discriminant`
    """
    head = last_layer(network, layer)
    targets = np.array([example.target for example in train])
    embeddings = cache.embed(network, train).double().numpy()
    if isinstance(head, SpeakerDependentHead):
        speakers = [example.speaker for example in train]
        found = speaker_discriminant(embeddings, targets, speakers, shrinkage, speaker_prior, n_classes)
        head.take(*map(torch.from_numpy, found))
        return
    corpora = [example.utterance.corpus for example in train]
    weights, bias = discriminant(embeddings, targets, shrinkage, n_classes, corpora)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights))
        head.bias.copy_(torch.from_numpy(bias))


def last_layer(network: Network, layer: Layer = "output") -> nn.Linear:
    """Return the linear layer that the discriminant replaces, or refuse a network without one."""
    found = network.last_layer(layer)
    if isinstance(found, nn.Linear):
        return found
    name = type(network.inner).__name__
    wanted = {
        "output": 'Use method = "gradient", or another model, such as "whisper-statistics".',
        "gender": 'Add tasks = ["gender"] to [network] where the model has it, or leave auxiliary out.',
    }
    raise RecipeError(
        f"method = \"discriminant\" sets a linear layer called '{layer}', and {name} has none. {wanted[layer]}"
    )


def is_speaker_dependent(network: Network) -> bool:
    """Say whether the last layer has class means of each training speaker."""
    return isinstance(last_layer(network), SpeakerDependentHead)


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


def discriminant_logits(
    network: Network, examples: Sequence[Example], cache: EmbeddingCache, layer: Layer = "output"
) -> Tensor:
    """Return logits (examples, classes) in the order given."""
    with torch.no_grad():
        logits: Tensor = last_layer(network, layer)(cache.embed(network, examples))
    return logits


def out_of_fold_logits(
    network: Network,
    train: Sequence[Example],
    valid: Sequence[Example],
    shrinkage: float,
    n_classes: int,
    cache: EmbeddingCache,
) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """Return logits (rows, classes) of clips whose speakers the discriminant had not heard, and their classes (rows,).

    Validation takes turns: the speakers of ``train`` are divided into groups as large as ``valid``, and each group is
    answered by a discriminant fitted on all others. A temperature fitted on these logits depends less on who happens
    to be in ``valid``, and still on no test clip. Speakers whose labels the embedding's own weights were fitted on
    are no measure of unheard ones: they are learnt from, but not answered, unless there are hardly any others; nor are
    copies of clips.
    """
    examples = [*valid, *train]
    embeddings = cache.embed(network, examples).double().numpy()
    targets = np.array([example.target for example in examples])
    copies = np.array([example.copy > 0 for example in examples])
    corpora = np.array([example.utterance.corpus for example in examples])
    turn = _turns([example.utterance.speaker for example in valid], [example.utterance.speaker for example in train])
    # In turn g, a discriminant is fitted on all groups but g, and answers group g: (asked, width)·(width, classes).
    # Copies are learnt from with their speaker's group, and never answered.
    logits, rows = [], []
    for number in range(turn.max() + 1):
        held = turn == number
        # A group without which a class has no clips has no turn.
        if len(np.unique(targets[~held])) == n_classes:
            others = corpora[~held].tolist()
            weights, bias = discriminant(embeddings[~held], targets[~held], shrinkage, n_classes, others)
            asked = held & ~copies
            logits.append(embeddings[asked] @ weights.T + bias)
            rows.append(np.flatnonzero(asked))
    counted = np.concatenate(rows)  # positions in ``examples``, in the order of the logits
    # Speakers whose labels shaped the embedding look easier than strangers: their logits would make the temperature
    # too low. With fewer than three others there is too little to fit on, and all count.
    new = np.isin(counted, _new_to(network, examples))
    if len({examples[row].speaker for row in counted[new]}) < FEWEST_NEW:
        new[:] = True
    return torch.from_numpy(np.concatenate(logits)[new]).float(), targets[counted[new]]


def _new_to(network: Network, examples: Sequence[Example]) -> list[int]:
    """Return the rows of speakers whose labels the network's initial weights were not fitted on."""
    fitted_on = network.known_speakers
    return [row for row, example in enumerate(examples) if example.speaker not in fitted_on]


def _turns(valid: Sequence[str], train: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number the group of each clip from its speaker: 0 for ``valid``, then those of ``train`` in turn."""
    speakers = sorted(set(train))
    # As many speakers a group as ``valid`` has, so that each turn leaves out about as much as the real split does.
    n_groups = max(1, round(len(speakers) / len(set(valid))))
    group = {speaker: 1 + position % n_groups for position, speaker in enumerate(speakers)}
    return np.array([0] * len(valid) + [group[speaker] for speaker in train])
