from dataclasses import replace
from pathlib import Path

import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.splits import Leakage, Split, identical, leakage, refuse_identical, sentences_over


def row(
    name: str, speaker: str = "", group: str = "", text_id: str = "", session: str = "", file: str = ""
) -> Utterance:
    path = Path(file or f"{name}.wav")
    return Utterance(name, path, corpus="made", speaker=speaker, group=group, text_id=text_id, session=session)


A, B, C = row("a", "ann"), row("b", "ben"), row("c", "cat")


def test_three_disjoint_sets_are_kept_as_they_are():
    split = Split([A], [B], [C], fold="f1", protocol="p")
    assert (split.train, split.valid, split.test) == ((A,), (B,), (C,))


@pytest.mark.parametrize("sets", [([A], [B], [A]), ([A], [A], [C]), ([A], [B, C], [C])])
def test_an_utterance_in_two_sets_is_refused_by_name(sets):
    with pytest.raises(SplitError, match=r"share the utterance made/[ac]"):
        Split(*sets, speaker_independent=False)


def test_an_utterance_twice_in_one_set_is_refused():
    with pytest.raises(SplitError, match="made/a is twice in train"):
        Split([A, A], [B], [C])


@pytest.mark.parametrize("where", ["valid", "test"])
def test_a_speaker_in_two_sets_is_refused_when_speaker_independent(where):
    sets = {"train": [A], "valid": [B], "test": [C]} | {where: [row("other", "ann")]}
    with pytest.raises(SplitError, match=f"train and {where} share the speaker ann"):
        Split(**sets)
    assert Split(**sets, speaker_independent=False).train == (A,)


def test_an_unknown_speaker_is_refused_when_speaker_independent():
    with pytest.raises(SplitError, match="made/d in test have no speaker"):
        Split([A], [B], [row("d")])


@pytest.mark.parametrize("speaker_independent", [True, False])
@pytest.mark.parametrize("pair", [("train", "valid"), ("train", "test"), ("valid", "test")])
def test_a_group_in_two_sets_is_refused(pair, speaker_independent):
    sets = {"train": A, "valid": B, "test": C}
    sets |= {name: replace(sets[name], group="dialogue1") for name in pair}
    with pytest.raises(SplitError, match="share the group made/dialogue1"):
        Split(*([utterance] for utterance in sets.values()), speaker_independent=speaker_independent)


def test_only_valid_and_test_may_hold_the_partners_of_a_dialogue():
    partners = [replace(B, group="dialogue1")], [replace(C, group="dialogue1")]
    assert leakage(Split([A], *partners, dialogue_partners=True))[2].groups == 1
    with pytest.raises(SplitError, match="train and test share the group"):
        Split(partners[0], [A], partners[1], dialogue_partners=True)


def test_groups_of_different_corpora_are_different_groups():
    other = replace(C, corpus="another", group="1")
    assert Split([replace(A, group="1")], [B], [other]).test == (other,)


def test_an_empty_training_set_is_refused():
    with pytest.raises(SplitError, match="training set is empty"):
        Split([], [B], [C])


def test_the_error_counts_the_offenders_it_does_not_name():
    rows = [row(f"n{number}", "ann") for number in range(9)]
    with pytest.raises(SplitError, match="made/n0, made/n1, made/n2 and 6 more"):
        Split(rows, [], rows, speaker_independent=False)


def test_a_split_file_holds_ids_and_no_paths():
    assert '"made/a"' in Split([A], [B], [C]).to_json()
    assert ".wav" not in Split([A], [B], [C]).to_json()


def test_leakage_counts_shared_speakers_sentences_and_groups():
    train = [row("a", "ann", text_id="s1"), row("b", "ann", text_id="s2"), row("c", "ben", text_id="s3")]
    test = [row("d", "ann", text_id="s1"), row("e", "ben", text_id="s2"), row("f", "cat")]
    train_test = leakage(Split(train, [], test, speaker_independent=False))[1]
    assert (train_test.speakers, train_test.sentences, train_test.groups) == (2, 2, 0)
    assert sentences_over([train_test])[0] == (
        "train and test share 2 speakers, 2 sentences, 0 groups, 0 sessions, 0 recordings, unknown identical utterances"
    )


def test_where_no_row_names_a_sentence_it_is_unknown_whether_they_are_shared():
    unnamed = leakage(Split([row("a", "ann")], [], [row("b", "ben")]))[1]
    named = leakage(Split([row("a", "ann", text_id="s1")], [], [row("b", "ben")]))[1]
    assert (unnamed.sentences, named.sentences) == (None, 0)
    assert "share 0 speakers, unknown sentences, 0 groups" in sentences_over([unnamed])[0]
    assert Leakage.from_dict(unnamed.to_dict()) == unnamed


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


def test_the_worst_of_many_folds_is_told():
    lines = [Leakage("train", "test", int(n == 40), 3 + n % 2, 0, 0, 0, n % 2 or None) for n in range(50)]
    told = "train and test share 0 to 1 speakers, 3 to 4 sentences, 0 groups, 0 sessions, 0 recordings, "
    assert sentences_over([*lines, Leakage("valid", "test", 0, None, 0, 0, 0)]) == [
        f"{told}1 or unknown identical utterances",
        "valid and test share 0 speakers, unknown sentences, 0 groups, 0 sessions, 0 recordings, unknown identical "
        "utterances",
    ]


def test_where_no_row_names_a_speaker_it_is_unknown_whether_they_are_shared():
    first, *_ = leakage(Split([row("a")], [row("b")], [row("c")], speaker_independent=False))
    assert first.speakers is None
    assert sentences_over([first])[0].startswith("train and valid share unknown speakers, unknown sentences")
    assert Leakage.from_dict(first.to_dict()) == first
