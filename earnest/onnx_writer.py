"""Small ONNX models as bytes, without the ``onnx`` package: a chain of nodes around constants.

Field numbers: ModelProto.ir_version (1), .graph (7), .opset_import (8); OperatorSetIdProto.version (2); GraphProto.node
(1), .name (2), .initializer (5), .input (11), .output (12); NodeProto.input (1), .output (2), .op_type (4), .attribute
(5); AttributeProto.name (1), .i (3), .s (4), .ints (8), .type (20); TensorProto.dims (1), .data_type (2), .name (8),
.raw_data (9); ValueInfoProto.name (1), .type (2); TypeProto.tensor_type (1); its .elem_type (1), .shape (2);
TensorShapeProto.dim (1); its .dim_value (1), .dim_param (2).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

OPSET, IR_VERSION = 16, 8
_INT, _STRING, _INTS = 2, 3, 7  # AttributeProto.AttributeType
_DATA_TYPES = {"float32": 1, "int64": 7}  # TensorProto.DataType

Attribute: TypeAlias = int | str | tuple[int, ...]
Shape: TypeAlias = tuple[int | str, ...]
"""Numbers, and names for lengths that only a run knows."""


class Node(NamedTuple):
    """One operation: its inputs and outputs by name, "" for an input that is left out."""

    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = {}


def written_model(
    nodes: Sequence[Node],
    constants: Mapping[str, npt.NDArray[Any]],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
) -> bytes:
    """Return an ONNX model of float32 values.

    Parameters
    ----------
    nodes : in the order of computing
    constants : of float32 or int64
    inputs, outputs : their shapes by name
    """
    graph = [_field(1, _node(node)) for node in nodes]
    graph.append(_field(2, b"graph"))
    graph += [_field(5, _tensor(name, values)) for name, values in constants.items()]
    graph += [_field(11, _value(name, shape)) for name, shape in inputs.items()]
    graph += [_field(12, _value(name, shape)) for name, shape in outputs.items()]
    return _field(1, IR_VERSION) + _field(7, b"".join(graph)) + _field(8, _field(2, OPSET))


def written_number(value: int) -> bytes:
    """Return a varint."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _field(number: int, content: int | str | bytes) -> bytes:
    if isinstance(content, int):
        return written_number(number << 3) + written_number(content)
    message = content.encode() if isinstance(content, str) else content
    return written_number(number << 3 | 2) + written_number(len(message)) + message


def _node(node: Node) -> bytes:
    names = [_field(1, name) for name in node.inputs] + [_field(2, name) for name in node.outputs]
    attributes = [_field(5, _attribute(name, value)) for name, value in node.attributes.items()]
    return b"".join([*names, _field(4, node.operation), *attributes])


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        written, kind = _field(3, value), _INT
    elif isinstance(value, str):
        written, kind = _field(4, value), _STRING
    else:
        written, kind = b"".join(_field(8, number) for number in value), _INTS
    return _field(1, name) + written + _field(20, kind)


def _tensor(name: str, values: npt.NDArray[Any]) -> bytes:
    dims = b"".join(_field(1, size) for size in values.shape)
    raw = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    return dims + _field(2, _DATA_TYPES[values.dtype.name]) + _field(8, name) + _field(9, raw)


def _value(name: str, shape: Shape) -> bytes:
    dims = b"".join(_field(1, _field(1 if isinstance(size, int) else 2, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, _DATA_TYPES["float32"]) + _field(2, dims)))
