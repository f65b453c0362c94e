"""What every network has by default, and the linear head for gender of those whose last layers are closed forms."""

import pytest
import torch
from torch import nn

from earnest.errors import RecipeError
from earnest.models.classifier import Network, build_network

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
