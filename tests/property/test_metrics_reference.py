"""Scores of probabilities, tests and affect equal scikit-learn's and scipy's on any answers."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earnest.evaluation.calibration import calibration_scores
from earnest.evaluation.comparison import mcnemar
from earnest.evaluation.confusion import confusion_counts, normalised
from earnest.evaluation.metrics import concordance, macro, rmse, roc_auc, top_k

metrics = pytest.importorskip("sklearn.metrics", reason="the reference is scikit-learn")
stats = pytest.importorskip("scipy.stats", reason="the reference is scipy")
N_CLASSES = 4


@st.composite
def answers(draw) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (rows, 4) and true classes, each of which occurs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(N_CLASSES, 80))
    true = np.concatenate([np.arange(N_CLASSES), rng.integers(0, N_CLASSES, n - N_CLASSES)])
    return rng.dirichlet(np.full(N_CLASSES, draw(st.sampled_from([0.2, 1.0, 5.0]))), n), true


@st.composite
def detections(draw) -> tuple[np.ndarray, np.ndarray]:
    """Scores, often with ties, and which of them are positive: some, not all."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, 60))
    scores = np.round(rng.normal(size=n), draw(st.integers(0, 3)))
    return scores, np.concatenate([[True, False], rng.random(n - 2) < draw(st.floats(0, 1))])


@given(answers(), st.integers(1, N_CLASSES - 1))
def test_top_k_and_brier_are_those_of_scikit_learn(rows, k):
    probabilities, true = rows
    assert top_k(probabilities, true, k) == pytest.approx(metrics.top_k_accuracy_score(true, probabilities, k=k))
    scores = calibration_scores(probabilities, true)
    assert scores is not None
    reference = metrics.brier_score_loss(true, probabilities, labels=range(N_CLASSES), scale_by_half=False)
    assert scores.brier == pytest.approx(reference)


@given(answers())
def test_macro_auc_is_that_of_scikit_learn(rows):
    probabilities, true = rows
    reference = metrics.roc_auc_score(true, probabilities, multi_class="ovr", average="macro")
    assert macro(roc_auc, probabilities, true) == pytest.approx(reference)


@given(detections())
def test_the_area_is_that_of_scikit_learn(rows):
    scores, positive = rows
    assert roc_auc(scores, positive) == pytest.approx(metrics.roc_auc_score(positive, scores))


@given(answers(), st.sampled_from(["true", "pred"]))
def test_the_normalised_confusion_is_that_of_scikit_learn(rows, by):
    probabilities, true = rows
    predicted = probabilities.argmax(axis=1)
    counts = confusion_counts(true, predicted, N_CLASSES)[:, :-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = metrics.confusion_matrix(true, predicted, labels=range(N_CLASSES), normalize=by)
    np.testing.assert_allclose(normalised(counts, "true" if by == "true" else "predicted"), reference)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemar_is_scipys_binomial_test(first, second):
    reference = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(reference, rel=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_rmse_is_scikit_learns_and_concordance_is_made_of_scipys_correlation(seed, n):
    first, second = np.random.default_rng(seed).normal(size=(2, n)) * [[1.0], [2.0]] + [[0.5], [0.0]]
    assert rmse(first, second) == pytest.approx(metrics.root_mean_squared_error(second, first))
    spread = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    by_definition = 2 * stats.pearsonr(first, second).statistic * first.std() * second.std() / spread
    assert concordance(first, second) == pytest.approx(by_definition)
