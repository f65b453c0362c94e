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
    graph = [written_field(1, _node(node)) for node in nodes]
    graph.append(written_field(2, b"graph"))
    graph += [written_field(5, _tensor(name, values)) for name, values in constants.items()]
    graph += [written_field(11, _value(name, shape)) for name, shape in inputs.items()]
    graph += [written_field(12, _value(name, shape)) for name, shape in outputs.items()]
    return written_field(1, IR_VERSION) + written_field(7, b"".join(graph)) + written_field(8, written_field(2, OPSET))


def written_field(number: int, content: int | str | bytes | memoryview) -> bytes:
    """Return a protobuf field that holds a number, or a text or message."""
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    message = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | 2) + _varint(len(message)) + bytes(message)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _node(node: Node) -> bytes:
    names = [written_field(1, name) for name in node.inputs] + [written_field(2, name) for name in node.outputs]
    attributes = [written_field(5, _attribute(name, value)) for name, value in node.attributes.items()]
    return b"".join([*names, written_field(4, node.operation), *attributes])


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        written, kind = written_field(3, value), _INT
    elif isinstance(value, str):
        written, kind = written_field(4, value), _STRING
    else:
        written, kind = b"".join(written_field(8, number) for number in value), _INTS
    return written_field(1, name) + written + written_field(20, kind)


def _tensor(name: str, values: npt.NDArray[Any]) -> bytes:
    dims = b"".join(written_field(1, size) for size in values.shape)
    raw = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    return dims + written_field(2, _DATA_TYPES[values.dtype.name]) + written_field(8, name) + written_field(9, raw)


def _value(name: str, shape: Shape) -> bytes:
    dims = [written_field(1, written_field(1 if isinstance(size, int) else 2, size)) for size in shape]
    tensor_type = written_field(1, _DATA_TYPES["float32"]) + written_field(2, b"".join(dims))
    return written_field(1, name) + written_field(2, written_field(1, tensor_type))
