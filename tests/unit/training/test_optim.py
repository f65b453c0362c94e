"""Optimisers and schedules by name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from earnest.recipe import Training, read_recipe
from earnest.training.optim import build_optimiser, build_schedule

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


@pytest.mark.parametrize("name", ["adabelief", "adamw", "sgd"])
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
