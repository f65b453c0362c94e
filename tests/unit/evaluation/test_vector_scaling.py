import numpy as np
import pytest

from earnest.evaluation.calibration import Calibration, fit_temperature, negative_log_likelihood, quality, softmax
from earnest.evaluation.vector_scaling import SMALLEST_WEIGHT, fit_vector

SKEWED = Calibration(2.0, (0.7, 1.3, 1.0, 0.8), (0.8, 0.0, -0.9, 0.1))


def drawn(calibration: Calibration, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, 4) whose true classes are drawn from their calibrated probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (n, 4))
    cumulated = np.exp(calibration.log_probabilities(logits)).cumsum(axis=1)
    return logits, (rng.random((n, 1)) > cumulated).sum(axis=1).clip(0, 3)


def loss(calibration: Calibration, logits: np.ndarray, true: np.ndarray) -> float:
    return quality(np.exp(calibration.log_probabilities(logits)), true).nll


def test_with_many_clips_the_probabilities_are_the_true_ones():
    fitted = fit_vector(*drawn(SKEWED, 20_000), penalty=20.0)
    logits, _ = drawn(SKEWED, 2_000, seed=1)
    difference = np.exp(fitted.log_probabilities(logits)) - np.exp(SKEWED.log_probabilities(logits))
    assert np.abs(difference).mean() < 0.006
    assert np.abs(difference).max() < 0.05


def test_it_is_better_than_a_temperature_where_classes_are_skewed():
    logits, true = drawn(SKEWED, 1_000)
    unseen = drawn(SKEWED, 5_000, seed=1)
    assert (
        loss(fit_vector(logits, true), *unseen) < negative_log_likelihood(*unseen, fit_temperature(logits, true)) - 0.03
    )


@pytest.mark.parametrize("n", [10, 40, 240])
def test_few_clips_do_not_lead_far_from_the_temperature(n):
    unseen = drawn(Calibration(2.0), 5_000, seed=1)
    extra = []
    for seed in range(5):
        logits, true = drawn(Calibration(2.0), n, seed=10 + seed)
        temperature = fit_temperature(logits, true)
        extra.append(loss(fit_vector(logits, true), *unseen) - negative_log_likelihood(*unseen, temperature))
    assert np.mean(extra) < 0.02


def test_a_high_penalty_leaves_the_temperature_alone():
    logits, true = drawn(SKEWED, 500)
    fitted = fit_vector(logits, true, penalty=1e9)
    assert fitted.weight == pytest.approx((1,) * 4, abs=1e-5)
    assert fitted.bias == pytest.approx((0,) * 4, abs=1e-5)
    assert fitted.temperature == fit_temperature(logits, true)


def test_no_weight_or_bias_nearby_has_a_smaller_penalised_loss():
    logits, true = drawn(SKEWED, 300)
    fitted = fit_vector(logits, true, penalty=5.0)

    def penalised(weight: np.ndarray, bias: np.ndarray) -> float:
        moved = Calibration(fitted.temperature, tuple(weight), tuple(bias))
        return 300 * loss(moved, logits, true) + 2.5 * (((weight - 1) ** 2).sum() + (bias**2).sum())

    weight, bias = np.array(fitted.weight), np.array(fitted.bias)
    lowest = penalised(weight, bias)
    rng = np.random.default_rng(0)
    for size in (1e-4, 1e-2, 0.3):
        for _ in range(20):
            direction = rng.normal(size=(2, 4)) * size
            assert penalised(weight + direction[0], bias + direction[1]) >= lowest - 1e-7


def test_a_number_added_to_all_logits_of_a_clip_changes_nothing():
    logits, true = drawn(SKEWED, 300)
    shifted = logits + np.random.default_rng(0).normal(0, 20, (300, 1))
    one, other = fit_vector(logits, true), fit_vector(shifted, true)
    assert other.weight == pytest.approx(one.weight, abs=1e-6)
    np.testing.assert_allclose(other.log_probabilities(shifted), one.log_probabilities(logits), atol=1e-6)


def test_a_class_that_speaks_against_itself_does_not_get_a_weight_below_the_bound():
    logits, true = drawn(Calibration(1.0), 5_000)
    turned = logits.copy()
    turned[:, 0] *= -0.5
    assert min(fit_vector(turned, true, penalty=0.1).weight) >= SMALLEST_WEIGHT


def test_flawless_logits_converge():
    assert fit_vector(np.eye(3), np.arange(3)).weight == pytest.approx((1, 1, 1), abs=0.01)


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.array([[np.nan, 0.0]])])
def test_no_rows_and_no_numbers_are_refused(logits):
    with pytest.raises(ValueError, match="needs"):
        fit_vector(logits, np.zeros(len(logits), dtype=np.int64))


@pytest.mark.parametrize("calibration", [Calibration(), Calibration(3.0), Calibration(0.4), SKEWED])
def test_calibration_can_be_undone(calibration):
    logits, _ = drawn(Calibration(), 200)
    calibrated = np.exp(calibration.log_probabilities(logits))
    assert calibrated.sum(axis=1) == pytest.approx(np.ones(200))
    np.testing.assert_allclose(calibration.undone(calibrated), softmax(logits), atol=1e-9)
    rounded = calibration.undone(calibrated.astype(np.float32))
    np.testing.assert_allclose(rounded, softmax(logits), atol=1e-4)


def test_unknown_and_certain_probabilities_can_be_undone_too():
    rows = np.array([[np.nan] * 4, [1, 0, 0, 0]], dtype=np.float32)
    undone = SKEWED.undone(rows)
    assert np.isnan(undone[0]).all()
    assert undone[1] == pytest.approx([1, 0, 0, 0], abs=1e-9)
