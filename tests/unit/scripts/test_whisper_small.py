"""Whisper small's tensors, out of a graph whose weights are whole numbers."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from scripts import whisper_small


def test_whole_numbers_become_weights_with_torchs_axes() -> None:
    rng = np.random.default_rng(0)
    product, kernel = rng.integers(0, 255, (4, 6), np.uint8), rng.integers(0, 255, (3, 2, 3), np.uint8)
    stored = {"onnx::MatMul_7_quantized": product, "conv1.weight_quantized": kernel}
    scales = {"onnx::MatMul_7": (np.float32(0.5), np.uint8(100)), "conv1.weight": (np.float32(0.25), np.uint8(7))}
    for name, (scale, zero) in scales.items():
        stored |= {f"{name}_scale": np.array(scale), f"{name}_zero_point": np.array(zero)}
    stored["conv1.bias"] = np.ones(3, np.float32)
    nodes = [
        helper.make_node("MatMulInteger", ["x", "onnx::MatMul_7_quantized"], ["y"], "/layers.0/fc1/MatMul_quant"),
        helper.make_node("ConvInteger", ["z", "conv1.weight_quantized"], ["w"], "/conv1/Conv_quant"),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in ("x", "z")]
    graph = helper.make_graph(nodes, "made", inputs, [], [numpy_helper.from_array(a, n) for n, a in stored.items()])
    tensors = whisper_small.tensors_of(graph)
    assert sorted(tensors) == ["conv1.bias", "conv1.weight", "layers.0.fc1.weight"]
    np.testing.assert_allclose(tensors["layers.0.fc1.weight"], (product.astype(np.float32).T - 100) * 0.5)
    np.testing.assert_allclose(tensors["conv1.weight"], (kernel.astype(np.float32) - 7) * 0.25)


@pytest.mark.parametrize(
    ("name", "kept"),
    [("conv2.bias", True), ("layers.5.fc2.weight", True), ("layers.6.fc2.weight", False), ("layer_norm.bias", False)],
)
def test_stem_and_first_blocks_are_kept(name: str, kept: bool) -> None:
    assert whisper_small.is_kept(name) is kept


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.onnx").write_bytes(b"other")
    monkeypatch.setattr("sys.argv", ["whisper_small.py", str(tmp_path / "other.onnx"), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="another file than the one"):
        whisper_small.main()
    assert not (tmp_path / "out").exists()
