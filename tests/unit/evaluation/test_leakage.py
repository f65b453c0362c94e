from dataclasses import replace
from pathlib import Path

import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.leakage import Leakage, identical, leakage, refuse_identical, sentences_over
from earnest.evaluation.splits import Split


def row(name: str, speaker: str = "", text_id: str = "", session: str = "", file: str = "") -> Utterance:
    path = Path(file or f"{name}.wav")
    return Utterance(name, path, corpus="made", speaker=speaker, text_id=text_id, session=session)


A, B, C = row("a", "ann"), row("b", "ben"), row("c", "cat")


def test_leakage_counts_shared_speakers_sentences_and_groups():
    train = [row("a", "ann", text_id="s1"), row("b", "ann", text_id="s2"), row("c", "ben", text_id="s3")]
    test = [row("d", "ann", text_id="s1"), row("e", "ben", text_id="s2"), row("f", "cat")]
    train_test = leakage(Split(train, [], test, speaker_independent=False))[1]
    assert (train_test.speakers, train_test.sentences, train_test.groups) == (2, 2, 0)
    assert train_test.sentence() == (
        "train and test share 2 speakers, 2 sentences, 0 groups, 0 sessions, 0 recordings, unknown identical clips"
    )


def test_leakage_counts_shared_sessions_and_files_with_parts_in_both():
    split = Split([row("a", "ann", session="1", file="x.wav")], [], [row("b", "ben", session="1", file="x.wav")])
    train_valid, train_test, _ = leakage(split)
    assert (train_valid.sessions, train_valid.recordings) == (0, 0)
    assert (train_test.sessions, train_test.recordings, train_test.duplicates) == (1, 1, None)


def test_identical_clips_are_counted_in_the_second_set_and_silence_is_not():
    digests = {"made/a": "1", "made/b": "1", "made/c": "1", "made/d": "", "made/e": ""}
    split = Split([A, B, row("d")], [row("e")], [C], speaker_independent=False)
    assert [line.duplicates for line in leakage(split, digests)] == [0, 1, 0]


@pytest.mark.parametrize("where", ["valid", "test"])
def test_the_same_sound_under_another_name_is_refused_naming_both(where):
    split = Split([A], [B], [C])
    digests = {"made/a": "1", "made/b": "2", "made/c": "3"}
    refuse_identical(split, digests)
    other = {"valid": "made/b", "test": "made/c"}[where]
    with pytest.raises(SplitError, match=f"train and {where} share identical audio: made/a = {other}"):
        refuse_identical(split, digests | {other: "1"})
    refuse_identical(replace(split, speaker_independent=False), digests | {other: "1"})  # is counted instead


def test_the_same_sound_twice_in_one_set_leaks_nothing():
    refuse_identical(Split([A, B], [], [C]), {"made/a": "1", "made/b": "1", "made/c": "2"})


def test_clips_that_nobody_heard_are_no_copies_of_each_other():
    assert identical([A], [B], {}) == []


def test_what_json_says_can_be_read_again():
    line = Leakage("train", "test", 1, 2, 3, 4, 5, 6)
    assert Leakage.from_dict(line.to_dict()) == line
    assert line.to_dict()["shared"]["duplicates"] == 6


def test_folds_with_the_same_line_say_it_once():
    lines = [Leakage("train", "test", n, 0, 0, 0, 0) for n in (0, 1, 0)]
    assert len(sentences_over(lines)) == 2


def test_where_no_row_names_a_speaker_it_is_unknown_whether_they_are_shared():
    first, *_ = leakage(Split([row("a")], [row("b")], [row("c")], speaker_independent=False))
    assert first.speakers is None
    assert first.sentence().startswith("train and valid share unknown speakers, 0 sentences")
    assert Leakage.from_dict(first.to_dict()) == first
