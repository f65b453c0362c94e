"""Closed-form heads: linear discriminants (`earnest.learning.discriminant`) as last linear layers of networks."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from earnest.errors import RecipeError
from earnest.learning.discriminant import discriminant, speaker_discriminant
from earnest.models.classifier import Layer, Network
from earnest.models.pretrained import persons
from earnest.models.speaker_dependent import SpeakerDependentHead
from earnest.training.clips import EmbeddingCache
from earnest.training.examples import Example

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
    if len({examples[row].utterance.speaker for row in counted[new]}) < FEWEST_NEW:
        new[:] = True
    return torch.from_numpy(np.concatenate(logits)[new]).float(), targets[counted[new]]


def _new_to(network: Network, examples: Sequence[Example]) -> list[int]:
    """Return the rows of speakers whose labels the network's initial weights were not fitted on."""
    heard = persons(network.known_speakers)
    return [row for row, example in enumerate(examples) if example.utterance.speaker not in heard]


def _turns(valid: Sequence[str], train: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number the group of each clip from its speaker: 0 for ``valid``, then those of ``train`` in turn."""
    speakers = sorted(set(train))
    # As many speakers a group as ``valid`` has, so that each turn leaves out about as much as the real split does.
    n_groups = max(1, round(len(speakers) / len(set(valid))))
    group = {speaker: 1 + position % n_groups for position, speaker in enumerate(speakers)}
    return np.array([0] * len(valid) + [group[speaker] for speaker in train])
