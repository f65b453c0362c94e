"""Whisper's first blocks against torch's own transformer layer, on one clip without padding."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from earnest.errors import RecipeError
from earnest.models.classifier import build_network
from earnest.models.whisper import EncoderBlock, WhisperSettings, WhisperStatistics, sinusoids

N_MELS = 20
SMALL = {"width": 48, "n_heads": 4, "feed_forward_width": 96}


def small(**changes: object) -> WhisperStatistics:
    torch.manual_seed(0)
    network = build_network("whisper-statistics", N_MELS, 5, {**SMALL, **changes})
    assert isinstance(network, WhisperStatistics)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return network.eval()


def torch_layer(block: EncoderBlock) -> nn.TransformerEncoderLayer:
    """Return torch's pre-norm layer with the same weights; its keys have a bias, which is set to zero."""
    layer = nn.TransformerEncoderLayer(48, 4, 96, activation="gelu", batch_first=True, norm_first=True)
    attention = block.self_attn
    with torch.no_grad():
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        layer.self_attn.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        biases = (attention.q_proj.bias, torch.zeros(48), attention.v_proj.bias)
        layer.self_attn.in_proj_bias.copy_(torch.cat(biases))
    for mine, theirs in (
        (layer.self_attn.out_proj, attention.out_proj),
        (layer.norm1, block.self_attn_layer_norm),
        (layer.norm2, block.final_layer_norm),
        (layer.linear1, block.fc1),
        (layer.linear2, block.fc2),
    ):
        mine.load_state_dict(theirs.state_dict())
    return layer.eval()


def plain_embedding(network: WhisperStatistics, decibels: Tensor) -> Tensor:
    """Map (1, n_mels, frames) to the embedding, as the paper puts the layers together."""
    encoder = network.encoder
    log10 = decibels / 10  # Whisper's input is log10 of power, raised by four and divided by four
    hidden = nn.functional.gelu(encoder.conv1((log10 + 4) / 4))
    steps = nn.functional.gelu(encoder.conv2(hidden)).mT
    count, half = steps.shape[1], 24
    angles = torch.tensor([[t * 10_000 ** (-k / (half - 1)) for k in range(half)] for t in range(count)])
    steps = steps + torch.cat([angles.sin(), angles.cos()], dim=1)
    pooled = []
    for number, block in enumerate([None, *encoder.layers]):
        steps = steps if block is None else torch_layer(block)(steps)
        if number == encoder.merged_after:
            parts = steps.split(encoder.tokens_per_step, dim=1)
            steps = torch.cat([part.mean(dim=1, keepdim=True) for part in parts], dim=1)
        if block is None:
            continue
        pooled += [steps.mean(dim=1), steps.var(dim=1, unbiased=False).add(1e-8).sqrt()]
    return torch.cat(pooled, dim=1)


@pytest.mark.parametrize(("tokens_per_step", "merged_after"), [(1, 0), (2, 0), (3, 1)])
@pytest.mark.parametrize("frames", [1, 2, 3, 40, 101])
def test_the_embedding_equals_that_of_torchs_own_layers(frames: int, tokens_per_step: int, merged_after: int) -> None:
    network = small(tokens_per_step=tokens_per_step, merged_after=merged_after)
    decibels = 15 * torch.randn(1, N_MELS, frames, generator=torch.Generator().manual_seed(1)) - 30
    with torch.no_grad():
        found = network(decibels, torch.tensor([frames])).embedding
        torch.testing.assert_close(found, plain_embedding(network, decibels), rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize(("tokens_per_step", "merged_after"), [(1, 0), (2, 0), (3, 1)])
def test_what_lies_behind_a_clip_in_a_batch_changes_nothing(tokens_per_step: int, merged_after: int) -> None:
    network = small(tokens_per_step=tokens_per_step, merged_after=merged_after)
    long, short = 15 * torch.randn(2, N_MELS, 60, generator=torch.Generator().manual_seed(2)) - 30
    with torch.no_grad():
        together = network(torch.stack([long, short]), torch.tensor([60, 37])).embedding[1]
        alone = network(short[None, :, :37], torch.tensor([37])).embedding[0]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_narrowest_encoder_has_positions_too() -> None:
    assert sinusoids(torch.zeros(1, 3, 2)).tolist() == [
        [pytest.approx(math.sin(n)), pytest.approx(math.cos(n))] for n in range(3)
    ]


def test_positions_are_whispers() -> None:
    found = sinusoids(torch.zeros(1, 1500, 384))
    assert found.shape == (1500, 384)
    for step, channel in ((0, 0), (7, 3), (1499, 191)):
        angle = step * math.exp(-channel * math.log(10_000) / 191)
        assert float(found[step, channel]) == pytest.approx(math.sin(angle), abs=2e-4)
        assert float(found[step, 192 + channel]) == pytest.approx(math.cos(angle), abs=2e-4)


def test_published_tensors_are_taken_over_and_then_stay(tmp_path: Path) -> None:
    donor = small()
    save_file(
        {f"encoder.{key}": value for key, value in donor.encoder.state_dict().items()}, tmp_path / "w.safetensors"
    )
    network = small(weights=str(tmp_path / "w.safetensors"), frozen=True)
    nn.init.zeros_(network.encoder.conv1.weight)
    network.load_pretrained()
    for key, value in donor.encoder.state_dict().items():
        assert torch.equal(network.encoder.state_dict()[key], value)
    assert [name for name, parameter in network.named_parameters() if parameter.requires_grad] == [
        "output.weight",
        "output.bias",
    ]
    assert network.notice.startswith("MIT License")
    assert small().notice == ""


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"width": 50}, "width"),
        ({"n_heads": 0}, "n_heads"),
        ({"n_blocks": 0}, "n_blocks"),
        ({"pooled_blocks": [3]}, "pooled_blocks"),
        ({"pooled_blocks": []}, "pooled_blocks"),
        ({"statistics": []}, "statistics"),
        ({"statistics": ["deviation"]}, "statistics must be"),
        ({"deviation_weight": 0}, "deviation_weight"),
        ({"deviation_weight": 1.5}, "deviation_weight"),
    ],
)
def test_impossible_settings_are_refused_by_name(wrong: dict[str, object], word: str) -> None:
    with pytest.raises(RecipeError, match=word):
        build_network("whisper-statistics", N_MELS, 5, {**SMALL, **wrong})
    assert WhisperSettings().pooled_blocks == (1, 2)


def test_the_mean_alone_is_the_first_half_of_each_blocks_statistics() -> None:
    both, alone = small(), small(statistics=["mean"])
    alone.encoder.load_state_dict(both.encoder.state_dict())
    frames, n_frames = torch.randn(2, N_MELS, 30), torch.tensor([30, 18])
    with torch.no_grad():
        wanted, found = both(frames, n_frames).embedding, alone(frames, n_frames).embedding
    width = both.settings.width
    assert found.shape == (2, wanted.shape[1] // 2)
    halves = torch.cat([wanted[:, at : at + width] for at in range(0, wanted.shape[1], 2 * width)], dim=1)
    torch.testing.assert_close(found, halves)


def test_what_values_count_stands_in_the_order_of_the_embedding() -> None:
    network = small(deviation_weight=0.25)
    width = network.settings.width
    block = [1.0] * width + [0.25] * width  # the mean, then the deviation, of each block
    assert network.value_weights.tolist() == block * len(network.settings.pooled_blocks)
    assert set(small(statistics=["mean"], deviation_weight=0.25).value_weights) == {1.0}
