"""OpenVINO's form of a graph: weights in 32 or 16 bits, or whole numbers of 8 bits by NNCF."""

import io
import logging
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnx import ModelProto

from earnest.errors import MissingExtraError
from earnest.export.calibration import Judge, Probabilities, QuantisationClips, controlled
from earnest.export.quantise import layers_of, ranked_layers
from earnest.runtime.openvino_engine import EXACT, MODEL, WEIGHTS, openvino


def to_ir(traced: ModelProto, halves: bool) -> dict[str, bytes]:
    """Convert to ``model.xml`` and ``model.bin``; ``halves`` stores the weights in 16 bits."""
    return _files(_read(traced), halves)


def to_int8_ir(traced: ModelProto, calibration: QuantisationClips, validation: QuantisationClips) -> dict[str, bytes]:
    """Quantise the graph of `earnest.export.onnx.traced` with NNCF, to ``model.xml`` and ``model.bin``.

    The layers are those of `earnest.export.quantise.to_int8`, and so are the limits and the order in which layers go
    back to float: NNCF measures ranges anew whenever it is asked, and its own accuracy control asks for every layer.
    """
    nncf, model = _nncf(), _read(traced)
    clips = nncf.Dataset(calibration.feeds())

    def quantised(layers: Sequence[str]) -> Any:
        if not layers:
            return model
        with redirect_stdout(io.StringIO()):  # its progress bars
            return nncf.quantize(
                model,
                clips,
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(calibration.waveforms),
                ignored_scope=nncf.IgnoredScope(names=_all_but(layers, model), validate=False),
            )

    judge = Judge(validation, _answers(model, validation))
    ranking = partial(ranked_layers, traced, calibration, validation)
    return _files(controlled(layers_of(traced), quantised, _answers, judge, ranking), halves=True)


def _all_but(layers: Sequence[str], model: Any) -> list[str]:
    """Return the operations that stay in float; those of a layer with a bias have its name and more behind a slash."""
    names = {node.get_friendly_name() for node in model.get_ops()}
    return sorted(name for name in names if name.partition("/")[0] not in layers)


def _answers(model: Any, clips: QuantisationClips) -> Probabilities:
    """Return probabilities of each clip, shape (clips, classes)."""
    compiled = openvino().Core().compile_model(model, "CPU", EXACT)
    return np.concatenate([compiled(feed)["probabilities"] for feed in clips.feeds()])


def _read(traced: ModelProto) -> Any:
    return openvino().Core().read_model(traced.SerializeToString())


def _files(model: Any, halves: bool) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        openvino().save_model(model, path, compress_to_fp16=halves)
        return {name: (Path(folder) / name).read_bytes() for name in (MODEL, WEIGHTS)}


def _nncf() -> Any:
    os.environ.setdefault("NNCF_CI", "1")  # it would tell its makers that it was used
    try:
        import nncf
    except ImportError:
        raise MissingExtraError("INT8 for OpenVINO", "quantise") from None
    nncf.set_log_level(logging.ERROR)
    return nncf
