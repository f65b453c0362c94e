import numpy as np
import pytest

from earnest.evaluation.metrics import macro, roc_auc, top_k

PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [np.nan] * 3])


@pytest.mark.parametrize(("k", "expected"), [(1, 0.25), (2, 0.5), (3, 0.75), (4, 0.75)])
def test_top_k_counts_rows_without_probabilities_as_wrong_and_prefers_earlier_classes(k, expected):
    assert top_k(PROBABILITIES, np.array([0, 2, 2, 0]), k) == expected
    assert top_k(PROBABILITIES[[2]], np.array([1]), 1) == 0


def test_top_one_is_the_share_that_argmax_gets_right():
    rng = np.random.default_rng(0)
    probabilities = np.round(rng.dirichlet(np.ones(4), 500), 1)  # rounded: with ties
    true = rng.integers(0, 4, 500)
    assert top_k(probabilities, true, 1) == (probabilities.argmax(axis=1) == true).mean()


def test_impossible_questions_are_refused():
    with pytest.raises(ValueError, match="k = 0"):
        top_k(PROBABILITIES, np.zeros(4, dtype=np.int64), 0)
    for positive in (np.zeros(3, dtype=bool), np.ones(3, dtype=bool)):
        with pytest.raises(ValueError, match="positives and negatives"):
            roc_auc(np.arange(3.0), positive)


def test_the_area_of_a_worked_example():
    scores, positive = np.array([0.9, 0.8, 0.8, 0.1, np.nan]), np.array([True, True, False, False, True])
    assert roc_auc(scores, positive) == pytest.approx(3.5 / 4)  # of four pairs three are in order and one is a tie


def test_the_macro_mean_is_over_the_classes_that_occur():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1], [np.nan] * 3])
    true = np.array([0, 1, 1, 2])  # the third class only occurs without probabilities
    first, second = (roc_auc(probabilities[:3, index], true[:3] == index) for index in (0, 1))
    assert macro(roc_auc, probabilities, true) == pytest.approx((first + second) / 2)
    assert macro(roc_auc, probabilities[:1], true[:1]) is None
    assert macro(roc_auc, np.full((2, 3), np.nan), np.array([0, 1])) is None
