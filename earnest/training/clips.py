"""The clips that trainings of one recipe share, and what a network that stays as it is has made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from safetensors.torch import load, save
from torch import Tensor

from earnest.corpora.manifest import Utterance
from earnest.evaluation.splits import Split
from earnest.files.cache import DiskCache
from earnest.models.classifier import Network
from earnest.progress import SILENT, Progress
from earnest.training.examples import Example, pad_batch
from earnest.training.features import digest_of_words, network_digest
from earnest.training.ranks import ALONE, Ranks


class EmbeddingCache:
    """Embeddings of one network that training leaves as it is: each clip goes through it once; folds share them.

    Parameters
    ----------
    keeps_frames : whether the frames of changed copies are kept too, for other networks that hear the same copies
        (`for_another_network`): each fold of a fine-tuning has an embedding of its own
    disk : where embeddings of clips as they are outlive the process, by what the clips are and by the weights
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

        Clips go through the network alone: in batches, the last bits would depend on the neighbours.
        """
        network.eval()
        with torch.no_grad():
            for example in examples:
                # A copy holds no frames, and is here already: see `embed_copy`.
                if example.key not in self._embeddings:
                    self._embeddings[example.key] = self._embedding(network, example)
        return torch.stack([self._embeddings[example.key] for example in examples])

    def _embedding(self, network: Network, example: Example) -> Tensor:
        if self._disk is None or not example.content or example.copy:
            return _embedded(network, example)
        self._network = self._network or network_digest(network)  # as it begins: training sets its last layers
        key = digest_of_words(example.content, self._made_by, self._network)
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


@dataclass(frozen=True)
class Clips:
    """What runs of one recipe share.

    Attributes
    ----------
    examples : utterance key → frames, for every utterance that the recipe's scheme keeps
    cache : of the embeddings that a network which training leaves as it is gives for them
    classes : what the examples' targets count, in output order; empty where a split's own clips say it
    auxiliary : clips of other corpora that a fine-tuning learns from too, with targets of their own
    progress : shows the epochs of a training on them
    ranks : the processes that learn from them together
    """

    examples: Mapping[str, Example]
    cache: EmbeddingCache = field(default_factory=EmbeddingCache)
    classes: tuple[str, ...] = ()
    auxiliary: Sequence[Example] = ()
    progress: Progress = SILENT
    ranks: Ranks = ALONE

    def of(self, utterances: Sequence[Utterance]) -> list[Example]:
        """Return the examples of those utterances that the scheme keeps."""
        return [self.examples[utterance.key] for utterance in utterances if utterance.key in self.examples]

    def auxiliary_of(self, split: Split) -> list[Example]:
        """Return the auxiliary clips by speakers who are neither validated nor tested."""
        others = {row.speaker for row in (*split.valid, *split.test)}
        return [example for example in self.auxiliary if example.utterance.speaker not in others]
