"""Models written without the onnx package: onnx reads them, onnxruntime runs them."""

import numpy as np
import onnxruntime
import pytest

from earnest.onnx_file import float_constants
from earnest.onnx_writer import Node, written_model

KERNEL = np.arange(6, dtype=np.float32).reshape(1, 2, 3)


def model() -> bytes:
    nodes = [
        Node("Pad", ("sound", "pads"), ("padded",), {"mode": "edge"}),
        Node("Conv", ("padded", "kernel"), ("sums",), {"strides": (2,), "pads": (1, 1)}),
        Node("Squeeze", ("sums", "first"), ("answer",)),
    ]
    constants = {"pads": np.array([0, 0, 0, 0, 0, 300]), "kernel": KERNEL, "first": np.array([1])}
    return written_model(nodes, constants, {"sound": ("clips", 2, "samples")}, {"answer": ("clips", "steps")})


def test_onnxruntime_computes_what_was_written() -> None:
    session = onnxruntime.InferenceSession(model())
    sound = np.random.default_rng(0).normal(size=(3, 2, 10)).astype(np.float32)
    (answer,) = session.run(None, {"sound": sound})
    padded = np.pad(np.concatenate([sound, np.repeat(sound[:, :, -1:], 300, axis=2)], axis=2), ((0, 0), (0, 0), (1, 1)))
    expected = [(padded[:, :, start : start + 3] * KERNEL).sum(axis=(1, 2)) for start in range(0, 310, 2)]
    assert np.allclose(answer, np.stack(expected, axis=1), atol=1e-5)
    assert [value.name for value in session.get_inputs()] == ["sound"]
    assert session.get_inputs()[0].shape == ["clips", 2, "samples"]


def test_onnx_finds_nothing_wrong() -> None:
    onnx = pytest.importorskip("onnx")
    written = onnx.load_from_string(model())
    onnx.checker.check_model(written, full_check=True)
    assert [item.name for item in written.graph.initializer] == ["pads", "kernel", "first"]


def test_float_constants_are_those_of_nodes_in_branches_too() -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    values = np.array([1, 2, 3], np.float32)
    constant = helper.make_node("Constant", [], ["inner"], value=onnx.numpy_helper.from_array(values))
    whole = helper.make_node("Constant", [], ["number"], value=onnx.numpy_helper.from_array(np.array([7])))
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("inner", 1, [3])])
    choice = helper.make_node("If", ["which"], ["out"], then_branch=branch, else_branch=branch)
    graph = helper.make_graph(
        [whole, choice],
        "graph",
        [helper.make_tensor_value_info("which", onnx.TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("out", 1, [3])],
    )
    found = float_constants(helper.make_model(graph).SerializeToString())
    assert list(found) == ["inner"] and found["inner"].tolist() == [1, 2, 3]
