"""What `earnest models` says about architectures, against layers counted by hand."""

import json
import subprocess
import sys

import pytest
from torch import Tensor, nn

from earnest.models.cabg import CabgSettings
from earnest.models.classifier import MODELS, Network, NetworkOutput, Usage, summaries, summary_of
from earnest.settings.front_end import FrontEnd


def test_parameters_are_those_published() -> None:
    found = {summary.name: summary.parameters for summary in summaries()}
    assert sorted(found) == MODELS.names()
    assert found["vgg11"] == 128_782_724
    assert found["multitask-cnn"] == 126_041_745 - 4  # the weights of its loss
    assert "126,041,745 parameters with the four weights of its loss" in summary_of("multitask-cnn").paper
    assert found["cabg"] == 166_729


def test_multiply_adds_are_those_of_the_layers() -> None:
    # Arch 8 on 128 by 128: two convolutions, the large layer, five heads, and the rows of the resizing.
    convolutions = 128 * 128 * 32 * 49 + 63 * 63 * 64 * 32 * 25
    linear = 61_504 * 2_048 + 2_048 * 13
    n_frames = 3 * 22_050 // 512 + 1
    assert summary_of("multitask-cnn").multiply_adds == convolutions + linear + 128 * 256 * n_frames


def test_megabytes_are_four_bytes_a_parameter() -> None:
    assert summary_of("alexnet-gap").megabytes == pytest.approx(2_470_724 * 4 / 1e6, abs=0.05)


def test_blocks_of_three_seconds_are_one_for_a_clip_of_three_seconds() -> None:
    found = summary_of("resnet18").multiply_adds
    assert found is not None
    # 1.8 G for 224 by 224 (He et al., 2016), here 256 by 384
    assert found == pytest.approx(1.814e9 * 256 * 384 / 224**2, rel=0.02)


class Averaging(Network):
    """A mean and a linear layer; it asks how long the longest clip is, which a tensor without values can't tell."""

    settings_type = CabgSettings
    paper = "Nobody (2026), nowhere"
    usage = Usage(FrontEnd(n_mels=40), 8)

    def __init__(self, n_mels: int, n_classes: int, settings: CabgSettings) -> None:
        super().__init__()
        self.output = nn.Linear(n_mels, n_classes)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        mean = frames[..., : int(n_frames.max())].mean(dim=2)
        return NetworkOutput(self.output(mean), mean)


class Unused(Averaging):
    usage = None  # type: ignore[assignment]


class Raising(Averaging):
    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        raise KeyError("boom")


def test_a_network_of_another_package_may_ask_how_long_a_clip_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS._entries, "trial", Averaging)
    found = summary_of("trial")
    assert (found.parameters, found.multiply_adds, found.n_classes, found.note) == (41 * 8, 40 * 8, 8, "")


@pytest.mark.parametrize(
    ("network", "n_classes", "cause"),
    [(Raising, 8, "KeyError: 'boom'"), (Unused, 0, "AttributeError: 'NoneType' object has no attribute")],
)
def test_a_network_of_another_package_that_cannot_be_counted_says_why_and_breaks_no_other(
    network: type[Network], n_classes: int, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS._entries, "trial", network)
    monkeypatch.setattr(MODELS, "names", lambda: ["cabg", "trial"])
    cabg, trial = summaries()
    assert cabg.parameters == 166_729
    assert (trial.parameters, trial.n_classes) == (None, n_classes)
    assert trial.note.startswith(f"It can't be counted ({cause}")


BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "torch" else find(name)
from earnest.apps.cli.main import cli
cli(sys.argv[1:], standalone_mode=False)
"""


def test_names_are_listed_where_torch_is_not_installed() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKER, "models"], capture_output=True, text=True, check=True)
    assert "moody-alexnet" in done.stdout
    assert "'.[train]'" in done.stdout
    done = subprocess.run(
        [sys.executable, "-c", BLOCKER, "models", "--json"], capture_output=True, text=True, check=True
    )
    document = json.loads(done.stdout)
    assert document["networks"] == MODELS.names()
    assert document["architectures"] == []
