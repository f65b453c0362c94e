"""The same answers on processors without AVX-512 and without AVX, which QEMU stands in for."""

import json
import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

QEMU = shutil.which("qemu-x86_64")
DEMO = Path(__file__).resolve().parents[2] / "earnest" / "demo"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not QEMU or platform.machine() != "x86_64", reason="needs qemu-user on x86-64"),
]

ANSWER = """
import json, sys
import numpy as np
import earnest
from earnest.runtime.engine import OnnxRuntime

graph, feed, *clips = sys.argv[1:]
rows = [row.probabilities for row in earnest.load().predict_many(clips)]
(product,) = OnnxRuntime().open(open(graph, "rb").read()).run({"x": np.load(feed)}, ["y"])
print(json.dumps([rows, product.tolist()]))
"""


class _Clips(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self._feeds = iter([{"x": values}])

    def get_next(self) -> Any:
        return next(self._feeds, None)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a graph of one product in 8 bits, neighbouring weights of one sign, and an input of large values."""
    folder = tmp_path_factory.mktemp("product")
    rng = np.random.default_rng(0)
    signs = rng.choice([-1, 1], (128, 64)).repeat(2, axis=0)
    weights = (rng.uniform(0.5, 1.0, (256, 64)) * signs).astype(np.float32)
    values = rng.uniform(0, 1, (8, 256)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 256])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 64])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})  # nothing to prepare
    onnx.save(model, folder / "float.onnx")
    quantize_static(
        folder / "float.onnx",
        folder / "int8.onnx",
        _Clips(values),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )
    np.save(folder / "x.npy", values)
    return folder / "int8.onnx", folder / "x.npy"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Return half a second of two clips: a second of sound with AVX2 takes QEMU a third of a minute."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("whispered", "lively"):
        samples, rate_hz = soundfile.read(DEMO / f"{name}.flac", start=16_000, frames=8_000)
        soundfile.write(folder / f"{name}.wav", samples, rate_hz)
    return tuple(sorted(folder.iterdir()))


@cache
def answers(
    processor: str, product: tuple[Path, Path], clips: tuple[Path, ...]
) -> tuple[list[dict[str, float]], np.ndarray[Any, Any]]:
    """Return the probabilities of two clips and the product, as a processor computes them; "" is this one."""
    emulator = [str(QEMU), "-cpu", processor] if processor else []
    command = [*emulator, sys.executable, "-c", ANSWER, *map(str, (*product, *clips))]
    chosen = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}  # by the processor
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=chosen)
    rows, values = json.loads(done.stdout)
    return rows, np.array(values)


@pytest.mark.parametrize("processor", ["Haswell", "Nehalem"])
def test_the_default_model_and_a_graph_in_8_bits_answer_alike(
    processor: str, product: tuple[Path, Path], clips: tuple[Path, ...]
) -> None:
    """Haswell (2013) has AVX2 and no VNNI, Nehalem (2008) no AVX."""
    here, there = answers("", product, clips), answers(processor, product, clips)
    assert len(here[0]) == len(clips)
    for mine, its in zip(here[0], there[0], strict=True):
        assert its == pytest.approx(mine, abs=1e-4)
    np.testing.assert_allclose(there[1], here[1], atol=1e-4 * np.abs(here[1]).max())
