from dataclasses import replace
from pathlib import Path

import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError, SplitError
from earnest.evaluation.protocols import protocol_called, splits_of


def made_up(n_speakers: int, corpus: str = "made", emotions: tuple[str, ...] = ("happy", "sad")) -> list[Utterance]:
    return [
        Utterance(
            f"{speaker:02d}{emotion}{take}", Path(f"{speaker:02d}{emotion}{take}.wav"), corpus=corpus,
            speaker=f"{corpus}-{speaker:02d}", emotion=emotion, session=f"s{speaker // 2}",
        )
        for speaker in range(n_speakers)
        for emotion in emotions
        for take in range(2)
    ]  # fmt: skip


@pytest.mark.parametrize("k", [3, 7, 10])
def test_speakers_are_dealt_out_over_any_number_of_folds(k):
    splits = splits_of(f"speaker-{k}fold", made_up(11))
    assert [split.fold for split in splits] == [f"f{number + 1}" for number in range(k)]
    assert sorted(row.key for split in splits for row in split.test) == sorted(row.key for row in made_up(11))
    assert {row.speaker for row in splits[1].test} == {f"made-{number:02d}" for number in range(1, 11, k)}


def test_groups_are_dealt_out_whole_and_the_title_says_that_speakers_may_be_shared():
    splits = splits_of("group-3fold", [replace(row, group=f"g{int(row.speaker[-2:]) % 7}") for row in made_up(14)])
    for split in splits:
        sets = [{row.group for row in rows} for rows in split.sets.values()]
        assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    assert {row.group for row in splits[0].test} == {"g0", "g3", "g6"}
    assert protocol_called("group-3fold").kind == "speaker-dependent"


def test_stratified_folds_keep_the_shares_of_the_classes_and_say_that_speakers_are_shared():
    splits = splits_of("stratified-4fold", made_up(10))
    for split in splits:
        assert sum(row.emotion == "happy" for row in split.test) == 5
        assert len(split.test) == 10
    assert not splits[0].speaker_independent
    assert protocol_called("stratified-4fold").kind == "speaker-dependent"


def test_sessions_are_left_out_one_by_one_and_the_next_one_is_for_validation():
    splits = splits_of("session-loso", made_up(8))
    assert [split.fold for split in splits] == ["made-s0", "made-s1", "made-s2", "made-s3"]
    assert [{row.session for row in split.valid} for split in splits] == [{"s1"}, {"s2"}, {"s3"}, {"s0"}]
    assert splits[0].speaker_independent


def test_a_speaker_of_two_sessions_is_refused_where_sessions_are_left_out():
    rows = [replace(row, speaker="made-ann") if row.speaker[-1] in "04" else row for row in made_up(8)]
    with pytest.raises(SplitError, match="share the speaker made-ann"):
        splits_of("session-loso", rows)


@pytest.mark.parametrize(("name", "field"), [("session-loso", "session"), ("group-3fold", "group")])
def test_a_clip_without_what_is_divided_by_is_refused_by_name(name, field):
    rows = [replace(row, group=row.speaker) for row in made_up(8)]
    with pytest.raises(SplitError, match=f"made/00happy0 has no {field}"):
        splits_of(name, [replace(rows[0], **{field: ""}), *rows[1:]])


@pytest.mark.parametrize("name", ["speaker-2fold", "group-1fold", "stratified-2fold"])
def test_fewer_than_three_folds_are_refused(name):
    with pytest.raises(RecipeError, match=f"{name}: needs 3 folds or more"):
        protocol_called(name)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("speaker-10folds", "speaker-10fold"),
        ("speakers-7fold", "speaker-7fold"),
        ("speaker-010fold", "speaker-10fold"),
        ("stratifed-4fold", "stratified-4fold"),
        ("session-lsoo", "session-loso"),
        ("speaker-99999999fold", "speaker-9999fold"),
        ("speaker-fold", "speaker-5fold"),
    ],
)
def test_a_wrong_name_is_told_the_nearest_with_its_number(wrong, right):
    with pytest.raises(RecipeError, match=f"Did you mean '{right}'"):
        protocol_called(wrong)


def test_more_folds_than_speakers_are_refused():
    with pytest.raises(SplitError, match="at least 12 speakers, the data has 11"):
        splits_of("speaker-12fold", made_up(11))
    with pytest.raises(SplitError, match="at least 3 speakers, but no recording names one"):
        splits_of("speaker-holdout", [replace(row, speaker="") for row in made_up(11)])


def test_the_matrix_trains_on_each_corpus_and_tests_its_unseen_speakers_and_all_others():
    rows = [*made_up(6, "one", ("happy", "sad", "angry")), *made_up(10, "two")]
    first, second = splits_of("cross-corpus-matrix", rows)
    assert (first.fold, second.fold) == ("from-one", "from-two")
    for split, own, other in ((first, "one", "two"), (second, "two", "one")):
        assert {row.corpus for row in (*split.train, *split.valid)} == {own}
        assert {row.corpus for row in split.test} == {own, other}
        assert {row.emotion for rows in split.sets.values() for row in rows} == {"happy", "sad"}
    assert sum(row.corpus == "two" for row in first.test) == 40
    assert {row.speaker for row in first.test if row.corpus == "one"} == {"one-00", "one-05"}


def test_the_matrix_needs_two_corpora_with_two_classes_in_common():
    with pytest.raises(SplitError, match="at least 2 corpora"):
        splits_of("cross-corpus-matrix", made_up(6))
    with pytest.raises(SplitError, match="have fewer than two classes in common"):
        splits_of("cross-corpus-matrix", [*made_up(6), *made_up(6, "two", ("sad", "angry"))])


def test_a_corpus_is_left_out_with_the_classes_that_it_has_and_all_of_the_others_are_learnt():
    six = ("neutral", "happy", "sad", "angry", "fearful", "disgust")
    rows = [*made_up(6, "ravdess", (*six, "calm")), *made_up(5, "nemo", six[:5]), *made_up(7, "emodb", six)]
    splits = {split.fold: split for split in splits_of("leave-one-corpus-out", rows)}
    assert list(splits) == ["to-emodb", "to-nemo", "to-ravdess"]  # CREMA-D is not at hand
    for fold, split in splits.items():
        left_out = fold.removeprefix("to-")
        assert {row.corpus for row in split.test} == {left_out}
        assert left_out not in {row.corpus for row in (*split.train, *split.valid)}
        assert {row.corpus for row in split.train} == {row.corpus for row in split.valid}
        assert {row.emotion for row in split.train} == set(six)
        assert split.speaker_independent
    assert {row.emotion for row in splits["to-nemo"].test} == set(six[:5])
    assert {row.emotion for row in splits["to-ravdess"].test} == set(six)


def test_one_corpus_alone_can_not_be_left_out():
    with pytest.raises(SplitError, match="at least 2 corpora"):
        splits_of("leave-one-corpus-out", made_up(6, "emodb"))


def test_few_clips_are_drawn_with_one_of_each_class_for_validation():
    rows = [Utterance(f"{word}{take}", Path(f"{word}{take}.wav"), corpus="mine", emotion="other", native_emotion=word)
            for word in ("a", "b", "c") for take in range(5)]  # fmt: skip
    for split in splits_of("stratified-5fold", rows):
        assert [sorted(row.native_emotion for row in rows) for rows in (split.valid, split.test)] == [
            ["a", "b", "c"]
        ] * 2
    with pytest.raises(SplitError, match="Every class needs at least 5 recordings"):
        splits_of("stratified-5fold", rows[:-1])
