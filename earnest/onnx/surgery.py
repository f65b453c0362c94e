"""A bundle's graph changed without the package onnx, and without torch: cut in two, or with other last layers.

Cut between its front end and its network, each side is a model of its own. What replaces the last layers follows from
``embedding``; ``logits``, ``probabilities`` and ``distance`` are made anew:

* logits z = W·e + b, (batch, classes);
* distance d = √(mean over k of (v_k·(e − m))²), (batch,), see `earnest.learning.domain`; of speech that the graph knows
  as `MISMATCH` d is larger: max(d, u − u₀ + d₀), with u₀ the u from which that is out of domain;
* probabilities softmax(z·min(t/t₀, 1) / (T·s)) with ln s = max(d − d₀, 0), at most 3: strange sound is answered less
  surely. Without a distance s = 1. So is sound that is shorter than t₀ once silence at both ends is cut off, where the
  graph measures that (`HEARD`), and so are several people at once, where it knows them (`OVERLAP`): also over max(v, 1)
  with ln v = o − o₀, at most 3.

All other outputs (``gender``, ``sound``, ``attention``) stay as they are.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError
from earnest.onnx.check import Field, decoded, fields_of, numbers_of, text_of, written_field, written_number

Table = npt.NDArray[np.float32]
# Fields of ModelProto, GraphProto, NodeProto, TensorProto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_GRAPH, _METADATA = 7, 14
_NODE, _NAME, _INITIALIZER, _INPUT, _OUTPUT, _VALUE = 1, 2, 5, 11, 12, 13
Part: TypeAlias = Literal["whole", "front_end", "network"]
CUT = ("log_mel", "n_frames")
"""Values between the front end and the network: (batch, rows, frames) float32 and (batch,) int64."""


class CutError(BundleError):
    """A model has no values between front end and network to be cut at."""

    def __init__(self) -> None:
        super().__init__("the model has no spectrogram inside to be cut at. Export a model that has one again.")


def part_of(data: bytes, part: Part) -> bytes:
    """Cut a checked model between front end and network, at the values `CUT`.

    Raises `CutError` when the model has no such values: it works on raw samples, or an earlier version exported it; and
    `BundleError` when it is damaged where `check_onnx` doesn't look.
    """
    if part == "whole":
        return data
    try:
        return _cut(data, part)
    except (IndexError, ValueError):
        raise BundleError("not an ONNX model that can be cut. Export it again.") from None


def _cut(data: bytes, part: Part) -> bytes:
    fields = fields_of(data)
    graph = next(fields_of(field.message) for field in fields if field.number == _GRAPH)
    known = {text_of(field.message, 1): field.message for field in graph if field.number == _VALUE}
    if not known.keys() >= set(CUT):
        raise CutError
    cut = [known[name] for name in CUT]
    given, made = ([field.message for field in graph if field.number == number] for number in (_INPUT, _OUTPUT))
    inputs, outputs = (given, cut) if part == "front_end" else (cut, made)
    # What makes a value that is given from outside is the other side's.
    nodes, constants = _needed(graph, {text_of(value, 1) for value in outputs}, {text_of(value, 1) for value in inputs})
    parts = [
        *(bytes(field.raw) for field in graph if field.number == _NAME),
        *(bytes(node.raw) for node in nodes),
        *constants,
        *(written_field(_INPUT, value) for value in inputs),
        *(written_field(_OUTPUT, value) for value in outputs),
    ]
    whole = written_field(_GRAPH, b"".join(parts))
    return b"".join(whole if field.number == _GRAPH else bytes(field.raw) for field in fields)


def _names(node: Field, number: int) -> list[str]:
    return [decoded(value.message) for value in fields_of(node.message) if value.number == number]


def _needed(graph: Sequence[Field], wanted: set[str], given: Collection[str] = ()) -> tuple[list[Field], list[bytes]]:
    """Return the nodes that ``wanted`` follow from, in their order, and the constants that those use.

    Parameters
    ----------
    given : values that no node needs to make
    """
    nodes: list[Field] = []
    # Makers stand before users in a graph: so backwards each node is met after all that need it.
    for field in reversed([field for field in graph if field.number == _NODE]):
        made = set(_names(field, 2))
        if made & wanted and not made.intersection(given):
            nodes.append(field)
            wanted.update(_names(field, 1))
    constants = [
        bytes(item.raw) for item in graph if item.number == _INITIALIZER and text_of(item.message, 8) in wanted
    ]
    return nodes[::-1], constants


REPLACED = ("logits", "probabilities", "distance")
_OUTPUTS = (*REPLACED, "sound", "overlap", "intensity", "affect_derived")
_PREFIX = "learned."
HEADS = "network.heads_"  # before names of what is added to a traced graph
HEARD = HEADS + "heard"
"""The seconds that are left between the silences by `SURE_FROM_S`, (batch,)."""
MISMATCH = HEADS + "mismatch"
"""How far speech is heard well and told badly (whispered, in wind …): u = softmax(e·W + b)·r, (batch, 1)."""
OVERLAP = HEADS + "overlap"
"""The log-odds that several people speak at once, o = max(e·W + b), are its ``_score``, (batch, 1)."""
SURE_FROM_S = 1.5  # t₀ of the bundles that ship
LARGEST_LOG = 3.0  # of s, so that nothing overflows however strange the sound is
_KINDS: Mapping[type, int] = {np.float32: 1, np.int64: 7, np.float16: 10}
FLOAT = 1  # a kind of tensor
_INT = 2  # a kind of attribute


@dataclass(frozen=True, eq=False)
class KnownSound:
    """Where known sound lies: mean (width,), scaled directions (directions, width), the distance d₀, and u₀ if any."""

    mean: Table
    directions: Table
    threshold: float
    mismatch_from: float | None = None


@dataclass(frozen=True, eq=False)
class AddedHead:
    """What makes a graph's `MISMATCH` or, without r, `OVERLAP`: W (width, kinds), b and r (kinds,).

    ``start`` is u₀ or o₀, where `with_head` has written it.
    """

    weight: Table
    bias: Table
    reach: Table | None
    start: float | None

    def values(self, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return u, or o, of embeddings (rows, width), shape (rows,)."""
        scores = embeddings @ self.weight + self.bias
        if self.reach is None:
            return np.asarray(scores.max(axis=1))
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(shares @ self.reach / shares.sum(axis=1))


