"""What weights have heard: the licence ledger, and test speakers that they must not know."""

from collections.abc import Sequence

from earnest.bundle import TrainingCorpus
from earnest.corpora.base import CORPORA
from earnest.errors import RecipeError
from earnest.evaluation.splits import Split
from earnest.training.data import Example

N_NAMED = 3


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


def refuse_known_speakers(split: Split, fitted_on: frozenset[str]) -> None:
    """Refuse to call a split speaker-independent if the initial weights were fitted on its test speakers' labels."""
    known = sorted({f"{row.corpus}/{row.speaker}" for row in split.test} & fitted_on)
    if known and split.speaker_independent:
        raise RecipeError(
            f"{split.protocol}, fold {split.fold}: the initial weights were fitted on labels of {len(known)} of its "
            f"test speakers ({', '.join(known[:N_NAMED])}). Choose another fold with --fold or --folds, or weights "
            "that left them out (earnest finetune --protocol --fold)."
        )
