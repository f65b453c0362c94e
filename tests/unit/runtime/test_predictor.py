"""Status, order, batches and windows of predictions, with a stand-in network."""

import os
import shutil
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from stand_in import CLASSES, stand_in_model, write_adapting, write_bundle, write_hearing

import earnest
from earnest.audio.io import Frames, open_frames
from earnest.audio.parts import PartReader
from earnest.audio.source import Part, Source, path_of
from earnest.audio.waveform import Waveform
from earnest.bundle import SHIPPED, TrainingCorpus, classes_text, load_bundle
from earnest.errors import AudioError, BundleError, EarnestError
from earnest.export.onnx import finished
from earnest.runtime import bulk
from earnest.runtime.decoders import InProcess
from earnest.runtime.graph import Outputs
from earnest.runtime.prediction import Prediction, polarity_of
from earnest.runtime.predictor import Predictor
from earnest.runtime.windows import WindowSound
from earnest.testing.sounds import voice, write_voice
from scripts.graph_heads import add_affect


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Predictor:
    return earnest.load(folder)


def test_a_clip_gets_the_probabilities_of_the_graph(model: Predictor) -> None:
    waveform = voice(1.5)
    result = model.predict((waveform, 16_000))
    direct = model.graph.run([waveform])["probabilities"][0]
    assert result.status == "ok"
    assert list(result.probabilities) == list(CLASSES)
    np.testing.assert_allclose(list(result.probabilities.values()), direct, atol=1e-6)
    assert result.emotion == CLASSES[int(direct.argmax())]
    assert result.confidence == pytest.approx(direct.max(), abs=1e-6)
    assert result.duration_s == 1.5
    assert (result.model, result.adapted, result.error, result.gender) == ("stand-in", False, None, None)


def test_a_copy_loads_nothing_again_and_has_its_own_settings(model: Predictor) -> None:
    copied = copy(model)
    copied.activity, copied.max_seconds = "energy", 1.0
    assert copied.graph is model.graph
    assert (model.activity, model.max_seconds > 1.0) == ("auto", True)
    assert copied.predict((voice(0.5), 16_000)) == model.predict((voice(0.5), 16_000))


def test_path_bytes_file_and_array_agree(model: Predictor, tmp_path: Path) -> None:
    path = write_voice(tmp_path / "a.wav", sample_rate_hz=44_100)
    results = [model.predict(source) for source in (path, path.read_bytes(), BytesIO(path.read_bytes()))]
    results.append(model.predict(soundfile.read(path, dtype="float32")))
    assert len({tuple(result.probabilities.values()) for result in results}) == 1
    assert [result.path for result in results] == [str(path), "bytes", "stream", "array"]


@pytest.mark.parametrize(("jobs", "held_s", "most_opened"), [(1, 1.0, 1), (2, 5.0, 2)])  # a thread may be overtaken
def test_parts_in_any_order_are_read_in_one_pass_and_answered_in_theirs(
    model: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int, held_s: float, most_opened: int
) -> None:
    soundfile.write(tmp_path / "talk.ogg", voice(6.0), 16_000)
    opened: list[float] = []

    @contextmanager
    def counted(source: Source, max_seconds: float, from_s: float) -> Iterator[Frames]:
        opened.append(from_s)
        with open_frames(source, max_seconds, from_s) as frames:
            yield frames

    own = copy(model)
    own.decoders = InProcess()
    monkeypatch.setattr(own.decoders, "_parts", PartReader(counted))
    monkeypatch.setattr("earnest.audio.parts.HELD_S", held_s)
    spans = [(4, None), (2, 3), (0, 1), (3, 4), (1, 2)]
    parts = [Part(tmp_path / "talk.ogg", start_s, end_s) for start_s, end_s in spans]
    rows = list(own.predict_many(parts, jobs))
    assert 1 <= len(opened) <= most_opened
    assert [row.path for row in rows] == [path_of(part) for part in parts]
    for row, part in zip(rows, parts, strict=True):
        expected = model.predict(part).probabilities
        np.testing.assert_allclose(list(row.probabilities.values()), list(expected.values()), atol=1e-5)


