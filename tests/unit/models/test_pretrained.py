"""Published weights: found by file, folder or name; refused when they don't fit."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from earnest.errors import EarnestError
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
    with pytest.raises(EarnestError, match=f"No pre-trained weights 'absent'.*{ENVIRONMENT}"):
        find_weights(Path("absent"), {})


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
