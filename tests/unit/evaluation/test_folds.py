from pathlib import Path

import numpy as np
import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError, SplitError
from earnest.evaluation.answers import same_text, text_column
from earnest.evaluation.metrics import score, seeds_apart
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.protocols import protocol_called, splits_of, suitable_protocol
from earnest.evaluation.splits import Split, fold_and_repeat, repeated
from earnest.experiments.task import FoldChoice, chosen_folds, training_seeds


def split(fold: str) -> Split:
    names = ("a", "b", "c")
    sets = [[Utterance(name, Path(f"{name}.wav"), corpus="made", speaker=name)] for name in names]
    return Split(*sets, fold=fold)


def test_repeats_are_the_same_splits_under_names_of_their_own():
    splits = repeated([split("f1"), split("f2")], 3)
    assert [one.fold for one in splits] == ["f1", "f2", "f1#2", "f2#2", "f1#3", "f2#3"]
    assert {one.test for one in splits} == {split("f1").test}
    assert [fold_and_repeat(one.fold) for one in splits[1:4]] == [("f2", 1), ("f1", 2), ("f2", 2)]


def test_once_is_as_it_is_whatever_the_folds_are_called():
    assert [one.fold for one in repeated([split("ann#2")], 1)] == ["ann#2"]
    with pytest.raises(SplitError, match="'ann#2': the name of a fold can't hold #"):
        repeated([split("ann#2")], 2)


def test_a_fold_that_reads_as_a_repeat_of_another_is_refused():
    rows = [
        Utterance(name, Path(f"{name}.wav"), corpus="made", speaker=name) for name in ("s0", "s0#2", "s1", "s2", "s3#x")
    ]
    with pytest.raises(SplitError, match="The fold 's0#2' would be read as a repeat of another one"):
        chosen_folds(protocol_called("loso"), rows)
    assert len(chosen_folds(protocol_called("loso"), rows[1:]).splits) == 4


def test_a_published_protocol_is_repeated_with_its_own_seeds():
    ntu = protocol_called("iemocap-10speaker")
    assert training_seeds(ntu, 7, None) == (111, 211, 411, 711, 1111)
    assert training_seeds(ntu, 7, 2) == (111, 211)
    with pytest.raises(RecipeError, match="has 5 seeds, so at most 5 repeats; got 6"):
        training_seeds(ntu, 7, 6)


def test_other_protocols_are_trained_once_and_count_on_from_the_recipes_seed():
    assert training_seeds(protocol_called("loso"), 7, None) == (7,)
    assert training_seeds(protocol_called("loso"), 7, 3) == (7, 8, 9)


def predictions(right: dict[str, int]) -> Predictions:
    """Of ten clips of each fold, so many are right."""
    rows = [(fold, number, number < count) for fold, count in right.items() for number in range(10)]
    return Predictions(
        classes=("happy", "sad"),
        utterance_id=text_column(str(number) for _, number, _ in rows),
        corpus=same_text("made", len(rows)),
        speaker=text_column(f"s{number}" for _, number, _ in rows),
        gender=same_text("", len(rows)),
        fold=text_column(fold for fold, *_ in rows),
        emotion=np.zeros(len(rows), np.int64),
        predicted=np.array([0 if good else 1 for *_, good in rows]),
    )


def test_the_spread_over_folds_and_that_over_repeats_are_told_apart():
    scores = score(predictions({"f1": 2, "f2": 6, "f1#2": 4, "f2#2": 8}), np.random.default_rng(0), 10)
    apart, over_repeats = seeds_apart(scores)
    assert (apart.over_folds["wa"].mean, over_repeats["wa"].mean) == (pytest.approx(0.5), pytest.approx(0.5))
    assert apart.over_folds["wa"].sd == pytest.approx(0.4 / 2**0.5)  # 0.3 and 0.7
    assert over_repeats["wa"].sd == pytest.approx(0.2 / 2**0.5)  # 0.4 and 0.6
    assert apart.folds == scores.folds


