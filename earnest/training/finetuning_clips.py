"""The clips that a fine-tuning learns from: each corpus with classes of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from earnest.corpora.load import load_utterances, usable
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.evaluation.protocols import protocol_called
from earnest.frontends.log_mel import LogMel
from earnest.labels import scheme_called
from earnest.training.data import Example, compute_examples, progress_bar
from earnest.training.finetuning_settings import FineTuning
from earnest.training.task import split_called

FEWEST_CLASSES = 3


def clips_for(
    settings: FineTuning,
    folders: Mapping[str, Path],
    protocol: str | None = None,
    fold: str | None = None,
    show_progress: bool = False,
) -> tuple[list[Example], list[str]]:
    """Decode the clips of every corpus; targets are positions in what is returned second.

    Parameters
    ----------
    folders : corpus name → folder
    protocol, fold : whose test clips, and all clips of their speakers, are left out

    Returns
    -------
    examples, and for each class the corpus that it belongs to
    """
    rows = usable(load_utterances(settings.corpus, folders)).utterances
    if protocol is not None:
        rows = without_test(rows, protocol, fold)
    examples: list[Example] = []
    corpora: list[str] = []
    front_end = LogMel(settings.front_end)
    with progress_bar("decoding", len(rows), show_progress) as advance:
        for corpus in settings.corpus:
            own = [row for row in rows if row.corpus == corpus]
            scheme = scheme_called("native", (row.emotion for row in own))
            if len(scheme.classes) < FEWEST_CLASSES:
                raise CorpusError(f"{corpus}: has clips of {len(scheme.classes)} emotions, 3 or more are needed.")
            found = compute_examples(front_end, own, scheme, advance).values()
            examples += [replace(example, target=len(corpora) + example.target) for example in found]
            corpora += [corpus] * len(scheme.classes)
    return examples, corpora


def without_test(rows: Sequence[Utterance], protocol: str, fold: str | None) -> list[Utterance]:
    """Return the rows whose speakers are not in a protocol's test set."""
    split = split_called(protocol_called(protocol), fold, rows)
    tested = {(row.corpus, row.speaker) for row in split.test}
    return [row for row in rows if (row.corpus, row.speaker) not in tested]
