"""The architectures have the published numbers of parameters, in full size, without their weights in memory."""

from pathlib import Path

import pytest
import torch
from torch import nn

from earnest.errors import RecipeError
from earnest.frontends.image import ImageSize
from earnest.models.classifier import build_network
from earnest.models.multitask import MultitaskCnn
from earnest.settings.recipe import read_recipe
from earnest.training.heads import combination_of, heads_of, tasks_of

RECIPES = Path(__file__).parents[3] / "recipes"
MOODY, NTU = ImageSize(1, 128, 91), ImageSize(3, 256, 384)


def on_meta(name: str, size: ImageSize, n_classes: int, **settings: object) -> nn.Module:
    with torch.device("meta"):
        return build_network(name, size, n_classes, settings)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "size", "n_classes", "published"),
    [
        ("moody-alexnet", MOODY, 8, 4_123_848),
        ("moody-resnet18", MOODY, 8, 11_304_136),
        ("alexnet", NTU, 4, 57_020_228),
        ("alexnet-gap", NTU, 4, 2_470_724),
        ("resnet18", NTU, 4, 11_178_564),
        ("vgg11", NTU, 4, 128_782_724),
        ("densenet121", ImageSize(3, 224, 224), 8, 7_482_760),
        ("multitask-cnn", ImageSize(1, 128, 128), 8, 126_041_741),
    ],
)
def test_it_has_the_published_number_of_parameters(name: str, size: ImageSize, n_classes: int, published: int) -> None:
    assert count(on_meta(name, size, n_classes)) == published


def test_with_the_learned_weights_of_its_loss_the_multitask_network_has_the_published_count() -> None:
    recipe = read_recipe(RECIPES / "multitask-cnn.toml")
    network = on_meta(recipe.model, ImageSize(1, 128, 128), 8, **recipe.network)
    loss = combination_of(recipe.training, tasks_of(heads_of(8, recipe.training.auxiliary)))
    assert count(loss) == 4
    assert count(network) + count(loss) == 126_041_745


@pytest.mark.parametrize(
    ("preset", "side", "into_first_hidden"),
    [
        ("arch8", 128, 61_504),
        ("starter", 128, 32_768),
        ("badshah2017", 256, 31_104),
        ("shahsavarani2018", 128, 16_384),
        ("kim2017", 128, 32_768),
        ("alexnet2012", 227, 9_216),
    ],
)
def test_the_reference_networks_have_their_sizes(preset: str, side: int, into_first_hidden: int) -> None:
    network = on_meta("multitask-cnn", ImageSize(1, side, side), 8, preset=preset)
    assert isinstance(network, MultitaskCnn)
    first = next(layer for layer in network.hidden if isinstance(layer, nn.Linear))
    assert first.in_features == into_first_hidden
    assert set(network.heads) == ({"emotion"} if preset != "arch8" else {"emotion", "gender", *network.settings.tasks})


def test_keys_beside_a_preset_take_precedence() -> None:
    network = on_meta("multitask-cnn", ImageSize(1, 128, 128), 8, preset="kim2017", hidden=[16])
    assert isinstance(network, MultitaskCnn)
    assert network.heads["emotion"].in_features == 16


def test_an_unknown_preset_is_told_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"\[network\]: there is no preset 'kim2018'\. Did you mean 'kim2017'\?"):
        on_meta("multitask-cnn", ImageSize(1, 128, 128), 8, preset="kim2018")


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "densenet121", "moody-alexnet", "multitask-cnn"])
def test_an_image_too_small_for_the_layers_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=r"\[image\]: .* Choose a larger height and width"):
        on_meta(name, ImageSize(3, 4, 4), 4)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("alexnet", {"width_factor": 0}, "width_factor"),
        ("alexnet", {"dropout": 1.0}, "dropout"),
        ("densenet121", {"block_layers": []}, "block_layers"),
        ("moody-alexnet", {"channel_dropout": -0.1}, "dropout"),
        ("multitask-cnn", {"tasks": ["valence"]}, "valence, arousal and dominance come together"),
        ("multitask-cnn", {"kernels": [3]}, "kernels must have 2 numbers"),
        ("multitask-cnn", {"pools": [-1, 2]}, "pools"),
        ("multitask-cnn", {"channels": [0, 2]}, "channels"),
    ],
)
def test_impossible_settings_are_refused_by_name(name: str, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=rf"\[network\].*{message}"):
        on_meta(name, ImageSize(3, 128, 128), 4, **wrong)
