"""A graph cut at its spectrogram; last layers written by hand, whose numbers are those of the formulas."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from stand_in import as_shipped, cuttable_model, stand_in_model, with_mismatch

from earnest.bundle import SHIPPED
from earnest.errors import BundleError
from earnest.onnx.check import check_onnx
from earnest.onnx.surgery import (
    CUT,
    MISMATCH,
    OVERLAP,
    CutError,
    GraphHead,
    KnownSound,
    added_head_of,
    last_layer_of,
    part_of,
    with_head,
)
from earnest.testing.sounds import voice

RNG = np.random.default_rng(0)


def a_head(width: int, known: bool = True) -> GraphHead:
    mean, directions = RNG.normal(size=width), RNG.normal(size=(4, width)) / width
    sound = KnownSound(mean.astype(np.float32), directions.astype(np.float32), 0.4) if known else None
    return GraphHead(
        RNG.normal(size=(3, width)).astype(np.float32), RNG.normal(size=3).astype(np.float32), 2.5, 0.1, sound
    )


def answers(data: bytes) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(data)
    wave = np.random.default_rng(1).normal(0, 0.1, (3, 8_000)).astype(np.float32)
    feeds = {"waveform": wave, "lengths": np.array([8_000, 5_000, 6_000])}
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def models() -> dict[str, bytes]:
    made_up = stand_in_model(extra_outputs=True, sound=True).SerializeToString()
    return {"stand-in": made_up, "small": (SHIPPED / "small" / "model.onnx").read_bytes()}


@pytest.mark.parametrize("name", ["stand-in", "small"])
@pytest.mark.parametrize("known", [True, False])
def test_answers_are_those_of_the_formulas_and_other_outputs_stay_as_they_were(name: str, known: bool) -> None:
    data = models()[name]
    before = answers(data)
    head = a_head(before["embedding"].shape[1], known)
    after = answers(with_head(data, head, {"name": "mine"}))
    embedding = before["embedding"].astype(np.float64)
    logits = embedding @ head.weight.T + head.bias
    sharpness = np.full((len(logits), 1), 1 / head.temperature)
    if head.known:
        distance = np.sqrt((((embedding - head.known.mean) @ head.known.directions.T) ** 2).mean(axis=1))
        np.testing.assert_allclose(after["distance"], distance, rtol=1e-4)
        sharpness *= np.exp(-np.clip(distance - head.known.threshold, 0, 3))[:, None]
    expected = np.exp(logits * sharpness) / np.exp(logits * sharpness).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(after["logits"], logits, atol=1e-3, rtol=1e-4)
    np.testing.assert_allclose(after["probabilities"], expected, atol=1e-4)
    assert ("distance" in after) == known
    for output in before.keys() - {"logits", "probabilities", "distance"}:
        np.testing.assert_array_equal(after[output], before[output])


def test_speech_that_the_base_knows_to_be_told_badly_is_as_far_beyond_the_own_threshold() -> None:
    data = models()["small"]
    proto = onnx.load_from_string(data)
    proto.graph.output.append(onnx.helper.make_tensor_value_info(MISMATCH, onnx.TensorProto.FLOAT, ["batch", 1]))
    plain, before = a_head(768), answers(proto.SerializeToString())
    assert plain.known is not None
    told = before[MISMATCH][:, 0]
    for start in (float(told.min()) - 1, float(told.max()) + 9):  # farther than other sound, nearer
        own = with_head(data, replace(plain, known=replace(plain.known, mismatch_from=start)), {})
        expected = np.maximum(answers(with_head(data, plain, {}))["distance"], told - start + plain.known.threshold)
        np.testing.assert_allclose(answers(own)["distance"], expected, rtol=1e-3)
        for graph in (data, own, with_head(own, replace(plain, known=replace(plain.known, mismatch_from=start)), {})):
            found = added_head_of(graph, MISMATCH, 768)
            assert found is not None
            np.testing.assert_allclose(found.values(before["embedding"]), told, rtol=1e-3, atol=1e-3)
            assert found.start == (None if graph is data else pytest.approx(start))
    assert added_head_of(with_head(data, plain, {}), MISMATCH, 768) is None
    assert added_head_of(models()["stand-in"], MISMATCH, 3) is None


def test_several_people_at_once_are_answered_less_surely_as_in_the_base() -> None:
    data, plain = models()["small"], a_head(768, known=False)
    before = answers(data)
    log_odds = np.log(before["overlap"] / (1 - before["overlap"]))
    head = added_head_of(data, OVERLAP, 768)
    assert head is not None
    np.testing.assert_allclose(head.values(before["embedding"]), log_odds, atol=1e-2)
    logits = before["embedding"] @ plain.weight.T + plain.bias
    for start in (float(log_odds.min()) - 1, float(log_odds.max()) + 1):
        told = answers(with_head(data, replace(plain, overlap_from=start), {}))["probabilities"]
        sharper = np.exp(-np.clip(log_odds - start, 0, 3)) / plain.temperature
        expected = np.exp(logits * sharper[:, None])
        np.testing.assert_allclose(told, expected / expected.sum(axis=1, keepdims=True), atol=1e-3)
    unknown = answers(with_head(models()["stand-in"], replace(a_head(3, known=False), overlap_from=0.0), {}))
    assert "overlap" not in unknown


@pytest.mark.parametrize("name", ["mismatch_weight", "mismatch_bias", "reach"])
def test_a_head_for_mismatch_that_fits_nothing_is_none(name: str) -> None:
    model = with_mismatch(stand_in_model(), louder_than=0.1)
    assert added_head_of(model.SerializeToString(), MISMATCH, 3) is not None
    (tensor,) = (one for one in model.graph.initializer if one.name.endswith(f".heads_{name}"))
    kept = numpy_helper.to_array(tensor)
    for wrong in (np.zeros((7, 5), kept.dtype), np.zeros(4, kept.dtype), kept.astype(np.float64)):
        tensor.CopyFrom(numpy_helper.from_array(wrong, tensor.name))
        assert added_head_of(model.SerializeToString(), MISMATCH, 3) is None


def sharpness(data: bytes, sound: np.ndarray) -> float:
    """What logits are multiplied with: Δ ln p / Δ z."""
    feeds = {"waveform": sound[None], "lengths": np.array([len(sound)])}
    logits, probabilities = (values[0] for values in session_of(data).run(["logits", "probabilities"], feeds))
    first, last = logits.argmax(), logits.argmin()
    return float(np.log(probabilities[first] / probabilities[last]) / (logits[first] - logits[last]))


@pytest.mark.parametrize("seconds", [0.4, 0.5, 0.9, 1.4, 3.0])
def test_sound_shorter_than_the_head_says_is_answered_less_surely_in_proportion(seconds: float) -> None:
    base, head, sound = models()["small"], a_head(768, known=False), voice(seconds)
    share = min(sharpness(base, sound) / sharpness(base, voice(3.0)), 1.0)  # min(t / 1.5 s, 1), as the base hears t
    assert share == pytest.approx(min(seconds / 1.5, 1.0), rel=0.1)
    for sure_from_s, expected in ((1.5, share), (0.6, min(1.0, share * 1.5 / 0.6))):
        mine = with_head(base, replace(head, temperature=40.0, sure_from_s=sure_from_s), {"name": "mine"})
        assert 40 * sharpness(mine, sound) == pytest.approx(expected, rel=1e-2)


def test_a_base_that_does_not_tell_the_time_is_as_sure_of_short_sound() -> None:
    mine = with_head(models()["stand-in"], replace(a_head(3, known=False), temperature=40.0), {"name": "mine"})
    assert 40 * sharpness(mine, voice(0.4)) == pytest.approx(1.0, rel=1e-2)


def test_the_new_model_passes_the_checks_of_a_bundle_and_can_be_cut() -> None:
    data = models()["small"]
    new = with_head(data, a_head(768), {"name": "mine"})
    check_onnx(new, Path("model.onnx"))
    assert part_of(new, "front_end") and part_of(new, "network")
    import onnx

    proto = onnx.load_from_string(new)
    onnx.checker.check_model(proto)
    assert {one.key: one.value for one in proto.metadata_props}["name"] == "mine"
    # A head can be replaced again and again: nothing of the one before is left.
    again = onnx.load_from_string(with_head(new, a_head(768), {"name": "mine"}))
    assert len(again.graph.node) == len(proto.graph.node)
    assert len(again.graph.initializer) == len(proto.graph.initializer)


def test_the_last_layer_that_is_read_gives_the_logits() -> None:
    for data in (models()["small"], as_shipped(stand_in_model()).SerializeToString()):
        found, told = last_layer_of(data), answers(data)
        assert found is not None
        weight, bias = found
        np.testing.assert_allclose(told["embedding"] @ weight.T + bias, told["logits"], atol=1e-3, rtol=1e-4)
    again = last_layer_of(with_head(models()["small"], a_head(768), {}))
    assert again is not None and again[0].shape == (3, 768)


def test_logits_that_are_made_otherwise_have_no_last_layer() -> None:
    assert last_layer_of(models()["stand-in"]) is None
    halved = as_shipped(stand_in_model())
    for tensor in halved.graph.initializer:
        if tensor.name == "last_weights":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    assert last_layer_of(halved.SerializeToString()) is None
    assert last_layer_of(models()["small"][:5_000]) is None


def test_a_model_without_an_embedding_and_one_that_is_damaged_are_refused() -> None:
    model = stand_in_model()
    model.graph.output.remove(next(one for one in model.graph.output if one.name == "embedding"))
    with pytest.raises(BundleError, match="no output 'embedding'"):
        with_head(model.SerializeToString(), a_head(3), {})
    whole = models()["stand-in"]
    with pytest.raises(BundleError, match="not an ONNX model"):
        with_head(whole[: len(whole) // 2], a_head(3), {})


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
