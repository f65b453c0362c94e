"""Whisper's first blocks, mixed and pooled by what is learned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from earnest.models.classifier import MODELS, NetworkOutput, Usage
from earnest.models.pooling import AttentiveStatistics, LayerMix
from earnest.models.whisper import EncoderSettings, PretrainedEncoder, normalised
from earnest.settings.front_end import PRESETS
from earnest.settings.limits import Count, ShareBelowOne, require


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
    zero_gradient: ClassVar[dict[str, str]] = {}
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
