"""The checks of networks find what is wrong with one, and say it in words."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earnest.frontends.trim import frame_mask
from earnest.models.cabg import CabgSettings
from earnest.models.classifier import MODELS, Network, NetworkOutput, Usage
from earnest.settings.front_end import FrontEnd
from earnest.testing import models as promises


class Right(Network):
    """The mean of each band over the frames of a clip, and a linear layer."""

    settings_type = CabgSettings
    paper = "Nobody (2026), nowhere"
    usage = Usage(FrontEnd(), 8)
    reduced: ClassVar[Mapping[str, Any]] = {}
    zero_gradient: ClassVar[Mapping[str, str]] = {}

    def __init__(self, n_mels: int, n_classes: int, settings: Any) -> None:
        super().__init__()
        self.output = nn.Linear(n_mels, n_classes)

    def mask(self, frames: Tensor, n_frames: Tensor) -> Tensor:
        return frame_mask(n_frames, frames.shape[2])[:, None]

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        mean = (frames * self.mask(frames, n_frames)).sum(dim=2) / n_frames[:, None]
        return NetworkOutput(self.output(mean), mean)


class Unmasked(Right):
    def mask(self, frames: Tensor, n_frames: Tensor) -> Tensor:
        return torch.ones_like(frames)


class BatchMean(Right):
    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        output = super().forward(frames, n_frames)
        return output._replace(logits=output.logits - output.logits.mean(dim=0))


class OneTooMany(Right):
    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        output = super().forward(frames, n_frames)
        return output._replace(logits=torch.cat([output.logits, output.logits[:, :1]], dim=1))


class Unused(Right):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.unused = nn.Linear(2, 2)


class DeclaredInVain(Right):
    zero_gradient: ClassVar[Mapping[str, str]] = {"output.bias": "I thought so"}


class DeclaredUnknown(Right):
    zero_gradient: ClassVar[Mapping[str, str]] = {"outptu.bias": "a slip of the pen"}


class WithoutReason(Unused):
    zero_gradient: ClassVar[Mapping[str, str]] = {"unused.*": ""}


class Declared(Unused):
    zero_gradient: ClassVar[Mapping[str, str]] = {"unused.*": "nobody uses it"}


class StartsAtZero(Right):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)


class Deaf(Right):
    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        return super().forward(0 * frames, n_frames)


class Bare(Right):
    def forward(self, frames: Tensor, n_frames: Tensor) -> Any:
        return super().forward(frames, n_frames).logits


class Anonymous(Right):
    paper = ""


class Answers:
    """What a session of onnxruntime would give, changed."""

    def __init__(self, network: str, added: float = 0.0, dims: tuple[str, str] = ("batch", "samples")) -> None:
        self.model, self.added, self.dims = promises.model_called(network), added, dims

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in ("logits", "probabilities", "embedding")]

    def get_inputs(self) -> list[Any]:
        types = {"waveform": ("tensor(float)", list(self.dims)), "lengths": ("tensor(int64)", ["batch"])}
        return [SimpleNamespace(name=name, type=kind, shape=shape) for name, (kind, shape) in types.items()]

    def get_modelmeta(self) -> Any:
        facts = {"sample_rate_hz": "16000", "classes": ",".join(promises.CLASSES), "weights_sha256": 64 * "0"}
        return SimpleNamespace(custom_metadata_map=facts)

    def run(self, names: list[str], feeds: dict[str, Any]) -> list[Any]:
        lengths = np.clip(feeds["lengths"], 1, feeds["waveform"].shape[1])
        with torch.no_grad():
            found = self.model(torch.from_numpy(feeds["waveform"]), torch.from_numpy(lengths))
        return [found[name].numpy() + np.float32(self.added) for name in names]


@pytest.fixture
def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(MODELS._entries, "trial", request.param)
    return "trial"


WITHOUT_EXPORT = [promise for promise in promises.PROMISES if not promise.__name__.startswith("exported_graph")]


@pytest.mark.parametrize("network", [Right], indirect=True)
@pytest.mark.parametrize("promise", WITHOUT_EXPORT[:-2], ids=lambda promise: promise.__name__)
def test_a_right_network_passes(network: str, promise: Any) -> None:
    promise(network)


@pytest.mark.parametrize("network", [Declared], indirect=True)
def test_what_is_declared_with_its_reason_passes(network: str) -> None:
    promises.gradient_reaches_every_parameter_but_those_declared(network)


@pytest.mark.parametrize(
    ("network", "promise", "words"),
    [
        (OneTooMany, promises.outputs_have_their_shapes, r"logits of 4 utterances must be \(4, 4\), got \(4, 5\)"),
        (Bare, promises.outputs_have_their_shapes, "must return a NetworkOutput, got Tensor"),
        (Unmasked, promises.frames_behind_a_clip_change_nothing, "not close"),
        (Unmasked, promises.padded_batch_equals_its_clips_one_by_one, "embedding|logits|probabilities"),
        (BatchMean, promises.padded_batch_equals_its_clips_one_by_one, "is another one in a batch"),
        (Unused, promises.gradient_reaches_every_parameter_but_those_declared, "no gradient reaches .'unused.bias'"),
        (DeclaredInVain, promises.gradient_reaches_every_parameter_but_those_declared, "which a gradient reaches"),
        (DeclaredUnknown, promises.gradient_reaches_every_parameter_but_those_declared, "that don't exist"),
        (WithoutReason, promises.gradient_reaches_every_parameter_but_those_declared, "needs its reason"),
        (StartsAtZero, promises.random_start_depends_on_the_seed_alone, "two seeds give one random start"),
        (Deaf, promises.eight_made_up_clips_are_learnt_by_heart, "trained on eight utterances of"),
        (Anonymous, promises.paper_is_named, "say in paper"),
    ],
    indirect=["network"],
)
def test_a_broken_promise_of_a_network_is_found(network: str, promise: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        promise(network)


@pytest.mark.parametrize("network", [Right], indirect=True)
def test_a_graph_that_answers_like_torch_passes(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "_session_of", Answers)
    for promise in promises.PROMISES:
        if promise not in WITHOUT_EXPORT and "any_samples" not in promise.__name__:
            promise(network)


@pytest.mark.parametrize("network", [Right], indirect=True)
@pytest.mark.parametrize(
    ("changes", "promise", "words"),
    [
        (
            {"added": 2e-4},
            promises.exported_graph_equals_torch_for_lengths_and_batches_it_was_not_traced_with,
            r"trial: \w+ for utterances of \(0\.1,\) s",
        ),
        ({"added": 2e-4}, promises.exported_graph_equals_torch_for_silence_and_a_single_sample, "trial"),
        (
            {"added": float("nan")},
            promises.exported_graph_answers_any_samples_with_finite_numbers,
            "embedding, logits, probabilities not finite for digital silence",
        ),
        (
            {"dims": ("batch", "16000")},
            promises.exported_graph_takes_any_batch_and_length_and_names_no_machine,
            "the inputs of its graph are",
        ),
    ],
    ids=["other numbers", "other numbers for silence", "not a number", "a fixed length"],
)
def test_a_graph_that_differs_is_found(
    network: str, changes: dict[str, Any], promise: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promises, "_session_of", lambda name: Answers(name, **changes))
    with pytest.raises(AssertionError, match=words):
        promise(network)
