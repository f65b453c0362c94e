"""From a trained network to an ONNX graph, waveform in and probabilities out, its weights stored in 8 or 16 bits.

Moody's web application calls a graph of its own: 2.1 s at 22,050 Hz in, logits in Moody's order out.
"""

import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from earnest.bundle import classes_text
from earnest.errors import EarnestError
from earnest.frontends.log_mel import RawWaveform
from earnest.labels import SCHEMES
from earnest.models.classifier import Segmented, SpeechClassifier
from earnest.models.pretrained import BYTES, HALVES, LARGEST, OF_NETWORK, STEPS, TRANSPOSED
from earnest.onnx.surgery import GraphParts, Table

SMALLEST = 1024  # elements; below, the extra node costs more than it saves


def store_small(proto: ModelProto, rounding: bool = False) -> None:
    """Replace, in place, large float32 initializers by smaller ones and cast them back: computing stays in float32.

    What whole numbers of 8 bits times a scale hold exactly is stored so (`earnest.models.pretrained`), else what
    float16 holds exactly. Runtimes do the arithmetic once, when they load the graph.

    Parameters
    ----------
    rounding : to float16 also what it only comes near to, within its range
    """
    restored: list[NodeProto] = []
    for tensor in list(proto.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALLEST:
            continue
        name = tensor.name
        with np.errstate(over="ignore"):  # beyond 65,504 float16 is infinite, and float32 is kept
            halves = values.astype(np.float16)
        if (scale := _scale_of(values)) is not None:
            numbers = np.rint(values / scale).astype(np.int8)
            tensor.CopyFrom(numpy_helper.from_array(numbers, name + BYTES))
            proto.graph.initializer.append(numpy_helper.from_array(scale, name + STEPS))
            restored.append(_cast(name + BYTES, name + "_unscaled"))
            restored.append(helper.make_node("Mul", [name + "_unscaled", name + STEPS], [name], f"{name}_scaled"))
        elif np.array_equal(halves, values) or (rounding and np.isfinite(halves).all()):
            tensor.CopyFrom(numpy_helper.from_array(halves, name + HALVES))
            restored.append(_cast(name + HALVES, name))
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    # Casts first: a node stands behind those that make its inputs.
    proto.graph.node.extend([*restored, *nodes])


def _cast(stored: str, name: str) -> NodeProto:
    return helper.make_node("Cast", [stored], [name], f"{name}_to_float32", to=TensorProto.FLOAT)


def _scale_of(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
    """Return the scales, one an output, whose whole multiples the values are; None where there are none.

    Outputs are the first axis of a convolution's weights, and the last one of a product's.
    """
    for axis in {0, values.ndim - 1} if values.ndim > 1 else ():
        others = tuple(other for other in range(values.ndim) if other != axis)
        largest = np.abs(values).max(axis=others, keepdims=True)  # the largest of an output is ±127 steps
        scale = np.where(largest > 0, largest / np.float32(LARGEST), np.float32(1)).astype(np.float32)
        if np.array_equal(np.rint(values / scale) * scale, values):
            return scale
    return None


OPSET = 18
INPUTS = ("waveform", "lengths")
FRONT, NETWORK = "front_end.", "network."  # every node and weight has one of them before its name
OUTPUT = "output."  # while exporting: operators are named too, and one of them is "embedding"
VARYING = {
    "waveform": ((1, "samples"),),
    "log_mel": ((2, "frames"),),
    "prepared": ((2, "frames"),),
    "attention": ((1, "steps"),),
}


class _Network(nn.Module):
    """The network behind the front end, with its outputs as a tuple, in the order of ``names``."""

    def __init__(self, classifier: SpeechClassifier, names: Sequence[str]) -> None:
        super().__init__()
        self.classifier = classifier
        self.names = names

    def forward(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, ...]:
        outputs = self.classifier.answer(frames, n_frames)
        return tuple(outputs[name] for name in self.names)


def to_onnx(classifier: SpeechClassifier) -> ModelProto:
    """Export with dynamic batch and length; weights that float16 holds exactly are stored so.

    Inputs ``waveform`` (batch, samples) float32 and ``lengths`` (batch,) int64; outputs ``logits``, ``probabilities``
    (batch, classes), ``embedding`` (batch, width) and what else the model has (``attention`` (batch, steps)). Between
    front end and network lie ``log_mel`` (batch, rows, frames) and ``n_frames`` (batch,), where the graph can be cut
    (`earnest.onnx.surgery.part_of`); behind a front end on raw samples the first is called ``prepared``.
    """
    proto = traced(classifier)
    store_small(proto)
    rate_hz = str(classifier.front_end.settings.sample_rate_hz)
    return finished(proto, {"sample_rate_hz": rate_hz, "classes": classes_text(classifier.classes)})


def traced(classifier: SpeechClassifier) -> ModelProto:
    """Export as `to_onnx` does, with all weights in float32 and without metadata; nodes are named after their part."""
    model = classifier.exportable()
    rate_hz = model.front_end.settings.sample_rate_hz
    n_shortest = _shortest_traced(model)
    generator = torch.Generator().manual_seed(0)
    # Two clips, as the tracer would take a batch of one for a fixed size; of two lengths, so that masks are traced.
    waveform = 0.1 * torch.randn(2, n_shortest + 3 * rate_hz, generator=generator)
    lengths = torch.tensor([waveform.shape[1], 2 * rate_hz])
    with torch.no_grad():
        frames, n_frames = model.front_end(waveform, lengths)
        names = list(model.answer(frames, n_frames))
    middle = ("prepared" if isinstance(model.front_end, RawWaveform) else "log_mel", "n_frames")
    # The lower bounds only keep the tracer from treating one frame as a special case; the graph itself takes less.
    batch, samples = torch.export.Dim("batch"), torch.export.Dim("samples", min=n_shortest)
    inner = torch.export.Dim("frames", min=model.front_end.n_frames(n_shortest))
    front = _traced(model.front_end, (waveform, lengths), ({0: batch, 1: samples}, {0: batch}), INPUTS, middle, FRONT)
    network = _traced(
        _Network(model, names), (frames, n_frames), ({0: batch, 2: inner}, {0: batch}), middle, names, NETWORK
    )
    name_products(network, model.network)
    if model.front_end.settings.trim != "none":
        drop_masked_frames(front, middle, model.front_end.n_frames(n_shortest))
    proto = _joined(front, network, middle)
    halve_last(proto)
    return proto


def name_products(proto: ModelProto, network: nn.Module) -> None:
    """Name the matrices that the tracer turned over after the parameter (outputs, inputs) each is the transpose of.

    So a bundle is a checkpoint of its network too (`earnest.models.pretrained.read_tensors`).
    """
    transposed = {
        parameter.detach().numpy().T.tobytes(): f"{OF_NETWORK}{name}{TRANSPOSED}"
        for name, parameter in network.named_parameters()
        if parameter.ndim == 2
    }
    known = {tensor.name for tensor in proto.graph.initializer}
    renamed = {}
    for tensor in proto.graph.initializer:
        name = transposed.get(numpy_helper.to_array(tensor).tobytes(), tensor.name) if len(tensor.dims) == 2 else ""
        if name and name not in known:
            renamed[tensor.name] = tensor.name = name
            known.add(name)
    for node in proto.graph.node:
        node.input[:] = [renamed.get(value, value) for value in node.input]


def drop_masked_frames(front: ModelProto, names: tuple[str, str], n_least: int) -> None:
    """Cut off the frames that trimming left behind the longest utterance of a batch: the network masks them anyway.

    Parameters
    ----------
    names : of the front end's outputs, frames (batch, rows, frames) and their numbers (batch,)
    n_least : frames that stay in any case
    """
    frames, n_frames = names
    whole, longest, end, axis, start = (f"{FRONT}kept_{name}" for name in ("whole", "longest", "end", "axis", "start"))
    for node in front.graph.node:
        for values in (node.input, node.output):
            values[:] = [whole if value == frames else value for value in values]
    least = f"{FRONT}kept_least"
    for name, value in ((least, n_least), (axis, 2), (start, 0)):
        front.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value], np.int64), name))
    # frames = whole[:, :, 0 : max(n_frames of the longest utterance, n_least)].
    front.graph.node.extend(
        onnx.helper.make_node(operation, inputs, [output], name=output if output != frames else f"{FRONT}kept")
        for operation, inputs, output in (
            ("ReduceMax", [n_frames], longest),
            ("Max", [longest, least], end),
            ("Slice", [whole, start, end, axis], frames),
        )
    )


