"""Weights that float16 holds exactly are stored so: half the size, the same numbers."""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

SMALLEST = 1024  # elements; below, the extra node costs more than it saves
STORED = "_as_float16"


def store_halves(proto: ModelProto) -> None:
    """Replace, in place, every large float32 initializer that float16 represents exactly, and cast it back."""
    casts: list[NodeProto] = []
    for tensor in proto.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < SMALLEST:
            continue
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if not np.array_equal(halves.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halves, name + STORED))
        casts.append(helper.make_node("Cast", [name + STORED], [name], f"{name}_to_float32", to=TensorProto.FLOAT))
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*casts, *nodes])
