"""Adaptation to a speaker: the network's answers checked, sets that grow, stay and are heard twice."""

import copy
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in import CLASSES, stand_in_adaptation, write_adapting, write_bundle

import earnest
from earnest.bundle import ADAPTATION, RULE, load_bundle
from earnest.errors import BundleError, EarnestError
from earnest.runtime import adaptation as module
from earnest.runtime import bulk
from earnest.runtime.adaptation import Adaptation, Adapter, BatchAdapter, Vector
from earnest.runtime.bulk import AnsweredRecording
from earnest.runtime.graph import engine_for
from earnest.runtime.prediction import Options
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import MOST_ROWS, Profile
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing
from earnest.testing.sounds import voice, write_voice

K = len(CLASSES)


def shares(n_rows: int, seed: int = 0) -> Vector:
    return np.random.default_rng(seed).dirichlet(np.full(K, 0.5), n_rows)


def expected(plain: Vector, weights: Vector, weight: float = 0.5) -> Vector:
    """The stand-in's rule written out."""
    logits = np.log(np.maximum(plain, 1e-6))
    centred = np.exp(logits - weights @ logits / weights.sum())
    return weight * centred / centred.sum(axis=1, keepdims=True) + (1 - weight) * plain


@pytest.fixture(scope="module")
def adaptation() -> Adaptation:
    return Adaptation.read(stand_in_adaptation(), K, "stand-in", least_speech_s=6.0)


def test_a_set_is_answered_in_one_run(adaptation: Adaptation) -> None:
    plain, weights = shares(20), np.linspace(0.1, 1, 20)
    answers = adaptation.answer(plain, weights)
    np.testing.assert_allclose(answers.probabilities, expected(plain, weights), atol=1e-5)
    np.testing.assert_allclose(answers.weights, 0.5)
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(adaptation.answer(plain).probabilities, expected(plain, np.ones(20)), atol=1e-5)


