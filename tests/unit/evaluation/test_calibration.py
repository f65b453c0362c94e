import numpy as np
import pytest

from earnest.evaluation.calibration import HIGHEST, LOWEST, fit_temperature, log_softmax, softmax, undone


def drawn(temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true classes are drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (n, 6))
    cumulated = softmax(logits, temperature).cumsum(axis=1)
    return logits, (rng.random((n, 1)) > cumulated).sum(axis=1).clip(0, 5)


def negative_log_likelihood(logits: np.ndarray, true: np.ndarray, temperature: float) -> float:
    return float(-log_softmax(logits, temperature)[np.arange(len(true)), true].mean())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_recovered(temperature):
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.03)


def test_no_other_temperature_is_more_likely():
    logits, true = drawn(1.7, n=500)
    best = fit_temperature(logits, true)
    lowest = min(negative_log_likelihood(logits, true, candidate) for candidate in np.geomspace(0.05, 20, 500))
    assert negative_log_likelihood(logits, true, best) <= lowest + 1e-9


def test_float32_logits_give_the_same_temperature():
    logits, true = drawn(1.7, n=2000)
    assert fit_temperature(logits.astype(np.float32), true) == pytest.approx(fit_temperature(logits, true), rel=1e-4)


def test_flawless_and_hopeless_logits_end_at_the_bounds():
    logits = np.eye(3)
    assert fit_temperature(logits, np.arange(3)) == pytest.approx(LOWEST)
    assert fit_temperature(-logits, np.arange(3)) == pytest.approx(HIGHEST)


def test_softmax_sums_to_one_for_huge_logits():
    assert softmax(np.array([1e6, 0.0, -1e6], dtype=np.float32)).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.array([[np.nan, 0.0]]), np.array([[np.inf, 0.0]])])
def test_no_rows_and_no_numbers_are_refused(logits):
    with pytest.raises(ValueError, match="A temperature needs"):
        fit_temperature(logits, np.zeros(len(logits), dtype=np.int64))


@pytest.mark.parametrize("temperature", [1.0, 3.0, 0.4])
def test_calibration_can_be_undone(temperature):
    logits, _ = drawn(1.0, 200)
    calibrated = softmax(logits, temperature)
    assert calibrated.sum(axis=1) == pytest.approx(np.ones(200))
    np.testing.assert_allclose(undone(calibrated, temperature), softmax(logits), atol=1e-9)
    np.testing.assert_allclose(undone(calibrated.astype(np.float32), temperature), softmax(logits), atol=1e-4)


def test_unknown_and_certain_probabilities_can_be_undone_too():
    rows = np.array([[np.nan] * 4, [1, 0, 0, 0]], dtype=np.float32)
    found = undone(rows, 2.0)
    assert np.isnan(found[0]).all()
    assert found[1] == pytest.approx([1, 0, 0, 0], abs=1e-9)
