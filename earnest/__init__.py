"""Speech emotion recognition that people can trust."""

import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Unpack

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
    from earnest.own.bundle import Learned
    from earnest.progress import Progress
    from earnest.runtime.engine import Backend, Provider
    from earnest.runtime.formats import Embeddings, PredictionRows
    from earnest.runtime.prediction import Gap, Prediction, Segment, Span, VocalBurst, Window
    from earnest.runtime.predictor import AdaptedWords, Predictor
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
    "SplitError",
    "Timeline",
    "VocalBurst",
    "Window",
    "__version__",
    "learn",
    "load",
    "models",
    "predict",
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
    "Timeline": "earnest.runtime.timeline",
    "VocalBurst": "earnest.runtime.prediction",
    "Window": "earnest.runtime.prediction",
}


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name == "models":
            return import_module("earnest.models")
        if name not in _LAZY:
            raise AttributeError(f"module 'earnest' has no attribute '{name}'")
        return getattr(import_module(_LAZY[name]), name)


_LOADING = Lock()


def __dir__() -> list[str]:  # without what is imported here for its own use
    return sorted({*__all__, *(name for name in globals() if name[0] == "_" or f"{__name__}.{name}" in sys.modules)})


def load(
    name_or_path: str | Path | Sequence[str | Path] | None = None,
    threads: int = 1,
    tta: str = "none",
    provider: "Provider" = "cpu",
    backend: "Backend" = "auto",
) -> "Predictor":
    """Load a model: the default one, a shipped one by name, or a bundle's folder; several are averaged.

    Raises `BundleError` when it is missing, damaged or no bundle, or several don't go together; `EarnestError` for
    another value of the others, or a backend that doesn't have the provider.

    Parameters
    ----------
    name_or_path : one, or a list of models with the same classes and sample rate
    threads : cores that one prediction may use, 0 for all
    tta : average over variants of each recording: "none", "gain", "speed", "gain-and-speed", "noise",
        "stretch", "pitch", "masks" or "multitask"; what they bring and cost: docs/results/tta.md
    provider : what the backend computes on: "cpu", "cuda" with onnxruntime-gpu, "gpu" or "auto" with OpenVINO
    backend : "onnxruntime", "openvino", or "auto": onnxruntime unless the bundle was exported for OpenVINO
    """
    from earnest.bundle import DEFAULT_BUNDLE
    from earnest.runtime.predictor import Predictor

    name = DEFAULT_BUNDLE if name_or_path is None else name_or_path
    return Predictor.load(name, threads, provider, tta=tta, backend=backend)


def predict(
    source: "AudioInput", model: str | Path | Sequence[str | Path] | None = None, **request: "Unpack[AdaptedWords]"
) -> "Prediction":
    """Predict the emotion of one recording; for more of them `load` a model once, and use its methods.

    Raises `AudioError` when the recording can't be read.

    Parameters
    ----------
    source : path, bytes, open binary file, (array, sample rate in Hz), or a dict of a datasets' ``Audio`` column
    model : as for `load`
    request : as for `earnest.runtime.predictor.Predictor.predict`
    """
    from earnest.bundle import DEFAULT_BUNDLE, shipped_bundles

    name = DEFAULT_BUNDLE if model is None else model
    if str(name) not in shipped_bundles():  # one's own may be written anew
        return load(name).predict(source, **request)
    with _LOADING:  # of threads that ask at once, one loads it
        predictor = _shipped(str(name))
    return predictor.predict(source, **request)


@cache
def _shipped(name: str) -> "Predictor":
    return load(name)


def learn(  # noqa: PLR0913, each is a word of the command line
    source: str | Path,
    output: str | Path,
    *,
    model: str | Path | None = None,
    label_column: str | None = None,
    speaker_column: str | None = None,
    label_pattern: str | None = None,
    speaker_pattern: str | None = None,
    root: str | Path | None = None,
    name: str = "",
    licence: str = "",
    data_licence: str = "",
    attribution: str = "",
    seed: int = 0,
    balance: bool = True,
    augment: bool = False,
    keep: bool = True,
    continued: str | Path | None = None,
    jobs: int = 1,
    report: bool = True,
    overwrite: bool = False,
    progress: "Progress | None" = None,
) -> "Learned":
    """Learn a model of one's own from labelled recordings, and test it: without torch, in a minute for 500 recordings.

    The last layer of a shipped model is fitted anew; labels are whatever words stand there.

    Raises `EarnestError` when there is nothing to learn from, or ``output`` holds something and ``overwrite`` is not
    said. What is wrong with single recordings is in `Learned.refused`.

    Parameters
    ----------
    source : folder, table or list of files, see `earnest.corpora.own.read_own`, which takes the columns, patterns and
        ``root`` too
    output : folder to make: a bundle for `load`, with ``report.html``, ``predictions.csv`` and ``learn.json`` beside
    model : whose embedding is learnt from; None for the default one
    licence, data_licence, attribution : for the card: of the model, of the recordings, and whom to name
    seed : of folds, changes and the map
    balance : classes are taken to be equally frequent; otherwise as frequent as in the recordings
    augment : learn from a changed copy of each recording too (noise, rooms, telephone)
    keep : embeddings and labels beside the bundle, for ``continued``; they are personal data
    continued : folder of a model that kept them: its recordings are learnt from too
    jobs : threads that decode and hear
    report : write ``report.html`` where the extra "report" is installed
    """
    from earnest.bundle import DEFAULT_BUNDLE
    from earnest.corpora.own import read_own
    from earnest.own.bundle import Answers
    from earnest.own.learn import LearnOptions, learn_own, named
    from earnest.progress import SILENT
    from earnest.settings.limits import require_text

    columns = {"label_column": label_column, "speaker_column": speaker_column}
    columns |= {"label_pattern": label_pattern, "speaker_pattern": speaker_pattern}
    require_text(name=name, **columns)
    folder, earlier = Path(output), Path(continued) if continued else None
    answers = Answers(named(folder, name), licence=licence, data_licence=data_licence, attribution=attribution)
    options = LearnOptions(
        model or DEFAULT_BUNDLE, seed, balance, augment, keep, earlier, jobs, report, progress or SILENT
    )
    data = read_own(source, **columns, root=Path(root) if root else None)
    return learn_own(data, folder, answers, options, overwrite)
