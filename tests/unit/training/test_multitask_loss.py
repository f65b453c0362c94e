"""Losses of several tasks become one in the way that was published."""

import math

import pytest
import torch
from torch import nn

from earnest.settings.recipe import Training
from earnest.training.heads import heads_of, tasks_of
from earnest.training.losses import Uncertainty, WeightedSoftmax, combination_of

ALL = Training(auxiliary=("gender", "affect"))
NAMES = ("emotion", "gender", "valence", "arousal", "dominance")
LOSSES = {name: torch.tensor(value) for name, value in zip(NAMES, (1.5, 0.7, 0.3, 0.2, 0.1), strict=True)}


def test_tasks_follow_from_the_settings() -> None:
    assert tasks_of(heads_of(8, ())) == ("emotion",)
    assert tasks_of(heads_of(8, ("gender",))) == ("emotion", "gender")
    assert tasks_of(heads_of(8, ALL.auxiliary)) == NAMES


def test_the_emotion_alone_is_its_own_loss() -> None:
    loss = torch.tensor(0.123)
    assert torch.equal(combination_of(Training(), ("emotion",))({"emotion": loss}), loss)


def test_sum_and_fixed_weights() -> None:
    assert float(combination_of(ALL, NAMES)(LOSSES)) == pytest.approx(2.8)
    fixed = Training(auxiliary=("gender", "affect"), multitask="fixed", gender_weight=2.0, affect_weight=0.5)
    assert float(combination_of(fixed, NAMES)(LOSSES)) == pytest.approx(1.5 + 1.4 + 0.3)


def test_uncertainty_is_least_where_each_s_is_the_logarithm_of_its_loss() -> None:
    combination = Uncertainty(NAMES)
    assert combination(LOSSES).item() == pytest.approx(2.8)  # e^0·L + 0
    optimiser = torch.optim.Adam(combination.parameters(), lr=0.1)
    for _ in range(400):
        optimiser.zero_grad()
        combination(LOSSES).backward()
        optimiser.step()
    expected = [math.log(float(loss)) for loss in LOSSES.values()]
    assert combination.log_variances.tolist() == pytest.approx(expected, abs=1e-2)


def test_the_published_weighted_form_and_that_its_regulariser_is_constant() -> None:
    combination = WeightedSoftmax(NAMES)
    quarter = math.exp(-0.25)
    assert combination(LOSSES).item() == pytest.approx(1.5 + quarter * 1.3 + 1)
    nothing = {name: torch.zeros(()) for name in NAMES}
    nn.init.normal_(combination.values, generator=torch.Generator().manual_seed(0))
    value = combination(nothing)
    assert value.item() == pytest.approx(1)
    value.backward()
    assert combination.values.grad is not None
    assert combination.values.grad.abs().max() < 1e-6


def test_a_task_without_labels_in_a_batch_is_not_learned_from_it() -> None:
    combination = Uncertainty(NAMES)
    combination({"emotion": LOSSES["emotion"]}).backward()
    assert combination.log_variances.grad is not None
    assert combination.log_variances.grad.ne(0).tolist() == [True, False, False, False, False]
