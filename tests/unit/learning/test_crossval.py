"""Cross-validation of the head: nobody is answered by what learnt from them."""

from dataclasses import replace

import numpy as np
import pytest

from earnest.learning.crossval import (
    SCORE_COUNTS,
    LabelledEmbeddings,
    LastLayer,
    OutOfFold,
    abstain_below,
    cross_validate,
    folds_of,
    temperature_of,
    with_shares,
)
from earnest.learning.discriminant import ABSENT, discriminants
from earnest.learning.domain import known_limit
from earnest.own.learn import UaChange, advice_on_more, are_guesses, gain_of_the_second_half

N_SPEAKERS, A_SPEAKER, WIDTH = 8, 18, 12


def labelled(gap: float, seed: int = 0, copies: bool = False) -> LabelledEmbeddings:
    """Return clips of speakers whose voices differ much more than the three classes do."""
    rng = np.random.default_rng(seed)
    targets = np.tile(np.arange(3), N_SPEAKERS * A_SPEAKER // 3)
    speakers = np.repeat(np.arange(N_SPEAKERS), A_SPEAKER)
    values = rng.normal(size=(len(targets), WIDTH)) + 3 * rng.normal(size=(N_SPEAKERS, WIDTH))[speakers]
    values[:, :3] += gap * np.eye(3)[targets]
    groups = [f"s{speaker}" for speaker in speakers]
    if copies:
        values, targets, groups = np.tile(values, (2, 1)), np.tile(targets, 2), groups * 2
    is_copy = np.arange(len(targets)) >= len(speakers)
    return LabelledEmbeddings(values, targets, groups, 3, is_copy)


def share_right(data: LabelledEmbeddings) -> float:
    out = cross_validate(data, folds_of(data.groups, data.targets, True, 0), 0)
    return float((out.logits.argmax(axis=1) == data.targets[~data.is_copy]).mean())


def test_labels_that_say_nothing_are_answered_by_chance() -> None:
    assert 0.2 < share_right(labelled(gap=0.0)) < 0.47


def test_copies_of_a_clip_stay_with_it_and_are_not_answered() -> None:
    # Exact copies in the training of their own clip's fold would make every answer right.
    assert 0.2 < share_right(labelled(gap=0.0, copies=True)) < 0.47


def few_in_many_directions(seed: int) -> tuple[LabelledEmbeddings, LastLayer]:
    """Six recordings a speaker of three classes, in 400 directions; and a base that knows the two that matter."""
    rng = np.random.default_rng(seed)
    targets, speakers = np.tile(np.arange(3), 8), np.repeat(np.arange(4), 6)
    told_apart = np.zeros((3, 400))
    told_apart[[0, 1], [0, 1]] = 2.5
    values = rng.normal(size=(24, 400)) + told_apart[targets]
    mixed = rng.normal(size=(5, 3)) @ told_apart + 0.1 * rng.normal(size=(5, 400))  # five classes of its own
    data = LabelledEmbeddings(values, targets, [f"s{one}" for one in speakers], 3, np.zeros(24, bool))
    return data, LastLayer(mixed, rng.normal(size=5))


def test_few_recordings_are_told_apart_by_what_a_base_knows_of_other_classes() -> None:
    trials = [few_in_many_directions(seed) for seed in range(6)]
    alone = np.mean([share_right(data) for data, _ in trials])
    helped = np.mean([share_right(replace(data, base=base)) for data, base in trials])
    assert helped > alone + 0.15


def test_a_head_beside_a_base_is_one_layer_of_the_embedding() -> None:
    data, base = few_in_many_directions(0)
    weights, bias = replace(data, base=base).discriminant(0.6)
    scores = base.scores(data.embeddings)
    scores -= scores.mean(axis=1, keepdims=True)
    counts = np.repeat([1.0, SCORE_COUNTS], [400, 5])
    values = np.hstack([data.embeddings, scores])
    expected, constants = next(discriminants(values, data.targets, 3, [0.6], counts))
    told = values @ expected.T + constants
    np.testing.assert_allclose(data.embeddings @ weights.T + bias, told / told.std(), atol=1e-9)


def test_heads_of_any_shrinkage_have_scores_of_one_size_so_that_one_temperature_serves_all() -> None:
    data = labelled(gap=3.0)
    for shrinkage in (0.2, 0.95):
        weights, bias = data.discriminant(shrinkage)
        assert (data.embeddings @ weights.T + bias).std() == pytest.approx(1.0)
    two = replace(data, targets=data.targets // 2, n_classes=3)  # of the third class there is none
    weights, bias = two.discriminant(0.6)
    assert bias[2] == ABSENT and not weights[2].any()
    assert (data.embeddings @ weights[:2].T + bias[:2]).std() == pytest.approx(1.0)


def test_classes_that_differ_are_learnt() -> None:
    assert share_right(labelled(gap=12.0)) > 0.9


def test_few_speakers_are_left_out_one_by_one_and_many_in_ten_folds() -> None:
    targets = np.arange(60) % 3
    few, many = [str(number // 10) for number in range(60)], [str(number // 3) for number in range(60)]
    assert np.bincount(folds_of(few, targets, True, 0)).tolist() == [10] * 6
    assert len(np.unique(folds_of(many, targets, True, 0))) == 10
    assert len(np.unique(folds_of(many, targets, False, 0))) == 5


def test_a_class_of_one_speaker_is_wrong_when_that_one_is_left_out() -> None:
    data = labelled(gap=4.0)
    alone = np.array([group == "s0" for group in data.groups])
    targets = np.where(alone & (data.targets == 2), 3, data.targets)
    data = LabelledEmbeddings(data.embeddings, targets, data.groups, 4, data.is_copy)
    out = cross_validate(data, folds_of(data.groups, targets, True, 0), 0)
    assert not (out.logits.argmax(axis=1)[targets == 3] == 3).any()
    assert 0.5 <= out.temperature <= 200 and np.isfinite(out.probabilities).all()


def test_a_hundredth_of_the_clips_lies_beyond_the_threshold() -> None:
    data = labelled(gap=1.0)
    out = cross_validate(data, folds_of(data.groups, data.targets, True, 0), 0)
    assert out.distances is not None
    assert np.mean(out.distances > known_limit(out.distances)) <= 0.02


def test_shares_of_classes_make_frequent_ones_likelier() -> None:
    data = labelled(gap=1.0)
    out = cross_validate(data, folds_of(data.groups, data.targets, True, 0), 0)
    frequent = np.where(np.arange(len(data.targets)) < 100, 0, data.targets)
    more, offset = with_shares(out, frequent)
    assert offset[0] > offset[1]
    assert more.logits.argmax(axis=1).tolist().count(0) > out.logits.argmax(axis=1).tolist().count(0)


def test_half_of_the_speakers_are_answered_with_the_same_shares_as_all() -> None:
    data = labelled(gap=12.0)
    out = cross_validate(data, folds_of(data.groups, data.targets, True, 0), 0)
    rare = np.array([0.0, -1e6, -1e6])  # all that is ever said is the first class, by heads of all and of half
    assert gain_of_the_second_half(data, replace(out, logits=out.logits + rare, offset=rare), 0).value == 0
    assert gain_of_the_second_half(data, out, 0) != gain_of_the_second_half(data, replace(out, offset=rare), 0)


def test_answers_that_are_more_often_wrong_than_right_are_not_told() -> None:
    confidence = np.linspace(0.34, 0.99, 200)
    probabilities = np.stack([confidence, 1 - confidence, np.zeros(200)], axis=1)
    probabilities[confidence < 0.5] = [0.4, 0.35, 0.25]
    targets = np.where(confidence > 0.7, 0, 2)
    assert 0.68 < abstain_below(probabilities, targets) < 0.73
    assert abstain_below(probabilities[:10], targets[:10]) == 0.5


def test_the_large_scores_of_few_clips_become_probabilities_that_are_true() -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(90) % 3
    values = rng.normal(size=(90, 800))
    values[:, :3] += 6.0 * np.eye(3)[targets]
    data = LabelledEmbeddings(values, targets, [f"s{row // 10}" for row in range(90)], 3, np.zeros(90, bool))
    out = cross_validate(data, folds_of(data.groups, targets, True, 0), 0)
    confidence, right = out.probabilities.max(axis=1), out.probabilities.argmax(axis=1) == targets
    assert abs(confidence.mean() - right.mean()) < 0.1


def test_what_is_told_with_shares_is_what_the_head_says() -> None:
    data = labelled(gap=4.0)
    few = data.take((data.targets > 0) | (np.arange(len(data.targets)) % 6 == 0))
    out = cross_validate(few, folds_of(few.groups, few.targets, True, 0), 0)
    told, offset = with_shares(out, few.targets)
    shares = np.bincount(few.targets) / len(few.targets)
    np.testing.assert_allclose(offset, out.temperature * np.log(shares))
    for fold in np.unique(out.folds):
        held = out.folds == fold
        there = np.bincount(few.targets[~held]) / (~held).sum()
        odds = np.log(told.probabilities[held] / told.probabilities[held][:, :1]) - np.log(there / there[0])
        spread = out.logits[held] - out.logits[held][:, :1]
        np.testing.assert_allclose(odds * temperature_of(out.logits[~held], few.targets[~held]), spread, atol=1e-4)


def test_heads_of_half_of_the_speakers_learn_from_copies_as_whole_ones_do() -> None:
    data, twins = labelled(gap=6.0), labelled(gap=6.0, copies=True)  # each copy is as its recording
    out = cross_validate(data, folds_of(data.groups, data.targets, True, 0), 0)
    moved = twins.embeddings.copy()
    moved[twins.is_copy] *= 40  # a head that heard these is another one
    heard = replace(twins, embeddings=moved)
    alike = gain_of_the_second_half(data, out, 0).value
    assert gain_of_the_second_half(twins, out, 0).value == pytest.approx(alike, abs=0.05)
    assert gain_of_the_second_half(heard, out, 0) != gain_of_the_second_half(twins, out, 0)


def test_advice_on_more_says_no_more_than_two_standard_errors_allow() -> None:
    assert "twice as many may help further" in advice_on_more(UaChange(0.05, 0.02), "speakers", 12)
    assert "may help little" in advice_on_more(UaChange(0.004, 0.006), "speakers", 12)
    told = advice_on_more(UaChange(0.034, 0.02), "recordings", 0)
    assert told == (
        "With half of the recordings UA was 3.4 points lower, give or take 4.0: whether more of the same kind help "
        "can't be told from so few."
    )
    assert advice_on_more(UaChange(0.034, 0.02), "speakers", 5).startswith("More speakers: results of 5 say little")


def noise(sizes: list[int], seed: int, favourite: float = 0.0) -> tuple[LabelledEmbeddings, OutOfFold]:
    """Embeddings that tell nothing; a share ``favourite`` of a speaker's recordings has one class."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.arange(len(sizes)).repeat(sizes))
    speakers = rng.integers(0, 8, len(targets))
    own = rng.integers(0, len(sizes), 8)[speakers]
    targets = np.where(rng.random(len(targets)) < favourite, own, targets)
    values = rng.normal(size=(len(targets), 8)) + (rng.normal(size=(8, 8))[speakers] if favourite else 0)
    groups = [f"s{number}" for number in speakers]
    data = LabelledEmbeddings(values, targets, groups, len(sizes), np.zeros(len(targets), bool))
    return data, cross_validate(data, folds_of(groups, targets, True, 0), 0)


@pytest.mark.parametrize(("sizes", "favourite"), [([200, 8, 8], 0.0), ([60, 60, 60], 0.7)])
def test_answers_to_noise_are_told_from_guesses_rarely(sizes: list[int], favourite: float) -> None:
    """It was in 25 and 17 of 100: with the error of WA, which rare classes make much smaller than that of UA."""
    assert sum(not are_guesses(*noise(sizes, seed, favourite)) for seed in range(20)) <= 3


def test_answers_that_are_right_are_no_guesses() -> None:
    data = labelled(gap=3.0)
    assert not are_guesses(data, cross_validate(data, folds_of(data.groups, data.targets, True, 0), 0))
