"""Published weights: found by file, folder or name; refused when they don't fit."""

import logging
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from earnest.errors import EarnestError
from earnest.frontends.image import ImageSize
from earnest.models.classifier import build_network
from earnest.models.imagenet import ImagenetNetwork
from earnest.models.pretrained import ENVIRONMENT, find_weights, read_tensors

WANTED = {"conv.weight": torch.zeros(2, 3), "conv.bias": torch.zeros(2)}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    save_file(
        {
            "encoder.conv.weight": torch.arange(6.0).reshape(2, 3),
            "encoder.conv.bias": torch.tensor([1.5, 2.5], dtype=torch.float16),
            "decoder.other": torch.zeros(1),
        },
        folder / "model.safetensors",
    )
    return folder


def test_a_file_a_folder_and_a_name_are_found(weights: Path) -> None:
    file = weights / "model.safetensors"
    for name, environ in ((file, {}), (weights, {}), (Path("tiny"), {ENVIRONMENT: str(weights.parent)})):
        assert find_weights(name, environ) == file


def test_absent_weights_are_an_error_that_says_where_to_put_them() -> None:
    with pytest.raises(EarnestError, match=f"No pre-trained weights 'absent'.*{ENVIRONMENT} to .* this file, or a"):
        find_weights(Path("absent"), {})


def test_weights_of_an_earlier_version_say_what_to_do_without_them() -> None:
    with pytest.raises(EarnestError, match=r"'earnest-encoder' don't come any more") as refused:
        find_weights(Path("earnest-encoder"), {})
    assert "network.weights = 'base'" in str(refused.value)
    assert "is exported by the earnest that made it" in str(refused.value)
    assert ENVIRONMENT not in str(refused.value)


def test_tensors_come_as_float32_by_their_published_names(weights: Path) -> None:
    found = read_tensors(weights, "encoder.", WANTED)
    assert found.keys() == WANTED.keys()
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert found["conv.bias"].tolist() == [1.5, 2.5]


def test_a_prefix_of_whole_models_is_no_obstacle(tmp_path: Path) -> None:
    save_file({"model.encoder.conv.bias": torch.ones(2)}, tmp_path / "model.safetensors")
    assert read_tensors(tmp_path, "encoder.", {"conv.bias": torch.zeros(2)})["conv.bias"].tolist() == [1.0, 1.0]


def test_a_missing_tensor_and_a_wrong_shape_are_named(weights: Path) -> None:
    with pytest.raises(EarnestError, match=r"holds no tensor 'encoder\.norm'"):
        read_tensors(weights, "encoder.", {"norm": torch.zeros(1)})
    with pytest.raises(EarnestError, match=r"'encoder\.conv\.bias' has the shape \(2,\), expected \(5,\)"):
        read_tensors(weights, "encoder.", {"conv.bias": torch.zeros(5)})


def test_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(EarnestError, match="not a safetensors file"):
        read_tensors(tmp_path, "", WANTED)
    assert not (tmp_path / "sprung").exists()


SMALL = {"width_factor": 0.125}
SIZE = ImageSize(3, 64, 64)


def imagenet(name: str, weights: Path | str, n_classes: int = 4, size: ImageSize = SIZE) -> ImagenetNetwork:
    settings = {**SMALL, **({"block_layers": [1, 1]} if name == "densenet121" else {})}
    network = build_network(name, size, n_classes, {**settings, "weights": str(weights)})
    assert isinstance(network, ImagenetNetwork)
    return network


def published(name: str, path: Path) -> dict[str, torch.Tensor]:
    """Save a network with other numbers and a last layer of another size, as torchvision's file would be."""
    torch.manual_seed(5)
    tensors = imagenet(name, "", n_classes=7).state_dict()
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return tensors


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("name", ["alexnet", "alexnet-gap", "vgg11", "resnet18", "densenet121"])
def test_imagenets_tensors_are_taken_over_but_for_the_last_layer(
    name: str, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = published(name, tmp_path / f"published.{suffix}")
    network = imagenet(name, tmp_path / f"published.{suffix}")
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with caplog.at_level(logging.INFO):
        network.load_pretrained()
    after = network.state_dict()
    for key, tensor in after.items():
        if key.startswith(f"{network.replaced}."):
            assert torch.equal(tensor, before[key])
        elif not key.endswith("num_batches_tracked"):
            assert torch.equal(tensor, tensors[key])
    assert f"'{network.replaced}'" in caplog.text
    assert network.replaced in network.origin


def test_the_published_densenet_file_has_dots_inside_the_names_of_a_dense_layer(tmp_path: Path) -> None:
    tensors = published("densenet121", tmp_path / "new.pth")
    old = {
        key.replace("norm1.", "norm.1.")
        .replace("norm2.", "norm.2.")
        .replace("conv1.", "conv.1.")
        .replace("conv2.", "conv.2.")
        if "denselayer" in key
        else key: tensor
        for key, tensor in tensors.items()
        if not key.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth")
    network = imagenet("densenet121", tmp_path / "old.pth")
    network.load_pretrained()
    key = "features.denseblock1.denselayer1.conv2.weight"
    assert torch.equal(network.state_dict()[key], tensors[key])


def test_without_the_file_the_start_is_random_and_a_warning_says_so(caplog: pytest.LogCaptureFixture) -> None:
    network = imagenet("resnet18", "nowhere/resnet18.pth")
    network.load_pretrained()
    assert "nowhere/resnet18.pth" in caplog.text
    assert "random weights instead" in caplog.text
    assert network.origin == "random"


def test_a_missing_strange_or_misshapen_tensor_is_named_with_the_layer_that_may_differ(tmp_path: Path) -> None:
    tensors = published("resnet18", tmp_path / "right.pth")
    missing = {key: tensor for key, tensor in tensors.items() if key != "layer2.0.conv1.weight"}
    for number, (wrong, message) in enumerate(
        (
            (missing, "holds no tensor 'layer2.0.conv1.weight'"),
            (tensors | {"layer9.weight": torch.zeros(1)}, "holds 'layer9.weight', which this network has not"),
            (tensors | {"bn1.weight": torch.zeros(3)}, r"'bn1.weight' has the shape \(3,\), expected \(8,\)"),
        )
    ):
        torch.save(wrong, tmp_path / f"{number}.pth")
        with pytest.raises(EarnestError, match=rf"{message}.* Only the replaced layer 'fc' may differ"):
            imagenet("resnet18", tmp_path / f"{number}.pth").load_pretrained()


def test_weights_for_three_channels_do_not_fit_one(tmp_path: Path) -> None:
    published("resnet18", tmp_path / "right.pth")
    with pytest.raises(EarnestError, match=r"'conv1\.weight' has the shape"):
        imagenet("resnet18", tmp_path / "right.pth", size=ImageSize(1, 64, 64)).load_pretrained()


def test_a_torch_file_that_holds_more_than_tensors_is_refused_unread(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"conv1.weight": Trap()}, tmp_path / "trap.pth")
    (tmp_path / "broken.pth").write_bytes(b"no torch file")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("trap", "broken", "list"):
        with pytest.raises(EarnestError, match=rf"{name}\.pth: no (file|table) of tensors"):
            imagenet("resnet18", tmp_path / f"{name}.pth").load_pretrained()
    assert not (tmp_path / "sprung").exists()
