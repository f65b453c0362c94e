"""The mean of two networks' weights."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import Tensor

from earnest.errors import EarnestError
from earnest.models.pretrained import KNOWN_SPEAKERS, read_known_speakers, read_origin
from research.averaging import average, tensors_of
from research.commands import cli
from research.settings import packed_state


def network(folder: Path, seed: int, width: int = 6) -> dict[str, Tensor]:
    """Write a small network; return its tensors as they were written."""
    random = torch.Generator().manual_seed(seed)
    state = {"fc.weight": torch.randn(4, width, generator=random), "fc.bias": torch.randn(4, generator=random)}
    folder.mkdir()
    told = {"origin": f"number {seed}", KNOWN_SPEAKERS: json.dumps([f"made-up/s{seed}"])}
    save_file(packed_state(state, "encoder."), folder / "model.safetensors", told)
    return tensors_of(folder)


def test_each_weight_is_the_mean_and_all_known_speakers_stay_known(tmp_path: Path) -> None:
    one, other = network(tmp_path / "one", 1), network(tmp_path / "other", 2)
    average([tmp_path / "one", tmp_path / "other"], tmp_path / "mean")
    found = tensors_of(tmp_path / "mean")
    assert set(found) == {"encoder.fc.weight", "encoder.fc.bias"}
    for name, tensor in found.items():
        # Kernels are rounded to 8 bits of their largest value once more.
        torch.testing.assert_close(tensor, (one[name] + other[name]) / 2, atol=0.01, rtol=0)
        assert (tensor - one[name]).abs().mean() > 0.1
    assert read_known_speakers(tmp_path / "mean") == {"made-up/s1", "made-up/s2"}
    assert read_origin(tmp_path / "mean").startswith("number 2; averaged with")


def test_networks_of_other_shapes_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    network(tmp_path / "one", 1)
    network(tmp_path / "other", 2, width=5)
    with pytest.raises(EarnestError, match="other: its tensors are not those of"):
        average([tmp_path / "one", tmp_path / "other"], tmp_path / "mean")
    assert not (tmp_path / "mean" / "model.safetensors").exists()


def test_one_network_alone_has_no_mean_and_weights_are_not_written_over(tmp_path: Path) -> None:
    network(tmp_path / "one", 1)
    with pytest.raises(EarnestError, match="two networks or more"):
        average([tmp_path / "one"], tmp_path / "mean")
    before = (tmp_path / "one" / "model.safetensors").read_bytes()
    with pytest.raises(EarnestError, match="one: holds"):
        average([tmp_path / "one", tmp_path / "one"], tmp_path / "one")
    assert (tmp_path / "one" / "model.safetensors").read_bytes() == before


def test_the_command_says_where_the_mean_lies(tmp_path: Path) -> None:
    network(tmp_path / "one", 1)
    network(tmp_path / "other", 2)
    folders = [str(tmp_path / name) for name in ("one", "other", "mean")]
    done = CliRunner().invoke(cli, ["average", *folders[:2], "--output", folders[2], "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["output"] == folders[2]
    assert (tmp_path / "mean" / "model.safetensors").exists()
