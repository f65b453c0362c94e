"""Clips of several corpora, each with classes of its own: a neutral voice of one is no neutral voice of another."""

from collections.abc import Sequence
from dataclasses import replace

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.frontends.build import FrontEndModule
from earnest.labels import scheme_called
from earnest.progress import SILENT, Progress
from earnest.training.data import Example, compute_examples

FEWEST_CLASSES = 3


def clips_of_corpora(
    rows: Sequence[Utterance], front_end: FrontEndModule, progress: Progress = SILENT
) -> list[Example]:
    """Decode clips; targets are positions among the emotions of their corpus."""
    examples: list[Example] = []
    with progress.bar("decoding", len(rows)) as advance:
        for corpus in dict.fromkeys(row.corpus for row in rows):
            own = [row for row in rows if row.corpus == corpus]
            scheme = scheme_called("native", (row.emotion for row in own))
            if len(scheme.classes) < FEWEST_CLASSES:
                raise CorpusError(f"{corpus}: has clips of {len(scheme.classes)} emotions, 3 or more are needed.")
            examples += compute_examples(front_end, own, scheme, advance).values()
    return examples


def classes_of_corpora(examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """Give each corpus classes of its own: return examples with targets among all, and the corpus of each class."""
    classes = sorted({(example.utterance.corpus, example.target) for example in examples})
    position = {one: number for number, one in enumerate(classes)}
    taught = [replace(one, target=position[one.utterance.corpus, one.target], waveform=None) for one in examples]
    return taught, [corpus for corpus, _ in classes]