def test_a_set_that_is_too_large_is_answered_in_parts(adaptation: Adaptation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_SET", 8)
    plain = shares(20)
    found = adaptation.answer(plain).probabilities
    for part in range(3):
        np.testing.assert_allclose(found[part::3], expected(plain[part::3], np.ones(len(plain[part::3]))), atol=1e-5)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_bundles_own_engine_runs_it(tmp_path: Path, backend: Any) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    bundle = load_bundle(write_adapting(tmp_path, least_speech_s=2.5))
    found = Adaptation.of(bundle, engine_for(bundle, backend=backend))
    assert found is not None
    assert (found.n_classes, found.least_speech_s) == (K, 2.5)
    for n_rows in (1, 7):
        plain = shares(n_rows)
        np.testing.assert_allclose(found.answer(plain).probabilities, expected(plain, np.ones(n_rows)), atol=1e-5)


def test_causal_answers_are_those_of_all_windows_so_far(adaptation: Adaptation) -> None:
    plain, adapter = shares(10), Adapter(adaptation)
    news = [3.0, 1.0, 1.0, 2.0, 0.0, 3.0, 3.0, 1.0, 1.0, 3.0]
    found = [adapter.hear(row, 3.0, new_s) for row, new_s in zip(plain, news, strict=True)]
    assert [answer is None for answer in found] == [True] * 3 + [False] * 7  # 6 s are heard with the fourth
    weights = np.array(news) / 3
    kept = [*range(4), *range(5, 10)]  # the fifth adds nothing
    for last in range(5, 10):
        rows = [row for row in kept if row <= last]
        answer = found[last]
        assert answer is not None
        np.testing.assert_allclose(answer.probabilities, expected(plain[rows], weights[rows])[-1], atol=1e-5)
        assert answer.weight == 0.5


def test_only_the_latest_windows_are_remembered(adaptation: Adaptation) -> None:
    plain, adapter = shares(MOST_ROWS + 5), Adapter(adaptation)
    for row in plain:
        answer = adapter.hear(row, 3.0, 3.0)
    assert answer is not None
    # The window itself is one more.
    np.testing.assert_allclose(answer.probabilities, expected(plain[4:], np.ones(MOST_ROWS + 1))[-1], atol=1e-5)


def test_one_window_alone_is_left_as_it_is() -> None:
    eager = Adaptation.read(stand_in_adaptation(), K, "stand-in")
    adapter, batch = Adapter(eager), BatchAdapter(eager)
    assert adapter.hear(shares(1)[0], 3.0, 3.0) is None
    assert adapter.hear(shares(1)[0], 3.0, 3.0) is not None
    batch.hear(shares(1)[0], 3.0, 3.0)
    batch.finish()
    assert batch.hear(shares(1)[0], 3.0, 3.0) is None


def profile_of(plain: Vector, speech_s: float = 30.0) -> Profile:
    return Profile.of("stand-in", "1", CLASSES, speech_s, plain, np.ones(len(plain)))


def test_an_adapter_says_how_much_speech_it_knows(adaptation: Adaptation) -> None:
    plain = shares(12)
    adapter = Adapter(adaptation)
    adapter.hear(plain[0], 3.0, 3.0)
    adapter.hear(plain[1], 3.0, 1.5)
    assert repr(adapter) == "<Adapter, 4.5 s of speech heard>"
    fixed = Adapter(adaptation, profile_of(plain, speech_s=3.0))
    fixed.hear(plain[0], 3.0, 3.0)
    assert repr(fixed) == "<Adapter, 3.0 s of speech of a profile>"


def test_a_profile_stays_what_it_is(adaptation: Adaptation) -> None:
    plain = shares(12)
    adapter = Adapter(adaptation, profile_of(plain[:10]))
    for row in (10, 11, 10):
        answer = adapter.hear(plain[row], 3.0, 3.0)
        assert answer is not None
        whole = expected(plain[[*range(10), row]], np.ones(11))
        np.testing.assert_allclose(answer.probabilities, whole[-1], atol=1e-5)
    assert Adapter(adaptation, profile_of(plain, speech_s=3.0)).hear(plain[0], 3.0, 3.0) is None


def test_a_batch_is_answered_from_all_of_it(adaptation: Adaptation) -> None:
    plain, batch = shares(12), BatchAdapter(adaptation)
    assert [batch.hear(row, 3.0, 1.5) for row in plain] == [None] * 12
    batch.finish()
    found = [batch.hear(row, 3.0, 1.5) for row in plain]
    assert batch.speech_s == 18.0
    whole = expected(plain, np.full(12, 0.5))
    for answer, row in zip(found, whole, strict=True):
        assert answer is not None
        np.testing.assert_allclose(answer.probabilities, row, atol=1e-5)
    little = BatchAdapter(adaptation)
    little.hear(plain[0], 3.0, 3.0)
    little.hear(plain[0], 3.0, 2.9)
    little.finish()
    assert little.hear(plain[0], 3.0, 3.0) is None


def nodes(*wrong: Any, n_classes: int = K) -> bytes:
    """A network whose answers are the outputs of these nodes."""
    from onnx import TensorProto, helper, numpy_helper

    info = helper.make_tensor_value_info
    constants = {"nan": np.nan, "two": 2.0, "least": [0], "most": [1]}
    kinds = {"least": np.int64, "most": np.int64}
    graph = helper.make_graph(
        list(wrong),
        "wrong",
        [info("probabilities", TensorProto.FLOAT, ["rows", n_classes]), info("weights", TensorProto.FLOAT, ["rows"])],
        [info("adapted", TensorProto.FLOAT, None), info("weight", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.asarray(value, kinds.get(name, np.float32)), name)
            for name, value in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def node(operator: str, inputs: str, output: str, **settings: Any) -> Any:
    from onnx import helper

    return helper.make_node(operator, inputs.split(), [output], **settings)


SAME, WEIGHT = node("Identity", "probabilities", "adapted"), node("Identity", "weights", "weight")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no graph", "not an ONNX model"),
        (nodes(SAME, WEIGHT, node("Loop", "least", "looped")), "may run without end"),
        (stand_in_adaptation(n_classes=4), "4 outputs for 6 classes"),
        (stand_in_adaptation(names=("answers", "weight")), "adapted, weight"),
        (nodes(SAME, node("Relu", "least most", "weight")), "refuses it"),
    ],
)
def test_what_is_no_adaptation_network_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Adaptation.read(data, K, "stand-in")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (nodes(node("Mul", "probabilities nan", "adapted"), WEIGHT), "not finite"),
        (nodes(SAME, node("Mul", "weights nan", "weight")), "not finite"),
        (nodes(node("Mul", "probabilities two", "adapted"), WEIGHT), "no probabilities"),
        (nodes(SAME, node("Mul", "weights two", "weight")), "no probabilities"),
        (nodes(SAME, node("Unsqueeze", "weights most", "weight")), "expected shapes"),
        (nodes(node("Slice", "probabilities least most least", "adapted"), WEIGHT), "expected shapes"),
        (nodes(node("Add", "probabilities weights", "adapted"), WEIGHT), "failed to run"),
    ],
)
def test_answers_that_are_none_are_refused(data: bytes, message: str) -> None:
    broken = Adaptation.read(data, K, "stand-in")
    with pytest.raises(BundleError, match=f"stand-in: {ADAPTATION}: .*{message}"):
        broken.answer(shares(3))


