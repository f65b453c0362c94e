import numpy as np
import pytest

from earnest.evaluation.affect import concordance, rmse

NAN = np.nan


def test_a_worked_example_leaves_out_unknown_pairs():
    predicted, true = np.array([1.0, 2.0, 3.0, NAN, 9.0]), np.array([2.0, 2.0, 5.0, 1.0, NAN])
    assert rmse(predicted, true) == pytest.approx(np.sqrt((1 + 0 + 4) / 3))
    # Covariance 1, variances 2/3 and 2, means 2 and 3: 2 · 1 / (2/3 + 2 + 1).
    assert concordance(predicted, true) == pytest.approx(2 / (2 / 3 + 2 + 1))


def test_concordance_is_one_for_the_truth_and_less_for_another_scale_or_offset():
    true = np.random.default_rng(0).normal(size=100)
    assert concordance(true, true) == pytest.approx(1)
    assert concordance(-true + 2 * true.mean(), true) == pytest.approx(-1)
    for off in (true + 1, 2 * true):
        assert np.corrcoef(off, true)[0, 1] == pytest.approx(1)
        assert concordance(off, true) < 0.95


def test_nothing_known_or_nothing_that_varies_has_no_score():
    assert rmse(np.array([NAN]), np.array([1.0])) is None
    assert concordance(np.array([NAN]), np.array([1.0])) is None
    assert concordance(np.ones(3), np.ones(3)) is None
    assert concordance(np.ones(3), np.zeros(3)) == 0
