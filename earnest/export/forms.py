"""Forms of a bundle's graph: for onnxruntime whole numbers of 8 bits or weights of 16 bits; for OpenVINO its own.

OpenVINO's form has weights in 32 or 16 bits, or whole numbers of 8 bits by NNCF. The front end computes in float in all
forms; where weights have 16 bits, so have its tables (log-mels move by less than 0.01 dB in the mean, a few by up to 1
dB).
"""

import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from earnest.errors import MissingExtraError
from earnest.export.calibration import Judge, Probabilities, QuantisationClips, controlled, ranked
from earnest.export.onnx import NETWORK, store_small
from earnest.runtime.openvino_engine import EXACT, MODEL, WEIGHTS, openvino

QUANTISED = ("MatMul", "Gemm", "Conv")
ANSWERS = ("logits", "gender", "affect", "distance", "sound")
PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}  # spares the advice to do what `traced` has done


def to_int8(traced: ModelProto, calibration: QuantisationClips, validation: QuantisationClips) -> ModelProto:
    """Quantise the graph of `earnest.export.onnx.traced`: weights per channel, activations by ranges over clips.

    Ranges are fixed, not found anew for each batch: so a clip's answer doesn't depend on its neighbours. In float stays
    what `layers_of` leaves out, and what `earnest.export.calibration.controlled` finds to cost too much on
    ``validation``.
    """
    layers, judge = layers_of(traced), Judge(validation, _answers(traced, validation))
    with TemporaryDirectory() as folder:
        quantise = _Quantiser(traced, calibration, Path(folder)).quantised
        ranking = partial(ranked, layers, quantise, _answers, judge)
        quantised = controlled(layers, quantise, _answers, judge, ranking)
    store_small(quantised)
    return quantised


def ranked_layers(traced: ModelProto, calibration: QuantisationClips, validation: QuantisationClips) -> list[str]:
    """Return the names of the layers that may be quantised, those that move answers most last."""
    with TemporaryDirectory() as folder:
        quantise = _Quantiser(traced, calibration, Path(folder)).quantised
        return ranked(layers_of(traced), quantise, _answers, Judge(validation, _answers(traced, validation)))


class _Quantiser:
    """Quantises some layers of a graph; ranges are measured once."""

    def __init__(self, traced: ModelProto, calibration: QuantisationClips, folder: Path) -> None:
        source = ModelProto()
        source.CopyFrom(traced)
        onnx.helper.set_model_props(source, PREPARED)
        onnx.save(source, folder / "float.onnx")
        self._traced, self._calibration, self._folder = traced, calibration, folder

    def quantised(self, layers: Sequence[str]) -> ModelProto:
        """Return the graph with these layers, by name, in 8 bits."""
        result = ModelProto()
        if not layers:
            result.CopyFrom(self._traced)
            return result
        quantize_static(
            self._folder / "float.onnx",
            self._folder / "int8.onnx",
            _Reader(self._calibration.feeds()),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_quantize=list(layers),
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            calibration_cache_path=self._folder / "ranges.json",
        )
        result.CopyFrom(onnx.load(self._folder / "int8.onnx"))
        del result.metadata_props[:]
        result.producer_name, result.producer_version = self._traced.producer_name, ""
        return result


def _answers(model: ModelProto, clips: QuantisationClips) -> Probabilities:
    """Return probabilities of each clip, shape (clips, classes)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["probabilities"], feed)[0] for feed in clips.feeds()])


def layers_of(traced: ModelProto) -> list[str]:
    """Return the names of the layers that may be quantised.

    Not among them: everything up to the logarithm, the first convolution behind it (decibels have a wide range),
    products of two activations, and the last layer of every answer.
    """
    constants = {tensor.name for tensor in traced.graph.initializer}
    behind = [node for node in traced.graph.node if node.name.startswith(NETWORK) and node.op_type in QUANTISED]
    delicate = {next((node.name for node in behind if node.op_type == "Conv"), ""), *_last_layers(traced)}
    return [node.name for node in behind if node.name not in delicate and node.input[1] in constants]


def _last_layers(traced: ModelProto) -> set[str]:
    """Return the names of the quantisable nodes from which no other lies on the way to an answer."""
    source = {output: node for node in traced.graph.node for output in node.output}
    waiting = [source[name] for name in ANSWERS if name in source]
    found, seen = set(), set()
    while waiting:
        node = waiting.pop()
        if node.op_type in QUANTISED:
            found.add(node.name)
        elif node.name not in seen:
            seen.add(node.name)
            waiting += [source[name] for name in node.input if name in source]
    return found


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands out one clip after another."""

    def __init__(self, feeds: Sequence[Mapping[str, Any]]) -> None:
        self._feeds: Iterator[Mapping[str, Any]] = iter(feeds)

    def get_next(self) -> Mapping[str, Any] | None:
        """Return the next clip, None at the end."""
        return next(self._feeds, None)


def to_ir(traced: ModelProto, halves: bool) -> dict[str, bytes]:
    """Convert to ``model.xml`` and ``model.bin``; ``halves`` stores the weights in 16 bits."""
    return _files(_read(traced), halves)


def to_int8_ir(traced: ModelProto, calibration: QuantisationClips, validation: QuantisationClips) -> dict[str, bytes]:
    """Quantise the graph of `earnest.export.onnx.traced` with NNCF, to ``model.xml`` and ``model.bin``.

    The layers are those of `earnest.export.forms.to_int8`, and so are the limits and the order in which layers go
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

    judge = Judge(validation, _openvino_answers(model, validation))
    ranking = partial(ranked_layers, traced, calibration, validation)
    return _files(controlled(layers_of(traced), quantised, _openvino_answers, judge, ranking), halves=True)


def _all_but(layers: Sequence[str], model: Any) -> list[str]:
    """Return the operations that stay in float; those of a layer with a bias have its name and more behind a slash."""
    names = {node.get_friendly_name() for node in model.get_ops()}
    return sorted(name for name in names if name.partition("/")[0] not in layers)


def _openvino_answers(model: Any, clips: QuantisationClips) -> Probabilities:
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
