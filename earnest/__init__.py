"""Speech emotion recognition that people can trust."""

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from earnest.audio.inputs import AudioInput
    from earnest.bundle import BundleInfo
    from earnest.runtime.embedding import Embeddings
    from earnest.runtime.frames import PredictionRows
    from earnest.runtime.prediction import Prediction
    from earnest.runtime.predictor import Predictor
    from earnest.runtime.timeline import Timeline

    def models() -> list[BundleInfo]:
        """Return what each shipped bundle says of itself; see `earnest.models`."""


__version__ = "0.1.0"

__all__ = [
    "AudioError",
    "AudioInput",
    "BundleError",
    "CorpusError",
    "EarnestError",
    "Embeddings",
    "MissingExtraError",
    "Prediction",
    "PredictionRows",
    "Predictor",
    "RecipeError",
    "SplitError",
    "Timeline",
    "__version__",
    "load",
    "models",
    "predict",
]

_LAZY = {  # imported when they are used, so that `import earnest` costs nothing
    "AudioInput": "earnest.audio.inputs",
    "Embeddings": "earnest.runtime.embedding",
    "Prediction": "earnest.runtime.prediction",
    "PredictionRows": "earnest.runtime.frames",
    "Predictor": "earnest.runtime.predictor",
    "Timeline": "earnest.runtime.timeline",
}


def __getattr__(name: str) -> Any:
    if name == "models":
        return import_module("earnest.models")
    if name not in _LAZY:
        raise AttributeError(f"module 'earnest' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load(
    name_or_path: str | Path | Sequence[str | Path] | None = None, threads: int = 1, tta: str = "none"
) -> "Predictor":
    """Load a model: the default one, a shipped one by name, or a bundle's folder; several are averaged.

    Parameters
    ----------
    name_or_path : one, or a list of models with the same classes and sample rate
    threads : cores that one prediction may use
    tta : average over variants of each clip: "none", "gain", "speed" or "gain-and-speed"

    Raises
    ------
    BundleError
        When it is missing, damaged or no bundle, or several don't go together.
    """
    from earnest.bundle import DEFAULT_BUNDLE
    from earnest.runtime.predictor import Predictor

    return Predictor.load(DEFAULT_BUNDLE if name_or_path is None else name_or_path, threads, tta=tta)


def predict(source: "AudioInput", model: str | Path | None = None, **request: Any) -> "Prediction":
    """Predict the emotion of one recording; for more of them `load` a model once, and use its methods.

    Parameters
    ----------
    source : path, bytes, open binary file, (array, sample rate in Hz), or a dict of a datasets' ``Audio`` column
    model : name or path of a bundle; None for the default one
    request : as for `earnest.runtime.predictor.Predictor.predict`

    Raises
    ------
    AudioError
        When the recording can't be read.
    """
    from earnest.bundle import DEFAULT_BUNDLE, shipped_bundles

    name = DEFAULT_BUNDLE if model is None else str(model)
    # A shipped bundle stays as it is, one's own may be written anew.
    predictor = _shipped(name) if name in shipped_bundles() else load(name)
    return predictor.predict(source, **request)


@lru_cache(maxsize=1)
def _shipped(name: str) -> "Predictor":
    return load(name)
