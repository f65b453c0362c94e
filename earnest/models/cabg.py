"""EmoCatcher's network: convolutions, attention, bidirectional GRU (hwang9u, 2022)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from earnest.frontends.trim import frame_mask
from earnest.models.classifier import MODELS, Network, NetworkOutput, Usage
from earnest.settings.front_end import PRESETS
from earnest.settings.limits import Count, ShareBelowOne, Validated, require


class BidirectionalGru(nn.GRU):
    """One bidirectional layer over padded sequences (Cho et al., 2014)."""

    def __init__(self, input_width: int, width: int) -> None:
        super().__init__(input_width, width, batch_first=True, bidirectional=True)

    def forward(self, steps: Tensor, n_steps: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Run both directions over each utterance's own steps.

        Parameters
        ----------
        steps : (batch, steps, input_width)
        n_steps : (batch,) int64, at least 1

        Returns
        -------
        states : (batch, steps, 2·width), zero behind an utterance's end
        final : (batch, 2·width), the last state of each direction
        """
        if torch.onnx.is_in_onnx_export():
            return self._as_onnx_operator(steps, n_steps)
        packed = pack_padded_sequence(steps, n_steps.cpu(), batch_first=True, enforce_sorted=False)
        packed_states, final = super().forward(packed)
        states, _ = pad_packed_sequence(packed_states, batch_first=True, total_length=steps.shape[1])
        return states, torch.cat([final[0], final[1]], dim=1)

    def _as_onnx_operator(self, steps: Tensor, n_steps: Tensor) -> tuple[Tensor, Tensor]:
        # Both directions run forwards, the second over each clip's steps turned round: OpenVINO's backward direction
        # doesn't begin at the end of an utterance that is shorter than the batch.
        positions = torch.arange(steps.shape[1], device=steps.device)[None]  # (1, steps)
        inside = positions < n_steps[:, None]
        # Step t comes from n − 1 − t.
        turned = (n_steps[:, None] - 1 - positions).clamp(min=0)[:, :, None]  # (batch, steps, 1)
        ahead = self._one_direction(steps, "_l0")  # (batch, steps, width)
        behind = self._one_direction(_taken(steps, turned), "_l0_reverse")
        last = (n_steps[:, None, None] - 1).clamp(min=0)
        final = torch.cat([_taken(states, last)[:, 0] for states in (ahead, behind)], dim=1)
        states = torch.cat([ahead, _taken(behind, turned)], dim=2)
        return torch.where(inside[:, :, None], states, torch.zeros_like(states)), final

    def _one_direction(self, steps: Tensor, ending: str) -> Tensor:
        """Return the states (batch, steps, width) of one direction over all steps."""
        # torch's exporter would unroll the loop for one length; ONNX' own operator takes any length.
        time_first = steps.transpose(0, 1)  # (steps, batch, input_width)
        frames, batch = time_first.shape[0], time_first.shape[1]
        input_weights, state_weights, input_biases, state_biases = (
            _onnx_gates(self.get_parameter(name + ending))[None]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        states, _ = torch.onnx.ops.symbolic_multi_out(
            "GRU",
            (time_first, input_weights, state_weights, torch.cat([input_biases, state_biases], dim=1)),
            # torch multiplies the state by its weights before it resets it: n = tanh(W·x + b + r·(U·h + c)).
            {"hidden_size": self.hidden_size, "direction": "forward", "linear_before_reset": 1},
            dtypes=(torch.float32, torch.float32),
            shapes=((frames, 1, batch, self.hidden_size), (1, batch, self.hidden_size)),
            version=18,
        )  # (steps, 1, batch, width), (1, batch, width)
        return states[:, 0].transpose(0, 1)


def _taken(steps: Tensor, positions: Tensor) -> Tensor:
    """Return ``steps`` (batch, steps, width) at ``positions`` (batch, n, 1)."""
    return steps.gather(1, positions.expand(-1, -1, steps.shape[2]))


def _onnx_gates(weights: Tensor) -> Tensor:
    """Reorder the gates from torch's reset, update, new to ONNX' update, reset, new."""
    reset, update, new = weights.chunk(3, dim=0)
    return torch.cat([update, reset, new], dim=0)


@dataclass(frozen=True)
class CabgSettings(Validated):
    """Sizes as published."""

    width: Count = 128
    kernel_size: Count = 3
    convolution_dropout: ShareBelowOne = 0.2
    head_dropout: ShareBelowOne = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.width % 2 == 0, f"width must be even, got {self.width}")
        require(self.kernel_size % 2 == 1, f"kernel_size must be odd, got {self.kernel_size}")


