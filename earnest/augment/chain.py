"""Stand-in until the augmentations are merged: one of them, by the agreed names."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.errors import RecipeError

Transform: TypeAlias = Callable[[Waveform, np.random.Generator], Waveform]


def build_chain(tables: Iterable[Mapping[str, Any]], sample_rate_hz: int) -> Transform:  # noqa: ARG001
    """Return ``(waveform, rng) -> waveform`` for the tables of a recipe; only "gaussian-noise" is here."""
    highest = []
    for table in tables:
        if table.get("name") != "gaussian-noise":
            raise RecipeError(f"There is no augmentation called {table.get('name')!r}.")
        highest.append(table.get("deviation", (0.0, 0.075)))
    return partial(_noisy, deviations=tuple(highest))


def _noisy(waveform: Waveform, rng: np.random.Generator, deviations: tuple[tuple[float, float], ...]) -> Waveform:
    for low, high in deviations:
        level = rng.uniform(low, high) * float(np.sqrt(np.square(waveform).mean()))
        waveform = (waveform + level * rng.standard_normal(len(waveform))).astype(np.float32)
    return waveform