@dataclass(frozen=True, eq=False)
class GraphHead:
    """W (classes, width), b (classes,), T, t₀, what known sound is (else there is no ``distance``), and o₀ if any."""

    weight: Table
    bias: Table
    temperature: float
    sure_from_s: float = SURE_FROM_S
    known: KnownSound | None = None
    overlap_from: float | None = None


def last_layer_of(data: bytes) -> tuple[Table, Table] | None:
    """Read W (classes, width) and b (classes,) of a model's logits W·e + b; None where they are made otherwise."""
    try:
        graph, tables = _graph_and_tables(data)
        (made,) = (field for field in graph if field.number == _NODE and "logits" in _names(field, 2))
        source, *names = _names(made, 1)
        if text_of(made.message, 4) != "Gemm" or source != "embedding":
            return None
        weight, bias = (_table(tables[name]) for name in names)
        return (weight, bias) if weight.ndim == 2 and bias.shape == weight.shape[:1] else None
    except (IndexError, ValueError, KeyError, StopIteration):
        return None


def added_head_of(data: bytes, name: str, width: int) -> AddedHead | None:
    """Read what makes a model's `MISMATCH` or `OVERLAP` of embeddings of a width; None where it has none."""
    try:
        _, tables = _graph_and_tables(data)
        weight, bias = _table(tables[f"{name}_weight"], np.float16), _table(tables[f"{name}_bias"])
        reach = _table(tables[HEADS + "reach"]).ravel() if name == MISMATCH else None
        start = tables.get(f"{_PREFIX}{name.removeprefix(HEADS)}_start")
        is_right = weight.shape == (width, len(bias)) and (reach is None or reach.shape == bias.shape)
        return AddedHead(weight, bias, reach, None if start is None else _table(start).item()) if is_right else None
    except (IndexError, ValueError, KeyError, StopIteration, TypeError):  # a bias without dimensions has no length
        return None


def _graph_and_tables(data: bytes) -> tuple[list[Field], dict[str, memoryview]]:
    """Return the fields of the graph, and its tensors by name."""
    graph = next(fields_of(field.message) for field in fields_of(data) if field.number == _GRAPH)
    return graph, {text_of(item.message, 8): item.message for item in graph if item.number == _INITIALIZER}


def _table(tensor: memoryview, kind: type = np.float32) -> Table:
    """Read a TensorProto with raw data, of this kind of numbers."""
    fields = fields_of(tensor)
    if numbers_of(fields, 2) != [_KINDS[kind]]:
        raise ValueError("another kind of numbers")
    raw = next(field.message for field in fields if field.number == 9)
    stored = np.frombuffer(raw, np.dtype(kind).newbyteorder("<"))
    return stored.reshape(numbers_of(fields, 1)).astype(np.float32)


