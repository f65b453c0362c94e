"""Closed form: the embeddings of a network that stays as it is, and linear discriminants of them.

The discriminants (`earnest.learning.discriminant`) become last linear layers of networks.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from earnest.bundle import sha256_of
from earnest.errors import RecipeError
from earnest.files.cache import DiskCache
from earnest.learning.discriminant import Shrinkage, discriminant, size_of_scores, speaker_discriminant
from earnest.models.classifier import Layer, Network
from earnest.models.layers import SpeakerDependentHead
from earnest.models.pretrained import persons
from earnest.training.batches import pad_batch
from earnest.training.examples import Example, digest_of_words, network_digest, targets_of


class EmbeddingCache:
    """Embeddings of one network that training leaves as it is: each utterance goes through it once; folds share them.

    Parameters
    ----------
    keeps_frames : whether the frames of changed copies are kept too, for other networks that hear the same copies
        (`for_another_network`): each fold of a fine-tuning has an embedding of its own
    disk : where embeddings outlive the process, by what the utterances or the frames of copies are and by the weights
    made_by : of the network, what its weights don't say: its settings
    """

    def __init__(self, keeps_frames: bool = False, disk: DiskCache | None = None, made_by: str = "") -> None:
        self._disk, self._made_by, self._network = disk, made_by, ""
        self._embeddings: dict[str, Tensor] = {}  # key of an example → (width,)
        self._copies: dict[str, Tensor] | None = {} if keeps_frames else None  # key of a copy → (n_mels, frames)

    def __len__(self) -> int:
        return len(self._embeddings)

    def for_another_network(self) -> "EmbeddingCache":
        """Return an empty cache; frames of copies, which don't depend on the network, are shared with this one."""
        other = EmbeddingCache()
        other._copies = self._copies
        return other

    def embed(self, network: Network, examples: Sequence[Example]) -> Tensor:
        """Return the embeddings (examples, width) in the order given; what was embedded before is remembered.

        Utterances go through the network alone: in batches, the last bits would depend on the neighbours.
        """
        network.eval()
        with torch.no_grad():
            for example in examples:
                # A copy holds no frames, and is here already: see `embed_copy`.
                if example.key not in self._embeddings:
                    self._embeddings[example.key] = self._embedding(network, example)
        return torch.stack([self._embeddings[example.key] for example in examples])

    def _embedding(self, network: Network, example: Example) -> Tensor:
        if self._disk is None or not example.content:
            return _embedded(network, example)
        self._network = self._network or network_digest(network)  # as it begins: training sets its last layers
        # What a copy is made of (noise of some folder, a codec's library) has no name: its frames say it.
        content = sha256_of(example.frames.numpy().tobytes()) if example.copy else example.content
        key = digest_of_words(content, self._made_by, self._network)
        return load(self._disk.found(key, lambda: save({"embedding": _embedded(network, example)})))["embedding"]

    def embed_copy(self, network: Network, example: Example, change: Callable[[], Tensor]) -> None:
        """Embed a changed copy that holds no frames; ``change`` makes them, (n_mels, frames), where they are new."""
        if example.key in self._embeddings:
            return
        frames = None if self._copies is None else self._copies.get(example.key)
        if frames is None:
            frames = change()
            if self._copies is not None:
                self._copies[example.key] = frames
        self.embed(network, [replace(example, frames=frames)])


def _embedded(network: Network, example: Example) -> Tensor:
    batch = pad_batch([example])
    embedding: Tensor = network(batch.frames, batch.n_frames).embedding[0]
    return embedding.contiguous()


