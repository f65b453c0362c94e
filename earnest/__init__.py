"""Speech emotion recognition that people can trust."""

import os
import sys
from importlib import import_module
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
from earnest.installation import __version__

# From 1.29 on onnxruntime tells its makers about the machine and each model, unless this stands when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from earnest.audio.source import AudioInput, Channel, Part
    from earnest.bundle import BundleInfo
    from earnest.corpora.transcripts import SpeakerTurn
    from earnest.corpora.turns import read_turns
    from earnest.own.learn import learn
    from earnest.runtime.formats import Embeddings, PredictionRows
    from earnest.runtime.loading import load, predict
    from earnest.runtime.prediction import Gap, Prediction, Segment, Span, VocalBurst, Window
    from earnest.runtime.predictor import Predictor
    from earnest.runtime.profile import Profile
    from earnest.runtime.timeline import Timeline

    def models() -> list[BundleInfo]:
        """Return the description of each shipped bundle; see `earnest.models`."""


__all__ = [
    "AudioError",
    "AudioInput",
    "BundleError",
    "Channel",
    "CorpusError",
    "EarnestError",
    "Embeddings",
    "Gap",
    "MissingExtraError",
    "Part",
    "Prediction",
    "PredictionRows",
    "Predictor",
    "Profile",
    "RecipeError",
    "Segment",
    "Span",
    "SpeakerTurn",
    "SplitError",
    "Timeline",
    "VocalBurst",
    "Window",
    "__version__",
    "learn",
    "load",
    "models",
    "predict",
    "read_turns",
]

_LAZY = {  # imported when they are used, so that `import earnest` costs nothing
    "AudioInput": "earnest.audio.source",
    "Channel": "earnest.audio.source",
    "Embeddings": "earnest.runtime.formats",
    "Gap": "earnest.runtime.prediction",
    "Part": "earnest.audio.source",
    "Prediction": "earnest.runtime.prediction",
    "PredictionRows": "earnest.runtime.formats",
    "Predictor": "earnest.runtime.predictor",
    "Profile": "earnest.runtime.profile",
    "Segment": "earnest.runtime.prediction",
    "Span": "earnest.runtime.prediction",
    "SpeakerTurn": "earnest.corpora.transcripts",
    "Timeline": "earnest.runtime.timeline",
    "VocalBurst": "earnest.runtime.prediction",
    "Window": "earnest.runtime.prediction",
    "learn": "earnest.own.learn",
    "load": "earnest.runtime.loading",
    "predict": "earnest.runtime.loading",
    "read_turns": "earnest.corpora.turns",
}


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name == "models":
            return import_module("earnest.models")
        if name not in _LAZY:
            raise AttributeError(f"module 'earnest' has no attribute '{name}'")
        return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:  # without what is imported here for its own use
    return sorted({*__all__, *(name for name in globals() if name[0] == "_" or f"{__name__}.{name}" in sys.modules)})
