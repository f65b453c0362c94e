"""Which layers stay in float: those that move answers most, until few enough labels and right answers are lost."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from earnest.export.bundle import Judge, Probabilities, QuantisationClips, controlled, ranked

N = 400


def two_classes(first: Probabilities) -> Probabilities:
    return np.stack([first, 1 - first], axis=1).astype(np.float32)


def judge_of(targets: np.ndarray) -> tuple[Judge, Probabilities]:
    """Return a judge of clips that are all answered with the first class, some more surely than others."""
    first = np.linspace(0.5001, 0.9, N, dtype=np.float32)
    clips = QuantisationClips([np.zeros(1, np.float32)] * N, targets)
    return Judge(clips, two_classes(first)), first


def test_labels_may_change_in_three_of_two_hundred_clips_and_no_more() -> None:
    judge, first = judge_of(np.full(N, 7))  # nothing is right before, so no accuracy can be lost
    for n_changed, is_allowed in ((0, True), (6, True), (7, False)):
        found = first.copy()
        found[:n_changed] = 0.1
        assert (judge.slack(two_classes(found)) >= 0) == is_allowed, n_changed


def test_a_move_counts_by_all_clips_that_it_would_have_changed() -> None:
    clips = QuantisationClips([np.zeros(1, np.float32)] * N, np.zeros(N, np.int64))
    sure, unsure = two_classes(np.full(N // 2, 0.95, np.float32)), two_classes(np.full(N // 2, 0.51, np.float32))
    judge = Judge(clips, np.concatenate([sure, unsure]))
    found = np.concatenate([two_classes(np.full(N // 2, 0.9, np.float32)), unsure])
    assert judge.changed(found) == pytest.approx(0.25)  # moves of one half, held against margins of the other
    assert judge.changed(judge.exact) == 0


def test_a_probability_of_zero_is_a_margin_too() -> None:
    clips = QuantisationClips([np.zeros(1, np.float32)] * 2, np.zeros(2, np.int64))
    judge = Judge(clips, two_classes(np.ones(2, np.float32)))
    assert judge.changed(two_classes(np.zeros(2, np.float32))) == 1


@pytest.mark.parametrize(
    ("n_wrong", "n_righted", "is_allowed"), [(20, 0, True), (28, 0, True), (29, 0, False), (32, 5, True)]
)
def test_half_a_point_of_accuracy_may_be_lost_and_what_chance_loses(
    n_wrong: int, n_righted: int, is_allowed: bool
) -> None:
    targets = np.zeros(10 * N, np.int64)
    targets[:n_righted] = 1  # what gets right makes up for what gets wrong
    first = np.full(10 * N, 0.9, np.float32)
    judge = Judge(QuantisationClips([np.zeros(1, np.float32)] * 10 * N, targets), two_classes(first))
    first[: n_righted + n_wrong] = 0.1
    lost = n_wrong - n_righted - 1.645 * np.sqrt(n_wrong + n_righted)
    assert (lost <= 0.005 * 10 * N) == is_allowed
    assert (judge.slack(two_classes(first)) >= 0) == is_allowed


def test_a_judge_of_some_clips_knows_these_alone() -> None:
    judge, first = judge_of(np.zeros(N, np.int64))
    first[:2] = 0.1
    assert judge.only([0, 1]).slack(two_classes(first[:2])) < 0
    assert judge.only([2, 3]).slack(two_classes(first[2:4])) >= 0
    assert judge.only([0, 2]).moved(two_classes(first[[0, 2]])) == pytest.approx(0.2, abs=0.01)


HARM = {"a": 0.0002, "b": 0.05, "c": 0.0, "d": 0.02}


def run_control(harm: dict[str, float]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the layers that were quantised in the end, and all that was tried."""
    judge, first = judge_of(np.zeros(N, np.int64))
    tried: list[tuple[str, ...]] = []

    def quantised(layers: Sequence[str]) -> list[str]:
        tried.append(tuple(layers))
        return list(layers)

    def answers(layers: list[str], clips: QuantisationClips) -> Probabilities:
        some = first[:: N // len(clips.waveforms)]
        return two_classes(some - sum(harm[layer] for layer in layers))

    ranking = partial(ranked, list(harm), quantised, answers, judge)
    return controlled(list(harm), quantised, answers, judge, ranking), tried


def test_the_worst_layers_go_back_to_float_until_the_limits_are_kept() -> None:
    found, tried = run_control(HARM)
    assert sorted(found) == ["a", "c"]
    assert tried == [tuple(HARM), ("a",), ("b",), ("c",), ("d",), ("c", "a", "d"), ("c", "a")]


def test_nothing_is_ranked_where_all_layers_may_be_quantised() -> None:
    found, tried = run_control({"a": 0.0002, "c": 0.0})
    assert (found, len(tried)) == (["a", "c"], 1)


def test_where_every_layer_hurts_all_stay_in_float() -> None:
    assert run_control({"a": 0.1, "b": 0.2})[0] == []
