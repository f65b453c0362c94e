"""OpenVINO's form of a graph: weights in 32 or 16 bits, or whole numbers of 8 bits by NNCF."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnx import ModelProto

from earnest.errors import MissingExtraError
from earnest.export.calibration import Clips
from earnest.export.quantise import kept_in_float
from earnest.onnx_file import CUT
from earnest.runtime.openvino_engine import MODEL, WEIGHTS, openvino

MOST_LOST = 0.005  # of accuracy on validation speakers; layers go back to float until it is kept


def to_ir(traced: ModelProto, halves: bool) -> dict[str, bytes]:
    """Convert to ``model.xml`` and ``model.bin``; ``halves`` stores the weights in 16 bits."""
    return _files(_read(traced), halves)


def to_int8_ir(traced: ModelProto, calibration: Clips, validation: Clips) -> dict[str, bytes]:
    """Quantise the graph of `earnest.export.onnx.traced` with NNCF, to ``model.xml`` and ``model.bin``.

    Ranges come from ``calibration``; where more than half a point of accuracy on ``validation`` is lost, the layers
    that cost most go back to float. In float stay, too, the front end and what `kept_in_float` names.
    """
    nncf = _nncf()
    model = _read(traced)
    kept = {name for node in kept_in_float(traced) for name in (node.name, *node.output) if name} | _front_end(model)
    judged = list(zip(validation.feeds(), validation.targets.tolist(), strict=True))
    quantised = nncf.quantize_with_accuracy_control(
        model,
        nncf.Dataset(calibration.feeds()),
        nncf.Dataset(judged, lambda item: item[0]),
        _accuracy,
        max_drop=MOST_LOST,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(calibration.waveforms),
        ignored_scope=nncf.IgnoredScope(names=sorted(kept), validate=False),
    )
    return _files(quantised, halves=True)


def _accuracy(compiled: Any, judged: Iterable[tuple[Any, int]]) -> tuple[float, list[float]]:
    """Return the share of clips that a compiled model answers right, and for each clip whether it does."""
    right = [float(compiled(feed)["logits"].argmax() == target) for feed, target in judged]
    return float(np.mean(right)), right


def _front_end(model: Any) -> set[str]:
    """Return the names of all that lies before the cut."""
    waiting = [port.get_node() for node in model.get_ops() for port in node.outputs() if port.get_names() & set(CUT)]
    found: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() not in found:
            found.add(node.get_friendly_name())
            waiting += [port.get_source_output().get_node() for port in node.inputs()]
    return found


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