def test_recordings_count_once_however_often_they_are_trained_for():
    repeated_scores = score(predictions({"f1": 2, "f1#2": 4, "f1#3": 4}), np.random.default_rng(0), 10)
    assert (repeated_scores.n_recordings, repeated_scores.n) == (10, 30)
    assert repeated_scores.size("clip") == "10 clips, 30 answers"
    assert repeated_scores.to_dict()["n_recordings"] == 10
    assert "10 recordings, 30 answers of several trainings: tables" in repeated_scores.notes[0]
    assert score(predictions({"f1": 2}), np.random.default_rng(0), 10).size("clip") == "10 clips"


def test_folds_that_were_trained_once_are_left_as_they_are():
    scores = score(predictions({"f1": 2, "f2": 6}), np.random.default_rng(0), 10)
    assert seeds_apart(scores) == (scores, {})


def test_a_speaker_whose_name_looks_like_a_repeat_is_a_fold():
    scores = score(predictions({"P#2": 2, "P#3": 6, "Q#2": 4}), np.random.default_rng(0), 10)
    assert seeds_apart(scores) == (scores, {})
    assert fold_and_repeat("P#2", ["P#1", "P#2"]) == ("P#2", 1)
    assert fold_and_repeat("P#2", ["P", "P#2"]) == ("P", 2)
    assert fold_and_repeat("P#²") == ("P#²", 1)
    assert FoldChoice([split("P#1"), split("P#2")], 2).folds == ["P#1", "P#2"]


def recordings(*speakers: str, group: str = "") -> list[Utterance]:
    return [
        Utterance(f"{number}-{take}", Path(f"{number}-{take}.wav"), corpus="mine", speaker=speaker, group=group,
                  emotion="other", native_emotion=f"word {take}")
        for number, speaker in enumerate(speakers)
        for take in range(2)
    ]  # fmt: skip


def people(n: int) -> list[str]:
    return [f"mine-{number:02d}" for number in range(n)]


@pytest.mark.parametrize(
    ("n", "expected"), [(3, "speaker-3fold"), (4, "speaker-3fold"), (5, "loso"), (10, "loso"), (11, "speaker-5fold")]
)
def test_speakers_are_kept_apart_however_many_there_are(n: int, expected: str) -> None:
    rows = recordings(*people(n))
    assert suitable_protocol(rows) == expected
    assert protocol_called(expected).speaker_independent
    tested = [row.key for split in splits_of(expected, rows) for row in split.test]
    assert sorted(tested) == sorted(row.key for row in rows)


@pytest.mark.parametrize("n", [3, 4, 20])
def test_one_training_tests_every_fifth_speaker(n: int) -> None:
    assert suitable_protocol(recordings(*people(n)), one_split=True) == "speaker-holdout"
    assert splits_of("speaker-holdout", recordings(*people(n)))[0].test


def test_names_that_are_no_folders_names_are_dealt_out_over_folds() -> None:
    assert suitable_protocol(recordings(*people(5), "mine-a/b")) == "speaker-5fold"


def test_partners_whom_a_group_ties_count_as_one() -> None:
    tied = [*recordings("mine-a", "mine-b", group="talk"), *recordings(*people(4))]
    rows = [Utterance(f"u{number}", row.path, corpus="mine", speaker=row.speaker, group=row.group, emotion="other")
            for number, row in enumerate(tied)]  # fmt: skip
    assert suitable_protocol(rows) == "speaker-5fold"
    splits_of("speaker-5fold", rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (recordings("", ""), r"4 recordings, no speaker named\. .*--speaker-pattern REGEX.*stratified-5fold"),
        (recordings("", "mine-a"), r"2 of 4 recordings name no speaker: mine/0-0, mine/0-1\. Name theirs too"),
        (recordings("mine-a", "mine-b"), r"Three speakers are needed: .* There are 2\. .*stratified-5fold"),
        (recordings(*people(5), group="talk"), r"Three speakers of different groups are needed.* There are 1\."),
    ],
)
def test_where_speakers_can_not_be_kept_apart_it_says_what_to_do(rows: list[Utterance], message: str) -> None:
    with pytest.raises(SplitError, match=message):
        suitable_protocol(rows)
