"""A bidirectional GRU whose export keeps the time axis dynamic and each clip's own length."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class BidirectionalGru(nn.GRU):
    """One bidirectional layer over padded sequences (Cho et al., 2014)."""

    def __init__(self, input_width: int, width: int) -> None:
        super().__init__(input_width, width, batch_first=True, bidirectional=True)

    def forward(self, steps: Tensor, n_steps: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Run both directions over each clip's own steps.

        Parameters
        ----------
        steps : (batch, steps, input_width)
        n_steps : (batch,) int64, at least 1

        Returns
        -------
        states : (batch, steps, 2·width), zero behind a clip's end
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
        # doesn't begin at the end of a clip that is shorter than the batch.
        positions = torch.arange(steps.shape[1], device=steps.device)[None]  # (1, steps)
        inside = positions < n_steps[:, None]
        turned = (n_steps[:, None] - 1 - positions).clamp(min=0)[:, :, None]  # (batch, steps, 1)
        ahead = self._one_direction(steps, "_l0")
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