def halve_last(proto: ModelProto) -> None:
    """Turn every x·(½·(1 + erf …)) into (x·(1 + erf …))·½, the form of GELU that onnxruntime computes in one go."""
    maker = {name: node for node in proto.graph.node for name in node.output}

    def made_by(name: str, operation: str) -> NodeProto | None:
        node = maker.get(name)
        return node if node is not None and node.op_type == operation else None

    for outer in proto.graph.node:
        for position, name in enumerate(outer.input if outer.op_type == "Mul" else ()):
            inner = made_by(name, "Mul")
            sums = [made_by(factor, "Add") for factor in inner.input] if inner else []
            for place, added in enumerate(sums):
                if inner and added and any(made_by(term, "Erf") for term in added.input):
                    # Swapped in place: inner ½·(1 + erf …) becomes x·(1 + erf …), and outer x·inner becomes inner·½.
                    factor, half = outer.input[1 - position], inner.input[1 - place]
                    inner.input[:] = [factor, inner.input[place]]
                    outer.input[:] = [name, half]


def finished(proto: ModelProto, facts: Mapping[str, str]) -> ModelProto:
    """Return a checked model with the shapes of its values and metadata: ``facts`` and the sha256 of its weights."""
    proto = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    digest = sha256()
    for tensor in proto.graph.initializer:
        digest.update(tensor.name.encode() + onnx.numpy_helper.to_array(tensor).tobytes())
    onnx.helper.set_model_props(proto, {**facts, "weights_sha256": digest.hexdigest()})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _shortest_traced(model: SpeechClassifier) -> int:
    """Return samples from which on the tracer sees more than one frame and more than one block."""
    network, front_end = model.network, model.front_end
    n_blocked = 2 * network.length * front_end.hop_length if isinstance(network, Segmented) else 0
    return max(4 * front_end.settings.n_fft, n_blocked + 2 * front_end.hop_length)


