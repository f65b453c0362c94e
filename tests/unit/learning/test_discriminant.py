"""The quick discriminants are the house's; folds keep groups whole."""

import numpy as np
import pytest

from earnest.learning.discriminant import (
    ABSENT,
    SHRINKAGES,
    USUAL,
    Shrinkage,
    best_shrinkage,
    discriminant,
    discriminants,
    grouped_folds,
)


def embeddings(n: int, width: int, n_classes: int = 3, gap: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    targets = np.arange(n) % n_classes
    values = rng.normal(size=(n, width)) * rng.uniform(0.2, 3, width)
    values[:, :n_classes] += gap * np.eye(n_classes)[targets]
    return values, targets


@pytest.mark.parametrize(("n", "width"), [(40, 120), (200, 30)])
def test_they_are_the_discriminants_of_the_training_workbench(n: int, width: int) -> None:
    values, targets = embeddings(n, width)
    for shrinkage, (weights, bias) in zip(SHRINKAGES, discriminants(values, targets, 3), strict=True):
        expected, constants = discriminant(values, targets, Shrinkage(shrinkage), 3)
        np.testing.assert_allclose(weights, expected - expected.mean(axis=0), rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(bias, constants - constants.mean(), rtol=1e-8, atol=1e-10)


def test_values_that_count_less_are_shrunk_towards_more_noise() -> None:
    values, targets = embeddings(60, 12)
    weights_of_values = np.repeat([1.0, 0.25], 6)
    found, bias = discriminant(values, targets, Shrinkage(0.6, weights_of_values), 3)
    # By the formula for z = (x − μ)/σ: S' = (1 − s)·S + s·t·diag(1/w²), t the mean of w²·diag S.
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    centres = np.stack([scaled[targets == target].mean(axis=0) for target in range(3)])
    within = np.mean([np.cov(scaled[targets == target].T, bias=True) for target in range(3)], axis=0)
    floor = 0.6 * np.mean(weights_of_values**2 * np.diag(within)) / weights_of_values**2
    slopes = centres @ np.linalg.inv(0.4 * within + np.diag(floor))
    expected = scaled @ slopes.T - 0.5 * (slopes * centres).sum(axis=1)
    np.testing.assert_allclose(values @ found.T + bias, expected, rtol=1e-8, atol=1e-8)


def test_without_shrinkage_it_is_the_same_what_values_count() -> None:
    values, targets = embeddings(200, 12)
    plain, bias = discriminant(values, targets, Shrinkage(0.0), 3)
    found, other_bias = discriminant(values, targets, Shrinkage(0.0, np.linspace(0.1, 1, 12)), 3)
    np.testing.assert_allclose(found, plain, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(other_bias, bias, rtol=1e-6)


def test_without_shrinkage_rounding_is_no_direction_to_tell_classes_by() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 200)
    exact = (rng.normal(size=(200, 10)) + 3 * np.eye(3, 10)[targets]) @ rng.normal(size=(10, 40))
    heard, again = (exact * (1 + 3e-7 * rng.normal(size=exact.shape)) for _ in range(2))  # as float32 rounds
    weights, bias = discriminant(heard, targets, Shrinkage(0.0), 3)
    np.testing.assert_allclose(again @ weights.T + bias, heard @ weights.T + bias, atol=1e-4)
    assert ((again @ weights.T + bias).argmax(axis=1) == targets).mean() > 0.9


def test_a_class_that_nobody_showed_is_never_the_answer() -> None:
    values, targets = embeddings(40, 10)
    weights, bias = next(discriminants(values, np.where(targets == 1, 0, targets), 3, [0.6]))
    assert bias[1] == ABSENT
    assert 1 not in (values @ weights.T + bias).argmax(axis=1)


def test_folds_keep_groups_whole_and_classes_even() -> None:
    groups = [f"speaker {number // 6}" for number in range(120)]
    targets = np.arange(120) % 3
    folds = grouped_folds(groups, targets, 5, np.random.default_rng(0))
    assert all(
        len({fold for fold, one in zip(folds, groups, strict=True) if one == group}) == 1 for group in set(groups)
    )
    assert np.bincount(folds).tolist() == [24] * 5
    assert all(np.bincount(targets[folds == fold]).tolist() == [8, 8, 8] for fold in range(5))


def test_the_usual_shrinkage_stays_where_another_is_better_by_chance_alone() -> None:
    values, targets = embeddings(90, 20, gap=0.0)
    groups = [str(number // 9) for number in range(90)]
    assert best_shrinkage(values, targets, 3, groups, np.random.default_rng(0)) == USUAL


def test_another_shrinkage_is_chosen_where_it_is_clearly_better() -> None:
    # Two classes differ along a direction of little variance among others of much: only little shrinkage sees it.
    rng = np.random.default_rng(0)
    targets = np.arange(600) % 2
    shared = rng.normal(size=(600, 1))
    values = shared + 0.05 * rng.normal(size=(600, 12))
    values[:, 0] += 0.12 * targets
    groups = [str(number // 20) for number in range(600)]
    assert best_shrinkage(values, targets, 2, groups, np.random.default_rng(0)) < USUAL


def test_one_row_of_each_class_gives_the_nearest_mean() -> None:
    values = np.array([[0.0, 0.0], [4.0, 0.0]])
    targets = np.array([0, 1])
    for weights, bias in (
        next(discriminants(values, targets, 2, [0.6])),
        discriminant(values, targets, Shrinkage(0.6), 2),
    ):
        assert (np.array([[1.0, 3.0], [3.0, -3.0]]) @ weights.T + bias).argmax(axis=1).tolist() == [0, 1]
