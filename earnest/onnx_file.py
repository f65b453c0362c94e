"""ONNX files as bytes, without the ``onnx`` package: may they be run, and what lies on either side of the cut?

The protobuf is walked by hand. Field numbers: ModelProto.graph (7), .functions (25); GraphProto.node (1), .initializer
(5), .input (11), .output (12), .value_info (13), .sparse_initializer (15); NodeProto.input (1), .output (2), .op_type
(4), .attribute (5), .domain (7); AttributeProto.t (5), .g (6), .tensors (10), .graphs (11), .sparse_tensor (22),
.sparse_tensors (23); SparseTensorProto.values (1), .indices (2), .dims (3); FunctionProto.node (7); TensorProto.dims
(1), .data_type (2), .int64_data (7), .name (8), .raw_data (9), .external_data (13), .data_location (14);
ValueInfoProto.name (1).
"""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from earnest.errors import BundleError, shown

Part: TypeAlias = Literal["whole", "front_end", "network"]
CUT = ("log_mel", "n_frames")
"""Values between the front end and the network: (batch, rows, frames) float32 and (batch,) int64."""

MOST_FIELDS = 200_000  # each costs memory before anything is known about it
LONGEST_SHAPE = 16  # numbers of a tensor that may be a shape
MOST_CONSTANT = 1 << 29  # numbers in one tensor: its dimensions promise them, whatever is there
MOST_MADE = 1 << 25  # numbers that a node makes of a constant shape, or a sparse tensor is written out to: 128 MiB
_DOMAINS = frozenset({"", "ai.onnx"})
_UNBOUNDED = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_MAKERS = frozenset({"ConstantOfShape", "Expand", "Range", "Tile"})  # a few numbers make many
_INT64 = 7  # TensorProto.DataType
_NESTED: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


class CutError(BundleError):
    """A model has no values between front end and network to be cut at."""

    def __init__(self) -> None:
        super().__init__("the model has no spectrogram inside to be cut at. Export a model that has one again.")


def check_onnx(data: bytes, path: Path) -> None:
    """Refuse what is no ONNX model, what keeps weights in other files, and what could run without end.

    A graph that is allowed is one list of nodes of the standard operators, each of which runs once: no graphs within
    nodes (Loop, Scan, If), no functions, nothing random, no constants that promise more than a file can hold.
    """
    try:
        problem = _Inspection().problem_with(data)
    except (IndexError, ValueError, RecursionError, MemoryError):
        raise BundleError(f"{path}: not an ONNX model.") from None
    if problem:
        raise BundleError(f"{path}: {problem}")


def part_of(data: bytes, part: Part) -> bytes:
    """Cut a checked model between front end and network, at the values `CUT`.

    Raises
    ------
    CutError
        When the model has no such values: it works on raw samples, or an earlier version exported it.
    BundleError
        When it is damaged where `check_onnx` doesn't look.
    """
    if part == "whole":
        return data
    try:
        return _cut(data, part)
    except (IndexError, ValueError):
        raise BundleError("not an ONNX model that can be cut. Export it again.") from None


def _cut(data: bytes, part: Part) -> bytes:
    fields = _fields(data)
    graph = next(_fields(field.message) for field in fields if field.number == 7)
    known = {_text(field.message, 1): field.message for field in graph if field.number == 13}
    if not known.keys() >= set(CUT):
        raise CutError
    cut = [known[name] for name in CUT]
    outside = {name: [field.message for field in graph if field.number == name] for name in (11, 12)}
    inputs, outputs = (outside[11], cut) if part == "front_end" else (cut, outside[12])
    kept = _needed(graph, {_text(value, 1) for value in outputs}, {_text(value, 1) for value in inputs})
    kept += [_written_field(11, value) for value in inputs] + [_written_field(12, value) for value in outputs]
    whole = _written_field(7, b"".join(kept))
    return b"".join(whole if field.number == 7 else bytes(field.raw) for field in fields)


class _Field(NamedTuple):
    """One field of a message: its number, its content, and both as they are written."""

    number: int
    content: memoryview | int
    raw: memoryview

    @property
    def message(self) -> memoryview:
        """The content, where it is bytes."""
        if isinstance(self.content, int):
            raise ValueError("a number where bytes belong")
        return self.content


def _needed(graph: list[_Field], wanted: set[str], given: Collection[str]) -> list[bytes]:
    """Return the nodes that ``wanted`` follow from, in their order, and the constants that those use."""
    wanted, nodes = set(wanted), []
    for field in reversed([field for field in graph if field.number == 1]):
        names = {
            number: [_decoded(value.message) for value in _fields(field.message) if value.number == number]
            for number in (1, 2)
        }
        if wanted.intersection(names[2]) and not set(names[2]) & set(given):
            nodes.append(bytes(field.raw))
            wanted.update(names[1])
    constants = [bytes(item.raw) for item in graph if item.number == 5 and _text(item.message, 8) in wanted]
    named = [bytes(item.raw) for item in graph if item.number == 2]
    return [*named, *reversed(nodes), *constants]


def _text(message: memoryview, number: int) -> str:
    return next((_decoded(field.message) for field in _fields(message) if field.number == number), "")


def _decoded(text: memoryview) -> str:
    return str(text, "utf-8")


