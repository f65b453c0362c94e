"""Optimisers and schedules by name; what is trained, from when on, and how fast."""

import math
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from earnest.errors import RecipeError
from earnest.models.classifier import Layer, Network, Segmented, build_classifier
from earnest.settings.front_end import Image, Segments
from earnest.settings.recipe import Recipe, Training, Unfreezing, read_recipe
from earnest.training.module import (
    EmotionTraining,
    Freezing,
    accuracies,
    advance,
    build_optimiser,
    build_schedule,
    layers_of,
    parameter_groups,
)

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


def test_equal_recalls_are_a_tie_however_they_lie_over_the_classes() -> None:
    targets = torch.arange(7).repeat_interleave(3)

    def scores(*n_right: int) -> tuple[float, float]:
        return accuracies(torch.tensor([place < n for n in n_right for place in range(3)]), targets)

    assert scores(2, 1, 2, 1, 2, 1, 2) == scores(3, 3, 3, 1, 1, 0, 0) == (11 / 21, 11 / 21)
    assert {scores(*n) for n in permutations((3, 2, 2, 1, 1, 1, 0))} == {(10 / 21, 10 / 21)}
    uneven = torch.tensor([0, 0, 0, 1]), torch.tensor([True, False, False, True])
    assert accuracies(uneven[1], uneven[0]) == (0.5, 2 / 3)


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


class Deep(Network):
    """Two blocks in a list, a norm, and the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), nn.Linear(4, 4)])
        self.norm = nn.LayerNorm(4)
        self.output = nn.Linear(4, 3)

    def forward(self, rows: Tensor) -> Tensor:
        for block in self.blocks:
            rows = block(rows)
        answer = self.output(self.norm(rows))
        assert isinstance(answer, Tensor)
        return answer


def trainable(network: nn.Module) -> set[str]:
    return {name for name, weight in network.named_parameters() if weight.requires_grad}


def rate_of_each(network: nn.Module, groups: list[dict[str, Any]]) -> dict[str, float]:
    names = {id(weight): name for name, weight in network.named_parameters()}
    return {names[id(weight)]: group["lr"] for group in groups for weight in group["params"]}


def test_layers_are_in_order_and_lists_one_by_one() -> None:
    first = [sorted({name.rsplit(".", 1)[0] for name in layer}) for layer in layers_of(Deep())]
    assert first == [["blocks.0.0", "blocks.0.1"], ["blocks.1", "norm"], ["output"]]  # a norm belongs to what is before


def test_every_layer_learns_slower_than_the_one_behind_it_and_the_head_at_its_own_rate() -> None:
    network = Deep()
    found = rate_of_each(network, parameter_groups(network, Training(learning_rate=0.1, layer_decay=0.5)))
    assert found["output.weight"] == 0.1
    assert found["norm.weight"] == found["blocks.1.bias"] == pytest.approx(0.05)
    assert found["blocks.0.0.weight"] == found["blocks.0.1.weight"] == pytest.approx(0.025)
    found = rate_of_each(network, parameter_groups(network, Training(learning_rate=0.1, head_learning_rate=0.7)))
    assert {name for name, rate in found.items() if rate == 0.7} == {"output.weight", "output.bias"}
    assert len(found) == len(list(network.parameters()))


def test_the_head_is_the_last_layer_or_what_is_named() -> None:
    class Published(Network):
        """Whose last layer has another name in its published weights."""

        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Linear(4, 4)
            self.classifier = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))

        def last_layer(self, name: Layer) -> nn.Module | None:
            return self.classifier[2] if name == "output" else None

    network = Published()
    for head, expected in (((), {"classifier.2"}), (("classifier",), {"classifier.0", "classifier.2"})):
        settings = Training(learning_rate=0.1, head_learning_rate=0.7, head=head)
        found = rate_of_each(network, parameter_groups(network, settings))
        assert {name.rsplit(".", 1)[0] for name, rate in found.items() if rate == 0.7} == expected


def test_by_default_there_is_one_group_of_all_weights() -> None:
    network = Deep()
    (group,) = parameter_groups(network, Training())
    assert [id(weight) for weight in group["params"]] == [id(weight) for weight in network.parameters()]


def test_names_are_those_of_the_network_behind_segments() -> None:
    wrapped = Segmented(Deep(), Segments("crop", 1.0), 4)
    Freezing(wrapped, Training(freeze=("blocks",))).enter(1)
    assert trainable(wrapped.network) == {"norm.weight", "norm.bias", "output.weight", "output.bias"}


def test_what_is_frozen_thaws_at_its_epoch() -> None:
    network = Deep()
    thaws = (Unfreezing(3, ("blocks.1",)), Unfreezing(5, ("blocks",)))
    freezing = Freezing(network, Training(freeze=("blocks", "norm"), unfreeze=thaws))
    counts = []
    for epoch in range(1, 7):
        freezing.enter(epoch)
        counts.append(len(trainable(network)))
    assert counts == [2, 2, 4, 4, 8, 8]
    assert "norm.weight" not in trainable(network)


def test_frozen_weights_and_statistics_stay_to_the_bit() -> None:
    network = Deep()
    before = {name: value.clone() for name, value in network.blocks.state_dict().items()}
    network.train()
    Freezing(network, Training(freeze=("blocks",))).enter(1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        network(torch.randn(8, 4)).square().sum().backward()
        optimiser.step()
    assert all(torch.equal(value, before[name]) for name, value in network.blocks.state_dict().items())
    assert network.output.training


def test_weights_that_the_network_does_not_train_stay_so() -> None:
    network = Deep()
    network.blocks[1].requires_grad_(False)
    Freezing(network, Training(freeze=("blocks",), unfreeze=(Unfreezing(2, ("blocks",)),))).enter(2)
    assert "blocks.1.weight" not in trainable(network)
    assert "blocks.0.0.weight" in trainable(network)


def test_a_wrong_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"no weights are called 'block'\. Did you mean 'blocks'"):
        Freezing(Deep(), Training(freeze=("block",)))
    with pytest.raises(RecipeError, match="freeze leaves nothing to learn in the first epoch"):
        Freezing(Deep(), Training(freeze=tuple(name for name, _ in Deep().named_children())))
    with pytest.raises(RecipeError, match=r"no layer called classifier\. Set head to one of: \w+, "):
        parameter_groups(Deep(), Training(head=("classifier",), layer_decay=0.9))


def test_a_mask_hides_the_same_bands_of_the_plain_the_noisy_and_the_reverberant_utterance() -> None:
    image = Image(3, "noise-reverb", height=64, width=64)
    recipe = Recipe(
        "none", "alexnet-gap", image=image, network={"width_factor": 0.0625}, training=Training(mel_mask_bands=9)
    )
    network = build_classifier(recipe, ("a", "b"), 0).network
    training = EmotionTraining(network, recipe.training, 2, ())
    frames = torch.randn(20, 3 * recipe.front_end.n_mels, 30)
    hidden = (training._masked(frames, torch.full((20,), 30))[0] != frames).all(dim=2).reshape(20, 3, -1)
    assert hidden.any()
    assert torch.equal(hidden, hidden[:, :1].expand_as(hidden))
