"""OpenVINO's form of a graph: weights in 32 or 16 bits, or whole numbers of 8 bits by NNCF."""

import io
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
from onnx import ModelProto

from earnest.errors import EarnestError, MissingExtraError
from earnest.export.calibration import Clips
from earnest.export.judge import Judge, Probabilities
from earnest.export.quantise import layers_of
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
    `earnest.export.judge.Judge`, the layers that cost most go back to float. What `earnest.export.quantise.layers_of`
    leaves out stays in float anyway.

    Raises
    ------
    EarnestError
        When NNCF gives up before the limits are kept.
    """
    nncf = _nncf()
    model = _read(traced)
    judge = Judge(validation, _answers(model, validation))
    parameters = nncf.AdvancedAccuracyRestorerParameters(ranking_subset_size=N_RANKED)
    with redirect_stdout(io.StringIO()):  # its progress bars
        quantised = nncf.quantize_with_accuracy_control(
            model,
            nncf.Dataset(calibration.feeds()),
            nncf.Dataset(list(enumerate(validation.feeds())), lambda item: item[1]),
            partial(_slack, judge),
            max_drop=judge.slack(judge.exact),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(calibration.waveforms),
            ignored_scope=nncf.IgnoredScope(names=_all_but(layers_of(traced), model), validate=False),
            advanced_accuracy_restorer_parameters=parameters,
        )
    if (slack := judge.slack(_answers(quantised, validation))) < 0:
        raise EarnestError(
            f"NNCF leaves answers {-slack:.1%} of clips beyond the limits. Export openvino-fp16 instead."
        )
    return _files(quantised, halves=True)


def _all_but(layers: Sequence[str], model: Any) -> list[str]:
    """Return the operations that stay in float; those of a layer with a bias have its name and more behind a slash."""
    names = {node.get_friendly_name() for node in model.get_ops()}
    return sorted(name for name in names if name.partition("/")[0] not in layers)


def _answers(model: Any, clips: Clips) -> Probabilities:
    """Return probabilities of each clip, shape (clips, classes)."""
    compiled = openvino().Core().compile_model(model, "CPU", EXACT)
    return np.concatenate([compiled(feed)["probabilities"] for feed in clips.feeds()])


def _slack(judge: Judge, compiled: Any, judged: Iterable[Judged]) -> tuple[float, list[list[Any]]]:
    """Return how much more the judge would allow, and every output of each clip: by these NNCF ranks the layers."""
    numbers, answers = zip(*((number, compiled(feed)) for number, feed in judged), strict=True)
    found = np.concatenate([answer["probabilities"] for answer in answers])
    return judge.only(list(numbers)).slack(found), [list(answer.values()) for answer in answers]


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
