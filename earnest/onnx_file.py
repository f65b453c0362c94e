"""ONNX files as bytes, without the ``onnx`` package: are all weights inside, and what lies on either side of the cut?

The protobuf is walked by hand. Field numbers: ModelProto.graph (7), .functions (25); GraphProto.node (1), .initializer
(5), .input (11), .output (12), .value_info (13), .sparse_initializer (15); NodeProto.input (1), .output (2), .attribute
(5); AttributeProto.t (5), .g (6), .tensors (10), .graphs (11), .sparse_tensor (22), .sparse_tensors (23);
SparseTensorProto.values (1), .indices (2); FunctionProto.node (7); TensorProto.dims (1), .data_type (2), .name (8),
.raw_data (9), .external_data (13), .data_location (14); ValueInfoProto.name (1).
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError
from earnest.onnx_writer import written_field

Part: TypeAlias = Literal["whole", "front_end", "network"]
CUT = ("log_mel", "n_frames")
"""Values between the front end and the network: (batch, rows, frames) float32 and (batch,) int64."""

_FLOAT = 1  # TensorProto.DataType
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
    """Refuse what is no ONNX model, and models that keep weights in other files."""
    try:
        if not any(field.number == 7 for field in _fields(data)):
            raise BundleError(f"{path}: not an ONNX model (it has no graph).")
        if _has_external_data(data, "model"):
            raise BundleError(f"{path}: its weights lie in another file. Save the model with all data inside.")
    except (IndexError, ValueError, RecursionError):
        raise BundleError(f"{path}: not an ONNX model.") from None


def part_of(data: bytes, part: Part) -> bytes:
    """Cut a checked model between front end and network, at the values `CUT`.

    Raises
    ------
    CutError
        When the model has no such values: it works on raw samples, or an earlier version exported it.
    """
    if part == "whole":
        return data
    fields = _fields(data)
    graph = next(_fields(field.message) for field in fields if field.number == 7)
    known = {_text(field.message, 1): field.message for field in graph if field.number == 13}
    if not known.keys() >= set(CUT):
        raise CutError
    cut = [known[name] for name in CUT]
    outside = {name: [field.message for field in graph if field.number == name] for name in (11, 12)}
    inputs, outputs = (outside[11], cut) if part == "front_end" else (cut, outside[12])
    kept = _needed(graph, {_text(value, 1) for value in outputs}, {_text(value, 1) for value in inputs})
    kept += [written_field(11, value) for value in inputs] + [written_field(12, value) for value in outputs]
    whole = written_field(7, b"".join(kept))
    return b"".join(whole if field.number == 7 else bytes(field.raw) for field in fields)


def float_constants(data: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """Return the float32 constants of a model's nodes by what the nodes call them, those of branches too."""
    return dict(_constants(data, "model"))


def _constants(message: memoryview | bytes, kind: str) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    fields = _fields(message)
    for field in fields:
        inner = _NESTED.get(kind, {}).get(field.number)
        if inner == "tensor" and kind == "attribute":
            continue
        if inner:
            yield from _constants(field.message, inner)
    if kind == "node":
        attributes = [_fields(field.message) for field in fields if field.number == 5]
        tensors = [_tensor(part.message) for parts in attributes for part in parts if part.number == 5]
        yield from ((_text(memoryview(message), 2), values) for values in tensors if values is not None)


def _tensor(message: memoryview) -> npt.NDArray[np.float32] | None:
    """Return a tensor of float32 that is written as raw bytes, None for others."""
    fields = _fields(message)
    kind = next((field.content for field in fields if field.number == 2), 0)
    raw = next((field.message for field in fields if field.number == 9), None)
    if kind != _FLOAT or raw is None:
        return None
    return np.frombuffer(raw, "<f4")


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


def _has_external_data(message: memoryview | bytes, kind: str) -> bool:
    for number, content, _ in _fields(message):
        if kind == "tensor" and (number == 13 or (number == 14 and content != 0)):
            return True
        inner = _NESTED.get(kind, {}).get(number)
        if inner and isinstance(content, memoryview) and _has_external_data(content, inner):
            return True
    return False


def _fields(message: memoryview | bytes) -> list[_Field]:
    """Split a protobuf message into its fields."""
    view, position, found = memoryview(message), 0, []
    while position < len(view):
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
