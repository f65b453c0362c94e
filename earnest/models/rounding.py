"""Weights that 8 bits hold exactly, so that a trained network is scored with the very numbers that ship."""

import torch
from torch import Tensor

LARGEST = 127
SCALE_BITS = 11  # with 7 bits of a whole number, well within float32's 24


def rounded_to_8_bits(weights: Tensor) -> Tensor:
    """Return weights (outputs, ...) as whole numbers from -127 to 127 times a scale for each output, in float32.

    The scales have few enough digits for every product to be exact: so the export finds the whole numbers again
    (`earnest.export.storage`).
    """
    rows = weights.detach().float().flatten(1)
    mantissa, exponent = torch.frexp(rows.abs().amax(dim=1, keepdim=True) / LARGEST)
    scale = torch.ldexp((mantissa * 2**SCALE_BITS).round() / 2**SCALE_BITS, exponent)
    whole = torch.where(scale > 0, rows / scale, 0.0).round().clamp(-LARGEST, LARGEST)
    return (whole * scale).view_as(weights)