def test_neighbours_and_padding_change_nothing(model: Predictor) -> None:
    clips = [
        (voice(seconds, seed=seed, level=0.02 * (seed + 1)), 16_000)
        for seed, seconds in enumerate([0.3, 5.0, 1.7, 0.11, 12.0, 2.2])
    ]
    for alone, together in zip(map(model.predict, clips), model.predict_many(clips), strict=True):
        assert alone.emotion == together.emotion
        np.testing.assert_allclose(list(alone.probabilities.values()), list(together.probabilities.values()), atol=1e-5)


def test_rows_keep_their_order_and_a_bad_file_is_a_row(model: Predictor, tmp_path: Path) -> None:
    paths = [write_voice(tmp_path / f"{number}.wav", 0.2 + number % 7, seed=number) for number in range(80)]
    paths[17].write_bytes(b"no sound at all")
    paths.insert(40, tmp_path / "missing.wav")
    rows = list(model.predict_many(paths))
    assert [row.path for row in rows] == [str(path) for path in paths]
    assert [row.path for row in rows if row.status == "error"] == [str(paths[17]), str(paths[40])]
    assert "no sound but text" in str(rows[17].error)
    assert [row.duration_s for row in rows[:7]] == pytest.approx([0.2 + number for number in range(7)])


def test_a_bad_file_alone_is_an_error(model: Predictor, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"gone\.wav: no such file"):
        model.predict(tmp_path / "gone.wav")


@pytest.mark.parametrize(("n_samples", "status"), [(1, "too-short"), (1_599, "too-short"), (1_600, "ok")])
def test_shorter_than_a_tenth_of_a_second_is_too_short(tmp_path: Path, n_samples: int, status: str) -> None:
    model = earnest.load(write_hearing(tmp_path))
    result = model.predict((voice(1.0)[4_000 : 4_000 + n_samples], 16_000))
    assert result.status == status
    assert (result.emotion is None) == (status != "ok")


def test_without_a_head_for_sounds_a_quarter_of_a_second_of_speech_must_be_found(model: Predictor) -> None:
    assert model.predict((voice(1.0)[4_000:5_600], 16_000)).status == "no-speech"
    assert model.predict((voice(0.4), 16_000)).status == "ok"


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_silence_has_no_emotion(model: Predictor, offset: float) -> None:
    faint = np.random.default_rng(0).normal(0, 10 ** (-70 / 20), 32_000) + offset
    result = model.predict((faint, 16_000))
    assert result.status == "no-speech"
    assert (result.emotion, result.confidence, result.probabilities, result.speech_s) == (None, None, {}, 0.0)


def test_quality_stands_in_the_answer(model: Predictor) -> None:
    loud = np.clip(20 * voice(1.0), -1, 1)
    assert model.predict((loud, 16_000)).quality == ("clipped",)
    assert model.predict((voice(1.0, 48_000), 48_000)).quality == ()


