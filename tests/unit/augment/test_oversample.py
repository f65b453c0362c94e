"""Oversampling: every clip stays, small classes grow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earnest.training.examples import Strategy, oversampled

TARGETS = [0] * 10 + [1] * 4 + [2] * 7 + [3] * 2


def counts(strategy: Strategy, targets: list[int] | None = None, seed: int = 0) -> list[int]:
    targets = TARGETS if targets is None else targets
    chosen = oversampled(targets, strategy, np.random.default_rng(seed))
    return np.bincount(np.asarray(targets)[chosen], minlength=4).tolist()


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("minority", [10, 4, 7, 10]), ("minority-twice", [10, 10, 7, 10]), ("balanced", [10, 10, 10, 10])],
)
def test_small_classes_grow_to_the_size_of_the_largest(strategy: Strategy, expected: list[int]) -> None:
    assert counts(strategy) == expected


@given(targets=st.lists(st.integers(0, 5), max_size=60), seed=st.integers(0, 1_000))
@pytest.mark.parametrize("strategy", ["minority", "minority-twice", "balanced"])
def test_every_clip_comes_first_and_once_then_the_repetitions(
    strategy: Strategy, targets: list[int], seed: int
) -> None:
    chosen = oversampled(targets, strategy, np.random.default_rng(seed))
    assert chosen[: len(targets)].tolist() == list(range(len(targets)))
    assert set(chosen.tolist()) == set(range(len(targets)))


def test_repetitions_depend_on_the_seed_and_nothing_else() -> None:
    first, second, other = (oversampled(TARGETS, "balanced", np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.tolist() == second.tolist()
    assert first.tolist() != other.tolist()


def test_balanced_classes_stay_as_they_are() -> None:
    assert len(oversampled([0, 1, 0, 1], "balanced", np.random.default_rng(0))) == 4
