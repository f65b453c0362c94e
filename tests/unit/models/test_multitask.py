"""The configurable network: its layers, heads and attention."""

import pytest
import torch
from torch import Tensor, nn

from earnest.frontends.image import ImageSize
from earnest.models.classifier import SpeechClassifier, build_classifier, build_network
from earnest.models.multitask import MultitaskCnn, SimAm
from earnest.settings.recipe import Recipe

SIZE = ImageSize(1, 40, 48)


def network_with(**settings: object) -> MultitaskCnn:
    torch.manual_seed(0)
    network = build_network("multitask-cnn", SIZE, 5, {"width_factor": 0.25, **settings})
    assert isinstance(network, MultitaskCnn)
    return network.eval()


def images(n: int = 3) -> Tensor:
    return torch.randn(n, *SIZE, generator=torch.Generator().manual_seed(1))


def test_simam_is_the_published_gate() -> None:
    image = torch.randn(1, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    mean, variance = image.mean(), image.var()  # both over height and width
    energy = (image - mean) ** 2 / (4 * (variance + 1e-4)) + 0.5
    torch.testing.assert_close(SimAm()(image), image / (1 + torch.exp(-energy)))


def test_simam_stands_one_pixel() -> None:
    assert SimAm()(torch.ones(2, 3, 1, 1)).isfinite().all()


@pytest.mark.parametrize("tasks", [[], ["gender"], ["valence", "arousal", "dominance"]])
def test_the_heads_are_those_asked_for(tasks: list[str]) -> None:
    output = network_with(tasks=tasks)(images(), torch.ones(3))
    assert output.logits.shape == (3, 5)
    assert (output.gender is not None) == ("gender" in tasks)
    assert (output.affect is not None) == ("valence" in tasks)
    if output.gender is not None:
        assert output.gender.shape == (3, 2)
    if output.affect is not None:
        assert output.affect.shape == (3, 3)


def test_affect_keeps_the_order_valence_arousal_dominance() -> None:
    network = network_with(tasks=["dominance", "valence", "gender", "arousal"])
    with torch.no_grad():
        for number, task in enumerate(("valence", "arousal", "dominance")):
            network.heads[task].get_parameter("weight").zero_()
            network.heads[task].get_parameter("bias").fill_(number + 1)
    affect = network(images(), torch.ones(3)).affect
    assert affect is not None
    assert affect[0].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(("bounds", "lowest", "highest"), [("relu", 0.0, 50.0), ("sigmoid", 0.0, 1.0)])
def test_affect_stays_in_its_range(bounds: str, lowest: float, highest: float) -> None:
    network = network_with(affect_range=bounds)
    with torch.no_grad():
        for task, bias in (("valence", -50.0), ("arousal", 50.0)):
            network.heads[task].get_parameter("weight").zero_()
            network.heads[task].get_parameter("bias").fill_(bias)
    affect = network(images(), torch.ones(3)).affect
    assert affect is not None
    torch.testing.assert_close(affect[:, :2], torch.tensor([[lowest, highest]]).expand(3, 2))


def test_a_task_has_hidden_layers_of_its_own() -> None:
    network = network_with(task_hidden=[32, 16])
    shapes = [tuple(layer.weight.shape) for layer in network.task_hidden["gender"] if isinstance(layer, nn.Linear)]
    assert shapes == [(8, 512), (4, 8)]
    assert network.heads["gender"].in_features == 4


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"pooling": "average"}, nn.AvgPool2d),
        ({"activation": "leaky"}, nn.LeakyReLU),
        ({"batch_norm": True}, nn.BatchNorm2d),
        ({"attention": "simam"}, SimAm),
    ],
)
def test_the_settings_choose_the_layers(settings: dict[str, object], kind: type[nn.Module]) -> None:
    plain = network_with(attention="none")
    assert not any(isinstance(layer, kind) for layer in plain.features)
    assert any(isinstance(layer, kind) for layer in network_with(**{"attention": "none", **settings}).features)


def test_pooling_behind_a_convolution_can_be_left_out() -> None:
    network = network_with(pools=[0, 3], hidden=[8])
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in network.features) == 1
    assert network(images(), torch.ones(3)).logits.isfinite().all()


def test_the_classifier_gives_gender_as_probabilities_female_first() -> None:
    network = network_with()
    with torch.no_grad():
        network.heads["gender"].get_parameter("weight").zero_()
        network.heads["gender"].get_parameter("bias").copy_(torch.tensor([3.0, 3.0]).log() + torch.tensor([1.0, 0.0]))
    front_end = build_classifier(Recipe("none", "cabg"), ("a", "b"), 0).front_end

    class OnImages(nn.Module):
        def forward(self, frames: Tensor, n_frames: Tensor) -> object:
            return network(images(len(frames)), n_frames)

    classifier = SpeechClassifier(front_end, OnImages(), ("a",) * 5)
    clips = torch.zeros(2, 4000), torch.tensor([4000, 100])
    outputs = classifier(*clips)
    torch.testing.assert_close(outputs["gender"][0], torch.tensor([1.0, 0.0]).softmax(dim=0))
    assert outputs["affect"].shape == (2, 3)
    classifier.learned = ("gender",)
    assert set(outputs) - set(classifier(*clips)) == {"affect"}
