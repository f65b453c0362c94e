"""Narrower layers that say nearly the same, for a faster encoder.

Of feed-forward layers and of the first convolution, one by one neurons go whose loss the others make up for best, and
the others' output weights are fitted anew by least squares (the Optimal Brain Surgeon, Hassibi and Stork, 1993, on the
layer's output). Each layer hears what the narrowed ones before it say, and is fitted to what the whole encoder said
there. Of queries and keys those directions stay that their products need most.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models.merging import merged
from earnest.models.whisper import Encoder, EncoderBlock, EncoderSettings, normalised, step_mask
from earnest.training.data import padded
from earnest.training.finetuning_settings import Narrowing

RIDGE = 1e-4  # of the mean variance of a neuron
SMALLEST_SHARE = 1e-8  # of the largest moment: what is smaller is noise of computing
BATCH_SIZE = 16
Heard: TypeAlias = tuple[Tensor, Tensor]
"""Tokens (batch, tokens, width) and which of them are heard (batch, tokens); or frames and their numbers."""


class Moments:
    """Means and covariances of neurons' values and of what the layer should add, over all tokens.

    Parameters
    ----------
    n_taps : values of one neuron, side by side, which go together
    """

    def __init__(self, n_taps: int = 1) -> None:
        self.n_taps, self.n_tokens = n_taps, 0
        self.total, self.products = torch.zeros(()), torch.zeros(())

    def add(self, values: Tensor, wanted: Tensor) -> None:
        """Take in (tokens, neurons · n_taps) and (tokens, out)."""
        both = torch.cat([values, wanted], dim=1).double()
        self.n_tokens += len(both)
        self.total = self.total + both.sum(dim=0)
        self.products = self.products + values.double().T @ both

    def fitted(self, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the neurons kept (width,), their output weights (width · n_taps, out) and the bias (out,), float64."""
        n_values, n_taps = len(self.products), self.n_taps
        means = self.total / self.n_tokens
        covariance = self.products / self.n_tokens - means[:n_values, None] * means
        own, shared = covariance[:, :n_values], covariance[:, n_values:]
        own = own + RIDGE * own.diagonal().mean() * torch.eye(n_values, dtype=own.dtype)
        inverse = torch.linalg.inv(own)
        weights = inverse @ shared
        n_neurons = n_values // n_taps
        stays = torch.ones(n_neurons, dtype=torch.bool)
        for _ in range(n_neurons - width):
            left = stays.nonzero()[:, 0]
            parts = inverse.view(n_neurons, n_taps, n_neurons, n_taps)[left, :, left]
            said = weights.view(n_neurons, n_taps, -1)[left]
            lost = (said * torch.linalg.solve(parts, said)).sum(dim=(1, 2))  # and the others are fitted anew
            gone = int(left[lost.argmin()])
            stays[gone] = False
            at = slice(gone * n_taps, (gone + 1) * n_taps)
            shares = inverse[:, at] @ torch.linalg.inv(inverse[at, at])
            weights = weights - shares @ weights[at]
            inverse = inverse - shares @ inverse[at]
        kept = stays.nonzero()[:, 0]
        values = (kept[:, None] * n_taps + torch.arange(n_taps)).flatten()
        weights = torch.linalg.solve(own[values][:, values], shared[values])
        return kept, weights, means[n_values:] - means[values] @ weights


@torch.no_grad()
def narrowed(encoder: Encoder, clips: Sequence[Tensor], narrowing: Narrowing) -> Encoder:
    """Return a narrower encoder; the one given stays as it is.

    Parameters
    ----------
    encoder : merges tokens as it will be used
    clips : log-mels in decibels, each (n_mels, frames), that show what the layers do

    Raises
    ------
    RecipeError
        When layers are narrower already.
    """
    _check(encoder, narrowing)
    encoder = copy.deepcopy(encoder).eval()
    batches = [padded(clips[start : start + BATCH_SIZE]) for start in range(0, len(clips), BATCH_SIZE)]
    batches = [(normalised(frames), n_frames) for frames, n_frames in batches]
    whole = [encoder.first_tokens(*batch) for batch in batches]
    if narrowing.stem_width:
        with_channels(encoder, *_channels(encoder, batches).fitted(narrowing.stem_width))
    narrow = [encoder.first_tokens(*batch) for batch in batches]  # of each batch, what the next block hears, its mask
    for number, block in enumerate(encoder.layers):
        assert isinstance(block, EncoderBlock)
        smaller: EncoderBlock = block
        if narrowing.key_width:
            smaller = with_keys(smaller, _heard(block, narrow), narrowing.key_width)
        whole, narrow = _attended(block, whole), _attended(smaller, narrow)
        n_together = encoder.n_together(number + 1)
        whole = _fed(block, whole, n_together)
        if narrowing.width:
            moments = Moments()
            for (wanted, heard), (attended, mask) in zip(whole, narrow, strict=True):
                neurons, tokens = (merged(part, mask, n_together)[0] for part in (block.widened(attended), attended))
                moments.add(neurons[heard], (wanted - tokens)[heard])
            smaller = with_neurons(smaller, *moments.fitted(narrowing.width))
        narrow = _fed(smaller, narrow, n_together)
        encoder.layers[number] = smaller
    return encoder


