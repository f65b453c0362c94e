"""Weights stored in 16 bits: half the size; where float16 holds them exactly, the same numbers."""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

SMALLEST = 1024  # elements; below, the extra node costs more than it saves
STORED = "_as_float16"


def store_halves(proto: ModelProto, rounding: bool = False) -> None:
    """Replace, in place, large float32 initializers by float16 ones and cast them back: computing stays in float32.

    Parameters
    ----------
    rounding : those too that float16 only comes near to, within its range; otherwise the exact ones alone
    """
    casts: list[NodeProto] = []
    for tensor in proto.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < SMALLEST:
            continue
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if not np.array_equal(halves.astype(np.float32), values) and not (rounding and np.isfinite(halves).all()):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halves, name + STORED))
        casts.append(helper.make_node("Cast", [name + STORED], [name], f"{name}_to_float32", to=TensorProto.FLOAT))
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*casts, *nodes])
