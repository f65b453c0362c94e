"""The clips that a fine-tuning learns from: each corpus with classes of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from earnest.corpora.load import load_utterances
from earnest.corpora.manifest import Utterance
from earnest.evaluation.protocols import protocol_called
from earnest.frontends.log_mel import LogMel
from earnest.progress import SILENT, Progress
from earnest.training.corpus_classes import classes_of_corpora, clips_of_corpora
from earnest.training.data import Example
from earnest.training.finetuning_settings import FineTuning
from earnest.training.task import split_called


def clips_for(
    settings: FineTuning,
    folders: Mapping[str, Path],
    protocol: str | None = None,
    fold: str | None = None,
    progress: Progress = SILENT,
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
    rows = load_utterances(settings.corpus, folders)
    if protocol is not None:
        rows = without_test(rows, protocol, fold)
    return classes_of_corpora(clips_of_corpora(rows, LogMel(settings.front_end), progress))


def without_test(rows: Sequence[Utterance], protocol: str, fold: str | None) -> list[Utterance]:
    """Return the rows whose speakers are not in a protocol's test set."""
    split = split_called(protocol_called(protocol), fold, rows)
    tested = {(row.corpus, row.speaker) for row in split.test}
    return [row for row in rows if (row.corpus, row.speaker) not in tested]
