"""Whole numbers of 8 bits for onnxruntime: weights and activations of the network, the front end stays in float."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from onnx import ModelProto, NodeProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from earnest.export.calibration import Clips
from earnest.export.halves import store_halves
from earnest.export.onnx import NETWORK

QUANTISED = ("MatMul", "Gemm", "Conv")
ANSWERS = ("logits", "gender", "affect")
PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}  # spares the advice to do what `traced` has done


def to_int8(traced: ModelProto, clips: Clips) -> ModelProto:
    """Quantise the graph of `earnest.export.onnx.traced`: weights per channel, activations by ranges over ``clips``.

    Ranges are fixed, not found anew for each batch: so a clip's answer doesn't depend on its neighbours. In float stay
    everything up to the logarithm, the first convolution behind it (decibels have a wide range), products of two
    activations, and the last layer of every answer.
    """
    source = ModelProto()
    source.CopyFrom(traced)
    onnx.helper.set_model_props(source, PREPARED)
    with TemporaryDirectory() as folder:
        path, result = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(source, path)
        quantize_static(
            path,
            result,
            _Reader(clips.feeds()),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=[node.name for node in kept_in_float(traced)],
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
        quantised = onnx.load(result)
    del quantised.metadata_props[:]
    store_halves(quantised)
    quantised.producer_name, quantised.producer_version = traced.producer_name, ""
    return quantised


def kept_in_float(traced: ModelProto) -> list[NodeProto]:
    """Return the nodes that are not quantised."""
    constants = {tensor.name for tensor in traced.graph.initializer}
    behind = [node for node in traced.graph.node if node.name.startswith(NETWORK)]
    delicate = {next((node.name for node in behind if node.op_type == "Conv"), ""), *_last_layers(traced)}
    return [
        node
        for node in traced.graph.node
        if not node.name.startswith(NETWORK) or node.name in delicate or _multiplies_activations(node, constants)
    ]


def _multiplies_activations(node: NodeProto, constants: set[str]) -> bool:
    return node.op_type in QUANTISED and node.input[1] not in constants


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
