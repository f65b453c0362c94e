"""Weights stored in 8 or 16 bits: a quarter or half of the size; where these hold them exactly, the same numbers."""

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from earnest.models.rounding import LARGEST

SMALLEST = 1024  # elements; below, the extra node costs more than it saves
HALVES, BYTES, SCALE = "_as_float16", "_as_int8", "_scale"


def store_small(proto: ModelProto, rounding: bool = False) -> None:
    """Replace, in place, large float32 initializers by smaller ones and cast them back: computing stays in float32.

    What whole numbers of 8 bits times a scale hold exactly is stored so (`earnest.models.rounding`), else what float16
    holds exactly. Runtimes do the arithmetic once, when they load the graph.

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
        if (scale := _scale_of(values)) is not None:
            numbers = np.rint(values / scale).astype(np.int8)
            tensor.CopyFrom(numpy_helper.from_array(numbers, name + BYTES))
            proto.graph.initializer.append(numpy_helper.from_array(scale, name + SCALE))
            restored += [_cast(name + BYTES, name + "_unscaled"), _times(name)]
        elif _fits(halves := _halves(values), values) or (rounding and np.isfinite(halves).all()):
            tensor.CopyFrom(numpy_helper.from_array(halves, name + HALVES))
            restored.append(_cast(name + HALVES, name))
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*restored, *nodes])


def _cast(stored: str, name: str) -> NodeProto:
    return helper.make_node("Cast", [stored], [name], f"{name}_to_float32", to=TensorProto.FLOAT)


def _times(name: str) -> NodeProto:
    return helper.make_node("Mul", [name + "_unscaled", name + SCALE], [name], f"{name}_scaled")


def _halves(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def _fits(smaller: npt.NDArray[np.generic], values: npt.NDArray[np.float32]) -> bool:
    return np.array_equal(smaller.astype(np.float32), values)


def _scale_of(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
    """Return the scales, one an output, whose whole multiples the values are; None where there are none.

    Outputs are the first axis of a convolution's weights, and the last one of a product's.
    """
    for axis in {0, values.ndim - 1} if values.ndim > 1 else ():
        others = tuple(other for other in range(values.ndim) if other != axis)
        largest = np.abs(values).max(axis=others, keepdims=True)
        scale = np.where(largest > 0, largest / np.float32(LARGEST), np.float32(1)).astype(np.float32)
        if np.array_equal(np.rint(values / scale) * scale, values):
            return scale
    return None