def _traced(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    axes: tuple[Mapping[int, Any], ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    prefix: str,
) -> ModelProto:
    """Export one part; every name in it begins with ``prefix``, but those of its inputs and outputs."""
    proto = quiet_export(module, arguments, axes, inputs, [OUTPUT + name for name in outputs])
    remove_traces(proto)
    proto = onnx.compose.add_prefix(proto, prefix, rename_inputs=False, rename_outputs=False)
    renamed = {OUTPUT + name: name for name in outputs}
    for node in proto.graph.node:
        for values in (node.input, node.output):
            values[:] = [renamed.get(value, value) for value in values]
    for value in proto.graph.output:
        value.name = renamed[value.name]
    return proto


def quiet_export(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    axes: tuple[Mapping[int, Any], ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> ModelProto:
    """Call torch's exporter, which says a lot; ``axes`` names each argument's dimensions that vary."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        for name in ("torch.onnx", "onnxscript"):
            logging.getLogger(name).setLevel(logging.ERROR)
        program = torch.onnx.export(
            module,
            arguments,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=axes,
            opset_version=OPSET,
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def remove_traces(proto: ModelProto) -> None:
    """Remove names of the machine, and data that nothing needs."""
    del proto.graph.value_info[:]
    del proto.metadata_props[:]
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]


def _joined(front: ModelProto, network: ModelProto, middle: Sequence[str]) -> ModelProto:
    """Put the network behind the front end; refuse a graph whose batch size or length got fixed."""
    for part in (front, network):
        _check_dynamic(part)
    proto = onnx.compose.merge_models(front, network, [(name, name) for name in middle])
    del proto.opset_import[:]  # merging keeps both
    proto.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    proto.graph.name, proto.producer_name = "earnest", "earnest"
    return proto


def _check_dynamic(proto: ModelProto) -> None:
    """Name the axes that vary; refuse one that doesn't."""
    for value in (*proto.graph.input, *proto.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        for axis, name in ((0, "batch"), *VARYING.get(value.name, ())):
            if not dimensions[axis].dim_param:
                raise EarnestError(f"The export fixed the {name} of '{value.name}' to {dimensions[axis].dim_value}.")
            dimensions[axis].dim_param = name


def add_distance(proto: ModelProto, mean: Table, directions: Table) -> None:
    """Add the output ``distance`` (batch,) from the training utterances (out-of-domain); like theirs has about 1.

    d = √(mean_k ((e − m)·v_k)²) over their principal directions v_k, each divided by its deviation
    (`earnest.training.runtime_statistics`).

    Parameters
    ----------
    proto : from `traced`, or a bundle's graph; changed in place
    mean, directions : shapes (width,) and (directions, width)
    """
    with GraphParts.appended(proto) as add:
        axis = add.constant("axis", [1], np.int64)
        # d = √(mean over directions of (A·(e − m))²), with A·e − A·m as one Gemm: (batch, directions).
        origin = add.constant("origin", -(directions @ mean))
        projected = add.node("Gemm", ["embedding", add.constant("directions", directions.T), origin], "projected")
        squares = add.node("Mul", [projected, projected], "squares")
        mean_square = add.node("ReduceMean", [squares, axis], "mean_square", keepdims=1)
        positive = add.node("Max", [mean_square, add.constant("least", 1e-12)], "positive")
        distances = add.node("Sqrt", [positive], "distances")  # (batch, 1)
        add.node("Squeeze", [distances, axis], "distance")
        add.output("distance")


MOODY_RATE_HZ = 22_050
MOODY_SAMPLES = 46_305  # 2.1 s
MOODY_SEVEN = SCHEMES["moody7"].classes
MOODY_EIGHT = (*MOODY_SEVEN, "calm")


class _MoodyClassifier(nn.Module):
    """The classifier for utterances of one length, its classes in Moody's order."""

    order: Tensor

    def __init__(self, classifier: SpeechClassifier, order: list[int]) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("order", torch.tensor(order))

    def forward(self, waveform: Tensor) -> Tensor:
        lengths = torch.full_like(waveform[:, 0], MOODY_SAMPLES, dtype=torch.int64)
        logits: Tensor = self.classifier(waveform, lengths)["logits"]
        return logits.index_select(1, self.order) / self.classifier.temperature


def moody_classes(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return a model's classes in Moody's order: its seven, and calm behind them where the model tells it apart.

    Raises `EarnestError` when the model has other classes.
    """
    for wanted in (MOODY_SEVEN, MOODY_EIGHT):
        if set(classes) == set(wanted):
            return wanted
    raise EarnestError(
        f"Moody's page reads {', '.join(MOODY_SEVEN)}, and calm behind them; this model tells {', '.join(classes)}. "
        "Train with --scheme moody7."
    )


def to_moody(classifier: SpeechClassifier, facts: Mapping[str, str]) -> ModelProto:
    """Export with input ``input`` (batch, 46305) float32 at 22,050 Hz and output ``output`` (batch, 7 or 8) logits.

    Moody's page scales every utterance to a root mean square of one before; with a front end that does so itself
    nothing changes. The logits are divided by the temperature, so that its softmax gives calibrated probabilities.
    """
    rate_hz = classifier.front_end.settings.sample_rate_hz
    if rate_hz != MOODY_RATE_HZ:
        raise EarnestError(
            f"Moody's page records at {MOODY_RATE_HZ} Hz, this model hears {rate_hz} Hz. Train a recipe with "
            'preset = "moody" in [front_end], such as recipes/moody-alexnet.toml.'
        )
    wanted = moody_classes(classifier.classes)
    model = _MoodyClassifier(classifier.exportable(), [classifier.classes.index(name) for name in wanted]).eval()
    waveform = 0.1 * torch.randn(2, MOODY_SAMPLES, generator=torch.Generator().manual_seed(0))
    proto = quiet_export(model, (waveform,), ({0: torch.export.Dim("batch")},), ("input",), ("output",))
    remove_traces(proto)
    proto.graph.name, proto.producer_name = "earnest", "earnest"
    if proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value:
        raise EarnestError("The export fixed the batch size.")
    store_small(proto)
    assert [item.version for item in proto.opset_import if not item.domain] == [OPSET]
    return finished(proto, {**facts, "classes": ",".join(wanted), "profile": "moody", "n_samples": str(MOODY_SAMPLES)})
