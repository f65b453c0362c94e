"""Closed-form heads: linear discriminants with shrunk covariance, folded into a last linear layer."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from earnest.errors import RecipeError
from earnest.models.by_voice import ByVoice
from earnest.training.examples import Example, pad_batch, speakers_known_to

Floats = npt.NDArray[np.float64]


def standardised(embeddings: Floats) -> tuple[Floats, Floats, Floats]:
    """Return embeddings (rows, width) less their mean by their deviation, and both (width,)."""
    mean, deviation = embeddings.mean(axis=0), embeddings.std(axis=0)
    deviation[deviation == 0] = 1.0
    return (embeddings - mean) / deviation, mean, deviation


def shrunk_slopes(within: Floats, shrinkage: float, centres: Floats) -> Floats:
    """Return the slopes (classes, width) of a linear discriminant; ``within`` (width, width) is changed.

    It becomes (1 − s)·S + s·tr(S)/D·I (Ledoit and Wolf, 2004, with a fixed s).
    """
    width = len(within)
    scatter = np.trace(within) / width
    within *= 1 - shrinkage
    within[np.diag_indices(width)] += shrinkage * scatter
    slopes = np.linalg.lstsq(within, centres.T)[0].T if shrinkage == 0 else np.linalg.solve(within, centres.T).T
    return np.asarray(slopes, np.float64)


def voice_discriminant(
    embeddings: Floats,
    targets: npt.NDArray[np.integer],
    voices: Sequence[str],
    shrinkage: float,
    prior: float,
    n_classes: int,
) -> tuple[Floats, Floats]:
    """Return weights (voices · classes, width) and bias (voices · classes,) of the scores of embeddings (rows, width).

    Every pair of a voice and a class is a class of its own in a linear discriminant (mixture discriminant analysis;
    Hastie and Tibshirani, 1996, where subclasses are found by clustering). A pair has few clips, often none, so that
    its place is the mean of these and of ``prior`` clips at the place that the class's mean and the voice's own offset
    from all class means add up to. Voices are in alphabetical order, and a voice's classes side by side. Scores are
    less their mean over all pairs, which changes no probability and keeps them small.

    Parameters
    ----------
    voices : of each row
    """
    if len(np.unique(targets)) < n_classes or n_classes < 2:
        raise RecipeError("The discriminant needs two or more classes, each with training clips.")
    scaled, mean, deviation = standardised(embeddings)
    width, voice_of = scaled.shape[1], np.unique(np.array(voices), return_inverse=True)[1]
    n_voices = int(voice_of.max()) + 1
    class_means = np.stack([scaled[targets == target].mean(axis=0) for target in range(n_classes)])
    places = np.empty((n_voices, n_classes, width))
    for voice in range(n_voices):
        offset = (scaled[voice_of == voice] - class_means[targets[voice_of == voice]]).mean(axis=0)
        for target in range(n_classes):
            own = scaled[(voice_of == voice) & (targets == target)]
            places[voice, target] = (own.sum(axis=0) + prior * (class_means[target] + offset)) / (len(own) + prior)
    off = scaled - places[voice_of, targets]
    centres = places.reshape(-1, width)
    slopes = shrunk_slopes(off.T @ off / len(off), shrinkage, centres)
    weights = slopes / deviation
    bias = -0.5 * np.einsum("cw,cw->c", slopes, centres) - weights @ mean
    return weights - weights.mean(axis=0), bias - bias.mean()


FEWEST_NEW = 3  # speakers
Embeddings = dict[str, Tensor]
"""Key of an example → embedding (width,) of a network that stays as it is; folds share them."""
Layer: TypeAlias = Literal["output", "gender"]


def fit_discriminant(
    network: nn.Module,
    train: Sequence[Example],
    shrinkage: float,
    n_classes: int,
    known: Embeddings,
    layer: Layer = "output",
    speaker_prior: float = 10.0,
) -> None:
    """Set a last layer so that its logits are the discriminant scores of the embedding.

    Embeddings are standardised on ``train``; the within-class covariance S becomes (1 − s)·S + s·tr(S)/D·I
    (Ledoit and Wolf, 2004, with a fixed s); classes are weighted equally, and corpora within a class.

    Parameters
    ----------
    network : gives embeddings, which training leaves as they are, and has a linear ``layer`` of ``n_classes``
    known : embeddings computed before; new ones are added
    shrinkage : s, from 0 to 1
    speaker_prior : where the layer has places for each voice, see `voice_discriminant`
    """
    head = last_layer(network, layer)
    targets = np.array([example.target for example in train])
    embeddings = embed(network, train, known).double().numpy()
    if isinstance(head, ByVoice):
        voices = [example.speaker for example in train]
        found = voice_discriminant(embeddings, targets, voices, shrinkage, speaker_prior, n_classes)
        head.take(*map(torch.from_numpy, found))
        return
    corpora = [example.utterance.corpus for example in train]
    weights, bias = discriminant(embeddings, targets, shrinkage, n_classes, corpora)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights))
        head.bias.copy_(torch.from_numpy(bias))


def last_layer(network: nn.Module, layer: Layer = "output") -> nn.Linear:
    """Return the linear layer that the discriminant replaces, or refuse a network without one."""
    found = getattr(network, layer, None)
    if isinstance(found, nn.Linear):
        return found
    name = type(getattr(network, "network", network)).__name__
    wanted = {
        "output": 'Use method = "gradient", or another model, such as "whisper-statistics".',
        "gender": 'Add tasks = ["gender"] to [network] where the model has it, or leave auxiliary out.',
    }
    raise RecipeError(
        f"method = \"discriminant\" sets a linear layer called '{layer}', and {name} has none. {wanted[layer]}"
    )


def knows_voices(network: nn.Module) -> bool:
    """Say whether the last layer has places for each training voice."""
    return isinstance(last_layer(network), ByVoice)


def discriminant(
    embeddings: Floats,
    targets: npt.NDArray[np.integer],
    shrinkage: float,
    n_classes: int,
    corpora: Sequence[str] | None = None,
) -> tuple[Floats, Floats]:
    """Return weights (classes, width) and bias (classes,) of the scores of embeddings (rows, width).

    Classes are weighted equally, and in each class the corpora that have it: a large corpus does not decide alone how
    an emotion sounds.

    Parameters
    ----------
    corpora : of each row; None for one
    """
    if len(np.unique(targets)) < n_classes or n_classes < 2:
        raise RecipeError("The discriminant needs two or more classes, each with training clips.")
    scaled, mean, deviation = standardised(embeddings)
    width = scaled.shape[1]
    centres, within = np.empty((n_classes, width)), np.zeros((width, width))
    for target in range(n_classes):
        parts = [scaled[rows] for rows in rows_by_corpus(targets == target, corpora)]
        centres[target] = np.mean([own.mean(axis=0) for own in parts], axis=0)
        for own in parts:
            off = own - centres[target]
            within += off.T @ off / (len(off) * len(parts) * n_classes)
    slopes = shrunk_slopes(within, shrinkage, centres)
    weights = slopes / deviation
    return weights, -0.5 * np.einsum("cw,cw->c", slopes, centres) - weights @ mean


def rows_by_corpus(chosen: npt.NDArray[np.bool_], corpora: Sequence[str] | None) -> list[npt.NDArray[np.int64]]:
    """Return the positions of chosen rows, those of each corpus together; without ``corpora`` there is one."""
    rows = np.flatnonzero(chosen)
    if corpora is None:
        return [rows]
    names = np.array([corpora[row] for row in rows.tolist()])
    return [rows[names == name] for name in sorted(set(names.tolist()))]


def embed(network: nn.Module, examples: Sequence[Example], known: Embeddings) -> Tensor:
    """Return the embeddings (examples, width) in the order given; new ones are added to ``known``.

    Clips go through the network alone: in batches, the last bits would depend on the neighbours.
    """
    network.eval()
    with torch.no_grad():
        for example in examples:
            if example.key not in known:
                batch = pad_batch([example])
                known[example.key] = network(batch.frames, batch.n_frames).embedding[0]
    return torch.stack([known[example.key] for example in examples])


def discriminant_logits(
    network: nn.Module, examples: Sequence[Example], known: Embeddings, layer: Layer = "output"
) -> Tensor:
    """Return logits (examples, classes) in the order given."""
    with torch.no_grad():
        logits: Tensor = last_layer(network, layer)(embed(network, examples, known))
    return logits


def rotated_logits(
    network: nn.Module,
    train: Sequence[Example],
    valid: Sequence[Example],
    shrinkage: float,
    n_classes: int,
    known: Embeddings,
) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """Return logits (rows, classes) of clips whose speakers the discriminant had not heard, and their classes (rows,).

    Validation takes turns: the speakers of ``train`` are divided into groups as large as ``valid``, and each group is
    answered by a discriminant fitted on all others. A temperature fitted on these logits depends less on who happens
    to be in ``valid``, and still on no test clip. Speakers whose labels the embedding's own weights were fitted on
    are no measure of unheard ones: they are learnt from, but not answered, unless there are hardly any others; nor are
    copies of clips.
    """
    examples = [*valid, *train]
    embeddings = embed(network, examples, known).double().numpy()
    targets = np.array([example.target for example in examples])
    copies = np.array([example.copy > 0 for example in examples])
    corpora = np.array([example.utterance.corpus for example in examples])
    turn = _turns([example.utterance.speaker for example in valid], [example.utterance.speaker for example in train])
    logits, rows = [], []
    for number in range(turn.max() + 1):
        held = turn == number
        if len(np.unique(targets[~held])) == n_classes:
            others = corpora[~held].tolist()
            weights, bias = discriminant(embeddings[~held], targets[~held], shrinkage, n_classes, others)
            asked = held & ~copies
            logits.append(embeddings[asked] @ weights.T + bias)
            rows.append(np.flatnonzero(asked))
    counted = np.concatenate(rows)
    new = np.isin(counted, _new_to(network, examples))
    if len({examples[row].speaker for row in counted[new]}) < FEWEST_NEW:
        new[:] = True
    return torch.from_numpy(np.concatenate(logits)[new]).float(), targets[counted[new]]


def _new_to(network: nn.Module, examples: Sequence[Example]) -> list[int]:
    """Return the rows of speakers whose labels the network's initial weights were not fitted on."""
    fitted_on = speakers_known_to(network)
    return [row for row, example in enumerate(examples) if example.speaker not in fitted_on]


def _turns(valid: Sequence[str], train: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number the group of each clip from its speaker: 0 for ``valid``, then those of ``train`` in turn."""
    speakers = sorted(set(train))
    n_groups = max(1, round(len(speakers) / len(set(valid))))
    group = {speaker: 1 + position % n_groups for position, speaker in enumerate(speakers)}
    return np.array([0] * len(valid) + [group[speaker] for speaker in train])
