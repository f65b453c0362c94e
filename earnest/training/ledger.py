"""The licence ledger: which corpora weights have heard."""

from collections.abc import Sequence

from earnest.bundle import TrainingCorpus
from earnest.corpora.base import CORPORA
from earnest.training.data import Example


def ledger_of(examples: Sequence[Example]) -> tuple[TrainingCorpus, ...]:
    """Say which corpora the weights have heard, validation data included: it chose the epoch."""
    lines = []
    unique = {example.utterance.key: example for example in examples}.values()
    for name in sorted({example.utterance.corpus for example in unique}):
        rows = [example for example in unique if example.utterance.corpus == name]
        known = CORPORA.get(name) if name in CORPORA.names() else None
        lines.append(
            TrainingCorpus(
                name=name,
                licence=known.licence if known else "unknown",
                n_utterances=len(rows),
                n_speakers=len({example.utterance.speaker for example in rows}),
                hours=round(sum(example.duration_s for example in rows) / 3600, 3),
                attribution=known.citation if known else "",
            )
        )
    return tuple(lines)
