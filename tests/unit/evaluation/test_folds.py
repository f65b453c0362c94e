from pathlib import Path

import numpy as np
import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError, SplitError
from earnest.evaluation.folds import FoldChoice, fold_and_repeat, repeated, seeds_apart, training_seeds
from earnest.evaluation.metrics import score
from earnest.evaluation.predictions import Predictions, same_text, text_column
from earnest.evaluation.protocols import protocol_called
from earnest.evaluation.splits import Split


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


def test_folds_that_were_trained_once_are_left_as_they_are():
    scores = score(predictions({"f1": 2, "f2": 6}), np.random.default_rng(0), 10)
    assert seeds_apart(scores) == (scores, {})


def test_a_speaker_whose_name_looks_like_a_repeat_is_a_fold():
    scores = score(predictions({"P#2": 2, "P#3": 6, "Q#2": 4}), np.random.default_rng(0), 10)
    assert seeds_apart(scores) == (scores, {})
    assert fold_and_repeat("P#2", ["P#1", "P#2"]) == ("P#2", 1)
    assert fold_and_repeat("P#2", ["P", "P#2"]) == ("P", 2)
    assert FoldChoice([split("P#1"), split("P#2")], 2).folds == ["P#1", "P#2"]