def with_head(data: bytes, head: GraphHead, facts: Mapping[str, str]) -> bytes:
    """Return a checked model with other last layers.

    Raises `BundleError` when the model has no output ``embedding``, or is damaged where `check_onnx` doesn't look.

    Parameters
    ----------
    facts : what the file says about itself, in place of what it said
    """
    try:
        return _replaced(data, head, facts)
    except (IndexError, ValueError, StopIteration):
        raise BundleError("not an ONNX model whose last layer can be replaced. Export it again.") from None


def _replaced(data: bytes, head: GraphHead, facts: Mapping[str, str]) -> bytes:
    fields = fields_of(data)
    graph = next(fields_of(field.message) for field in fields if field.number == _GRAPH)
    outputs = [field for field in graph if field.number == _OUTPUT]
    names = [text_of(field.message, 1) for field in outputs]
    if "embedding" not in names:
        raise BundleError("the model has no output 'embedding' to learn from. Use another one.")
    kept = [bytes(field.raw) for field, name in zip(outputs, names, strict=True) if name not in REPLACED]
    more = {MISMATCH} if head.known and head.known.mismatch_from is not None else set()
    nodes, constants = _needed(graph, {HEARD, *more, *names} - set(REPLACED))
    made_names = {name for node in nodes for name in _names(node, 2)} | {"embedding"}
    made = GraphParts(_PREFIX)
    _add_head(made, head, made_names)
    values = [bytes(field.raw) for field in graph if field.number == _VALUE and text_of(field.message, 1) in made_names]
    other = [bytes(field.raw) for field in graph if field.number not in (_NODE, _INITIALIZER, _OUTPUT, _VALUE)]
    parts = [
        *(bytes(node.raw) for node in nodes),
        *made.nodes,
        *other,
        *constants,
        *made.constants,
        *kept,
        *made.outputs,
        *values,
    ]
    whole = written_field(_GRAPH, b"".join(parts))
    weights = hashlib.sha256(b"".join([*constants, *made.constants])).hexdigest()
    told = [
        written_field(_METADATA, written_field(1, name.encode()) + written_field(2, text.encode()))
        for name, text in {**facts, "weights_sha256": weights}.items()
    ]
    model = [whole if field.number == _GRAPH else bytes(field.raw) for field in fields if field.number != _METADATA]
    return b"".join([*model, *told])


