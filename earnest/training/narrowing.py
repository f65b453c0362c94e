"""Narrower feed-forward layers that say nearly the same, for a faster encoder.

One by one neurons go whose loss the others make up for best, and the others' output weights are fitted anew by least
squares (the Optimal Brain Surgeon, Hassibi and Stork, 1993, on the layer's output). Each block hears what the narrowed
blocks before it say, and is fitted to what the whole encoder said there.
"""

import copy
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from earnest.errors import RecipeError
from earnest.models.whisper import Encoder, EncoderBlock, EncoderSettings, normalised
from earnest.training.data import padded

RIDGE = 1e-4  # of the mean variance of a neuron
BATCH_SIZE = 16
Heard: TypeAlias = tuple[Tensor, Tensor]
"""Tokens (batch, tokens, width) and which of them are heard (batch, tokens)."""


class Moments:
    """Means and covariances of neurons' values and of what the layer should add, over all tokens."""

    def __init__(self) -> None:
        self.n_tokens = 0
        self.total: Tensor | float = 0.0
        self.products: Tensor | float = 0.0

    def add(self, neurons: Tensor, wanted: Tensor) -> None:
        """Take in (tokens, neurons) and (tokens, width)."""
        both = torch.cat([neurons, wanted], dim=1).double()
        self.n_tokens += len(both)
        self.total = self.total + both.sum(dim=0)
        self.products = self.products + neurons.double().T @ both

    def fitted(self, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the neurons kept (width,), their output weights (width, out) and the bias (out,), in float64."""
        assert isinstance(self.total, Tensor) and isinstance(self.products, Tensor)
        n_neurons = len(self.products)
        means = self.total / self.n_tokens
        covariance = self.products / self.n_tokens - means[:n_neurons, None] * means
        own, shared = covariance[:, :n_neurons], covariance[:, n_neurons:]
        own = own + RIDGE * own.diagonal().mean() * torch.eye(n_neurons, dtype=own.dtype)
        inverse = torch.linalg.inv(own)
        weights = inverse @ shared
        stays = torch.ones(n_neurons, dtype=torch.bool)
        for _ in range(n_neurons - width):
            lost = weights.square().sum(dim=1) / inverse.diagonal()  # when one goes and the others are fitted anew
            gone = int(lost.masked_fill(~stays, torch.inf).argmin())
            stays[gone] = False
            shares = inverse[:, gone] / inverse[gone, gone]
            weights = weights - shares[:, None] * weights[gone]
            inverse = inverse - shares[:, None] * inverse[gone]
        kept = stays.nonzero()[:, 0]
        weights = torch.linalg.solve(own[kept][:, kept], shared[kept])
        return kept, weights, means[n_neurons:] - means[kept] @ weights


@torch.no_grad()
def narrowed(encoder: Encoder, clips: Sequence[Tensor], width: int) -> Encoder:
    """Return an encoder whose blocks have ``width`` neurons in their feed-forward layers; the one given stays as it is.

    Parameters
    ----------
    encoder : merges tokens as it will be used
    clips : log-mels in decibels, each (n_mels, frames), that show what the neurons do

    Raises
    ------
    RecipeError
        When there are fewer neurons already.
    """
    for block in encoder.layers:
        assert isinstance(block, EncoderBlock)
        if width > block.fc1.out_features:
            raise RecipeError(f"[narrowing]: width must be at most {block.fc1.out_features}, got {width}.")
    encoder = copy.deepcopy(encoder).eval()
    batches = [padded(clips[start : start + BATCH_SIZE]) for start in range(0, len(clips), BATCH_SIZE)]
    whole = [encoder.first_tokens(normalised(frames), n_frames) for frames, n_frames in batches]
    narrow = whole  # of each batch, what the next block hears, and its mask
    blocks: list[nn.Module] = []
    for number, block in enumerate(encoder.layers):
        assert isinstance(block, EncoderBlock)
        whole, narrow = (
            [_attended(block, *encoder.merged_before(number, *heard)) for heard in batches]
            for batches in (whole, narrow)
        )
        moments = Moments()
        whole = [_fed(block, *attended) for attended in whole]
        for (wanted, mask), (tokens, _) in zip(whole, narrow, strict=True):
            moments.add(block.widened(tokens)[mask], (wanted - tokens)[mask])
        smaller = with_neurons(block, *moments.fitted(width))
        narrow = [_fed(smaller, *attended) for attended in narrow]
        blocks.append(smaller)
    encoder.layers = nn.ModuleList(blocks)
    return encoder


def _attended(block: EncoderBlock, tokens: Tensor, mask: Tensor) -> Heard:
    return block.attended(tokens, mask), mask


def _fed(block: EncoderBlock, attended: Tensor, mask: Tensor) -> Heard:
    return attended + block.fc2(block.widened(attended)), mask


def with_neurons(block: EncoderBlock, kept: Tensor, weights: Tensor, bias: Tensor) -> EncoderBlock:
    """Return a block with these neurons alone and other output weights."""
    width = block.fc1.in_features
    smaller = EncoderBlock(EncoderSettings(width=width, n_heads=block.self_attn.n_heads, feed_forward_width=len(kept)))
    state = block.state_dict()
    state["fc1.weight"], state["fc1.bias"] = state["fc1.weight"][kept], state["fc1.bias"][kept]
    state["fc2.weight"], state["fc2.bias"] = weights.T.float().contiguous(), bias.float()
    smaller.load_state_dict(state)
    return smaller.eval()
