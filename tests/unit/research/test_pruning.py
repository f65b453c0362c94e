"""Narrower layers: neurons that others can stand in for go, and what the encoder says stays."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from earnest.errors import RecipeError
from earnest.models.whisper import Encoder, EncoderBlock, EncoderSettings, PretrainedEncoder, normalised
from research.finetuning import Moments, Pruning, pruned

pytestmark = pytest.mark.long

SETTINGS = EncoderSettings(n_blocks=2, tokens_per_step=2, merged_after=1, width=24, n_heads=2, feed_forward_width=64)


def encoder() -> Encoder:
    """Return one in which every second neuron of the first block does what its neighbour does."""
    torch.manual_seed(0)
    made = Encoder(20, SETTINGS)
    block = made.layers[0]
    assert isinstance(block, EncoderBlock)
    with torch.no_grad():
        for tensor in (block.fc1.weight, block.fc1.bias):
            tensor.mul_(4)[1::2] = tensor[::2]
    return made.eval()


def clips(n: int = 24) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [10 * torch.randn(20, 60 + 3 * number, generator=generator) - 30 for number in range(n)]


@torch.no_grad()
def said(by: Encoder, clip: Tensor) -> list[Tensor]:
    return [tokens for tokens, _ in by(normalised(clip[None]), torch.tensor([clip.shape[1]]))]


def unexplained(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).square().mean() / wanted.var())


def test_neurons_with_a_double_go_first_and_nothing_is_lost() -> None:
    whole, narrow = encoder(), pruned(encoder(), clips(), Pruning(width=32))
    shapes = {name: tuple(tensor.shape) for name, tensor in narrow.state_dict().items() if "fc" in name}
    assert set(shapes.values()) == {(32, 24), (32,), (24, 32), (24,)}
    unheard = clips(30)[24:]
    for clip in unheard:
        assert unexplained(said(narrow, clip)[0], said(whole, clip)[0]) < 1e-4
        assert unexplained(said(narrow, clip)[1], said(whole, clip)[1]) < 0.02


def test_what_is_given_stays_as_it_is() -> None:
    given = encoder()
    before = {name: tensor.clone() for name, tensor in given.state_dict().items()}
    pruned(given, clips(4), Pruning(width=16))
    assert all(torch.equal(before[name], tensor) for name, tensor in given.state_dict().items())


def test_fitting_anew_beats_leaving_out() -> None:
    whole, narrow = encoder(), pruned(encoder(), clips(), Pruning(width=40))
    cut = encoder()
    for block, smaller in zip(cut.layers, narrow.layers, strict=True):
        assert isinstance(block, EncoderBlock) and isinstance(smaller, EncoderBlock)
        kept = [int((block.fc1.weight == row).all(dim=1).nonzero()[0]) for row in smaller.fc1.weight]
        gone = torch.ones(64, dtype=torch.bool)
        gone[kept] = False
        block.fc2.weight.data[:, gone] = 0
    clip = clips(30)[-1]
    wanted = said(whole, clip)[-1]
    assert unexplained(said(narrow, clip)[-1], wanted) < 0.5 * unexplained(said(cut, clip)[-1], wanted)


def test_what_a_straight_line_explains_is_explained() -> None:
    generator = torch.Generator().manual_seed(2)
    neurons = torch.randn(4000, 6, generator=generator)
    neurons[:, 4] = neurons[:, 0] - 2 * neurons[:, 1] + 3
    weights, bias = torch.randn(6, 2, generator=generator), torch.tensor([5.0, -1.0])
    moments = Moments()
    for part in (slice(0, 1000), slice(1000, 4000)):
        moments.add(neurons[part], neurons[part] @ weights + bias)
    kept, fitted, added = moments.fitted(5)
    assert len(kept) == 5 and len({0, 1, 4} - set(kept.tolist())) == 1
    found = neurons[:, kept].double() @ fitted + added
    torch.testing.assert_close(found.float(), neurons @ weights + bias, atol=5e-3, rtol=0)


def test_channels_with_a_double_go_first_and_nothing_is_lost() -> None:
    whole = encoder()
    with torch.no_grad():
        for tensor in (whole.conv1.weight, whole.conv1.bias):
            assert tensor is not None
            tensor[1::2] = tensor[::2]
    narrow = pruned(whole, clips(), Pruning(stem_width=12))
    assert narrow.conv1.weight.shape == (12, 20, 3) and narrow.conv2.weight.shape == (24, 12, 3)
    clip = clips(30)[-1]
    for found, wanted in zip(said(narrow, clip), said(whole, clip), strict=True):
        assert unexplained(found, wanted) < 1e-5


def test_keys_lose_the_directions_that_products_do_not_need() -> None:
    whole = encoder()
    with torch.no_grad():
        for block in whole.layers:
            assert isinstance(block, EncoderBlock)
            block.self_attn.k_proj.weight.mul_(8)  # else all tokens are heard alike
            block.self_attn.k_proj.weight.unflatten(0, (2, 12))[:, 5:] = 0.0
    narrow = pruned(whole, clips(), Pruning(key_width=5))
    assert {tuple(block.self_attn.q_proj.weight.shape) for block in narrow.layers} == {(10, 24)}  # type: ignore[union-attr]
    further = pruned(whole, clips(), Pruning(key_width=1))
    clip = clips(30)[-1]
    wanted = said(whole, clip)[0]
    assert unexplained(said(narrow, clip)[0], wanted) < 1e-6 < unexplained(said(further, clip)[0], wanted)


def test_an_encoder_that_is_narrow_everywhere_is_loaded_from_its_weights(tmp_path: Path) -> None:
    narrow = pruned(encoder(), clips(), Pruning(width=32, stem_width=16, key_width=8))
    save_file(
        {f"encoder.{name}": tensor for name, tensor in narrow.state_dict().items()}, tmp_path / "model.safetensors"
    )
    sizes = replace(SETTINGS, feed_forward_width=32, stem_width=16, key_width=8, weights=str(tmp_path))
    loaded = PretrainedEncoder(20, sizes)
    loaded.load_pretrained()
    clip = clips(30)[-1]
    assert all(map(torch.equal, said(loaded.encoder, clip), said(narrow, clip)))


def test_more_neurons_than_there_are_is_refused() -> None:
    with pytest.raises(RecipeError, match="at most 64"):
        pruned(encoder(), clips(2), Pruning(width=65))
    with pytest.raises(RecipeError, match="width"):
        Pruning(width=-1)
    with pytest.raises(RecipeError, match="key_width must be at most 12"):
        pruned(encoder(), clips(2), Pruning(key_width=13))
    with pytest.raises(RecipeError, match="stem_width must be at most 24"):
        pruned(encoder(), clips(2), Pruning(stem_width=25))
    assert not Pruning() and Pruning(stem_width=1)