class _Inspection:
    """A walk through a model that ends at the first problem, and after `MOST_FIELDS` fields."""

    def __init__(self) -> None:
        self._left = MOST_FIELDS
        self._huge: set[str] = set()  # names of constants that hold, or multiply to, more than `MOST_MADE`

    def problem_with(self, data: bytes) -> str | None:
        """Return what is wrong, None for nothing."""
        fields = self._fields(data)
        graphs = [field.message for field in fields if field.number == 7]
        if not graphs:
            return "not an ONNX model (it has no graph)."
        if any(field.number == 25 for field in fields):
            return "holds functions, which no export of ours does. Export it again."
        if len(graphs) > 1:
            return "not an ONNX model (it has several graphs)."
        found = self._fields(graphs[0])
        for kind, number in (("tensor", 5), ("sparse", 15)):  # before the nodes that use them
            for field in found:
                if field.number == number and (problem := self._with_constant(field.message, kind)):
                    return problem
        nodes = (field.message for field in found if field.number == 1)
        return next((problem for node in nodes if (problem := self._with_node(node))), None)

    def _fields(self, message: memoryview | bytes) -> list[_Field]:
        fields = _fields(message, self._left)
        self._left -= len(fields)
        return fields

    def _with_node(self, node: memoryview) -> str | None:
        fields = self._fields(node)
        texts = {number: [_decoded(field.message) for field in fields if field.number == number] for number in (1, 2)}
        operator, domain = _text(node, 4), _text(node, 7)
        if domain not in _DOMAINS or operator in _RANDOM:
            return f"its operator {shown(operator)} is not one that exports of ours use. Export it again."
        if operator in _MAKERS and self._huge.intersection(texts[1]):
            return f"its operator {operator} would make more than {MOST_MADE:,} numbers. Export it again."
        for field in fields:
            if field.number != 5:
                continue
            for part in self._fields(field.message):
                if part.number in (6, 11):
                    return f"its operator {shown(operator)} may run without end. Export it again."
                kind = _NESTED["attribute"].get(part.number)
                if kind and (problem := self._with_constant(part.message, kind, texts[2])):
                    return problem
        return f"its operator {operator} may run without end. Export it again." if operator in _UNBOUNDED else None

    def _with_constant(self, message: memoryview, kind: str, names: Sequence[str] = ()) -> str | None:
        """Check a tensor; those that would make too much as a shape are remembered by ``names``, or their own."""
        fields = self._fields(message)
        if kind == "sparse":
            if math.prod(_numbers(fields, 3)) > MOST_MADE:
                return f"one of its constants promises more than {MOST_MADE:,} numbers. Export it again."
            inner = [field.message for field in fields if field.number in _NESTED["sparse"]]
            return next((problem for one in inner if (problem := self._with_constant(one, "tensor"))), None)
        if any(field.number == 13 or (field.number == 14 and field.content != 0) for field in fields):
            return "its weights lie in another file. Save the model with all data inside."
        dimensions = _numbers(fields, 1)
        if min(dimensions, default=0) < 0 or math.prod(dimensions) > MOST_CONSTANT:
            return f"one of its constants promises more than {MOST_CONSTANT:,} numbers. Export it again."
        if math.prod(dimensions) <= LONGEST_SHAPE and math.prod(map(abs, _whole(fields))) > MOST_MADE:
            self._huge.update(names or [_text(message, 8)])
        return None


def _whole(fields: Sequence[_Field]) -> list[int]:
    """Return the numbers of a small tensor of int64 other than 0, none of another tensor."""
    if next((field.content for field in fields if field.number == 2), 0) != _INT64:
        return []
    raw = next((field.message for field in fields if field.number == 9), memoryview(b""))
    numbers = np.frombuffer(raw[: len(raw) // 8 * 8], "<i8").tolist() + _numbers(fields, 7)
    return [number for number in numbers if number]


def _numbers(fields: Sequence[_Field], number: int) -> list[int]:
    """Return repeated whole numbers, written one by one or together."""
    found: list[int] = []
    for field in fields:
        if field.number == number and isinstance(field.content, int):
            found.append(field.content)
        elif field.number == number:
            position = 0
            while position < len(field.message):
                value, position = _varint(field.message, position)
                found.append(value)
    return [value - (1 << 64) if value >> 63 else value for value in found]


def _fields(message: memoryview | bytes, most: int = MOST_FIELDS) -> list[_Field]:
    """Split a protobuf message into its fields; more than ``most`` are a `ValueError`."""
    view, position = memoryview(message), 0
    found: list[_Field] = []
    while position < len(view):
        if len(found) >= most:
            raise ValueError("too many fields")
        start = position
        key, position = _varint(view, position)
        number, wire_type = key >> 3, key & 7
        content: memoryview | int
        if wire_type == 0:
            content, position = _varint(view, position)
        elif wire_type in (1, 2, 5):
            size = {1: 8, 5: 4}.get(wire_type)
            if size is None:
                size, position = _varint(view, position)
            content, position = view[position : position + size], position + size
        else:
            raise ValueError("unknown wire type")
        if position > len(view) or number == 0:
            raise ValueError("truncated message")
        found.append(_Field(number, content, view[start:position]))
    return found


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("varint too long")


def _written_field(number: int, message: memoryview | bytes) -> bytes:
    """Write a protobuf field that holds a message."""
    return _written_varint(number << 3 | 2) + _written_varint(len(message)) + bytes(message)


def _written_varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
