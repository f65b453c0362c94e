"""How far a training moved an encoder."""

import math
from collections.abc import Mapping

from torch import Tensor


def moved_by(start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> str:
    """Say how far each part moved, in words for a model card."""
    parts = (f"{part} {100 * how_far:.1f} %" for part, how_far in movements(start, end).items())
    return f"weights moved by: {', '.join(parts)}"


def movements(start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how far each part of the encoder moved: the norm of the change by the norm of the start."""
    parts: dict[str, tuple[float, float]] = {}
    for name, before in start.items():
        part = _part_of(name)
        change, size = parts.get(part, (0.0, 0.0))
        step = float((end[name] - before).square().sum())
        parts[part] = (change + step, size + float(before.square().sum()))
    return {part: math.sqrt(change / size) for part, (change, size) in parts.items()}


def _part_of(name: str) -> str:
    words = name.split(".")
    if words[0].startswith("conv"):
        return "convolutions"
    return f"block {int(words[1]) + 1}" if words[1].isdigit() else "last layer"
