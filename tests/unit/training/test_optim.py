"""Optimisers and schedules by name."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from earnest.settings.recipe import Training, read_recipe
from earnest.training.optim import advance, build_optimiser, build_schedule

RECIPE = Path(__file__).parents[3] / "recipes" / "emocatcher.toml"


def test_adabelief_takes_the_published_steps() -> None:
    """Zhuang et al. (2020), algorithm 2 with bias correction, decay added to the gradient."""
    settings = read_recipe(RECIPE).training
    parameter = torch.nn.Parameter(torch.tensor([0.5, -2.0, 3.0]))
    optimiser = build_optimiser([parameter], settings)
    theta = parameter.detach().double().numpy().copy()
    mean, spread = np.zeros(3), np.zeros(3)
    rng = np.random.default_rng(0)
    for step in range(1, 30):
        slope = rng.normal(size=3)
        parameter.grad = torch.from_numpy(slope.astype(np.float32))
        optimiser.step()
        gradient = slope + settings.weight_decay * theta
        mean = 0.9 * mean + 0.1 * gradient
        spread = 0.999 * spread + 0.001 * (gradient - mean) ** 2 + 1e-8
        theta -= settings.learning_rate * (mean / (1 - 0.9**step)) / (np.sqrt(spread / (1 - 0.999**step)) + 1e-8)
        np.testing.assert_allclose(parameter.detach().numpy(), theta, atol=1e-5)


@pytest.mark.parametrize("name", ["adabelief", "adam", "adamw", "sgd"])
def test_every_optimiser_goes_downhill(name: str) -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
    settings = Training(optimiser=name, learning_rate=0.01)  # type: ignore[arg-type]
    optimiser = build_optimiser([parameter], settings)
    for _ in range(50):
        optimiser.zero_grad()
        parameter.square().sum().backward()
        optimiser.step()
    assert float(parameter.detach().abs().max()) < 0.8


def test_schedules_by_name() -> None:
    optimiser = build_optimiser([torch.nn.Parameter(torch.zeros(1))], Training())
    assert isinstance(build_schedule(optimiser, Training()), ReduceLROnPlateau)
    assert isinstance(build_schedule(optimiser, Training(schedule="cosine")), CosineAnnealingLR)
    assert build_schedule(optimiser, Training(schedule="none")) is None


def rates(settings: Training, losses: tuple[float, ...] = ()) -> list[float]:
    """Return the learning rate of each epoch."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = build_optimiser([parameter], settings)
    schedule = build_schedule(optimiser, settings)
    found = []
    for epoch in range(settings.epochs):
        found.append(optimiser.param_groups[0]["lr"])
        parameter.grad = torch.ones(1)
        optimiser.step()
        advance(schedule, losses[epoch] if losses else 1.0)
    return found


def sgd(**settings: Any) -> Training:
    return Training(**{"optimiser": "sgd", "learning_rate": 1.0, "epochs": 6, "step_factor": 0.5, **settings})


def test_steps_come_after_the_epochs_named() -> None:
    assert rates(sgd(schedule="multistep", milestones=(1, 4))) == [1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_a_plateau_is_left_by_a_factor() -> None:
    settings = sgd(plateau_factor=0.1, plateau_patience=0, plateau_cooldown=0)
    found = rates(settings, losses=(3.0, 2.0, 2.0, 1.0, 1.0, 1.0))
    assert found == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01])


def test_the_rate_warms_up_evenly_before_the_schedule_begins() -> None:
    third = [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert rates(sgd(schedule="none", warmup_epochs=2)) == [*third, 1, 1, 1, 1]
    assert rates(sgd(schedule="multistep", milestones=(4,), warmup_epochs=2)) == [*third, 1, 1, 0.5, 0.5]
    found = rates(sgd(schedule="cosine", warmup_epochs=2, lowest_learning_rate=0.2))
    expected = [0.2 + 0.8 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert found == pytest.approx([1 / 3, 2 / 3, *expected])


def test_a_resumed_schedule_goes_on_where_it_was() -> None:
    settings = sgd(schedule="cosine", warmup_epochs=2, epochs=8)
    expected = rates(settings)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = build_optimiser([parameter], settings)
    schedule = build_schedule(optimiser, settings)
    assert schedule is not None
    found = []
    for _ in range(8):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        advance(schedule, 1.0)
        states = optimiser.state_dict(), schedule.state_dict()
        optimiser = build_optimiser([parameter], settings)
        schedule = build_schedule(optimiser, settings)
        assert schedule is not None
        optimiser.load_state_dict(states[0])
        schedule.load_state_dict(states[1])
    assert found == pytest.approx(expected)


def test_momentum_is_a_setting() -> None:
    optimiser = build_optimiser([torch.nn.Parameter(torch.zeros(1))], sgd(momentum=0.0))
    assert optimiser.param_groups[0]["momentum"] == 0.0
