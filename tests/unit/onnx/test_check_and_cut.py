"""A graph cut at its spectrogram, as bytes; and what a model answers with, read from its file."""

import numpy as np
import onnx
import onnxruntime
import pytest
from stand_in import CLASSES, cuttable_model, stand_in_model

from earnest.bundle import load_bundle, shipped_bundles
from earnest.errors import BundleError
from earnest.onnx.check import output_widths
from earnest.onnx.cut import CUT, CutError, part_of
from earnest.runtime.graph import Graph
from earnest.testing.sounds import voice

DATA = cuttable_model().SerializeToString()


def session_of(data: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("seconds", [0.3, 1.7])
def test_both_parts_together_give_what_the_whole_gives(seconds: float) -> None:
    sound = voice(seconds)[None]
    feeds = {"waveform": sound, "lengths": np.array([sound.shape[1]])}
    names = ["logits", "probabilities", "embedding"]
    middle = session_of(part_of(DATA, "front_end")).run(list(CUT), feeds)
    found = session_of(part_of(DATA, "network")).run(names, dict(zip(CUT, middle, strict=True)))
    for name, value, expected in zip(names, found, session_of(DATA).run(names, feeds), strict=True):
        np.testing.assert_array_equal(value, expected, err_msg=name)


def test_each_part_holds_its_own_nodes_and_weights_only() -> None:
    front, network = (onnx.load_from_string(part_of(DATA, part)) for part in ("front_end", "network"))
    for part in (front, network):
        onnx.checker.check_model(part, full_check=True)
    assert [item.name for item in front.graph.input] == ["waveform", "lengths"]
    assert [item.name for item in network.graph.input] == list(CUT)
    weights = [{tensor.name for tensor in part.graph.initializer} for part in (front, network)]
    assert "filters" in weights[0] - weights[1]
    assert "weights" in weights[1] - weights[0]
    assert len(front.graph.node) + len(network.graph.node) == len(cuttable_model().graph.node)


def test_the_whole_is_left_as_it_is() -> None:
    assert part_of(DATA, "whole") is DATA


def test_a_model_without_a_spectrogram_can_not_be_cut() -> None:
    with pytest.raises(CutError, match="no spectrogram inside"):
        part_of(stand_in_model().SerializeToString(), "network")
    assert issubclass(CutError, BundleError)


@pytest.mark.parametrize("name", shipped_bundles())
def test_a_shipped_bundles_widths_are_what_its_graph_answers(name: str) -> None:
    bundle = load_bundle(name)
    widths = output_widths(bundle.model_bytes())
    assert widths["probabilities"] == len(bundle.info.classes)
    if name == "small":  # one is enough to run
        found = Graph(bundle).run([np.zeros(16_000, np.float32)], ["embedding"])["embedding"]
        assert found.shape == (1, widths["embedding"])


def test_an_output_of_one_axis_has_no_width() -> None:
    widths = output_widths(stand_in_model(sound=True).SerializeToString())
    assert (widths["embedding"], widths["probabilities"], widths["distance"]) == (3, len(CLASSES), None)


@pytest.mark.parametrize("data", [b"", b"no model", b"\x3a\xff"])
def test_what_is_no_model_is_told(data: bytes) -> None:
    with pytest.raises(BundleError, match="not an ONNX model"):
        output_widths(data)
