"""Weights stored in fewer bytes give the same numbers."""

from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from earnest.export.onnx import quiet_export, store_small
from earnest.frontends.spectrum import TwoStageTransform
from earnest.models.pretrained import packed, unpacked

RNG = np.random.default_rng(0)
EXACT = RNG.normal(size=(64, 32)).astype(np.float16).astype(np.float32)
ROUNDED = RNG.normal(size=(32, 64)).astype(np.float32)
SMALL = np.ones(64, np.float32)
HUGE = (1e30 * RNG.normal(size=(64, 64))).astype(np.float32)


def product() -> Any:
    weights = {"exact": EXACT, "rounded": ROUNDED, "small": SMALL, "huge": HUGE}
    nodes = [
        helper.make_node("MatMul", ["input", "exact"], ["first"]),
        helper.make_node("MatMul", ["first", "rounded"], ["second"]),
        helper.make_node("Add", ["second", "small"], ["third"]),
        helper.make_node("MatMul", ["third", "huge"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 64])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def answer(model: Any) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": np.linspace(-1, 1, 128, dtype=np.float32).reshape(2, 64)})[0]


def test_the_answers_are_the_same_to_the_last_bit() -> None:
    model = product()
    before = answer(model)
    store_small(model)
    np.testing.assert_array_equal(answer(model), before)


def test_only_large_weights_that_lose_nothing_are_halved() -> None:
    model = product()
    store_small(model)
    kinds = {tensor.name.split("_as_")[0]: tensor.data_type for tensor in model.graph.initializer}
    assert kinds == {
        "exact": TensorProto.FLOAT16,
        "rounded": TensorProto.FLOAT,
        "small": TensorProto.FLOAT,
        "huge": TensorProto.FLOAT,
    }


def test_rounding_halves_all_that_fits_its_range_and_stays_near() -> None:
    model = product()
    before = answer(model)
    store_small(model, rounding=True)
    kinds = {tensor.name.split("_as_")[0]: tensor.data_type for tensor in model.graph.initializer}
    assert (kinds["rounded"], kinds["small"], kinds["huge"]) == (
        TensorProto.FLOAT16,
        TensorProto.FLOAT,
        TensorProto.FLOAT,
    )
    after = answer(model)
    assert not np.array_equal(after, before)
    np.testing.assert_allclose(after, before, rtol=0.01, atol=np.abs(before).max() * 1e-3)


def test_weights_rounded_to_8_bits_are_stored_so_and_give_the_same_answers() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv1d(16, 24, 5), nn.Flatten(), nn.Linear(24 * 6, 32), nn.ReLU(), nn.Linear(32, 64, bias=False)
    ).eval()
    with torch.no_grad():
        network[2].weight[3] = 0  # an output that says nothing
        network[2].weight[4] *= 1e-6
        for layer in (network[0], network[2], network[4]):
            before = layer.weight.clone()
            layer.weight.copy_(unpacked(*packed(layer.weight)))
            steps = before.flatten(1).abs().amax(dim=1) / 127
            assert ((layer.weight - before).flatten(1).abs().amax(dim=1) <= 0.51 * steps).all()
    sound = torch.randn(3, 16, 10)
    model = quiet_export(network, (sound,), ({0: torch.export.Dim("batch")},), ["input"], ["output"])
    before = run(model, sound)
    store_small(model)
    kinds = [tensor.data_type for tensor in model.graph.initializer if numpy_helper.to_array(tensor).size >= 1024]
    assert kinds == [TensorProto.INT8] * 3
    np.testing.assert_array_equal(run(model, sound), before)


def run(model: Any, sound: Any) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": sound.numpy()})[0]


def test_the_waves_of_a_large_transform_are_made_in_the_graph() -> None:
    transform = TwoStageTransform(4096, 2048, 1364, 1115)
    sound = torch.randn(3, 5_000)
    model = quiet_export(transform, (sound,), ({0: torch.export.Dim("batch")},), ["input"], ["output"])
    store_small(model)
    n_stored = 4 * transform._first().numel()
    assert model.ByteSize() < 0.05 * n_stored
    np.testing.assert_allclose(run(model, sound), transform(sound).numpy(), rtol=1e-3, atol=1e-3)
