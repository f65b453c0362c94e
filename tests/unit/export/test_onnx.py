"""Graphs that compute the same in fewer steps and bytes; what trimming leaves never reaches the network."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from earnest.audio.waveform import Waveform
from earnest.errors import EarnestError
from earnest.export import onnx as export
from earnest.export.onnx import halve_last, quiet_export, store_small, to_onnx
from earnest.frontends.log_mel import TwoStageTransform
from earnest.models.classifier import SpeechClassifier, build_classifier
from earnest.models.pretrained import packed, read_known_speakers, read_origin, read_tensors, unpacked
from earnest.onnx.surgery import CUT, part_of
from earnest.settings.front_end import FrontEnd
from earnest.settings.recipe import Recipe
from earnest.testing.sounds import voice

pytestmark = pytest.mark.long

Level = Literal["none", "rms", "deviation"]
RATE_HZ = 16_000
WITHIN = 1e-5


def model_of(trim: Literal["peak", "gradient", "none"], level: Level = "none") -> SpeechClassifier:
    front_end = FrontEnd(RATE_HZ, n_fft=400, win_length=400, hop_length=160, n_mels=40, trim=trim, level=level)
    network = {"width": 16, "n_blocks": 1, "feed_forward_width": 32, "token_width": 24}
    recipe = Recipe("made-up", "student-statistics", front_end=front_end, network=network)
    return build_classifier(recipe, ("neutral", "happy", "sad"), seed=0).eval()


@pytest.fixture(scope="module", autouse=True)
def the_network_is_traced_once(front_ends_are_traced_once: None) -> Iterator[None]:
    """Trace the network that all front ends have behind them once; one with other weights is traced by itself."""
    trace, known = export._traced, dict[bytes, bytes]()

    def traced(module: Any, *arguments: Any) -> onnx.ModelProto:
        if arguments[-1] != export.NETWORK:
            return trace(module, *arguments)
        weights = module.classifier.network.state_dict().values()
        held = b"".join(weight.numpy().tobytes() for weight in weights)
        if held not in known:
            known[held] = trace(module, *arguments).SerializeToString()
        return onnx.load_from_string(known[held])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_traced", traced)
        yield


@cache
def graph_of(trim: Literal["peak", "gradient", "none"]) -> bytes:
    return to_onnx(model_of(trim)).SerializeToString()


def between_silences(seconds: float) -> Waveform:
    silence = np.zeros(RATE_HZ, np.float32)
    return np.concatenate([silence, voice(seconds), silence])


def heard(graph: bytes, waveforms: list[Waveform], names: list[str]) -> Any:
    waveform = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(one) for one in waveforms], batch_first=True)
    lengths = np.array([len(one) for one in waveforms])
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(names, {"waveform": waveform.numpy(), "lengths": lengths})


@pytest.mark.parametrize("trim", ["peak", "gradient"])
def test_as_many_frames_go_on_as_the_longest_clip_keeps_and_the_answer_stays(trim: Literal["peak", "gradient"]) -> None:
    model, clips = model_of(trim), [between_silences(1.0), between_silences(0.4)]
    graph = graph_of(trim)
    frames, n_frames = heard(part_of(graph, "front_end"), clips, list(CUT))
    assert frames.shape[2] == n_frames.max() < 150  # of 301
    (found,) = heard(graph, clips, ["embedding"])
    for clip, embedding in zip(clips, found, strict=True):
        with torch.no_grad():
            wanted = model(torch.from_numpy(clip)[None], torch.tensor([len(clip)]))["embedding"][0].numpy()
        assert np.abs(embedding - wanted).max() < WITHIN


def test_quiet_speech_on_a_large_offset_is_answered_as_without_it() -> None:
    graph = to_onnx(model_of("peak", "deviation")).SerializeToString()
    quiet = np.float32(0.005) * voice(4.0)
    plain, moved = (heard(graph, [clip], ["embedding"])[0] for clip in (quiet, quiet - np.float32(0.8)))
    np.testing.assert_allclose(moved, plain, rtol=0, atol=1e-4)


def test_next_to_nothing_heard_leaves_what_the_tracer_saw_at_least() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[RATE_HZ // 2] = 0.5
    graph = graph_of("peak")
    frames, n_frames = heard(part_of(graph, "front_end"), [click], list(CUT))
    assert n_frames.max() <= 4 < frames.shape[2] <= 11


def test_without_trimming_all_frames_go_on() -> None:
    frames, _ = heard(part_of(graph_of("none"), "front_end"), [between_silences(1.0)], list(CUT))
    assert frames.shape[2] == 301


@pytest.mark.parametrize("stored", ["as it is", "in 8 bits", "in 16 bits"])
def test_a_graph_is_a_checkpoint_of_its_network(stored: str, tmp_path: Path) -> None:
    model = model_of("peak")
    network = model.network
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
            if stored == "in 8 bits" and parameter.ndim > 1:
                parameter.copy_(unpacked(*packed(parameter)))
            elif stored == "in 16 bits":
                parameter.copy_(parameter.half().float())
    known = json.dumps(["crema-d/1001"])
    proto = to_onnx(model)
    onnx.helper.set_model_props(proto, {"known_speakers": known, "origin": "here"})
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    wanted = dict(network.named_parameters())
    found = read_tensors(tmp_path, "", wanted)
    assert all(torch.equal(found[name], parameter) for name, parameter in wanted.items())
    assert read_known_speakers(tmp_path) == {"crema-d/1001"} and read_origin(tmp_path) == "here"
    with pytest.raises(EarnestError, match=r"model\.onnx: holds no tensor 'strange'"):
        read_tensors(tmp_path, "", {"strange": torch.zeros(1)})


def operations(proto: onnx.ModelProto, folder: Path) -> set[str]:
    """Return what onnxruntime makes of a model."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return {node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node}


def test_onnxruntime_finds_gelus_and_they_say_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.GELU(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 3)).eval()
    values = torch.randn(5, 8)
    proto = quiet_export(module, (values,), ({0: torch.export.Dim("batch")},), ["input"], ["output"])
    assert "Erf" in operations(proto, tmp_path)  # else `halve_last` is no longer needed
    halve_last(proto)
    onnx.checker.check_model(proto, full_check=True)
    found = operations(proto, tmp_path)
    assert "Erf" not in found and {"Gelu", "BiasGelu"} & found
    (answers,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"input": values.numpy()})
    assert np.abs(answers - module(values).detach().numpy()).max() < 1e-6


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
