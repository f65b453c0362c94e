"""Speech emotion recognition that people can trust."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from earnest.errors import (
    AudioError,
    BundleError,
    CorpusError,
    EarnestError,
    MissingExtraError,
    RecipeError,
    SplitError,
)

if TYPE_CHECKING:
    from earnest.runtime.predictor import Predictor

__version__ = "0.1.0"

__all__ = [
    "AudioError",
    "BundleError",
    "CorpusError",
    "EarnestError",
    "MissingExtraError",
    "RecipeError",
    "SplitError",
    "__version__",
    "load",
]


def load(
    name_or_path: str | Path | Sequence[str | Path] | None = None, threads: int = 1, tta: str = "none"
) -> "Predictor":
    """Load a model: the default one, a shipped one by name, or a bundle's folder; several are averaged.

    Parameters
    ----------
    name_or_path : one, or a list of models with the same classes and sample rate
    threads : cores that one prediction may use
    tta : average over variants of each clip: "none", "gain", "speed", "gain-and-speed", "noise",
        "stretch", "pitch", "masks" or "multitask"; what they bring and cost: docs/results/tta.md

    Raises
    ------
    BundleError
        When it is missing, damaged or no bundle, or several don't go together.
    """
    from earnest.bundle import DEFAULT_BUNDLE
    from earnest.runtime.predictor import Predictor

    return Predictor.load(DEFAULT_BUNDLE if name_or_path is None else name_or_path, threads, tta=tta)
