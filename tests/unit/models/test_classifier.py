"""What every network has by default, and the linear head for gender of those whose last layers are closed forms."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from earnest.errors import EarnestError, RecipeError
from earnest.frontends.log_mel import LogMel
from earnest.models.classifier import (
    MODELS,
    Network,
    NetworkOutput,
    Segmented,
    SpeechClassifier,
    build_network,
    refuse_wrong_answers,
)
from earnest.settings.front_end import FrontEnd, Segments

SMALL = {
    "whisper-statistics": {"width": 48, "n_heads": 4, "feed_forward_width": 48},
    "student-statistics": {"width": 16, "n_blocks": 2, "feed_forward_width": 32, "token_width": 24},
}
N_MELS = 20


def built(name: str, **changes: object) -> nn.Module:
    torch.manual_seed(0)
    return build_network(name, N_MELS, 5, {**SMALL[name], **changes}).eval()


@pytest.mark.parametrize("name", SMALL)
def test_it_is_a_linear_layer_on_the_embedding(name: str) -> None:
    network = built(name, tasks=["gender"])
    frames = 10 * torch.randn(3, N_MELS, 60)
    output = network(frames, torch.tensor([60, 41, 33]))
    assert output.gender.shape == (3, 2)
    torch.testing.assert_close(output.gender, network.get_submodule("gender")(output.embedding))


@pytest.mark.parametrize("name", SMALL)
def test_without_the_task_there_is_none_and_all_else_starts_the_same(name: str) -> None:
    plain, other = built(name), built(name, tasks=["gender"])
    assert plain(torch.zeros(1, N_MELS, 40), torch.tensor([40])).gender is None
    weights = other.state_dict()
    assert set(weights) - set(plain.state_dict()) == {"gender.weight", "gender.bias"}
    assert all(torch.equal(weights[key], value) for key, value in plain.state_dict().items())


@pytest.mark.parametrize("name", SMALL)
def test_another_task_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match="tasks"):
        built(name, tasks=["age"])


class Plain(Network):
    """A layer, and nothing that only some networks have."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(4, 3)


def test_a_network_need_not_name_what_only_some_can_do() -> None:
    network = Plain()
    network.load_pretrained()
    network.prepare([torch.zeros(4, 1)])
    assert network.inner is network
    assert (network.origin, network.notice, network.known_speakers) == ("random", "", frozenset())
    assert (network.last_layer("output"), network.last_layer("gender")) == (network.output, None)
    assert (network.input, dict(network.presets)) == ("frames", {})
    with pytest.raises(NotImplementedError):
        Network()(torch.zeros(1, 1, 1), torch.ones(1))


class Faulty(Network):
    """The mean of each band, and of what it gives the parts that ``changes`` names; all of it is ``given``."""

    def __init__(self, given: Any = None, **changes: Any) -> None:
        super().__init__()
        self.output, self.given, self.changes, self.n_prepared = nn.Linear(N_MELS, 3), given, changes, 0

    def prepare(self, frames: Iterable[Tensor]) -> None:
        self.n_prepared = sum(clip.shape[0] == N_MELS for clip in frames)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        mean = frames.mean(dim=2)
        output = NetworkOutput(self.output(mean), mean)._replace(**self.changes)
        return output if self.given is None else self.given


def tried(network: Network) -> None:
    front_end = LogMel(FrontEnd(n_fft=512, win_length=400, hop_length=160, n_mels=N_MELS))
    refuse_wrong_answers(SpeechClassifier(front_end, network, ("happy", "sad", "angry")), "mine")


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Faulty(given=(torch.zeros(2, 3), torch.zeros(2, 9))), "must return a NetworkOutput, got tuple"),
        (Faulty(given=torch.zeros(2, 3)), "must return a NetworkOutput, got Tensor"),
        (Faulty(logits=torch.zeros(2, 4)), r"logits of 2 utterances must be \(2, 3\), got \(2, 4\)"),
        (Faulty(logits=torch.zeros(1, 3)), r"logits of 2 utterances must be \(2, 3\), got \(1, 3\)"),
        (Faulty(logits=torch.zeros(2)), r"logits of 2 utterances must be \(2, 3\), got \(2,\)"),
        (Faulty(logits=torch.full((2, 3), torch.nan)), "logits must be finite, got 6 values that aren't"),
        (Faulty(embedding=torch.zeros(2, 9, 1)), r"embedding of 2 utterances must be \(2, width\), got \(2, 9, 1\)"),
        (Faulty(embedding=torch.full((2, 9), torch.inf)), "embedding must be finite, got 18 values that aren't"),
        (Faulty(embedding=None), r"embedding of 2 utterances must be \(2, width\), got \(\)"),
        (Faulty(gender=torch.zeros(2, 1)), r"gender of 2 utterances must be \(2, 2\), got \(2, 1\)"),
    ],
)
@pytest.mark.parametrize("segments", [False, True])
def test_another_packages_network_that_answers_wrongly_is_named_with_what_is_wrong(
    network: Network, words: str, segments: bool
) -> None:
    with pytest.raises(EarnestError, match=f"^The model 'mine': {words}\\.$"):
        tried(Segmented(network, Segments("crop", 0.3), 30) if segments else network)


def test_a_network_that_answers_as_it_should_passes_after_it_was_prepared() -> None:
    tried(network := Faulty())
    assert network.n_prepared == 2


def test_settings_that_are_no_dataclass_are_refused_by_the_networks_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS._entries, "mine", type("Loose", (Network,), {"settings_type": dict}))
    with pytest.raises(EarnestError, match="The model 'mine': settings_type must be a dataclass, got <class 'dict'>"):
        build_network("mine", N_MELS, 3, {})
