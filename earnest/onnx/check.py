"""An ONNX file from outside, as bytes, without the ``onnx`` package: may it be run, and what does it answer with?"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from earnest.errors import BundleError, shown
from earnest.onnx.protobuf import MOST_FIELDS, Field, decoded, fields_of, numbers_of, text_of

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
        operator, domain = text_of(node, 4), text_of(node, 7)
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
