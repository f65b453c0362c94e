"""OpenVINO's form of a graph: weights in 32 or 16 bits, or whole numbers of 8 bits by NNCF."""

import io
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
from onnx import ModelProto

from earnest.errors import MissingExtraError
from earnest.export.calibration import Clips
from earnest.export.judge import Judge
from earnest.export.quantise import kept_in_float
from earnest.onnx_file import CUT
from earnest.runtime.openvino_engine import EXACT, MODEL, WEIGHTS, openvino

N_RANKED = 100  # clips by which NNCF ranks layers

Judged: TypeAlias = tuple[int, Mapping[str, Any]]
"""Number of a clip among those that are judged by, and what the graph takes."""


def to_ir(traced: ModelProto, halves: bool) -> dict[str, bytes]:
    """Convert to ``model.xml`` and ``model.bin``; ``halves`` stores the weights in 16 bits."""
    return _files(_read(traced), halves)


def to_int8_ir(traced: ModelProto, calibration: Clips, validation: Clips) -> dict[str, bytes]:
    """Quantise the graph of `earnest.export.onnx.traced` with NNCF, to ``model.xml`` and ``model.bin``.

    Ranges come from ``calibration``; where answers about ``validation`` move beyond the limits of
    `earnest.export.judge.Judge`, the layers that cost most go back to float. In float stay, too, the front end and what
    `kept_in_float` names.
    """
    nncf = _nncf()
    model = _read(traced)
    kept = {name for node in kept_in_float(traced) for name in (node.name, *node.output) if name} | _front_end(model)
    exact = openvino().Core().compile_model(model, "CPU", EXACT)
    judge = Judge(validation, np.concatenate([exact(feed)["probabilities"] for feed in validation.feeds()]))
    with redirect_stdout(io.StringIO()):  # its progress bars
        quantised = nncf.quantize_with_accuracy_control(
            model,
            nncf.Dataset(calibration.feeds()),
            nncf.Dataset(list(enumerate(validation.feeds())), lambda item: item[1]),
            partial(_slack, judge),
            max_drop=judge.slack(judge.exact),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(calibration.waveforms),
            ignored_scope=nncf.IgnoredScope(names=sorted(kept), validate=False),
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(ranking_subset_size=N_RANKED),
        )
    return _files(quantised, halves=True)


def _slack(judge: Judge, compiled: Any, judged: Iterable[Judged]) -> tuple[float, list[list[Any]]]:
    """Return how much more the judge would allow, and every output of each clip: by these NNCF ranks the layers."""
    numbers, answers = zip(*((number, compiled(feed)) for number, feed in judged), strict=True)
    found = np.concatenate([answer["probabilities"] for answer in answers])
    return judge.only(list(numbers)).slack(found), [list(answer.values()) for answer in answers]


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
