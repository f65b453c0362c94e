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
        # torch's exporter would unroll the loop for one length; ONNX' own operator takes any length and lengths a clip.
        time_first = steps.transpose(0, 1)  # (steps, batch, input_width)
        frames, batch = time_first.shape[0], time_first.shape[1]
        input_weights, state_weights, input_biases, state_biases = (
            torch.stack([_onnx_gates(self.get_parameter(name + ending)) for ending in ("_l0", "_l0_reverse")])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        biases = torch.cat([input_biases, state_biases], dim=1)
        states, final = torch.onnx.ops.symbolic_multi_out(
            "GRU",
            (time_first, input_weights, state_weights, biases, n_steps.to(torch.int32)),
            {"hidden_size": self.hidden_size, "direction": "bidirectional", "linear_before_reset": 1},
            dtypes=(torch.float32, torch.float32),
            shapes=((frames, 2, batch, self.hidden_size), (2, batch, self.hidden_size)),
            version=18,
        )  # (steps, directions, batch, width), (directions, batch, width)
        joined = states.permute(2, 0, 1, 3).flatten(start_dim=2)
        return joined, torch.cat([final[0], final[1]], dim=1)


def _onnx_gates(weights: Tensor) -> Tensor:
    """Reorder the gates from torch's reset, update, new to ONNX' update, reset, new."""
    reset, update, new = weights.chunk(3, dim=0)
    return torch.cat([update, reset, new], dim=0)
