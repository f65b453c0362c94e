"""Weights stored in 8 or 16 bits: a quarter or half of the size; where these hold them exactly, the same numbers."""

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from earnest.frontends.spectrum import distances, folded_kernel, waves
from earnest.models.rounding import LARGEST

SMALLEST = 1024  # elements; below, the extra node costs more than it saves
HALVES, BYTES, SCALE = "_as_float16", "_as_int8", "_scale"


def store_small(proto: ModelProto, rounding: bool = False) -> None:
    """Replace, in place, large float32 initializers by smaller ones and cast them back: computing stays in float32.

    A Fourier transform's kernel is made from one wave and its window (`earnest.frontends.spectrum.folded_kernel`).
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
        if n_fft := _points_of(values):
            restored += _made(proto, tensor, n_fft, values)
        elif (scale := _scale_of(values)) is not None:
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


def _points_of(values: npt.NDArray[np.float32]) -> int:
    """Return the points of the Fourier transform whose kernel the values are, exactly; 0 where they are none."""
    if values.ndim != 3 or len(values) != 2 or values.shape[1] < 2:
        return 0
    weights = values[0, :, 0]  # times the cosine of nothing
    length = 2 * (len(weights) - 1) + int(distances(weights)[0])
    for n_fft in (length, 1 << (length - 1).bit_length()):
        if np.array_equal(folded_kernel(n_fft, values.shape[2], weights), values):
            return n_fft
    return 0


def _made(proto: ModelProto, tensor: TensorProto, n_fft: int, values: npt.NDArray[np.float32]) -> list[NodeProto]:
    """Replace a kernel's initializer by what it is made from, and return the nodes that make it."""
    name, weights = tensor.name, values[0, :, :1]
    proto.graph.initializer.remove(tensor)
    parts = {
        "bins": np.arange(values.shape[2])[None],
        "distances": distances(weights[:, 0])[:, None],
        "points": np.array(2 * n_fft),
        "waves": waves(2 * n_fft),
        "window": weights,
    }
    proto.graph.initializer.extend(numpy_helper.from_array(part, f"{name}_{what}") for what, part in parts.items())
    node = helper.make_node
    return [
        node("Mul", [f"{name}_distances", f"{name}_bins"], [f"{name}_turns"], f"{name}_turned"),
        node("Mod", [f"{name}_turns", f"{name}_points"], [f"{name}_phase"], f"{name}_phased"),
        node("Gather", [f"{name}_waves", f"{name}_phase"], [f"{name}_plain"], f"{name}_gathered", axis=1),
        node("Mul", [f"{name}_plain", f"{name}_window"], [name], f"{name}_muted"),
    ]
