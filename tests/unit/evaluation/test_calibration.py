"""Temperatures, calibration error and reliability diagrams, on answers whose truth is known."""

import warnings
from dataclasses import asdict

import numpy as np
import pytest

from earnest.evaluation.calibration import (
    HIGHEST,
    CalibrationScores,
    ExpectedEce,
    bound_warnings,
    calibration_scores,
    expected_ece,
    fit_temperature,
    log_softmax,
    reliability,
    selective,
    softmax,
    undone,
)


def drawn_logits(temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true classes are drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (n, 6))
    cumulated = softmax(logits, temperature).cumsum(axis=1)
    return logits, (rng.random((n, 1)) > cumulated).sum(axis=1).clip(0, 5)


def negative_log_likelihood(logits: np.ndarray, true: np.ndarray, temperature: float) -> float:
    return float(-log_softmax(logits, temperature)[np.arange(len(true)), true].mean())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_recovered(temperature):
    assert fit_temperature(*drawn_logits(temperature)) == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_a_fit_that_ends_where_nothing_more_is_tried_is_known_as_such(scale: float) -> None:
    logits, true = drawn_logits(1.0)
    (told,) = bound_warnings("emotion", fit_temperature(logits * scale, true))
    assert told.startswith("The temperature of the emotion is ")
    assert not bound_warnings("emotion", fit_temperature(logits, true))


def test_no_other_temperature_is_more_likely():
    logits, true = drawn_logits(1.7, n=500)
    best = fit_temperature(logits, true)
    lowest = min(negative_log_likelihood(logits, true, candidate) for candidate in np.geomspace(0.05, 20, 500))
    assert negative_log_likelihood(logits, true, best) <= lowest + 1e-9


def test_float32_logits_give_the_same_temperature():
    logits, true = drawn_logits(1.7, n=2000)
    assert fit_temperature(logits.astype(np.float32), true) == pytest.approx(fit_temperature(logits, true), rel=1e-4)


def test_flawless_and_hopeless_logits_end_at_the_bounds():
    logits = np.eye(3)
    told = softmax(logits, fit_temperature(logits, np.arange(3)))
    assert told.max(axis=1).mean() == pytest.approx(4 / 5)  # three right answers of three
    assert fit_temperature(-logits, np.arange(3)) == pytest.approx(HIGHEST)


def test_softmax_sums_to_one_for_huge_logits():
    assert softmax(np.array([1e6, 0.0, -1e6], dtype=np.float32)).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.array([[np.nan, 0.0]]), np.array([[np.inf, 0.0]])])
def test_no_rows_and_no_numbers_are_refused(logits):
    with pytest.raises(ValueError, match="A temperature needs"):
        fit_temperature(logits, np.zeros(len(logits), dtype=np.int64))


@pytest.mark.parametrize("temperature", [1.0, 3.0, 0.4])
def test_calibration_can_be_undone(temperature):
    logits, _ = drawn_logits(1.0, 200)
    calibrated = softmax(logits, temperature)
    assert calibrated.sum(axis=1) == pytest.approx(np.ones(200))
    np.testing.assert_allclose(undone(calibrated, temperature), softmax(logits), atol=1e-9)
    np.testing.assert_allclose(undone(calibrated.astype(np.float32), temperature), softmax(logits), atol=1e-4)


def test_unknown_and_certain_probabilities_can_be_undone_too():
    rows = np.array([[np.nan] * 4, [1, 0, 0, 0]], dtype=np.float32)
    found = undone(rows, 2.0)
    assert np.isnan(found[0]).all()
    assert found[1] == pytest.approx([1, 0, 0, 0], abs=1e-9)


SURE = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]])
MISSING = np.full((1, 2), np.nan)


