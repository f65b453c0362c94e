"""Names and folders → models: `earnest.load`, and `earnest.predict` for one recording.

Not in the package itself, so that its annotations are there for whoever asks, and `import earnest` costs nothing.
"""

from __future__ import annotations  # so that signatures show AudioInput, not all that it may be

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Unpack

from earnest.audio.source import AudioInput
from earnest.bundle import DEFAULT_BUNDLE, shipped_bundles
from earnest.runtime.engine import Backend, Provider
from earnest.runtime.prediction import Prediction
from earnest.runtime.predictor import AdaptedWords, Predictor

_LOADING = Lock()


def load(
    name_or_path: str | Path | Sequence[str | Path] | None = None,
    threads: int = 1,
    tta: str = "none",
    provider: Provider = "cpu",
    backend: Backend = "auto",
) -> Predictor:
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
    name = DEFAULT_BUNDLE if name_or_path is None else name_or_path
    return Predictor.load(name, threads, provider, tta=tta, backend=backend)


def predict(
    source: AudioInput, model: str | Path | Sequence[str | Path] | None = None, **request: Unpack[AdaptedWords]
) -> Prediction:
    """Predict the emotion of one recording; for more of them `load` a model once, and use its methods.

    Raises `AudioError` when the recording can't be read.

    Parameters
    ----------
    source : path, bytes, open binary file, (array, sample rate in Hz), or a dict of a datasets' ``Audio`` column
    model : as for `load`
    request : as for `earnest.runtime.predictor.Predictor.predict`
    """
    name = DEFAULT_BUNDLE if model is None else model
    if str(name) not in shipped_bundles():  # one's own may be written anew
        return load(name).predict(source, **request)
    with _LOADING:  # of threads that ask at once, one loads it
        predictor = _shipped(str(name))
    return predictor.predict(source, **request)


@cache
def _shipped(name: str) -> Predictor:
    return load(name)
