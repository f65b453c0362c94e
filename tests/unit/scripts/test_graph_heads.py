"""Heads that are added to a graph: its outputs are those of the formulas."""

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, helper
from stand_in import stand_in_model

from earnest.bundle import SOUNDS
from earnest.export.onnx import add_distance, store_small
from scripts.graph_heads import (
    MismatchHead,
    OverlapHead,
    SoundHead,
    add_affect,
    add_intensity,
    add_mismatch,
    add_overlap,
    add_sounds,
    refit_sounds,
    soften,
)

WIDTH, N_DIRECTIONS = 3, 2
FRAMES_PER_S = 4_000  # of the stand-in, a sample a frame: 2 s, 0.75 s and 2 s


@pytest.fixture(scope="module")
def tables() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "mean": rng.normal(0, 0.1, WIDTH).astype(np.float32),
        "directions": rng.normal(0, 40, (N_DIRECTIONS, WIDTH)).astype(np.float32),
        "weight": rng.normal(0, 20, (WIDTH, len(SOUNDS))).astype(np.float32),
        "bias": rng.normal(size=len(SOUNDS)).astype(np.float32),
    }


def answers(model: object, names: list[str]) -> dict[str, np.ndarray]:
    """Run three waveforms of different length, the last one silent."""
    session = onnxruntime.InferenceSession(model.SerializeToString())  # type: ignore[attr-defined]
    waveform = np.random.default_rng(1).normal(0, 0.1, (3, 8_000)).astype(np.float32)
    waveform[2] = 0
    feeds = {"waveform": waveform, "lengths": np.array([8_000, 3_000, 8_000])}
    return dict(zip(names, session.run(names, feeds), strict=True))


def framed_model() -> ModelProto:
    """Return the stand-in with what every network's front end has: how many frames lie between the silences."""
    model = stand_in_model()
    model.graph.node.append(helper.make_node("Identity", ["lengths"], ["n_frames"]))
    return model


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_distance_and_sounds_are_those_of_the_formulas(tables: dict[str, np.ndarray]) -> None:
    model = stand_in_model()
    add_distance(model, tables["mean"], tables["directions"])
    add_sounds(model, SoundHead(tables["weight"], tables["bias"]))
    found = answers(model, ["embedding", "distance", "sound"])
    projected = (found["embedding"] - tables["mean"]) @ tables["directions"].T
    np.testing.assert_allclose(found["distance"], np.sqrt((projected**2).mean(axis=1)), rtol=1e-4)
    expected = softmax(found["embedding"] @ tables["weight"] + tables["bias"])
    np.testing.assert_allclose(found["sound"], expected, atol=1e-5)


