"""The first blocks of Whisper's encoder (Radford et al., 2022), with token merging, and two networks on them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.frontends.trim import frame_mask
from earnest.models.classifier import MODELS, Network, NetworkOutput, Usage
from earnest.models.layers import AttentiveStatistics, LayerMix, deviation, last_layer_for
from earnest.models.pretrained import read_known_speakers, read_origin, read_tensors
from earnest.settings.front_end import PRESETS
from earnest.settings.limits import Bounds, Count, NotEmpty, NumberFromZero, ShareBelowOne, Validated, require
from earnest.settings.recipe import RENAMED_NETWORK_KEYS


def merged(tokens: Tensor, mask: Tensor, n_together: int) -> tuple[Tensor, Tensor]:
    """Return the mean of every ``n_together`` heard tokens, (batch, fewer, width), and which of them heard any."""
    return (tokens, mask) if n_together == 1 else means_of(*filled_up(tokens, mask, n_together), n_together)


def filled_up(tokens: Tensor, mask: Tensor, n_together: int) -> tuple[Tensor, Tensor]:
    """Append unheard tokens up to a multiple of ``n_together``."""
    missing = -tokens.shape[1] % n_together
    return functional.pad(tokens, (0, 0, 0, missing)), functional.pad(mask, (0, missing))


def means_of(tokens: Tensor, mask: Tensor, n_together: int) -> tuple[Tensor, Tensor]:
    """Do as `merged`, where the number of tokens is a multiple of ``n_together``."""
    heard = mask.view(len(mask), -1, n_together, 1).to(tokens.dtype)  # (batch, groups, n_together, 1)
    counts = heard.sum(dim=2, keepdim=True)
    shares = heard / counts.clamp(min=1)  # a group that nobody heard gives zero
    parts = tokens.view(len(tokens), -1, n_together, tokens.shape[2])  # (batch, groups, n_together, width)
    return (parts * shares).sum(dim=2), counts[:, :, 0, 0] > 0


LONGEST_PERIOD = 10_000.0  # base of the positions' frequencies (Vaswani et al., 2017, 3.5)
DECIBELS_PER_DECADE = 10.0
FINE_STEPS = 16


@dataclass(frozen=True)
class EncoderSettings(Validated):
    """Sizes of the encoder, by default those of ``tiny``.

    Attributes
    ----------
    weights : folder or file of the pre-trained tensors, or a name below ``$EARNEST_MODELS``; "" for a random start
    n_blocks : how many blocks are computed
    tokens_per_step : so many tokens, of one step of 20 ms each, become one, their mean (after Bolya et al., 2023)
    merged_after : the number of the block that they leave as one, 0 for before the first
    stem_width : channels between the two convolutions, 0 for ``width``
    key_width : values of a head's query and key, 0 for ``width`` by ``n_heads``
    frozen : the encoder stays as it is
    """

    renamed: ClassVar[Mapping[str, str]] = RENAMED_NETWORK_KEYS
    weights: str = ""
    n_blocks: Count = 2
    tokens_per_step: Count = 1
    merged_after: NumberFromZero = 0
    width: Count = 384
    n_heads: Count = 6
    feed_forward_width: Count = 1536
    stem_width: NumberFromZero = 0
    key_width: NumberFromZero = 0
    frozen: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        # Heads share the width, and positions are one half sines, one half cosines: hence twice n_heads.
        last, step = self.n_blocks - 1, 2 * self.n_heads
        require(self.merged_after <= last, f"merged_after must be from 0 to below n_blocks, got {self.merged_after}")
        require(self.width % step == 0, f"width must be a multiple of {step} (twice n_heads), got {self.width}")


Pooling: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Pools tokens (batch, steps, width) over the steps of a mask (batch, steps) to (batch, values)."""


@dataclass(frozen=True)
class WhisperSettings(EncoderSettings):
    """The encoder, and which of its blocks are pooled.

    Attributes
    ----------
    pooled_blocks : whose outputs are pooled, counted from 1
    statistics : what their values over time become
    deviation_weight : what a deviation counts beside a mean in a discriminant; in corpora that nobody heard, deviations
        are less to be trusted
    tasks : heads beside emotion
    speaker_dependent : the last layer has class means of its own for each training speaker, see
        `SpeakerDependentHead`; for enrolled speakers, who are known in advance
    """

    pooled_blocks: Annotated[tuple[Count, ...], NotEmpty()] = (1, 2)
    statistics: Annotated[tuple[Literal["mean", "deviation"], ...], NotEmpty()] = ("mean", "deviation")
    deviation_weight: Annotated[float, Bounds(gt=0, le=1)] = 1.0
    tasks: tuple[Literal["gender"], ...] = ()
    speaker_dependent: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        right = max(self.pooled_blocks) <= self.n_blocks
        require(right, f"pooled_blocks must be from 1 to {self.n_blocks} (n_blocks), got {self.pooled_blocks}")
        known = self.statistics in (("mean",), ("mean", "deviation"))
        require(known, f'statistics must be ["mean"] or ["mean", "deviation"], got {list(self.statistics)}')

    @property
    def pooling(self) -> Pooling:
        """What makes the statistics of a block's tokens."""
        return mean_alone if self.statistics == ("mean",) else mean_and_deviation

    @property
    def value_weights(self) -> npt.NDArray[np.float64]:
        """Weights of the embedding's values in a discriminant (width,)."""
        weight = {"mean": 1.0, "deviation": self.deviation_weight}
        block = np.repeat([weight[statistic] for statistic in self.statistics], self.width)
        return np.tile(block, len(self.pooled_blocks))


