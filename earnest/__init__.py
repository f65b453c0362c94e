"""Speech emotion recognition that people can trust."""

from earnest.errors import (
    AudioError,
    BundleError,
    CorpusError,
    EarnestError,
    MissingExtraError,
    RecipeError,
    SplitError,
)

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
]
