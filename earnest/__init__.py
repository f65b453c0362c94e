"""Speech emotion recognition that people can trust."""

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


def load(name_or_path: str | Path | None = None, threads: int = 1) -> "Predictor":
    """Load a model: the default one, a shipped one by name, or a bundle's folder.

    Parameters
    ----------
    threads : cores that one prediction may use

    Raises
    ------
    BundleError
        When it is missing, damaged or no bundle.
    """
    from earnest.bundle import DEFAULT_BUNDLE
    from earnest.runtime.predictor import Predictor

    return Predictor.load(DEFAULT_BUNDLE if name_or_path is None else name_or_path, threads)
