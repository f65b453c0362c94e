"""Weights that 8 bits hold exactly, so that a trained network is scored with the very numbers that ship."""

from collections.abc import Mapping

import torch
from torch import Tensor

LARGEST = 127
SCALE_BITS = 11  # with 7 bits of a whole number, well within float32's 24
SCALE = ".scale"  # behind the name of a tensor of whole numbers


def packed(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights (outputs, ...) as whole numbers from -127 to 127 in int8, and a scale for each output (outputs,).

    The scales have few enough digits for every product to be exact in float32: so the export finds the whole numbers
    again (`earnest.export.storage`).
    """
    rows = weights.detach().float().flatten(1)
    mantissa, exponent = torch.frexp(rows.abs().amax(dim=1) / LARGEST)
    scale = torch.ldexp((mantissa * 2**SCALE_BITS).round() / 2**SCALE_BITS, exponent)
    whole = torch.where(scale[:, None] > 0, rows / scale[:, None], 0.0).round().clamp(-LARGEST, LARGEST)
    return whole.to(torch.int8).view_as(weights), scale


def unpacked(whole: Tensor, scale: Tensor) -> Tensor:
    """Return the weights in float32."""
    return whole.float() * scale.view(-1, *[1] * (whole.ndim - 1))


def packed_state(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return tensors as they are written, ``prefix`` before their names: kernels as whole numbers with their scales."""
    stored = {}
    for name, tensor in state.items():
        key = prefix + name
        if tensor.ndim > 1:
            stored[key], stored[key + SCALE] = packed(tensor)
        else:
            stored[key] = tensor
    return stored