@pytest.mark.parametrize("is_small", [False, True])
def test_sounds_can_be_fitted_again(
    tables: dict[str, np.ndarray], is_small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = stand_in_model()
    weight = tables["weight"].astype(np.float16).astype(np.float32)
    add_sounds(model, SoundHead(-weight, -tables["bias"]))
    if is_small:
        monkeypatch.setattr("earnest.export.onnx.SMALLEST", weight.size)
        store_small(model)
    before = len(model.SerializeToString())
    refit_sounds(model, SoundHead(weight, tables["bias"]))
    assert len(model.SerializeToString()) == before
    found = answers(model, ["embedding", "sound"])
    np.testing.assert_allclose(found["sound"], softmax(found["embedding"] @ weight + tables["bias"]), atol=1e-5)


def test_intensity_is_a_line_between_nought_and_one(tables: dict[str, np.ndarray]) -> None:
    model = stand_in_model()
    weight = tables["weight"][:, 0]
    add_intensity(model, weight, 0.5)
    found = answers(model, ["embedding", "intensity"])
    assert found["intensity"].shape == (3,)
    np.testing.assert_allclose(found["intensity"], np.clip(found["embedding"] @ weight + 0.5, 0, 1), atol=1e-5)


def test_derived_affect_is_two_lines_between_nought_and_one_and_can_be_fitted_again(
    tables: dict[str, np.ndarray],
) -> None:
    model = stand_in_model()
    before = model.SerializeToString()
    weight, bias = tables["weight"][:, :2], np.array([0.5, 0.25], np.float32)
    for tried in (weight[:, ::-1], weight):
        add_affect(model, tried, bias)
    found = answers(model, ["embedding", "affect_derived"])
    stored = weight.astype(np.float16).astype(np.float32)
    assert found["affect_derived"].shape == (3, 2)
    np.testing.assert_allclose(found["affect_derived"], np.clip(found["embedding"] @ stored + bias, 0, 1), atol=1e-5)
    assert len(model.SerializeToString()) < len(before) + 1_000
    assert [output.name for output in model.graph.output].count("affect_derived") == 1


@pytest.mark.parametrize("start", [0.1, 1e6])
def test_strange_sound_and_short_speech_are_answered_less_surely(tables: dict[str, np.ndarray], start: float) -> None:
    model = framed_model()
    add_distance(model, tables["mean"], tables["directions"])
    soften(model, 2.0, start, FRAMES_PER_S)
    found = answers(model, ["logits", "distance", "probabilities"])
    scale = np.exp(np.clip(found["distance"] - start, 0, 3))[:, None]
    assert (scale > 1).all() == (start < 1)
    of_time = np.array([[1.0], [0.5], [1.0]])  # of 1.5 s
    np.testing.assert_allclose(found["probabilities"], softmax(found["logits"] * of_time / (2.0 * scale)), atol=1e-5)


def test_overlapped_speech_is_answered_less_surely_and_its_head_can_be_fitted_again(
    tables: dict[str, np.ndarray],
) -> None:
    model, once = framed_model(), framed_model()
    weight = tables["weight"][:, :2].astype(np.float16).astype(np.float32)
    bias = -(answers(model, ["embedding"])["embedding"] @ weight).mean(axis=0)
    for tried, heads in (
        (model, (OverlapHead(-weight, 3 + bias), OverlapHead(weight, bias))),
        (once, (OverlapHead(weight, bias),)),
    ):
        add_distance(tried, tables["mean"], tables["directions"])
        for head in heads:
            add_overlap(tried, head)
            soften(tried, 2.0, 1e6, FRAMES_PER_S)
    assert model.SerializeToString() == once.SerializeToString()
    found = answers(model, ["logits", "embedding", "overlap", "probabilities"])
    odds = (found["embedding"] @ weight + bias).max(axis=1)
    np.testing.assert_allclose(found["overlap"], 1 / (1 + np.exp(-odds)), atol=1e-5)
    assert {*(odds > 0)} == {True, False}
    scale = 2.0 * np.exp(np.clip(odds, 0, 3))[:, None]
    of_time = np.array([[1.0], [0.5], [1.0]])  # of 1.5 s
    np.testing.assert_allclose(found["probabilities"], softmax(found["logits"] * of_time / scale), atol=1e-5)


def test_mismatched_speech_lies_out_of_domain_and_its_head_can_be_fitted_again(tables: dict[str, np.ndarray]) -> None:
    model, once, start = framed_model(), framed_model(), 5.0
    weight = tables["weight"][:, :3].astype(np.float16).astype(np.float32)
    bias, softer = -(answers(model, ["embedding"])["embedding"] @ weight).mean(axis=0), np.array([1.5, 2.0], np.float32)
    head = MismatchHead(weight, bias, softer)
    for tried, heads in ((model, (MismatchHead(-weight, 3 + bias, softer), head)), (once, (head,))):
        add_distance(tried, tables["mean"], tables["directions"])
        plain = answers(tried, ["embedding", "distance"])
        for one in heads:
            add_mismatch(tried, one, start)
            soften(tried, 2.0, start, FRAMES_PER_S)
    assert model.SerializeToString() == once.SerializeToString()
    found = answers(model, ["logits", "distance", "probabilities"])
    strange = softmax(plain["embedding"] @ weight + bias)[:, 1:] @ (start + np.log(softer))
    np.testing.assert_allclose(found["distance"], np.maximum(plain["distance"], strange), rtol=1e-4)
    assert {*(strange > plain["distance"])} == {True, False}
    scale = 2.0 * np.exp(np.clip(found["distance"] - start, 0, 3))[:, None]
    of_time = np.array([[1.0], [0.5], [1.0]])  # of 1.5 s
    np.testing.assert_allclose(found["probabilities"], softmax(found["logits"] * of_time / scale), atol=1e-5)


def test_softened_again_a_graph_has_the_second_temperature_alone(tables: dict[str, np.ndarray]) -> None:
    once, twice = framed_model(), framed_model()
    for model, temperatures in ((once, (3.0,)), (twice, (2.0, 3.0))):
        add_distance(model, tables["mean"], tables["directions"])
        for temperature in temperatures:
            soften(model, temperature, 1.0, FRAMES_PER_S)
    assert once.SerializeToString() == twice.SerializeToString()


def test_the_network_itself_stays_as_it_was(tables: dict[str, np.ndarray]) -> None:
    names = ["logits", "embedding"]
    before = answers(stand_in_model(), names)
    model = framed_model()
    add_distance(model, tables["mean"], tables["directions"])
    add_sounds(model, SoundHead(tables["weight"], tables["bias"]))
    soften(model, 2.0, 1.0, FRAMES_PER_S)
    for name, values in answers(model, names).items():
        np.testing.assert_array_equal(values, before[name])
