"""The clips that trainings of one recipe share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from earnest.corpora.manifest import Utterance
from earnest.evaluation.splits import Split
from earnest.progress import SILENT, Progress
from earnest.training.closed_form import Embeddings
from earnest.training.examples import Example


@dataclass(frozen=True)
class Clips:
    """What runs of one recipe share.

    Attributes
    ----------
    examples : utterance key → frames, for every utterance that the recipe's scheme keeps
    embeddings : found so far by a network that training leaves as it is
    classes : what the examples' targets count, in output order; empty where a split's own clips say it
    beside : clips of other corpora that a fine-tuning learns from too, with targets of their own
    copies : frames of changed copies found so far, where each split has an embedding of its own; None: not kept
    progress : shows the epochs of a training on them
    """

    examples: Mapping[str, Example]
    embeddings: Embeddings = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    beside: Sequence[Example] = ()
    copies: dict[str, Tensor] | None = None
    progress: Progress = SILENT

    def of(self, utterances: Sequence[Utterance]) -> list[Example]:
        """Return the examples of those utterances that the scheme keeps."""
        return [self.examples[utterance.key] for utterance in utterances if utterance.key in self.examples]

    def beside_speakers_of(self, split: Split) -> list[Example]:
        """Return the clips beside by speakers who are neither validated nor tested."""
        others = {row.speaker for row in (*split.valid, *split.test)}
        return [example for example in self.beside if example.utterance.speaker not in others]