FEWEST_NEW = 3  # speakers
FEWEST_GROUPS = 3  # of training speakers, before a refit


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
    head, shrunk = last_layer(network, layer), Shrinkage(shrinkage, network.value_weights)
    targets = targets_of(train)
    embeddings = cache.embed(network, train).double().numpy()
    if isinstance(head, SpeakerDependentHead):
        speakers = [example.speaker for example in train]
        found = speaker_discriminant(embeddings, targets, speakers, shrunk, speaker_prior, n_classes)
        head.take(*map(torch.from_numpy, found))
        return
    corpora = [example.utterance.corpus for example in train]
    weights, bias = discriminant(embeddings, targets, shrunk, n_classes, corpora)
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
    """Whether the last layer has class means of each training speaker."""
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
    refit: bool = False,
) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """Return out-of-fold logits (rows, classes) and classes (rows,): no discriminant has heard the speakers it answers.

    Validation takes turns: the speakers of ``train`` are divided into groups as large as ``valid``, and each group is
    answered by a discriminant fitted on all others. A temperature fitted on these logits depends less on who happens
    to be in ``valid``, and still on no test utterance. Speakers whose labels the embedding's own weights were fitted on
    are no measure of unheard ones: they are learnt from, but not answered, unless there are hardly any others; nor are
    copies of utterances.

    Parameters
    ----------
    refit : whether the last layer hears ``valid`` too, in the end; where groups hold many of a few speakers, each of
        these is then a group, and logits are scaled to the deviation of those of a discriminant of all
    """
    examples, shrunk = [*valid, *train], Shrinkage(shrinkage, network.value_weights)
    embeddings = cache.embed(network, examples).double().numpy()
    targets = targets_of(examples)
    copies = np.array([example.copy > 0 for example in examples])
    corpora = np.array([example.utterance.corpus for example in examples])
    speakers = [example.utterance.speaker for example in examples]
    turn, size = _turns(speakers[: len(valid)], speakers[len(valid) :]), 0.0
    if refit and turn.max() < FEWEST_GROUPS and turn.max() + 1 < len(set(speakers)):
        turn = np.unique(speakers, return_inverse=True)[1]
        size = size_of_scores(*discriminant(embeddings, targets, shrunk, n_classes, corpora.tolist()), embeddings)
    # In turn g, a discriminant is fitted on all groups but g, and answers group g: (asked, width)·(width, classes).
    # Copies are learnt from with their speaker's group, and never answered.
    logits, rows = [], []
    for number in range(turn.max() + 1):
        held = turn == number
        # A group without which a class has no utterances has no turn.
        if len(np.unique(targets[~held])) == n_classes:
            others = corpora[~held].tolist()
            weights, bias = discriminant(embeddings[~held], targets[~held], shrunk, n_classes, others)
            asked = held & ~copies
            # z' = z·σ/σ_g: scores of fewer speakers are larger, and what ships is the discriminant of all.
            scale = size / size_of_scores(weights, bias, embeddings[~held]) if size else 1.0
            logits.append(scale * (embeddings[asked] @ weights.T + bias))
            rows.append(np.flatnonzero(asked))
    counted = np.concatenate(rows)  # positions in ``examples``, in the order of the logits
    # Speakers whose labels shaped the embedding look easier than strangers: their logits would make the temperature
    # too low. With fewer than three others there is too little to fit on, and all count.
    heard = persons(network.known_speakers)
    new = np.array([examples[row].utterance.speaker not in heard for row in counted], np.bool_)
    if len({examples[row].utterance.speaker for row in counted[new]}) < FEWEST_NEW:
        new[:] = True
    return torch.from_numpy(np.concatenate(logits)[new]).float(), targets[counted[new]]


def _turns(valid: Sequence[str], train: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number the group of each utterance from its speaker: 0 for ``valid``, then those of ``train`` in turn."""
    speakers = sorted(set(train))
    # As many speakers a group as ``valid`` has, so that each turn leaves out about as much as the real split does.
    n_groups = max(1, round(len(speakers) / len(set(valid))))
    group = {speaker: 1 + position % n_groups for position, speaker in enumerate(speakers)}
    return np.array([0] * len(valid) + [group[speaker] for speaker in train])