class SelfAttention(nn.Module):
    """Multi-head attention; keys have no bias."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.n_heads, width = settings.n_heads, settings.width
        keys = settings.n_heads * settings.key_width or width
        self.k_proj = nn.Linear(width, keys, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, keys)
        self.out_proj = nn.Linear(width, width)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Map (batch, steps, width) to the same shape; ``mask`` (batch, steps) says which steps are heard."""
        queries, keys, values = (
            layer(steps).unflatten(2, (self.n_heads, -1)).transpose(1, 2)  # (batch, heads, steps, values)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        # Q·Kᵀ/√d (Vaswani et al., 2017, eq. 1).
        scores = torch.matmul(queries, keys.transpose(2, 3)) * queries.shape[3] ** -0.5
        unheard = (~mask[:, None, None]).to(scores.dtype) * -1e9  # in the graph, a choice takes five times as long
        weights = (scores + unheard).softmax(dim=3)
        heard = torch.matmul(weights, values).transpose(1, 2).flatten(start_dim=2)  # (batch, steps, heads · values)
        projected: Tensor = self.out_proj(heard)
        return projected


class EncoderBlock(nn.Module):
    """Attention and feed-forward layer, each behind a norm and beside a shortcut."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(settings.width)
        self.self_attn = SelfAttention(settings)
        self.final_layer_norm = nn.LayerNorm(settings.width)
        self.fc1 = nn.Linear(settings.width, settings.feed_forward_width)
        self.fc2 = nn.Linear(settings.feed_forward_width, settings.width)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Map (batch, steps, width) to the same shape."""
        return self.fed(self.attended(steps, mask), mask)[0]

    def attended(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Return the input of the feed-forward layer, (batch, steps, width)."""
        heard: Tensor = self.self_attn(self.self_attn_layer_norm(steps), mask)
        return steps + heard

    def widened(self, attended: Tensor) -> Tensor:
        """Return the values of the feed-forward layer's neurons, (batch, steps, feed_forward_width)."""
        return functional.gelu(self.fc1(self.final_layer_norm(attended)))

    def fed(self, attended: Tensor, mask: Tensor, n_together: int = 1) -> tuple[Tensor, Tensor]:
        """Return the block's output and its mask; of every ``n_together`` tokens only the mean, see `merged`.

        The mean comes before the last layer, which is linear: so that layer has fewer tokens to work on.
        """
        if n_together == 1:
            return attended + self.fc2(self.widened(attended)), mask
        # Mean of W·x + b = W·(mean of x) + b.
        attended, mask = filled_up(attended, mask, n_together)  # not its neurons, which are four times as many
        neurons, _ = means_of(self.widened(attended), mask, n_together)
        tokens, mask = means_of(attended, mask, n_together)
        return tokens + self.fc2(neurons), mask


class Encoder(nn.Module):
    """Two convolutions and the blocks, with the names of the published tensors."""

    def __init__(self, n_mels: int, settings: EncoderSettings) -> None:
        super().__init__()
        self.tokens_per_step, self.merged_after = settings.tokens_per_step, settings.merged_after
        between = settings.stem_width or settings.width
        self.conv1 = nn.Conv1d(n_mels, between, 3, padding=1)
        self.conv2 = nn.Conv1d(between, settings.width, 3, stride=2, padding=1)  # 10 ms frames → 20 ms tokens
        self.layers = nn.ModuleList([EncoderBlock(settings) for _ in range(settings.n_blocks)])

    def forward(self, frames: Tensor, n_frames: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the output of each block (batch, tokens, width) and its mask of heard tokens (batch, tokens)."""
        tokens, mask = self.first_tokens(frames, n_frames)
        outputs = []
        for number, block in enumerate(self.layers, 1):
            assert isinstance(block, EncoderBlock)
            tokens, mask = block.fed(block.attended(tokens, mask), mask, self.n_together(number))
            outputs.append((tokens, mask))
        return outputs

    def first_tokens(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return the input of the first block, (batch, tokens, width) and (batch, tokens)."""
        steps = functional.gelu(self.conv2(self.widened(frames, n_frames))).transpose(1, 2)
        mask = step_mask(n_frames, steps.shape[1])
        return merged(steps + sinusoids(steps), mask, self.n_together(0))

    def widened(self, frames: Tensor, n_frames: Tensor) -> Tensor:
        """Return the input of the second convolution, (batch, stem_width, frames)."""
        inside = frame_mask(n_frames, frames.shape[2])[:, None]
        # Zeros behind an utterance's end, for both convolutions: what a lone utterance is padded with.
        return functional.gelu(self.conv1(frames * inside)) * inside

    def n_together(self, number: int) -> int:
        """Return how many tokens leave the block of that number, counted from 1, as one; 0 is before the first."""
        return self.tokens_per_step if number == self.merged_after else 1


def step_mask(n_frames: Tensor, n_steps: int) -> Tensor:
    """Return which steps are heard (batch, n_steps); one stands for two frames."""
    # A stride of 2 keeps frames 0, 2, 4 …: (n − 1) // 2 + 1 of n.
    return frame_mask(torch.div(n_frames - 1, 2, rounding_mode="floor") + 1, n_steps)


def sinusoids(steps: Tensor) -> Tensor:
    """Return Whisper's positions (steps, width), computed instead of stored.

    Sines are made from those of every 16th step and of the first 16, as of sums of angles: they take long in the graph.
    """
    half, n_steps = steps.shape[2] // 2, steps.shape[1]
    decay = math.log(LONGEST_PERIOD) / max(half - 1, 1)
    # 10,000^(−i/(half − 1)), shape (half,).
    frequencies = torch.exp(-decay * torch.arange(half, device=steps.device, dtype=torch.float32))
    near = torch.arange(FINE_STEPS, device=steps.device, dtype=torch.float32)[:, None] * frequencies
    far = torch.arange(0, n_steps, FINE_STEPS, device=steps.device, dtype=torch.float32)[:, None, None] * frequencies
    # sin(a + b) = sin a·cos b + cos a·sin b, with a = far and b = near: (blocks, 16, half).
    sines = far.sin() * near.cos() + far.cos() * near.sin()
    cosines = far.cos() * near.cos() - far.sin() * near.sin()
    return torch.cat([sines, cosines], dim=2).flatten(end_dim=1)[:n_steps]


def normalised(decibels: Tensor) -> Tensor:
    """Return decibels as Whisper's encoder wants them: the decimal logarithm of power, plus four, by four."""
    return (decibels / DECIBELS_PER_DECADE + 4.0) / 4.0


def mean_over(steps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (batch, 1, width) of (batch, steps, width) over the steps of ``mask``, and the steps' weights."""
    weights = mask[:, None].to(steps.dtype)
    weights = weights / weights.sum(dim=2, keepdim=True)
    # (batch, 1, steps) · (batch, steps, width); in the graph, a sum over steps takes several times as long.
    return torch.matmul(weights, steps), weights


def mean_alone(steps: Tensor, mask: Tensor) -> Tensor:
    """Pool (batch, steps, width) over the steps of ``mask`` (batch, steps) to (batch, width)."""
    return mean_over(steps, mask)[0][:, 0]


def mean_and_deviation(steps: Tensor, mask: Tensor) -> Tensor:
    """Pool (batch, steps, width) over the steps of ``mask`` (batch, steps) to (batch, 2·width)."""
    mean, weights = mean_over(steps, mask)
    # σ² = Σ_t w_t·(x_t − μ)², not the difference of two large sums.
    centred = steps - mean
    mean, variance = mean[:, 0], torch.matmul(weights, centred * centred)[:, 0]
    return torch.cat([mean, deviation(variance)], dim=1)


SOURCE = " (Radford et al., 2022; MIT)"


class PretrainedEncoder(Network):
    """Whisper's encoder with published weights; a head is added by who builds on it."""

    def __init__(self, n_mels: int, settings: EncoderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = Encoder(n_mels, settings)
        self.tuned_on: frozenset[str] = frozenset()
        if settings.frozen:
            self.encoder.requires_grad_(False)

    @property
    def origin(self) -> str:
        """Where the initial weights come from."""
        name = self.settings.weights
        if not name:
            return "random"
        # A file of ours tells all of it; where it lies is nothing to others.
        told = read_origin(Path(name)) or name
        return told if told.endswith(SOURCE) else told + SOURCE

    @property
    def known_speakers(self) -> frozenset[str]:
        """The speakers, as corpus/speaker, whose labels the initial weights or a fine-tuning since were fitted on."""
        return self.tuned_on | (read_known_speakers(Path(self.settings.weights)) if self.settings.weights else set())

    @property
    def notice(self) -> str:
        """The licence that must accompany the published weights, "" for a random start."""
        return files("earnest.models").joinpath("notices/whisper.txt").read_text() if self.settings.weights else ""

    def load_pretrained(self) -> None:
        """Take over the published tensors that the settings name; names and shapes must fit exactly."""
        if self.settings.weights:
            wanted = self.encoder.state_dict()
            self.encoder.load_state_dict(read_tensors(Path(self.settings.weights), "encoder.", wanted))


@MODELS.register("whisper-statistics")
class WhisperStatistics(PretrainedEncoder):
    """Mean and deviation over time of the encoder's first blocks, and one linear layer a task.

    The front end must be Whisper's: 80 mel bands at 16 kHz, 10 ms hop, decibels with reference one and a floor of 80.
    """

    settings_type = WhisperSettings
    settings: WhisperSettings
    paper = "Whisper (Radford et al., 2022)"
    usage = Usage(PRESETS["whisper"], 6)
    reduced: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, n_mels: int, n_classes: int, settings: WhisperSettings) -> None:
        super().__init__(n_mels, settings)
        self.pooled_blocks = settings.pooled_blocks
        width = len(settings.statistics) * settings.width * len(settings.pooled_blocks)
        self.output = last_layer_for(width, n_classes, settings.speaker_dependent)
        self.gender = nn.Linear(width, 2) if "gender" in settings.tasks else None

    @property
    def trunk(self) -> Encoder:
        """The encoder that computes the embedding."""
        return self.encoder

    @property
    def value_weights(self) -> npt.NDArray[np.float64]:
        """Weights of the embedding's values in a discriminant (width,)."""
        return self.settings.value_weights

    def heard(self, frames: Tensor, n_frames: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the tokens that are pooled (batch, tokens, width), of each block, and their mask (batch, tokens)."""
        outputs = self.encoder(normalised(frames), n_frames)
        return [outputs[block - 1] for block in self.pooled_blocks]

    def pooled(self, heard: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the embedding (batch, width) of tokens (batch, tokens, width) with their masks, of each block."""
        return torch.cat([self.settings.pooling(*tokens) for tokens in heard], dim=1)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map log-mels in decibels (batch, n_mels, frames) with ``n_frames`` (batch,) to answers and embedding."""
        embedding = self.pooled(self.heard(frames, n_frames))
        gender = None if self.gender is None else self.gender(embedding)
        return NetworkOutput(self.output(embedding), embedding, gender=gender)


@dataclass(frozen=True)
class WhisperAttentionSettings(EncoderSettings):
    """The encoder, by default all four blocks of ``tiny``, and the head.

    Attributes
    ----------
    attention_width : of the layer that scores the steps
    """

    n_blocks: Count = 4
    attention_width: Count = 128
    dropout: ShareBelowOne = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        right = self.merged_after == 0
        require(right, f"merged_after must be 0 here, got {self.merged_after}: blocks are mixed token by token")


@MODELS.register("whisper-attention")
class WhisperAttention(PretrainedEncoder):
    """A learned mix of the encoder's blocks, attentive statistics over time, and one linear layer.

    The front end must be Whisper's: 80 mel bands at 16 kHz, 10 ms hop, decibels with reference one and a floor of 80.
    """

    settings_type = WhisperAttentionSettings
    paper = "Whisper (Radford et al., 2022); attentive statistics pooling (Okabe et al., 2018)"
    usage = Usage(PRESETS["whisper"], 8)
    reduced: ClassVar[Mapping[str, Any]] = {
        "n_blocks": 2,
        "width": 64,
        "n_heads": 2,
        "feed_forward_width": 128,
        "attention_width": 16,
    }

    def __init__(self, n_mels: int, n_classes: int, settings: WhisperAttentionSettings) -> None:
        super().__init__(n_mels, settings)
        self.mix = LayerMix(settings.n_blocks)
        self.pooling = AttentiveStatistics(settings.width, settings.attention_width)
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(2 * settings.width, n_classes)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map log-mels in decibels (batch, n_mels, frames) with ``n_frames`` (batch,) to logits and embedding."""
        # Tokens are never merged here, so all blocks have the same mask.
        outputs = self.encoder(normalised(frames), n_frames)
        pooled, weights = self.pooling(self.mix([tokens for tokens, _ in outputs]), outputs[-1][1])
        embedding = self.dropout(pooled)
        return NetworkOutput(self.output(embedding), embedding, weights)
