"""What is trained, from when on, and how fast."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from earnest.errors import RecipeError
from earnest.models.classifier import Layer, Network, Segmented
from earnest.settings.front_end import Segments
from earnest.settings.recipe import Training
from earnest.settings.training import Unfreezing
from earnest.training.optim import Freezing, layers_of, parameter_groups


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


def rates(network: nn.Module, groups: list[dict[str, Any]]) -> dict[str, float]:
    names = {id(weight): name for name, weight in network.named_parameters()}
    return {names[id(weight)]: group["lr"] for group in groups for weight in group["params"]}


def test_layers_are_in_order_and_lists_one_by_one() -> None:
    first = [sorted({name.rsplit(".", 1)[0] for name in layer}) for layer in layers_of(Deep())]
    assert first == [["blocks.0.0", "blocks.0.1"], ["blocks.1", "norm"], ["output"]]  # a norm belongs to what is before


def test_every_layer_learns_slower_than_the_one_behind_it_and_the_head_at_its_own_rate() -> None:
    network = Deep()
    found = rates(network, parameter_groups(network, Training(learning_rate=0.1, layer_decay=0.5)))
    assert found["output.weight"] == 0.1
    assert found["norm.weight"] == found["blocks.1.bias"] == pytest.approx(0.05)
    assert found["blocks.0.0.weight"] == found["blocks.0.1.weight"] == pytest.approx(0.025)
    found = rates(network, parameter_groups(network, Training(learning_rate=0.1, head_learning_rate=0.7)))
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
        found = rates(network, parameter_groups(network, settings))
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
    with pytest.raises(RecipeError, match="no layer called classifier"):
        parameter_groups(Deep(), Training(head=("classifier",), layer_decay=0.9))