def test_the_network_in_a_bundle_is_checked_as_its_graph_is(tmp_path: Path) -> None:
    endless = nodes(SAME, WEIGHT, node("Loop", "least", "looped"))
    with pytest.raises(BundleError, match=f"{ADAPTATION}: .*may run without end"):
        load_bundle(write_adapting(tmp_path / "endless", endless))
    for number, entry in enumerate([{"file": "other.onnx", "least_speech_s": 1.0}, {"file": ADAPTATION}, {"scale": 1}]):
        with pytest.raises(BundleError, match="adaptation"):
            load_bundle(write_adapting(tmp_path / str(number), adaptation=entry))
    listed = {"file": ADAPTATION, "least_speech_s": 1.0}
    with pytest.raises(BundleError, match=f"sha256 of {ADAPTATION}"):
        load_bundle(write_bundle(tmp_path / "unlisted", adaptation=listed))


def test_the_rule_of_an_earlier_bundle_is_left_alone_and_that_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = {"scale": 2.0, "least_speech_s": 6.0, "file": RULE}
    model = earnest.load(write_bundle(tmp_path, more_files={RULE: b"arrays"}, adaptation=entry, name="earlier"))
    assert model.info.adaptation is None
    assert not caplog.records
    for _ in range(2):
        assert not model.can_adapt
    assert [record.message for record in caplog.records] == [
        "earlier: its adaptation is of an earlier version, and is not used. Export the bundle again."
    ]
    with pytest.raises(BundleError, match="can't adapt to a speaker"):
        model.adapter()


@pytest.mark.parametrize("sent", [pickle.dumps, copy.copy, copy.deepcopy])
def test_an_adapter_that_is_pickled_or_copied_says_how_to_make_it_elsewhere(
    tmp_path: Path, sent: Callable[[object], object]
) -> None:
    model = Predictor(load_bundle(write_adapting(tmp_path)))
    with pytest.raises(EarnestError, match=r"An adapter can't be pickled or copied\. Make it where it is used"):
        sent(model.adapter())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return earnest.load(write_adapting(tmp_path_factory.mktemp("bundle")))


TALK = np.concatenate([voice(5.0), np.zeros(16_000), voice(4.0, level=0.3, seed=1)]).astype(np.float32)


@pytest.mark.parametrize("size", [1_000, 7_777, 80_000])
def test_with_adaptation_a_stream_is_its_timeline_too(model: Predictor, size: int) -> None:
    whole = model.timeline((TALK, 16_000), adapter=model.adapter())
    with model.stream(16_000, adapter=model.adapter()) as stream:
        pieces = [stream.accept_waveform(TALK[at : at + size]) for at in range(0, len(TALK), size)]
        events = [event for piece in [*pieces, stream.finish()] for event in piece]
    streamed = Timeline.of(stream.prediction("array"), events, stream.activity, whole.classes)
    assert streamed == whole
    assert whole.prediction.adapted
    assert 0 < whole.prediction.adaptation_weight < 0.5  # the first window is plain


def test_adaptation_changes_later_windows_only_and_can_be_switched_off(model: Predictor) -> None:
    plain = model.timeline((TALK, 16_000), Windowing(1.0, 1.0))
    adapted = model.timeline((TALK, 16_000), Windowing(1.0, 1.0), model.adapter())
    same = [one == other for one, other in zip(plain.windows, adapted.windows, strict=True)]
    assert same[:2] == [True] * 2
    assert not any(same[2:])
    assert (plain.prediction.adapted, plain.prediction.adaptation_weight) == (False, 0.0)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("recordings")
    return [write_voice(folder / f"{number}.wav", 0.5 + number % 6, seed=number) for number in range(12)]


