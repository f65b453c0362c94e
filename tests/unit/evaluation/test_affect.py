import numpy as np
import pytest

from earnest.evaluation.metrics import affect_scores, concordance, rmse

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


def test_each_dimension_is_scored_by_itself_and_an_unknown_one_is_left_out():
    predicted = np.array([[0.1, 0.2, NAN], [0.5, NAN, NAN], [0.9, 0.4, NAN]], dtype=np.float32)
    true = np.array([[0.2, 0.3, 0.1], [0.5, 0.1, 0.1], [0.7, 0.3, 0.1]])
    scores = affect_scores(predicted, true)
    assert {name: one.n for name, one in scores.items()} == {"valence": 3, "arousal": 2}
    assert scores["valence"].to_dict() == {
        "rmse": pytest.approx(rmse(predicted[:, 0], true[:, 0])),
        "ccc": pytest.approx(concordance(predicted[:, 0], true[:, 0])),
        "n": 3,
    }
    assert scores["arousal"].ccc == 0
    assert affect_scores(np.full((2, 3), NAN), true[:2]) == {}
