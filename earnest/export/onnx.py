"""One ONNX graph from raw waveform to probabilities."""

import io
import logging
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout

import onnx
import torch
from onnx import ModelProto
from torch import Tensor, nn

from earnest.errors import EarnestError
from earnest.export.halves import store_halves
from earnest.models.classifier import SpeechClassifier
from earnest.models.segmented import Segmented

OPSET = 18
INPUTS = ("waveform", "lengths")
PREFIX = "output."  # while exporting: operators are named too, and one of them is "embedding"
DYNAMIC = {"waveform": "samples", "attention": "steps"}


class _Flat(nn.Module):
    """The classifier with its outputs as a tuple, in the order of ``names``."""

    def __init__(self, classifier: SpeechClassifier, names: list[str]) -> None:
        super().__init__()
        self.classifier = classifier
        self.names = names

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        outputs = self.classifier(waveform, lengths)
        return tuple(outputs[name] for name in self.names)


def to_onnx(classifier: SpeechClassifier, facts: Mapping[str, str] | None = None) -> ModelProto:
    """Export with dynamic batch and length.

    Inputs ``waveform`` (batch, samples) float32 and ``lengths`` (batch,) int64; outputs ``logits``, ``probabilities``
    (batch, classes), ``embedding`` (batch, width) and what else the model has (``attention`` (batch, steps)).
    ``facts`` become the model's metadata.
    """
    model = classifier.exportable()
    rate_hz = model.front_end.settings.sample_rate_hz
    generator = torch.Generator().manual_seed(0)
    shortest = _shortest_traced(model)
    waveform = 0.1 * torch.randn(2, shortest + 3 * rate_hz, generator=generator)
    lengths = torch.tensor([shortest + 3 * rate_hz, 2 * rate_hz])
    with torch.no_grad():
        names = list(model(waveform, lengths))
    # The lower bound only keeps the tracer from treating one frame as a special case; the graph itself takes less.
    batch, samples = torch.export.Dim("batch"), torch.export.Dim("samples", min=shortest)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        for name in ("torch.onnx", "onnxscript"):
            logging.getLogger(name).setLevel(logging.ERROR)
        program = torch.onnx.export(
            _Flat(model, names),
            (waveform, lengths),
            input_names=list(INPUTS),
            output_names=[PREFIX + name for name in names],
            dynamic_shapes={"waveform": {0: batch, 1: samples}, "lengths": {0: batch}},
            opset_version=OPSET,
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    _name_outputs(proto)
    _tidy(proto)
    store_halves(proto)
    onnx.helper.set_model_props(proto, {"sample_rate_hz": str(rate_hz), **(facts or {})})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _shortest_traced(model: SpeechClassifier) -> int:
    """Return samples from which on the tracer sees more than one frame and more than one block."""
    network, front_end = model.network, model.front_end
    n_blocked = 2 * network.length * front_end.hop_length if isinstance(network, Segmented) else 0
    return max(4 * front_end.settings.n_fft, n_blocked + 2 * front_end.hop_length)


def _name_outputs(proto: ModelProto) -> None:
    """Give the outputs their own names, and whatever inside the graph has one of them another."""
    names = [value.name.removeprefix(PREFIX) for value in proto.graph.output]
    renamed = {name: f"inner.{name}" for name in names} | {PREFIX + name: name for name in names}
    for node in proto.graph.node:
        for values in (node.input, node.output):
            values[:] = [renamed.get(value, value) for value in values]
    for value in (*proto.graph.output, *proto.graph.initializer):
        value.name = renamed.get(value.name, value.name)


def _tidy(proto: ModelProto) -> None:
    """Remove what names a machine or only weighs, name the axes, refuse a graph whose length got fixed."""
    del proto.graph.value_info[:]
    del proto.metadata_props[:]
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*proto.graph.input, *proto.graph.output):
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if axis == 0 and dimension.dim_param != "batch":
                raise EarnestError(f"The export fixed the batch size of '{value.name}'.")
            if value.name in DYNAMIC and axis == 1:
                if not dimension.dim_param:
                    raise EarnestError(f"The export fixed the length of '{value.name}' to {dimension.dim_value}.")
                dimension.dim_param = DYNAMIC[value.name]