@pytest.mark.long
@pytest.mark.parametrize("jobs", [2, 5])
def test_decoding_ahead_changes_neither_order_nor_answers(model: Predictor, tmp_path: Path, jobs: int) -> None:
    paths = [write_voice(tmp_path / f"{number}.wav", 0.2 + number % 5, seed=number) for number in range(70)]
    paths[13].write_bytes(b"no sound at all")
    write_voice(paths[40], 70.0)  # long enough to be decoded in its turn
    assert list(model.predict_many(paths, jobs)) == list(model.predict_many(paths))


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_answer_to_a_long_recording_does_not_wait_for_that_to_the_next(
    model: Predictor, tmp_path: Path, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AHEAD_S", 1.0)
    monkeypatch.setattr(bulk, "WAITING_S", 2.0)
    paths = [write_voice(tmp_path / f"{number}.wav", 130.0) for number in range(2)]
    heard: dict[str, float] = {}
    rows = model.watched(heard.__setitem__).predict_many(paths, jobs)
    assert next(rows).duration_s == 130.0
    assert heard[str(paths[0])] == 130.0 and heard.get(str(paths[1]), 0.0) < 130.0
    assert next(rows).duration_s == heard[str(paths[1])] == 130.0


def test_entries_of_a_folder_that_was_listed_in_bytes_and_numbers_of_numpy_are_understood(
    model: Predictor, tmp_path: Path
) -> None:
    write_voice(tmp_path / "a.wav", 1.0)
    with os.scandir(os.fsencode(tmp_path)) as entries:
        (row,) = model.predict_many(entries, np.int64(2))
    assert (row.path, row.status) == (str(tmp_path / "a.wav"), "ok")


def test_leaving_early_leaves_no_thread_at_work(model: Predictor, tmp_path: Path) -> None:
    path = write_voice(tmp_path / "a.wav")
    before = threading.active_count()
    rows = model.predict_many((path for _ in range(10_000)), jobs=3)
    assert next(rows).status == "ok"
    rows.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_an_unsure_answer_has_no_emotion_but_keeps_its_probabilities(model: Predictor) -> None:
    clip = (voice(1.5), 16_000)
    sure = model.predict(clip)
    assert sure.confidence is not None
    assert model.predict(clip, abstain_below=sure.confidence) == sure
    unsure = model.predict(clip, abstain_below=sure.confidence + 1e-6)
    assert (unsure.status, unsure.emotion) == ("unsure", None)
    assert (unsure.probabilities, unsure.confidence) == (sure.probabilities, sure.confidence)
    assert model.predict((np.zeros(16_000), 16_000), abstain_below=1.0).status == "no-speech"


def test_the_threshold_is_the_bundles_unless_another_is_asked_for(tmp_path: Path) -> None:
    model = earnest.load(write_bundle(tmp_path, abstain_below=0.99))
    clip = (voice(1.5), 16_000)
    assert model.predict(clip).status == "unsure"
    assert [row.status for row in model.predict_many([clip], abstain_below=0.0)] == ["ok"]
    assert {span.emotion for span in model.timeline(clip).spans} == {"unsure"}
    assert "unsure" not in {span.emotion for span in model.timeline(clip, abstain_below=0.0).spans}


def test_the_classes_asked_for_are_renormalised_in_every_answer(model: Predictor) -> None:
    clip = (voice(4.0), 16_000)
    asked = model.predict(clip, classes=["sad", "angry"])
    whole = model.predict((voice(1.5), 16_000)), model.predict((voice(1.5), 16_000), classes="sad,angry")
    pair = whole[0].probabilities["sad"], whole[0].probabilities["angry"]
    assert list(whole[1].probabilities.values()) == pytest.approx(np.divide(pair, sum(pair)))
    assert list(asked.probabilities) == ["sad", "angry"]
    timeline = model.timeline(clip, classes=["sad", "angry"])
    assert timeline.classes == tuple(timeline.windows[0].probabilities) == ("sad", "angry")
    assert timeline.prediction.probabilities == pytest.approx(asked.probabilities)
    with pytest.raises(EarnestError, match="Did you mean 'angry'"):
        list(model.predict_many([clip], classes=["angri", "sad"]))


@pytest.mark.parametrize(
    ("level", "status", "kinds"), [(0.1, "ok", []), (0.35, "vocal-burst", ["laughter"]), (0.8, "no-speech", [])]
)
@pytest.mark.parametrize("seconds", [2.0, 6.0])
def test_a_head_for_sounds_decides_what_is_answered(
    tmp_path: Path, level: float, status: str, kinds: list[str], seconds: float
) -> None:
    model = earnest.load(write_hearing(tmp_path))
    clip = (np.concatenate([np.zeros(8_000), voice(seconds, level=level)]), 16_000)
    timeline = model.timeline(clip)
    answer = model.predict(clip)
    assert answer.status == timeline.prediction.status == status
    assert [burst.kind for burst in answer.vocal_bursts] == kinds
    if status == "ok":
        assert answer.speech_s == pytest.approx(seconds, abs=0.3)
        return
    assert (answer.emotion, answer.confidence, answer.probabilities, answer.speech_s) == (None, None, {}, 0.0)
    assert (answer.polarity, answer.gender, answer.shares) == (None, None, None)
    assert (timeline.spans, timeline.windows, timeline.segments) == ((), (), ())
    for burst in answer.vocal_bursts:
        assert (burst.start_s, burst.end_s) == pytest.approx((0.5, 0.5 + seconds), abs=0.3)


def test_bursts_among_speech_are_listed_and_change_no_emotion(tmp_path: Path) -> None:
    model = earnest.load(write_hearing(tmp_path))
    pause = np.zeros(16_000)
    answer = model.predict((np.concatenate([voice(3.0), pause, voice(1.5, level=0.6), pause, voice(2.0)]), 16_000))
    (burst,) = answer.vocal_bursts
    assert (burst.start_s, burst.end_s) == pytest.approx((4.0, 5.5), abs=0.3)
    assert answer.speech_s == pytest.approx(5.0, abs=0.6)
    assert answer.shares is not None
    assert sum(answer.shares.values()) == pytest.approx(1.0)


def test_sound_far_from_training_is_told_by_the_graphs_distance(tmp_path: Path) -> None:
    model = earnest.load(write_hearing(tmp_path, out_of_domain_from=0.5))
    near, far = ((voice(seconds, level=level), 16_000) for seconds, level in ((4.0, 0.05), (4.0, 0.2)))
    assert [model.predict(clip).quality for clip in (near, far)] == [(), ("out-of-domain",)]
    assert model.timeline(far).prediction.quality == ("out-of-domain",)
    assert model.predict((np.zeros(16_000), 16_000)).quality == ("too-quiet",)


def test_the_top_classes_come_in_order(model: Predictor) -> None:
    result = model.predict((voice(1.5), 16_000))
    assert result.top(2)[0] == (result.emotion, result.confidence)
    assert [share for _, share in result.top(99)] == sorted(result.probabilities.values(), reverse=True)


def test_one_segment_is_the_mean_of_its_windows_weighted_by_length(model: Predictor) -> None:
    whole = np.concatenate([voice(3.0, level=0.05), voice(2.4, level=0.3), np.zeros(32_000)])
    windows = model.timeline((whole, 16_000)).windows
    result = model.predict((whole, 16_000))
    lengths = [window.end_s - window.start_s for window in windows]
    expected = np.average([list(window.probabilities.values()) for window in windows], axis=0, weights=lengths)
    np.testing.assert_allclose(list(result.probabilities.values()), expected, atol=1e-5)
    assert (result.emotion, result.confidence) == result.top(1)[0]
    assert (result.duration_s, result.shares) == (pytest.approx(7.4), None)


def test_several_segments_are_what_held_longest(model: Predictor) -> None:
    parts = [voice(4.0, level=0.02), np.zeros(16_000), voice(4.0, level=0.6), np.zeros(16_000), voice(1.0, level=0.02)]
    timeline = model.timeline((np.concatenate(parts), 16_000))
    answer = model.predict((np.concatenate(parts), 16_000))
    seconds = timeline.seconds_by_emotion()
    assert len(seconds) > 1
    shares = {name: value / sum(seconds.values()) for name, value in seconds.items()}
    assert answer.shares == pytest.approx(shares, abs=1e-3)
    longest, share = next(iter(shares.items()))
    assert (answer.status, answer.emotion) == (("ok", longest) if share >= 0.6 else ("mixed", None))


def test_one_long_segment_is_what_held_longest_too(tmp_path: Path) -> None:
    answer = earnest.load(write_bundle(tmp_path, longest_s=4.0)).predict((voice(6.0), 16_000))
    assert answer.shares == {answer.emotion: 1.0}


@pytest.mark.long
def test_memory_is_bounded_whatever_is_predicted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "WAITING_S", 40.0)
    held_s, batch_s = [], []
    started = bulk.Bulk._started

    def watched_pending(self: bulk.Bulk, pending: bulk.Pending, pool: ThreadPoolExecutor | None) -> list[bulk.Batch]:
        held_s.append(sum(len(job.sound) for _, job in pending if isinstance(job, WindowSound)) / 16_000)
        return started(self, pending, pool)

    monkeypatch.setattr(bulk.Bulk, "_started", watched_pending)
    model = Predictor(load_bundle(folder))
    run = model.graph.run

    def watched_run(waveforms: list[Waveform], names: object = None) -> Outputs:
        batch_s.append(len(waveforms) * max(len(waveform) for waveform in waveforms) / 16_000)
        return run(waveforms)

    monkeypatch.setattr(model.graph, "run", watched_run)
    clips = ((voice(200.0 if number == 5 else 3.0), 16_000) for number in range(30))
    assert len(list(model.predict_many(clips))) == 30
    assert sum(held_s) == pytest.approx(29 * 3 + 198 * 3, abs=5)
    assert max(held_s) <= 40 + 3  # one window more than what is waited for
    assert max(batch_s) <= bulk.BATCH_S