def drawn(n: int, sharpness: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 5) and labels drawn from them: a perfectly calibrated model."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(5, sharpness), n)
    return probabilities, (rng.random((n, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 4)


def test_the_bins_hold_mean_confidence_share_right_and_rows():
    diagram = reliability(np.vstack([SURE, MISSING]), np.array([0, 1, 0, 1, 0]), n_bins=2)
    assert diagram.counts.tolist() == [0, 4]
    assert np.isnan(diagram.confidence[0])
    assert diagram.confidence[1] == pytest.approx(0.75)
    assert diagram.accuracy[1] == 0.75


def test_a_bin_holds_its_upper_end_and_not_its_lower():
    halves = np.array([[0.5, 0.5], [0.51, 0.49]])
    assert reliability(halves, np.array([0, 0]), n_bins=2).counts.tolist() == [1, 1]
    assert reliability(np.array([[1.0, 0.0]]), np.array([0]), n_bins=2).counts.tolist() == [0, 1]
    ends = np.array([[0.2], [0.4], [0.6], [0.8]], np.float32)  # a little above themselves
    assert np.flatnonzero(reliability(ends, np.zeros(4, np.int64)).counts).tolist() == [2, 5, 8, 11]


def test_ece_weighs_bins_by_their_rows():
    # Bin of 0.9 and 0.8 (two thirds and above): 0.85 against 1/2; bin of 0.6 (below): 0.6 against 1.
    diagram = reliability(SURE[[0, 1, 3]], np.array([0, 1, 1]), n_bins=3)
    assert diagram.ece == pytest.approx((2 * 0.35 + 1 * 0.4) / 3)


def test_no_row_with_probabilities_has_no_ece():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(reliability(MISSING, np.array([0])).ece)
    with pytest.raises(ValueError, match="at least one row"):
        expected_ece(MISSING, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one row"):
        selective(SURE[:0], np.array([], dtype=np.int64))


@pytest.mark.parametrize("n", [60, 240, 5000])
def test_the_expected_ece_is_that_of_labels_drawn_from_the_probabilities(n):
    probabilities, _ = drawn(n)
    rng = np.random.default_rng(1)
    cumulated = probabilities.cumsum(axis=1)
    errors = [
        reliability(probabilities, (rng.random((n, 1)) > cumulated).sum(axis=1).clip(0, 4)).ece for _ in range(1000)
    ]
    expected = expected_ece(probabilities, np.random.default_rng(2), n_draws=1000)
    assert expected.mean == pytest.approx(np.mean(errors), rel=0.05)
    assert expected.q95 == pytest.approx(np.quantile(errors, 0.95), rel=0.08)


def test_a_calibrated_model_is_below_the_quantile_nineteen_times_of_twenty_and_an_overconfident_one_is_not():
    below = 0
    for seed in range(200):
        probabilities, true = drawn(240, seed=seed)
        limit = expected_ece(probabilities, np.random.default_rng(seed)).q95
        below += reliability(probabilities, true).ece <= limit
        if seed < 5:
            sharpened = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
            assert reliability(sharpened, true).ece > expected_ece(sharpened, np.random.default_rng(seed)).q95
    assert 180 <= below <= 198  # binomial(200, 0.95): 190 ± 3.1


def test_the_most_confident_are_answered_first():
    curve = selective(SURE, np.array([0, 1, 0, 1]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.accuracy == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4])
    assert curve.aurc == pytest.approx(1 - np.mean([1, 1 / 2, 2 / 3, 3 / 4]))


@pytest.mark.parametrize(
    ("coverage", "expected"), [(1.0, 3 / 4), (0.75, 2 / 3), (0.6, 2 / 3), (0.5, 1 / 2), (0.01, 1), (1e-12, 1)]
)
def test_the_accuracy_at_a_coverage_keeps_at_least_that_share(coverage, expected):
    assert selective(SURE, np.array([0, 1, 0, 1])).accuracy_at(coverage) == pytest.approx(expected)


def test_a_share_that_is_a_whole_number_of_rows_keeps_just_these():
    assert 0.07 * 100 > 7  # in floating point
    rows = np.linspace(0.99, 0.6, 100)
    curve = selective(np.column_stack([rows, 1 - rows]), (np.arange(100) >= 7).astype(np.int64))
    assert curve.accuracy_at(0.07) == 1


@pytest.mark.parametrize("coverage", [0.0, -0.1, 1.01, np.nan])
def test_a_coverage_outside_its_range_is_refused(coverage):
    with pytest.raises(ValueError, match="coverage"):
        selective(SURE, np.array([0, 1, 0, 1])).accuracy_at(coverage)


def test_rows_without_probabilities_come_last_and_are_wrong():
    curve = selective(np.vstack([MISSING, SURE]), np.array([0, 0, 0, 0, 1]))
    assert curve.accuracy == pytest.approx([1, 1, 1, 1, 0.8])


def test_equally_confident_rows_share_their_mean_whatever_their_order():
    same = np.repeat([[0.9, 0.1], [0.6, 0.4]], [1, 4], axis=0)
    true = np.array([0, 0, 1, 1, 1])
    curve = selective(same, true)
    assert curve.accuracy == pytest.approx([1, 1.25 / 2, 1.5 / 3, 1.75 / 4, 2 / 5])
    turned = selective(same[::-1], true[::-1])
    assert turned.accuracy == pytest.approx(curve.accuracy)


def test_calibration_scores_carry_the_expected_error_when_they_are_given_draws():
    probabilities, true = drawn(100)
    plain, with_draws = (calibration_scores(probabilities, true, rng) for rng in (None, np.random.default_rng(0)))
    assert plain is not None
    assert with_draws is not None
    assert plain.expected_ece is None
    assert with_draws.expected_ece == expected_ece(probabilities, np.random.default_rng(0))
    assert asdict(with_draws)["expected_ece"].keys() == {"mean", "q95"}


def test_an_error_is_judged_by_what_chance_gives():
    chance = ExpectedEce(0.027, 0.038)
    told = "than chance explains (chance: 0.027 on average, 95 % below 0.038)"
    assert CalibrationScores(0.041, 0.3, 1440, chance).sentence == f"ECE 0.041, more {told}"
    assert CalibrationScores(0.038, 0.3, 1440, chance).sentence == f"ECE 0.038, no more {told}"
    assert CalibrationScores(0.041, 0.3, 1440).sentence == "ECE 0.041"