class GraphParts:
    """Nodes, constants and outputs that are added, under names that nothing else in the graph has: ``prefix`` first."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []
        self.outputs: list[bytes] = []

    @classmethod
    @contextmanager
    def appended(cls, proto: Any) -> Iterator["GraphParts"]:
        """Append what is added within to a model of the package onnx, under names that begin with `HEADS`."""
        parts = cls(HEADS)
        yield parts
        proto.graph.MergeFromString(parts.written())

    def written(self) -> bytes:
        """Return all of them as fields of a graph, which protobuf's ``MergeFromString`` appends to another's."""
        return b"".join([*self.nodes, *self.constants, *self.outputs])

    def constant(self, name: str, value: npt.ArrayLike, kind: type = np.float32) -> str:
        """Add numbers; return their name."""
        array = np.ascontiguousarray(value, np.dtype(kind).newbyteorder("<"))
        shape = np.shape(value)  # ascontiguousarray makes (1,) of ()
        dims = b"".join(written_number(1, size) for size in shape)
        name = self._prefix + name
        # TensorProto: dims 1, data_type 2, name 8, raw_data 9.
        facts = dims + written_number(2, _KINDS[kind]) + written_field(8, name.encode())
        self.constants.append(written_field(_INITIALIZER, facts + written_field(9, array.tobytes())))
        return name

    def node(self, operation: str, inputs: Sequence[str], output: str, **attributes: int) -> str:
        """Add a node; an output of the graph keeps its name, which is returned."""
        name = output if output in _OUTPUTS else self._prefix + output
        # NodeProto: input 1, output 2, name 3, op_type 4, attribute 5; AttributeProto: name 1, i 3, type 20.
        fields = [written_field(1, one.encode()) for one in inputs]
        fields += [written_field(2, name.encode()), written_field(3, f"{self._prefix}make_{output}".encode())]
        fields += [written_field(4, operation.encode())]
        for key, value in attributes.items():
            kind = written_number(20, _INT)
            fields.append(written_field(5, written_field(1, key.encode()) + written_number(3, value) + kind))
        self.nodes.append(written_field(_NODE, b"".join(fields)))
        return name

    def output(self, name: str, *sizes: int) -> None:
        """Add an output of float32, shape (batch, *sizes)."""
        # A shape is a row of dim 1, each a dim_value 1 or a dim_param 2; the type: elem_type 1, shape 2.
        batch = written_field(1, written_field(2, b"batch"))
        shape = batch + b"".join(written_field(1, written_number(1, size)) for size in sizes)
        tensor = written_number(1, FLOAT) + written_field(2, shape)
        message = written_field(1, name.encode()) + written_field(2, written_field(1, tensor))
        self.outputs.append(written_field(_OUTPUT, message))


def _add_head(made: GraphParts, head: GraphHead, known: Collection[str]) -> None:
    n_classes = len(head.bias)
    weight = made.constant("weight", head.weight)
    logits = made.node("Gemm", ["embedding", weight, made.constant("bias", head.bias)], "logits", transB=1)
    sharpness = made.constant("sharpness", 1 / head.temperature)
    if head.known:
        sharpness = made.node("Mul", [_softened(made, head.known), sharpness], "softened")  # (batch, 1)
    if head.overlap_from is not None and f"{OVERLAP}_score" in known:
        alone = add_sharper(made, f"{OVERLAP}_score", head.overlap_from, "overlap_")
        sharpness = made.node("Mul", [alone, sharpness], "softened_alone")  # (batch, 1)
    if HEARD in known:
        heard = made.node("Mul", [HEARD, made.constant("enough", SURE_FROM_S / head.sure_from_s)], "heard")  # t/t₀
        sharpness = made.node("Mul", [add_length(made, heard), sharpness], "sureness")  # (batch, 1)
    scaled = made.node("Mul", [logits, sharpness], "scaled")
    made.node("Softmax", [scaled], "probabilities", axis=1)
    made.output("logits", n_classes)
    made.output("probabilities", n_classes)


def _softened(made: GraphParts, known: KnownSound) -> str:
    """Add the distance; return the name of 1/s, (batch, 1)."""
    n_directions = len(known.directions)
    # A·(e − m) as one Gemm, (batch, directions), with A·m as its bias.
    origin = made.constant("origin", -(known.directions @ known.mean))
    projected = made.node(
        "Gemm", ["embedding", made.constant("directions", known.directions), origin], "projected", transB=1
    )
    squares = made.node("Mul", [projected, projected], "squares")
    # Mean over K directions as a product with K times 1/K: (batch, 1).
    mean = made.node("MatMul", [squares, made.constant("shares", np.full((n_directions, 1), 1 / n_directions))], "mean")
    distances = made.node("Sqrt", [made.node("Max", [mean, made.constant("least", 1e-12)], "positive")], "distances")
    if known.mismatch_from is not None:  # max(d, u − u₀ + d₀)
        past = made.node("Sub", [MISMATCH, made.constant("mismatch_start", known.mismatch_from)], "past")
        off = made.node("Add", [past, made.constant("known_to", known.threshold)], "off")
        distances = made.node("Max", [distances, off], "farther")
    made.node("Reshape", [distances, made.constant("flat", [-1], np.int64)], "distance")
    made.output("distance")
    return add_sharper(made, distances, known.threshold)


def add_sharper(add: GraphParts, distances: str, start: float, of: str = "") -> str:
    """Add 1/s of distances d (batch, 1), with d₀ the start, by names after ``of``; return its name, (batch, 1)."""
    beyond = add.node("Sub", [add.constant(f"{of}start", start), distances], f"{of}beyond")
    limits = [add.constant(f"{of}lowest", -LARGEST_LOG), add.constant(f"{of}highest", 0.0)]
    # 1/s = exp(clip(d₀ − d, −3, 0)): softer, the farther a sound lies behind the start.
    return add.node("Exp", [add.node("Clip", [beyond, *limits], f"{of}minus_log")], f"{of}sharper")


def add_length(add: GraphParts, heard: str) -> str:
    """Add min(t/t₀, 1) of t/t₀ (batch,): in proportion to the time, up to t₀; return its name, (batch, 1)."""
    share = add.node("Min", [heard, add.constant("all_of_it", 1.0)], "length")
    return add.node("Unsqueeze", [share, add.constant("length_axis", [1], np.int64)], "by_length")
