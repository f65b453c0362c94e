"""CABG against an independent rebuilding of the published layers; its GRU runs over each clip's own steps."""

import pytest
import torch
from torch import Tensor, nn

from earnest.errors import RecipeError
from earnest.models.cabg import BidirectionalGru, Cabg, CabgSettings
from earnest.models.classifier import build_network

N_MELS, N_CLASSES = 64, 8


def published() -> Cabg:
    network = build_network("cabg", N_MELS, N_CLASSES, {})
    assert isinstance(network, Cabg)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():  # biases and norms too, so that no term of the network is zero or one
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        network.hidden_norm.running_mean += 0.3 * torch.randn(64, generator=generator)
        network.hidden_norm.running_var += torch.rand(64, generator=generator)
    return network.eval()


class Plain(nn.Module):
    """The published layers for a lone clip: no masks, no packing, torch's own padding."""

    def __init__(self) -> None:
        super().__init__()
        widths = ((64, 64), (64, 64), (64, 128))
        self.convolutions = nn.ModuleList(nn.Conv1d(*width, kernel_size=3, padding="same") for width in widths)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _, width in widths)
        self.pool = nn.MaxPool1d(2)
        self.norm = nn.LayerNorm(128)
        self.gru = nn.GRU(128, 64, batch_first=True, bidirectional=True)
        self.query, self.key, self.score = nn.Linear(128, 128), nn.Linear(128, 128), nn.Linear(128, 1)
        self.head = nn.Sequential(nn.Linear(128, 64), nn.BatchNorm1d(64), nn.GELU(), nn.Linear(64, 8))

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Map (1, 64, frames) to logits (1, 8) and attention (1, steps)."""
        hidden = log_mel
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            hidden = nn.functional.gelu(norm(convolution(hidden).mT).mT)
        states, final = self.gru(self.norm(self.pool(hidden).mT))
        query = self.query(torch.cat([final[0], final[1]], dim=-1)).unsqueeze(1)
        weights = torch.softmax(self.score(torch.tanh(query + self.key(states))), dim=1)
        return self.head((weights * states).sum(dim=1)), weights.squeeze(-1)


def plain_copy_of(network: Cabg) -> Plain:
    plain = Plain()
    pairs: list[tuple[nn.Module, nn.Module]] = []
    for number, block in enumerate(network.blocks):
        pairs += [(plain.convolutions[number], block.convolution), (plain.norms[number], block.norm)]
    attention = network.attention
    pairs += [(plain.norm, network.norm), (plain.gru, network.gru), (plain.query, attention.query)]
    pairs += [(plain.key, attention.key), (plain.score, attention.score)]
    pairs += [(plain.head[0], network.hidden), (plain.head[1], network.hidden_norm), (plain.head[3], network.output)]
    for mine, theirs in pairs:
        mine.load_state_dict(theirs.state_dict())
    return plain.eval()


def clip(frames: int, seed: int = 0) -> Tensor:
    return 20 * torch.randn(1, N_MELS, frames, generator=torch.Generator().manual_seed(seed)) - 40


def test_it_has_the_published_number_of_parameters() -> None:
    assert sum(parameter.numel() for parameter in published().parameters()) == 166_729


def test_the_rebuilt_layers_have_as_many_parameters() -> None:
    assert sum(parameter.numel() for parameter in Plain().parameters()) == 166_729


@pytest.mark.parametrize("frames", [2, 3, 4, 17, 64, 201])
def test_logits_and_attention_equal_the_rebuilt_network(frames: int) -> None:
    network = published()
    with torch.no_grad():
        found = network(clip(frames), torch.tensor([frames]))
        logits, attention = plain_copy_of(network)(clip(frames))
    assert found.attention is not None
    torch.testing.assert_close(found.logits, logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.attention[:, : frames // 2], attention, rtol=1e-5, atol=1e-6)
    assert float(found.attention[:, frames // 2 :].abs().sum()) == 0.0


def test_padding_never_reaches_the_logits() -> None:
    network = published()
    lone = network(clip(31), torch.tensor([31])).logits
    for fill in (0.0, -80.0, 1e4):
        padded = nn.functional.pad(clip(31), (0, 33), value=fill)
        torch.testing.assert_close(network(padded, torch.tensor([31])).logits, lone, rtol=1e-5, atol=1e-5)


def test_one_frame_is_enough() -> None:
    output = published()(clip(1), torch.tensor([1]))
    assert output.logits.isfinite().all()
    assert output.attention is not None
    assert output.attention.tolist() == [[1.0]]


def test_the_start_is_the_published_one() -> None:
    torch.manual_seed(0)
    network = Cabg(N_MELS, N_CLASSES, CabgSettings())
    for layer in (*(block.convolution for block in network.blocks), network.hidden):
        fan_in = layer.weight[0].numel()
        assert float(layer.weight.detach().std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
        assert not layer.bias.any()
    hidden = network.gru.get_parameter("weight_hh_l0")
    torch.testing.assert_close(hidden.T @ hidden, torch.eye(64), rtol=0, atol=1e-4)
    assert not network.gru.get_parameter("bias_ih_l0").any()


@pytest.mark.parametrize(
    "wrong", [{"width": 127}, {"width": 0}, {"kernel_size": 4}, {"convolution_dropout": 1.0}, {"head_dropout": -0.1}]
)
def test_impossible_sizes_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match=r"\[network\]") as error:
        build_network("cabg", N_MELS, N_CLASSES, dict(wrong))
    assert next(iter(wrong)).rpartition("_")[2] in str(error.value)


def test_a_padded_batch_gives_each_clips_own_states() -> None:
    torch.manual_seed(0)
    gru = BidirectionalGru(5, 3).eval()
    steps = torch.randn(3, 7, 5)
    n_steps = torch.tensor([4, 7, 1])
    states, final = gru(steps, n_steps)
    plain = nn.GRU(5, 3, batch_first=True, bidirectional=True)
    plain.load_state_dict(gru.state_dict())
    for row, count in enumerate(n_steps.tolist()):
        expected, last = plain(steps[row : row + 1, :count])
        torch.testing.assert_close(states[row : row + 1, :count], expected)
        torch.testing.assert_close(final[row], torch.cat([last[0, 0], last[1, 0]]))
        assert not states[row, count:].any()
