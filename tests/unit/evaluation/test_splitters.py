import hashlib
from pathlib import Path

import pytest

from earnest.corpora.base import CORPORA
from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.protocols import splits_of
from earnest.evaluation.splitters import InPublishedOrder, Parts, emocatcher_order


def row(name: str) -> Utterance:
    return Utterance(name, Path(f"{name}.flac"), corpus="made", speaker="ann")


def together(utterances, classes):
    """Divide nothing: what was handed over, in its order."""
    return [Parts(" ".join(classes), utterances, (), ())]


def test_the_table_holds_the_published_rows_of_meta_csv():
    names = emocatcher_order()
    assert names[:2] == ["03-01-05-01-02-01-16", "03-01-06-01-02-02-16"]
    # Of the column speech_list, folders and suffixes taken off.
    digest = "0d0aac92c94af39b5268ceabe94f299bec748f381334f3e96cfe2a8119f38389"
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == digest


def test_the_table_holds_each_clip_of_ravdess_once():
    assert sorted(emocatcher_order()) == sorted(Path(name).stem for name in CORPORA.get("ravdess")().published(Path()))


def test_clips_and_their_classes_are_divided_in_the_published_order():
    divide = InPublishedOrder(lambda: ["c", "a", "missing", "b"], "a list", together)
    (parts,) = divide([row("a"), row("b"), row("c")], ["A", "B", "C"])
    assert [utterance.utterance_id for utterance in parts.train] == ["c", "a", "b"]
    assert parts.fold == "C A B"


def test_a_file_that_was_not_published_is_refused_by_name():
    divide = InPublishedOrder(lambda: ["a"], "their list", together)
    with pytest.raises(SplitError, match=r"other\.flac: not among the files of their list.*stratified-5fold"):
        divide([row("a"), row("other")], ["A", "A"])


def test_renamed_recordings_of_ravdess_are_refused_by_emocatchers_protocol():
    rows = [
        Utterance(f"take{speaker}", Path(f"take{speaker}.wav"), corpus="ravdess", speaker=f"ravdess-{speaker:02d}",
                  emotion="sad")
        for speaker in range(1, 25)
    ]  # fmt: skip
    with pytest.raises(SplitError, match=r"EmoCatcher's meta\.csv"):
        splits_of("emocatcher-holdout", rows)