def test_how_frequent_emotions_are_counts_for_the_part_that_is_not_adapted(model: Predictor, paths: list[Path]) -> None:
    profile = model.profile(paths)
    found, told = (model.predict(paths[3], model.adapter(profile), classes=ask) for ask in (None, "neutral=0.6"))
    assert told.adaptation_weight == pytest.approx(0.5)
    ratios = np.sqrt([0.6, *[0.08] * 5])  # (q·K)^(1 − w) but for a constant
    expected = ratios * np.array([found.probabilities[name] for name in CLASSES])
    assert [told.probabilities[name] for name in CLASSES] == pytest.approx(expected / expected.sum(), abs=1e-5)


@pytest.mark.parametrize("jobs", [1, 3])
def test_rows_of_one_speaker_are_adapted_in_their_order(
    model: Predictor, paths: list[Path], jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AHEAD_S", 3.0)  # longer ones are decoded in their turn, and must be heard in it too
    together = list(model.predict_many(paths, jobs, model.adapter()))
    adapter = model.adapter()
    assert together == [model.predict(path, adapter) for path in paths]
    assert [row.adapted for row in together[:2]] == [False, False]
    assert all(row.adapted for row in together[5:])


@pytest.mark.parametrize("jobs", [1, 3])
def test_speakers_are_heard_whole_and_then_answered_each_from_its_own(
    model: Predictor, paths: list[Path], jobs: int
) -> None:
    speakers = ["anna" if number % 2 else "bob" for number in range(12)]
    both = list(model.predict_many([*paths, "missing.wav"], jobs, speakers=[*speakers, "bob"]))
    assert both[-1].status == "error"
    plain = list(model.predict_many(paths))
    for name in ("anna", "bob"):
        own = [path for path, speaker in zip(paths, speakers, strict=True) if speaker == name]
        alone = list(model.predict_many(own, speakers=name))
        assert alone == [row for row, speaker in zip(both, speakers, strict=False) if speaker == name]
    assert all(row.adapted and row.adaptation_weight == pytest.approx(0.5) for row in both[:-1])
    short = [number for number, row in enumerate(plain) if (row.duration_s or 0) < 4]
    assert all(both[row].probabilities != plain[row].probabilities for row in short)
    # What has nothing to do with adaptation is the same.
    for one, other in zip(both, plain, strict=False):
        assert (one.path, one.speech_s, one.quality, one.model) == (
            other.path,
            other.speech_s,
            other.quality,
            other.model,
        )


def test_in_a_batch_short_recordings_are_rows_and_long_ones_windows(model: Predictor, paths: list[Path]) -> None:
    rows, weights = [], []
    for path in paths:
        timeline = model.timeline(path)
        ends = 0.0
        for window in timeline.windows:
            rows.append(list(window.probabilities.values()))
            weights.append((window.end_s - max(window.start_s, ends)) / (window.end_s - window.start_s))
            ends = window.end_s
    found = [row for row in model.predict_many(paths, speakers="anna") if (row.duration_s or 0) < 4]
    whole = [number for number, weight in enumerate(weights) if weight == 1.0]
    assert len(whole) < len(rows)
    answers = expected(np.array(rows), np.array(weights))
    told = [list(row.probabilities.values()) for row in found]
    for row in told:
        assert np.abs(answers - row).sum(axis=1).min() < 1e-4


def test_what_was_heard_is_kept_as_json(model: Predictor, paths: list[Path]) -> None:
    import json

    options = Options()
    heard = [one.spoken_by("anna") for one in model.hear_many(paths, 1, options)]
    again = [AnsweredRecording.from_dict(json.loads(json.dumps(one.to_dict()))) for one in heard]
    direct = list(model.batch(options).answered(lambda: (("anna", one) for one in heard)))
    kept = list(model.batch(options).answered(lambda: (("anna", one) for one in again)))
    assert direct == list(model.predict_many(paths, speakers="anna"))
    for one, other in zip(direct, kept, strict=True):
        assert one.emotion == other.emotion
        assert list(one.probabilities.values()) == pytest.approx(list(other.probabilities.values()), abs=1e-5)
    for wrong in ({}, {"steps": [[1]]}, {"steps": [[1, 2, 3, {"other": [1]}]], "plain": {}, "is_whole": True}):
        with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
            AnsweredRecording.from_dict(wrong)


def test_classes_are_chosen_after_adaptation(model: Predictor, paths: list[Path]) -> None:
    chosen = list(model.predict_many(paths, speakers="anna", classes="happy,sad"))
    every = list(model.predict_many(paths, speakers="anna"))
    for one, other in zip(chosen, every, strict=True):
        happy, sad = other.probabilities["happy"], other.probabilities["sad"]
        if (one.duration_s or 0) < 4:
            assert one.probabilities["happy"] == pytest.approx(happy / (happy + sad), abs=1e-6)


def test_a_mean_over_variants_or_models_adapts_too(model: Predictor, paths: list[Path], tmp_path: Path) -> None:
    folder = write_adapting(tmp_path)
    for predictor in (Predictor.load(folder, tta="gain"), Predictor.load([write_bundle(tmp_path / "plain"), folder])):
        assert all(row.adapted for row in predictor.predict_many(paths, speakers="anna"))


def test_known_recordings_and_their_profile_are_one(model: Predictor, paths: list[Path], tmp_path: Path) -> None:
    profile = model.profile(paths[:6])
    profile.write(tmp_path / "voice.json")
    read = Profile.read(tmp_path / "voice.json")
    assert read.speech_s == pytest.approx(profile.speech_s, abs=1e-3)
    first, second = model.predict(paths[7], model.adapter(paths[:6])), model.predict(paths[7], model.adapter(read))
    assert first.adapted
    assert second.adapted
    assert list(first.probabilities.values()) == pytest.approx(list(second.probabilities.values()), abs=1e-5)
    with pytest.raises(EarnestError, match="no speech"):
        model.profile([(np.zeros(16_000, np.float32), 16_000)])


def test_who_is_unknown_is_a_speaker_of_their_own(model: Predictor, paths: list[Path]) -> None:
    some = paths[:4]
    alone = [row for path in some for row in model.predict_many([path], speakers=[None])]
    assert alone == [replace(row, speaker=None) for path in some for row in model.predict_many([path], speakers="a")]
    for unknown in (None, "", math.nan, np.float64("nan")):
        assert list(model.predict_many(some, speakers=[unknown] * 4)) == alone  # type: ignore[list-item]
    numbered = list(model.predict_many(some, speakers=[7, 8, 7, 8]))
    named = list(model.predict_many(some, speakers=["a", "b", "a", "b"]))
    assert [row.speaker for row in numbered] == ["7", "8", "7", "8"]
    assert [replace(row, speaker=None) for row in numbered] == [replace(row, speaker=None) for row in named] != alone
    with pytest.raises(EarnestError, match="expected a name, or None where it is unknown, got"):
        model.predict_many(some, speakers=[("a",)] * 4)  # type: ignore[list-item]


def test_rows_tell_who_speaks_where_somebody_was_named(model: Predictor, paths: list[Path]) -> None:
    several = [*paths[:2], "missing.wav"]
    rows = model.predict_many(several, speakers=["anna", None, "bob"])
    assert rows.columns()["speaker"].values == ["anna", None, "bob"]
    assert [row.speaker for row in model.predict_many(several, speakers="anna")] == ["anna"] * 3
    assert "speaker" not in model.predict_many(several, speakers=[None] * 3).columns()
    of_table = model.predict_many(several, speakers=np.array([7, math.nan, 12]))  # a column of whole numbers with a gap
    assert of_table.columns()["speaker"].values == ["7", None, "12"]
    assert {type(row.speaker) for row in model.predict_many(several, speakers=np.array(["a", "b", "a"]))} == {str}


def test_a_profile_is_read_from_its_file(model: Predictor, paths: list[Path], tmp_path: Path) -> None:
    profile = model.profile(paths)
    (tmp_path / "anna.json").write_text(profile.to_json(), encoding="utf-8")
    told = [model.predict(paths[0], model.adapter(known)) for known in (profile, tmp_path / "anna.json")]
    assert [*told[0].probabilities.values()] == pytest.approx([*told[1].probabilities.values()], abs=1e-5)
    assert told[1].adapted


def test_speakers_and_an_adapter_exclude_each_other(model: Predictor, paths: list[Path]) -> None:
    with pytest.raises(EarnestError, match="not both"):
        model.predict_many(paths, adapter=model.adapter(), speakers="anna")
    with pytest.raises(EarnestError, match="1 speaker for 12 recordings"):
        model.predict_many(iter(paths), speakers=["anna"])


@pytest.mark.parametrize(
    ("speakers", "message"), [(["anna"], "1 speaker for 12 recordings"), ([("anna",)] * 12, "expected a name")]
)
def test_what_is_wrong_with_speakers_is_told_before_anything_is_heard(
    model: Predictor, paths: list[Path], speakers: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "hear_many", lambda *_: pytest.fail("a recording was heard"))
    with pytest.raises(EarnestError, match=message):
        model.predict_many(paths, speakers=speakers)