def _check(encoder: Encoder, narrowing: Narrowing) -> None:
    """Refuse to make anything wider."""
    sizes = [("stem_width", narrowing.stem_width, encoder.conv1.out_channels)]
    for block in encoder.layers:
        assert isinstance(block, EncoderBlock)
        keys = block.self_attn.k_proj.out_features // block.self_attn.n_heads
        sizes += [("width", narrowing.width, block.fc1.out_features), ("key_width", narrowing.key_width, keys)]
    for name, wanted, there in sizes:
        if wanted > there:
            raise RecipeError(f"[narrowing]: {name} must be at most {there}, got {wanted}.")


def _channels(encoder: Encoder, batches: Sequence[Heard]) -> Moments:
    """Gather what the second convolution hears, tap by tap, and what it says."""
    n_taps, stride = encoder.conv2.kernel_size[0], encoder.conv2.stride[0]
    moments = Moments(n_taps)
    for frames, n_frames in batches:
        heard = encoder.widened(frames, n_frames)
        taps = functional.unfold(heard[:, :, None], (1, n_taps), padding=(0, n_taps // 2), stride=(1, stride))
        mask = step_mask(n_frames, taps.shape[2])
        moments.add(taps.transpose(1, 2)[mask], encoder.conv2(heard).transpose(1, 2)[mask])
    return moments


def _heard(block: EncoderBlock, batches: Sequence[Heard]) -> Tensor:
    """Return what a block's attention hears, (tokens, width)."""
    return torch.cat([block.self_attn_layer_norm(tokens)[mask] for tokens, mask in batches])


def _attended(block: EncoderBlock, batches: Sequence[Heard]) -> list[Heard]:
    return [(block.attended(tokens, mask), mask) for tokens, mask in batches]


def _fed(block: EncoderBlock, batches: Sequence[Heard], n_together: int) -> list[Heard]:
    return [block.fed(attended, mask, n_together) for attended, mask in batches]


def with_channels(encoder: Encoder, kept: Tensor, weights: Tensor, bias: Tensor) -> None:
    """Keep these channels between the convolutions, with other output weights (channels · taps, width)."""
    first, second = encoder.conv1, encoder.conv2
    encoder.conv1 = nn.Conv1d(first.in_channels, len(kept), 3, padding=1)
    encoder.conv2 = nn.Conv1d(len(kept), second.out_channels, 3, stride=2, padding=1)
    encoder.conv1.load_state_dict({"weight": first.weight[kept], "bias": first.bias[kept]})  # type: ignore[index]
    shape = (len(kept), 3, second.out_channels)
    encoder.conv2.load_state_dict({"weight": weights.view(shape).permute(2, 0, 1).float(), "bias": bias.float()})


def with_neurons(block: EncoderBlock, kept: Tensor, weights: Tensor, bias: Tensor) -> EncoderBlock:
    """Return a block with these neurons alone and other output weights (neurons, width)."""
    state = block.state_dict()
    state["fc1.weight"], state["fc1.bias"] = state["fc1.weight"][kept], state["fc1.bias"][kept]
    state["fc2.weight"], state["fc2.bias"] = weights.T.float().contiguous(), bias.float()
    return _block_of(state, block.self_attn.n_heads)


def with_keys(block: EncoderBlock, heard: Tensor, key_width: int) -> EncoderBlock:
    """Return a block whose queries and keys are shorter, and their products as little different as can be.

    Products' squared errors are least for the largest singular values of √Q·√K, with Q the second moments of a head's
    queries and K the covariance of its keys; what all keys share moves all products of a query alike, and softmax does
    not see it.

    Parameters
    ----------
    heard : what the attention hears, (tokens, width)
    """
    state, n_heads = block.state_dict(), block.self_attn.n_heads
    query, bias, key = (
        state[f"self_attn.{name}"].double() for name in ("q_proj.weight", "q_proj.bias", "k_proj.weight")
    )
    queries, keys = heard.double() @ query.T + bias, heard.double() @ key.T
    n_before = len(query) // n_heads
    made: list[tuple[Tensor, Tensor, Tensor]] = []
    for head in range(n_heads):
        at = slice(head * n_before, (head + 1) * n_before)
        root, unroot = _roots(queries[:, at].T @ queries[:, at] / len(heard))
        other_root, other_unroot = _roots(torch.cov(keys[:, at].T))
        left, sizes, right = torch.linalg.svd(root @ other_root)
        scale = sizes[:key_width].sqrt()
        to_query = (left[:, :key_width] * scale).T @ unroot * (key_width / n_before) ** 0.5  # attention divides by it
        to_key = scale[:, None] * right[:key_width] @ other_unroot
        made.append((to_query @ query[at], to_query @ bias[at], to_key @ key[at]))
    parts = (torch.cat(part).float() for part in zip(*made, strict=True))
    state["self_attn.q_proj.weight"], state["self_attn.q_proj.bias"], state["self_attn.k_proj.weight"] = parts
    return _block_of(state, n_heads)


def _roots(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return the symmetric square root of a matrix and its inverse."""
    values, vectors = torch.linalg.eigh(moments)
    roots = values.clamp(min=SMALLEST_SHARE * float(values.max())).sqrt()
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T


def _block_of(state: Mapping[str, Tensor], n_heads: int) -> EncoderBlock:
    (neurons, width), keys = state["fc1.weight"].shape, len(state["self_attn.k_proj.weight"])
    sizes = EncoderSettings(width=width, n_heads=n_heads, feed_forward_width=neurons, key_width=keys // n_heads)
    block = EncoderBlock(sizes)
    block.load_state_dict(state)
    return block.eval()
