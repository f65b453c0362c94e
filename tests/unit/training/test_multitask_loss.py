"""Losses of several tasks become one in the way that was published."""

import math

import pytest
import torch
from torch import Tensor, nn

from earnest.errors import RecipeError
from earnest.recipe import Training
from earnest.training.multitask import GradNorm, Uncertainty, WeightedSoftmax, combination_of, tasks_of

ALL = Training(auxiliary=("gender", "affect"))
NAMES = ("emotion", "gender", "valence", "arousal", "dominance")
LOSSES = {name: torch.tensor(value) for name, value in zip(NAMES, (1.5, 0.7, 0.3, 0.2, 0.1), strict=True)}


class TwoHeads(nn.Module):
    """A shared layer and two heads on it."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(4, 6)
        self.one = nn.Linear(6, 1)
        self.other = nn.Linear(6, 1)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.shared(rows).tanh()
        return self.one(hidden)[:, 0], self.other(hidden)[:, 0]


def test_tasks_follow_from_the_settings() -> None:
    assert tasks_of(()) == ("emotion",)
    assert tasks_of(("gender",)) == ("emotion", "gender")
    assert tasks_of(ALL.auxiliary) == NAMES


def test_the_emotion_alone_is_its_own_loss() -> None:
    loss = torch.tensor(0.123)
    assert torch.equal(combination_of(Training(), ("emotion",))({"emotion": loss}, nn.Identity()), loss)


def test_sum_and_fixed_weights() -> None:
    assert float(combination_of(ALL, NAMES)(LOSSES, nn.Identity())) == pytest.approx(2.8)
    fixed = Training(auxiliary=("gender", "affect"), multitask="fixed", gender_weight=2.0, affect_weight=0.5)
    assert float(combination_of(fixed, NAMES)(LOSSES, nn.Identity())) == pytest.approx(1.5 + 1.4 + 0.3)


def test_uncertainty_is_least_where_each_s_is_the_logarithm_of_its_loss() -> None:
    combination = Uncertainty(NAMES)
    assert combination(LOSSES, nn.Identity()).item() == pytest.approx(2.8)  # e^0·L + 0
    optimiser = torch.optim.Adam(combination.parameters(), lr=0.1)
    for _ in range(400):
        optimiser.zero_grad()
        combination(LOSSES, nn.Identity()).backward()
        optimiser.step()
    expected = [math.log(float(loss)) for loss in LOSSES.values()]
    assert combination.log_variances.tolist() == pytest.approx(expected, abs=1e-2)


def test_the_published_weighted_form_and_that_its_regulariser_is_constant() -> None:
    combination = WeightedSoftmax(NAMES)
    quarter = math.exp(-0.25)
    assert combination(LOSSES, nn.Identity()).item() == pytest.approx(1.5 + quarter * 1.3 + 1)
    nothing = {name: torch.zeros(()) for name in NAMES}
    nn.init.normal_(combination.values, generator=torch.Generator().manual_seed(0))
    value = combination(nothing, nn.Identity())
    assert value.item() == pytest.approx(1)
    value.backward()
    assert combination.values.grad is not None
    assert combination.values.grad.abs().max() < 1e-6


def test_a_task_without_labels_in_a_batch_is_not_learned_from_it() -> None:
    combination = Uncertainty(NAMES)
    combination({"emotion": LOSSES["emotion"]}, nn.Identity()).backward()
    assert combination.log_variances.grad is not None
    assert combination.log_variances.grad.ne(0).tolist() == [True, False, False, False, False]


def balanced_lengths(combination: GradNorm, scales: tuple[float, float]) -> list[float]:
    """Train two tasks whose targets differ in scale; return the lengths of their weighted gradients."""
    generator = torch.Generator().manual_seed(0)
    rows, targets = torch.randn(64, 4, generator=generator), torch.randn(64, 2, generator=generator)
    torch.manual_seed(0)
    network = TwoHeads()

    def losses() -> dict[str, Tensor]:
        answers = network(rows)
        return {
            name: scale * nn.functional.mse_loss(answer, target)
            for name, answer, target, scale in zip(("emotion", "gender"), answers, targets.T, scales, strict=True)
        }

    groups = [{"params": network.parameters(), "lr": 1e-5}, {"params": combination.parameters()}]
    optimiser = torch.optim.Adam(groups, lr=5e-3)
    for _ in range(600):
        optimiser.zero_grad()
        combination(losses(), network).backward()
        optimiser.step()
        combination.after_step()
    lengths = []
    for weight, loss in zip(combination.values.tolist(), losses().values(), strict=True):
        (gradient,) = torch.autograd.grad(loss, network.shared.weight, retain_graph=True)
        lengths.append(weight * float(gradient.norm()))
    return lengths


def test_gradnorm_brings_the_gradients_of_all_tasks_to_one_length() -> None:
    combination = GradNorm(("emotion", "gender"), alpha=0.0)
    first, second = balanced_lengths(combination, scales=(1.0, 20.0))
    assert first == pytest.approx(second, rel=0.15)
    assert float(combination.values.detach().sum()) == pytest.approx(2)
    assert combination.values[0] > 5 * combination.values[1]


def test_gradnorm_reports_the_weighted_sum_and_leaves_the_networks_gradient_to_it() -> None:
    network, combination = TwoHeads(), GradNorm(("emotion", "gender"), alpha=1.5)
    one, other = network(torch.randn(8, 4, generator=torch.Generator().manual_seed(0)))
    losses = {"emotion": one.square().mean(), "gender": 3 * other.square().mean()}
    combined = combination(losses, network)
    assert float(combined.detach()) == pytest.approx(sum(loss.item() for loss in losses.values()), rel=1e-6)
    (found,) = torch.autograd.grad(combined, network.shared.weight, retain_graph=True)
    (expected,) = torch.autograd.grad(sum(losses.values()), network.shared.weight)
    torch.testing.assert_close(found, expected)


def test_gradnorm_needs_something_shared() -> None:
    losses = {"emotion": torch.ones((), requires_grad=True) * 1, "gender": torch.ones((), requires_grad=True) * 1}
    with pytest.raises(RecipeError, match="a layer that all tasks share"):
        GradNorm(("emotion", "gender"), 1.0)(losses, TwoHeads())
