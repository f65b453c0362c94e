"""An ONNX file from outside, as bytes, without the ``onnx`` package: may it be run, and what does it answer with?

It is a protobuf message, read and written by hand: a row of fields. Each begins with a varint, the key: the field's
number times 8 plus the wire type. Wire type 0 is another varint, 1 and 5 are 8 and 4 bytes, 2 is a length (a varint)
and that many bytes: text, or a message. https://protobuf.dev/programming-guides/encoding
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from earnest.errors import BundleError, shown

MOST_FIELDS = 200_000  # each costs memory before anything is known about it


class Field(NamedTuple):
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


def fields_of(message: memoryview | bytes, most: int = MOST_FIELDS) -> list[Field]:
    """Split a protobuf message into its fields; more than ``most`` are a `ValueError`."""
    view, position = memoryview(message), 0
    found: list[Field] = []
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
            size = {1: 8, 5: 4}.get(wire_type)  # None: the length is written there
            if size is None:
                size, position = _varint(view, position)
            content, position = view[position : position + size], position + size
        else:
            raise ValueError("unknown wire type")
        if position > len(view) or number == 0:
            raise ValueError("truncated message")
        found.append(Field(number, content, view[start:position]))
    return found


def text_of(message: memoryview, number: int) -> str:
    """Read the first text field ``number`` of a message, "" where there is none."""
    return _first_text(fields_of(message), number)


def _first_text(fields: Sequence[Field], number: int) -> str:
    return next((decoded(field.message) for field in fields if field.number == number), "")


def decoded(text: memoryview) -> str:
    """Decode UTF-8; damaged text is a `ValueError`."""
    return str(text, "utf-8")


def numbers_of(fields: Sequence[Field], number: int) -> list[int]:
    """Read the repeated whole numbers ``number``, written one by one or together, as int64."""
    found: list[int] = []
    for field in fields:
        if field.number == number and isinstance(field.content, int):
            found.append(field.content)
        elif field.number == number:
            position = 0
            while position < len(field.message):
                value, position = _varint(field.message, position)
                found.append(value)
    return [value - (1 << 64) if value >> 63 else value for value in found]  # two's complement


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    # Seven bits a byte, the lowest first; the eighth bit says that another byte follows.
    value = shift = 0
    while True:
        byte = view[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:  # ten bytes hold all 64 bits
            raise ValueError("varint too long")


def written_field(number: int, message: memoryview | bytes) -> bytes:
    """Write a protobuf field that holds a message."""
    return _written_varint(number << 3 | 2) + _written_varint(len(message)) + bytes(message)  # wire type 2


def written_number(number: int, value: int) -> bytes:
    """Write a protobuf field that holds an int64."""
    return _written_varint(number << 3) + _written_varint(value & (1 << 64) - 1)  # wire type 0, two's complement


def _written_varint(value: int) -> bytes:
    written = bytearray()
    # Seven bits a byte, the lowest first; the eighth bit is set where another byte follows.
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


LONGEST_SHAPE = 16  # numbers of a tensor that may be a shape
MOST_CONSTANT = 1 << 29  # numbers in one tensor: its dimensions promise them, whatever is there
MOST_MADE = 1 << 25  # numbers that a node makes of a constant shape, or a sparse tensor is written out to: 128 MiB
_DOMAINS = frozenset({"", "ai.onnx"})
_UNBOUNDED = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_MAKERS = frozenset({"ConstantOfShape", "Expand", "Range", "Tile"})  # a few numbers make many
_INT64, _TEXT = 7, 8  # TensorProto.DataType
_HOLDS_TEXT = "holds text among its numbers, which no export of ours does. Export it again."
_CONSTANTS: Mapping[int, str] = {5: "tensor", 10: "tensor", 22: "sparse", 23: "sparse"}  # fields of an attribute
_TO_DIMENSIONS = (2, 1, 2)  # type → tensor_type → shape


def check_onnx(data: bytes, path: Path) -> None:
    """Refuse what is no ONNX model, what keeps weights in other files, and what could run without end.

    A graph that is allowed is one list of nodes of the standard operators, each of which runs once: no graphs within
    nodes (Loop, Scan, If), no functions, nothing random, no text, no constants that promise more than a file can hold.
    """
    try:
        problem = _Inspection().problem_with(data)
    except (IndexError, ValueError, RecursionError, MemoryError):
        raise BundleError(f"{path}: not an ONNX model.") from None
    if problem:
        raise BundleError(f"{path}: {problem}")


class _Inspection:
    """A walk through a model that ends at the first problem, and after `MOST_FIELDS` fields."""

    def __init__(self) -> None:
        self._left = MOST_FIELDS
        self._huge: set[str] = set()  # names of constants that hold, or multiply to, more than `MOST_MADE`

    def problem_with(self, data: bytes) -> str | None:
        """Return a problem of the graph, None for none."""
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

    def _fields(self, message: memoryview | bytes) -> list[Field]:
        fields = fields_of(message, self._left)
        self._left -= len(fields)
        return fields

    def _with_node(self, node: memoryview) -> str | None:
        fields = self._fields(node)
        texts = {number: [decoded(field.message) for field in fields if field.number == number] for number in (1, 2)}
        operator, domain = _first_text(fields, 4), _first_text(fields, 7)
        if domain not in _DOMAINS or operator in _RANDOM:
            return f"its operator {shown(operator)} is not one that exports of ours use. Export it again."
        if operator in _MAKERS and self._huge.intersection(texts[1]):
            return f"its operator {operator} would make more than {MOST_MADE:,} numbers. Export it again."
        for field in fields:
            if field.number != 5:
                continue
            for part in self._fields(field.message):
                if part.number in (6, 11):  # a graph inside a node
                    return f"its operator {shown(operator)} may run without end. Export it again."
                if _makes_text(operator, part):
                    return _HOLDS_TEXT
                kind = _CONSTANTS.get(part.number)
                if kind and (problem := self._with_constant(part.message, kind, texts[2])):
                    return problem
        return f"its operator {operator} may run without end. Export it again." if operator in _UNBOUNDED else None

    def _with_constant(self, message: memoryview, kind: str, names: Sequence[str] = ()) -> str | None:
        """Check a tensor; those that would make too much as a shape are remembered by ``names``, or their own."""
        fields = self._fields(message)
        if kind == "tensor" and any(field.number == 2 and field.content == _TEXT for field in fields):
            return _HOLDS_TEXT
        if kind == "sparse":
            if math.prod(numbers_of(fields, 3)) > MOST_MADE:
                return f"one of its constants promises more than {MOST_MADE:,} numbers. Export it again."
            inner = [field.message for field in fields if field.number in (1, 2)]
            return next((problem for one in inner if (problem := self._with_constant(one, "tensor"))), None)
        # external_data, or a data_location other than DEFAULT.
        if any(field.number == 13 or (field.number == 14 and field.content != 0) for field in fields):
            return "its weights lie in another file. Save the model with all data inside."
        dimensions = numbers_of(fields, 1)
        if min(dimensions, default=0) < 0 or math.prod(dimensions) > MOST_CONSTANT:
            return f"one of its constants promises more than {MOST_CONSTANT:,} numbers. Export it again."
        if math.prod(dimensions) <= LONGEST_SHAPE and math.prod(map(abs, _whole(fields))) > MOST_MADE:
            self._huge.update(names or [text_of(message, 8)])
        return None


def _makes_text(operator: str, attribute: Field) -> bool:
    """Whether a node makes text, whose length no bound of tensors holds: its attribute ``to``, ``value_string(s)``."""
    if operator == "Cast":
        return attribute.number == 3 and attribute.content == _TEXT
    return operator == "Constant" and attribute.number in (4, 9)


def _whole(fields: Sequence[Field]) -> list[int]:
    """Return the numbers of a small tensor of int64 other than 0, none of another tensor."""
    if next((field.content for field in fields if field.number == 2), 0) != _INT64:
        return []
    raw = next((field.message for field in fields if field.number == 9), memoryview(b""))
    numbers = np.frombuffer(raw[: len(raw) // 8 * 8], "<i8").tolist() + numbers_of(fields, 7)
    return [number for number in numbers if number]


def output_widths(data: bytes) -> Mapping[str, int | None]:
    """Return output → size of its last axis, None where the file leaves it open or there is no such axis.

    Raises `BundleError` when the bytes are no ONNX model.
    """
    try:
        graph = next(field.message for field in fields_of(data) if field.number == 7)
        outputs = [field.message for field in fields_of(graph) if field.number == 12]
        return {text_of(output, 1): _last_size(output) for output in outputs}
    except (IndexError, ValueError, StopIteration):
        raise BundleError("not an ONNX model whose outputs can be read. Export it again.") from None


def _last_size(message: memoryview) -> int | None:
    for number in _TO_DIMENSIONS:
        inside = [field.message for field in fields_of(message) if field.number == number]
        if not inside:
            return None
        message = inside[0]
    dimensions = [field.message for field in fields_of(message) if field.number == 1]
    if len(dimensions) < 2:  # the batch alone
        return None
    return next((field.content for field in fields_of(dimensions[-1]) if isinstance(field.content, int)), None)
