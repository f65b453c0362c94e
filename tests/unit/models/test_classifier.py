"""The linear head for gender of the networks whose last layers are closed forms."""

import pytest
import torch
from torch import nn

from earnest.errors import RecipeError
from earnest.models.classifier import build_network

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