@pytest.mark.long
@pytest.mark.parametrize("adapts", [False, True])
def test_of_a_long_recording_no_sound_is_kept(tmp_path: Path, adapts: bool) -> None:
    model = earnest.load(write_adapting(tmp_path))
    model.activity = "energy"
    recording = tmp_path / "long.wav"
    soundfile.write(recording, np.tile(voice(60.0), 15), 16_000)
    tracemalloc.start()
    (row,) = model.predict_many([recording], 1, model.adapter() if adapts else None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (row.status, row.adapted) == ("ok", adapts)
    assert peak < 45e6  # some blocks of 8 MB; its windows overlap and hold 170 MB together


def test_gender_affect_and_intensity_come_from_models_that_have_them(tmp_path: Path) -> None:
    model = earnest.load(write_bundle(tmp_path, stand_in_model(extra_outputs=True)))
    result = model.predict((voice(), 16_000))
    assert result.gender is not None
    assert list(result.gender) == ["female", "male"]
    assert sum(result.gender.values()) == pytest.approx(1, abs=1e-6)
    assert result.affect is not None
    assert list(result.affect) == ["valence", "arousal", "dominance"]
    assert result.intensity == pytest.approx(float(np.abs(voice()).mean()), rel=1e-3)  # the stand-in's, by its formula


def test_derived_affect_says_so_and_has_no_dominance(tmp_path: Path) -> None:
    graph = stand_in_model()
    add_affect(graph, np.array([[0, 1], [0, 0], [0, 0]], np.float32), np.array([0.25, 0.125], np.float32))
    result = earnest.load(write_bundle(tmp_path / "derived", graph)).predict((voice(), 16_000))
    arousal = 0.125 + float(np.abs(voice()).mean())
    assert result.affect == {"valence": 0.25, "arousal": pytest.approx(arousal, rel=1e-3), "dominance": None}
    assert result.affect_derived
    rated = earnest.load(write_bundle(tmp_path / "rated", stand_in_model(extra_outputs=True))).predict(
        (voice(), 16_000)
    )
    assert rated.affect is not None and rated.affect["dominance"] is not None
    assert not rated.affect_derived
    plain = earnest.load(write_bundle(tmp_path / "plain")).predict((voice(), 16_000))
    assert (plain.affect, plain.affect_derived) == (None, False)


def test_ratings_that_were_learnt_go_before_what_is_derived(tmp_path: Path) -> None:
    graph = stand_in_model(extra_outputs=True)
    before = earnest.load(write_bundle(tmp_path / "rated", graph)).predict((voice(), 16_000))
    add_affect(graph, np.zeros((3, 2), np.float32), np.array([0.25, 0.125], np.float32))
    after = earnest.load(write_bundle(tmp_path / "both", graph)).predict((voice(), 16_000))
    assert (after.affect, after.affect_derived) == (before.affect, False)


def test_derived_affect_of_another_shape_is_refused(tmp_path: Path) -> None:
    graph = stand_in_model()
    add_affect(graph, np.zeros((3, 3), np.float32), np.zeros(3, np.float32))
    with pytest.raises(BundleError, match=r"'affect_derived' of \(1, 2\), got \(1, 3\)"):
        earnest.load(write_bundle(tmp_path, graph)).predict((voice(), 16_000))


def test_two_threads_give_the_same(folder: Path, model: Predictor) -> None:
    other = Predictor(load_bundle(folder), threads=2)
    clip = (voice(3.0), 16_000)
    np.testing.assert_allclose(
        list(other.predict(clip).probabilities.values()), list(model.predict(clip).probabilities.values()), atol=1e-6
    )


def test_polarity_is_pleasant_minus_unpleasant() -> None:
    shares = {
        "neutral": 0.1,
        "happy": 0.3,
        "surprised": 0.05,
        "sad": 0.1,
        "angry": 0.2,
        "disgust": 0.1,
        "fearful": 0.15,
    }
    assert polarity_of(shares) == pytest.approx(0.35 - 0.55)
    assert polarity_of({"happy": 1.0}) == 1.0
    assert polarity_of({"boredom": 1.0}) == 0.0
    assert polarity_of({"excited": 0.5, "frustration": 0.3, "neutral": 0.2}) == pytest.approx(0.2)  # of IEMOCAP
    assert polarity_of({"negative": 0.7, "happy": 0.3}) == pytest.approx(-0.4)  # of the scheme vino5


def test_a_prediction_shows_itself_without_running_what_a_file_is_called() -> None:
    page = Prediction(
        "<script>x</script>.wav", "ok", emotion="happy", probabilities={"happy": 0.9, "sad": 0.99}
    )._repr_html_()
    assert "<script>" not in page
    assert "90%" in page
    assert "&gt; 95%" in page


def test_a_provider_that_onnxruntime_lacks_is_an_error_that_says_what_to_do(folder: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(EarnestError, match=r"has no CUDAExecutionProvider\. Use provider cpu"):
        Predictor.load(folder, provider="cuda")


@pytest.mark.parametrize("batch_s", [1.0, 7.0, 600.0])
def test_the_size_of_batches_changes_no_answer(model: Predictor, folder: Path, batch_s: float) -> None:
    clips = [(voice(0.3 + number, seed=number), 16_000) for number in range(8)]
    for one, other in zip(
        Predictor.load(folder, batch_s=batch_s).predict_many(clips), model.predict_many(clips), strict=True
    ):
        np.testing.assert_allclose(list(one.probabilities.values()), list(other.probabilities.values()), atol=1e-6)


def test_weights_for_research_say_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    licences = {"emodb": "CC0-1.0", "sung": "CC-BY-NC-SA-4.0"}
    corpora = [asdict(TrainingCorpus(name, licence, 1, 1, 0.1)) for name, licence in licences.items()]
    folder = write_bundle(tmp_path, name="for-research", training_corpora=corpora)
    for _ in range(2):
        earnest.load(folder)
    assert [record.getMessage() for record in caplog.records] == [
        "for-research: for non-commercial use only, as its weights have heard sung, CC-BY-NC-SA-4.0."
    ]
    caplog.clear()
    earnest.load(write_bundle(tmp_path, name="free", training_corpora=corpora[:1]))
    assert not caplog.records


def test_long_recordings_are_handed_on_before_many_were_heard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "WAITING_S", 100.0)
    given: list[int] = []

    def recordings() -> Iterator[tuple[Waveform, int]]:
        for number in range(6):
            given.append(number)
            yield (voice(70.0) if number else np.zeros(1_120_000, np.float32)), 16_000  # the first has no speech

    rows = iter(Predictor(load_bundle(folder)).predict_many(recordings()))
    next(rows)
    assert given == [0, 1]


@pytest.mark.parametrize(
    ("change", "output"), [({"out_of_domain_from": 2.5}, "distance"), ({"learned": ("gender",)}, "gender")]
)
def test_a_head_that_bundle_json_names_and_the_graph_lacks_is_refused(
    change: dict[str, Any], output: str, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=f"no output '{output}', which bundle.json names"):
        earnest.load(write_bundle(tmp_path / "model", **change))


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ('"happy"', '"merry"', r"its classes are neutral,happy,.*bundle\.json are neutral,merry"),
        ('"sample_rate_hz": 16000', '"sample_rate_hz": 8000', r"its sample rate is 16000 Hz, .*bundle\.json 8000 Hz"),
    ],
)
def test_labels_or_a_rate_that_somebody_changed_are_refused(tmp_path: Path, was: str, now: str, told: str) -> None:
    folder = shutil.copytree(SHIPPED / "small", tmp_path / "small")
    text = (folder / "bundle.json").read_text("utf-8")
    (folder / "bundle.json").write_text(text.replace(was, now), "utf-8")
    with pytest.raises(BundleError, match=told):
        earnest.load(folder)


def test_a_label_with_a_comma_is_none_that_was_changed(tmp_path: Path) -> None:
    labels = ("happy, glad", *CLASSES[1:])
    for text in (classes_text(labels), ",".join(labels)):
        model = finished(stand_in_model(), {"classes": text})
        assert earnest.load(write_bundle(tmp_path / str(len(text)), model, classes=labels)).info.classes == labels
