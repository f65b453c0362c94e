from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earnest.corpora.manifest import Utterance, write_manifest
from earnest.errors import EarnestError, RecipeError, SplitError
from earnest.evaluation.splits import Split
from earnest.experiments.evaluate import train, with_train_share
from earnest.experiments.tune import SearchSpace, tune
from earnest.models.cabg import Cabg, CabgSettings
from earnest.models.classifier import MODELS
from earnest.settings.recipe import Range, Recipe, Tune


def rows(first: int, last: int, emotions: tuple[str, ...] = ("happy", "sad", "sad")) -> list[Utterance]:
    return [
        Utterance(f"{speaker}-{take}", Path(f"{speaker}-{take}.wav"), corpus="made", speaker=f"s{speaker}", emotion=one)
        for speaker in range(first, last)
        for take, one in enumerate(emotions)
    ]


APART = Split(rows(0, 10), rows(10, 12), rows(12, 14))
SHARED = Split(rows(0, 10), rows(10, 12), rows(12, 14), speaker_independent=False)


def test_whole_speakers_are_kept_and_validation_and_test_stay():
    less = with_train_share(APART, 0.3)
    assert Counter(row.speaker for row in less.train) == dict.fromkeys({row.speaker for row in less.train}, 3)
    assert len({row.speaker for row in less.train}) == 3
    assert (less.valid, less.test) == (APART.valid, APART.test)


def test_clips_of_each_emotion_are_kept_where_speakers_are_shared():
    less = with_train_share(SHARED, 0.5)
    assert Counter(row.emotion for row in less.train) == {"happy": 5, "sad": 10}


@given(small=st.floats(0.01, 1), more=st.floats(0.01, 1), split=st.sampled_from([APART, SHARED]))
def test_who_stays_at_a_small_share_stays_at_every_larger_one(small: float, more: float, split: Split) -> None:
    small, more = sorted((small, more))
    assert set(with_train_share(split, small).train) <= set(with_train_share(split, more).train)


def test_everything_is_everything():
    assert with_train_share(APART, 1.0) == APART
    assert with_train_share(SHARED, 1.0) == SHARED


def test_who_stays_does_not_depend_on_the_order_of_the_clips():
    turned = Split(APART.train[::-1], APART.valid, APART.test)
    assert set(with_train_share(turned, 0.3).train) == set(with_train_share(APART, 0.3).train)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(RecipeError, match="above 0 and at most 1"):
        with_train_share(APART, share)


def test_a_share_holds_clips_of_each_word_of_ones_own() -> None:
    own = ("yes", "no")
    words = [replace(row, emotion="other", native_emotion=own[at % 2]) for at, row in enumerate(SHARED.train)]
    less = with_train_share(replace(SHARED, train=words), 0.05)
    assert {row.native_emotion for row in less.train} == {"yes", "no"}


def test_a_share_without_one_of_the_emotions_is_refused():
    odd = Split([*rows(0, 9, ("happy",)), *rows(9, 10, ("sad",))], [], [])
    with pytest.raises(SplitError, match=r"0\.1 of the training data holds no recording of (sad|happy)"):
        with_train_share(odd, 0.1)


class OneTooMany(Cabg):
    """Of another package, as far as anybody can tell, and gives a logit too many."""

    def __init__(self, n_mels: int, n_classes: int, settings: CabgSettings) -> None:
        super().__init__(n_mels, n_classes + 1, settings)


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> SearchSpace:
    monkeypatch.setitem(MODELS._entries, "trial", OneTooMany)
    return SearchSpace(Recipe("made", "trial"), Tune(ranges={"training.learning_rate": Range(1e-4, 1e-2)}))


def test_wrong_answers_of_a_network_are_told_before_anything_is_decoded(space: SearchSpace, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    words = r"^The model 'trial': logits of 2 utterances must be \(2, 2\), got \(2, 3\)"
    write_manifest(rows(0, 10), manifest)  # of recordings that aren't there
    with pytest.raises(EarnestError, match=words):
        train(space.recipe, "speaker-5fold", None, {"made": manifest}, tmp_path / "run", "earnest train")
    assert not (tmp_path / "run" / "recipe.toml").exists()
    with pytest.raises(EarnestError, match=words):
        tune(space, "speaker-5fold", None, {"made": manifest}, tmp_path / "tuned")