class ConvolutionBlock(nn.Module):
    """Convolution over time, LayerNorm over channels, GELU, dropout."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.norm = nn.LayerNorm(out_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames); ``mask`` (batch, 1, frames)."""
        # Zeros behind a clip's end are what the convolution pads a lone clip with, so neighbours change nothing.
        convolved = self.convolution(frames * mask)
        # LayerNorm goes over the last axis: (batch, frames, out_channels), and back.
        normed: Tensor = self.norm(convolved.transpose(1, 2)).transpose(1, 2)
        dropped: Tensor = self.dropout(functional.gelu(normed))
        return dropped


class AdditiveAttention(nn.Module):
    """Weighs steps by a score learned from query and key (Bahdanau et al., 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.score = nn.Linear(width, 1)  # the bias does nothing: softmax cancels it. It is part of the published count

    def forward(self, query: Tensor, steps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum (batch, width) and the weights (batch, steps)."""
        # Score vᵀ·tanh(W_q·q + W_k·h_t), Bahdanau et al., A.1.2: (batch, steps).
        scores = self.score(torch.tanh(self.query(query)[:, None] + self.key(steps)))[..., 0]
        weights = scores.masked_fill(~mask, -1e9).softmax(dim=1)
        # Σ_t α_t·h_t as (batch, 1, steps) · (batch, steps, width).
        return torch.matmul(weights[:, None], steps)[:, 0], weights


@MODELS.register("cabg")
class Cabg(Network):
    """Three convolution blocks, a bidirectional GRU and attention queried by its final states."""

    settings_type = CabgSettings
    paper = "EmoCatcher (hwang9u, 2022), github.com/hwang9u/emocatcher"
    usage = Usage(PRESETS["emocatcher"], 8)
    reduced: ClassVar[Mapping[str, Any]] = {}
    zero_gradient: ClassVar[dict[str, str]] = {"attention.score.bias": "softmax over steps cancels it"}

    def __init__(self, n_mels: int, n_classes: int, settings: CabgSettings) -> None:
        super().__init__()
        width, half = settings.width, settings.width // 2
        kernel_size, dropout = settings.kernel_size, settings.convolution_dropout
        self.blocks = nn.ModuleList(
            [
                ConvolutionBlock(n_mels, half, kernel_size, dropout),
                ConvolutionBlock(half, half, kernel_size, dropout),
                ConvolutionBlock(half, width, kernel_size, dropout),
            ]
        )
        self.norm = nn.LayerNorm(width)
        # Half in each direction, so that both together are ``width``.
        self.gru = BidirectionalGru(width, half)
        self.attention = AdditiveAttention(width)
        self.hidden = nn.Linear(width, half)
        self.hidden_norm = nn.BatchNorm1d(half)
        self.hidden_dropout = nn.Dropout(settings.head_dropout)
        self.output = nn.Linear(half, n_classes)
        self.apply(_initialise)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map log-mels (batch, n_mels, frames) with ``n_frames`` (batch,) to logits, embedding and attention."""
        # One silent frame behind every utterance, so that pooling pairs of frames leaves at least one step.
        frames = functional.pad(frames, (0, 1))
        mask = frame_mask(n_frames, frames.shape[2])[:, None]
        for block in self.blocks:
            frames = block(frames, mask)
        # In two dimensions, because the exporter fixes the length of the one-dimensional operator.
        steps = functional.max_pool2d(frames, (1, 2)).transpose(1, 2)  # (batch, steps, width)
        n_steps = torch.div(n_frames, 2, rounding_mode="floor").clamp(min=1)
        states, final = self.gru(self.norm(steps), n_steps)  # (batch, steps, width), (batch, width)
        # (batch, width), (batch, steps).
        attended, weights = self.attention(final, states, frame_mask(n_steps, states.shape[1]))
        embedding = self.hidden_dropout(functional.gelu(self.hidden_norm(self.hidden(attended))))
        return NetworkOutput(self.output(embedding), embedding, weights)


def _initialise(module: nn.Module) -> None:
    """Start as published: Kaiming for convolutions and linear layers, Xavier and orthogonal for the GRU.

    EmoCatcher's code also sets attention to Xavier, but overwrites it when it comes to the linear layers inside.
    """
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.GRU):
        for name, parameter in module.named_parameters():
            if "weight_ih" in name:
                nn.init.xavier_uniform_(parameter)
            elif "weight_hh" in name:
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)
