"""What `import earnest` offers, and what a loaded model is to Python: shown, pickled, copied, awaited."""

import asyncio
import copy
import inspect
import json
import math
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from stand_in import write_adapting, write_bundle

import earnest
from earnest.audio.deadline import check_deadline
from earnest.errors import AudioError, BundleError, EarnestError
from earnest.runtime import bulk, loading, predictor
from earnest.runtime.formats import PredictionRows
from earnest.runtime.predictor import Predictor
from earnest.runtime.windows import Windowing
from earnest.testing.sounds import voice, write_voice

CLIP = (voice(1.0), 16_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Predictor:
    return earnest.load(folder)


def test_every_name_that_is_promised_is_there() -> None:
    offered = [name for name in dir(earnest) if not name.startswith("_")]  # after a dot and the tabulator key
    own = [name for name in offered if name in earnest.__all__ or f"earnest.{name}" in sys.modules]
    assert offered == own
    assert set(earnest.__all__) <= set(dir(earnest))
    for name in earnest.__all__:
        assert getattr(earnest, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'predcit'"):
        earnest.predcit  # type: ignore[attr-defined]  # noqa: B018


def test_names_are_imported_when_they_are_used() -> None:
    code = "import sys, earnest; print('numpy' in sys.modules); earnest.Timeline; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def public_callables() -> Iterator[tuple[str, Any]]:
    for name in earnest.__all__:
        thing = getattr(earnest, name)
        if callable(thing):
            yield name, thing
        for word in dir(thing) if inspect.isclass(thing) else ():
            member = inspect.getattr_static(thing, word)  # a function, or what a decorator made of one
            wrapped = (getattr(member, kind, None) for kind in ("__func__", "fget", "func"))
            function = next(filter(None, wrapped), member)
            if inspect.isfunction(function) and (word[0] != "_" or word == "__init__"):
                yield f"{name}.{word}", function


def test_annotations_of_all_that_is_public_can_be_read() -> None:
    read = {name: get_type_hints(thing) for name, thing in public_callables()}
    assert read["load"]["return"] is earnest.Predictor
    assert {"learn", "predict", "Predictor.timeline", "Timeline.plot", "PredictionRows.to_pandas"} <= read.keys()


def test_what_a_notebook_shows_of_a_signature_names_types_and_does_not_spell_them_out() -> None:
    told = {name: str(inspect.signature(thing)) for name, thing in public_callables()}
    assert {"load", "predict", "Predictor.predict", "Predictor.predict_many"} <= told.keys()
    assert [name for name, text in told.items() if "Union[" in text] == []


def test_reading_annotations_needs_nothing_that_is_optional() -> None:
    code = (
        "import sys, typing, earnest\n"
        "things = earnest.load, earnest.predict, earnest.learn, earnest.Timeline.plot\n"
        "[typing.get_type_hints(thing) for thing in things]\n"
        "print(*{'torch', 'matplotlib', 'onnxruntime', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_one_call_predicts(folder: Path, model: Predictor) -> None:
    assert earnest.predict(CLIP, model=folder).to_dict() == model.predict(CLIP).to_dict()
    assert earnest.predict(CLIP, "small", abstain_below=0.0) == earnest.load("small").predict(CLIP, abstain_below=0.0)


def test_models_are_listed_whether_or_not_networks_were_imported() -> None:
    code = (
        "import earnest; names = [info.name for info in earnest.models()]; import importlib\n"
        "importlib.import_module('earnest.models'); assert [info.name for info in earnest.models()] == names\n"
        "import earnest.models as same; assert same.__path__ and earnest.models is same; print(*names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["base", "large", "research-base", "research-small", "small"]


def test_a_model_shows_its_name_classes_and_licence(model: Predictor) -> None:
    told = "'stand-in' 1: neutral, happy, sad, angry, fearful, disgust; licence Apache-2.0"
    assert (repr(model), repr(model.info)) == (f"<Predictor {told}>", f"<BundleInfo {told}>")


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    model, other = (earnest.load(write_adapting(tmp_path / name, name=name)) for name in ("anna", "bert"))
    adapter = other.adapter()
    for call in (
        lambda: model.predict(CLIP, adapter),
        lambda: model.predict_many([CLIP], adapter=adapter),
        lambda: model.stream(16_000, adapter=adapter),
        lambda: model.timeline(CLIP, adapter=adapter),
    ):
        with pytest.raises(
            EarnestError, match=r"made by the model 'bert 1 \(\w{12}\)', not by 'anna 1 \(\w{12}\)'\. Make it"
        ):
            call()
    with pytest.raises(EarnestError, match=r"An adapter is given by name: adapter=…"):
        model.stream(16_000, adapter)  # type: ignore[arg-type]
    assert not earnest.load(tmp_path / "bert").predict(CLIP, adapter).adapted  # loaded again, it is the same model


def test_events_of_a_stream_are_told_apart_by_names_of_the_package(model: Predictor) -> None:
    stream = model.stream(16_000)
    events = [*stream.accept_waveform(voice(3.0)), *stream.finish()]
    kinds = earnest.Window, earnest.Span, earnest.Segment, earnest.VocalBurst
    assert {type(event) for event in events} <= set(kinds)
    assert any(isinstance(event, earnest.Span) for event in events)


def test_a_rate_beside_the_array_is_told_where_it_belongs(model: Predictor) -> None:
    for call in (lambda: model.predict(CLIP[0], 16_000), lambda: model.timeline(CLIP[0])):  # type: ignore[arg-type]
        with pytest.raises(EarnestError, match=r"Give array and sample rate together: model\.predict\(\(array"):
            call()
    with pytest.raises(EarnestError, match=r"windowing must be a Windowing, got 16000\. Give array and sample rate"):
        model.timeline(CLIP, 16_000)  # type: ignore[arg-type]
    for jobs in (0, None, "2"):
        with pytest.raises(EarnestError, match="jobs must be a whole number of threads, 1 or more"):
            model.predict_many([CLIP], jobs)  # type: ignore[arg-type]
    with pytest.raises(EarnestError, match="is an adapter to a speaker, got 'anna'"):
        model.predict_many([CLIP], adapter="anna")  # type: ignore[arg-type]


def test_one_path_is_no_list_of_a_speakers_recordings(model: Predictor) -> None:
    for call in (model.adapter, model.profile, model.embed):
        with pytest.raises(AudioError, match="Expected several recordings, got one"):
            call("anna.wav")


def test_a_stream_wants_a_rate(model: Predictor) -> None:
    for rate, told in (("16000", "Write 16000, without quotes"), (None, "whole number in Hz"), (3, "expected 1000 to")):
        with pytest.raises(AudioError, match=f"^stream: .*{told}"):
            model.stream(rate)  # type: ignore[arg-type]


def test_two_axes_in_a_stream_are_the_same_sound(model: Predictor) -> None:
    sound = voice(6.0)
    answers = []
    for shaped in (lambda block: block, lambda block: block[None], lambda block: block[:, None]):
        stream = model.stream(np.int64(16_000))
        for start in range(0, len(sound), 160):
            stream.accept_waveform(shaped(sound[start : start + 160]))
        stream.finish()
        answers.append(stream.prediction())
    assert answers[0] == answers[1] == answers[2]
    assert answers[0].duration_s == 6.0


def test_predict_many_tells_one_recording_and_goes_on_behind_a_wrong_one(model: Predictor, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="Expected several recordings"):
        model.predict_many("talk.wav")
    rows = list(model.predict_many([None, CLIP, CLIP[0], {"array": CLIP[0], "sampling_rate": 16_000, "path": "x.wav"}]))  # type: ignore[list-item]
    assert [(row.path, row.status) for row in rows] == [
        ("NoneType", "error"), ("array", "ok"), ("array", "error"), ("x.wav", "ok"),
    ]  # fmt: skip
    assert [bool(row.error) for row in rows] == [True, False, True, False]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_audio_column_is_answered_like_its_files(model: Predictor, tmp_path: Path, jobs: int) -> None:
    paths = [write_voice(tmp_path / f"{seed}.wav", 1.0, seed=seed) for seed in range(3)]
    column = [{"bytes": path.read_bytes(), "path": str(path)} for path in paths]
    assert list(model.predict_many(column, jobs)) == list(model.predict_many(paths, jobs))


def test_a_pickle_holds_where_the_bundle_is_and_settings(folder: Path, model: Predictor, tmp_path: Path) -> None:
    data = pickle.dumps(model)
    assert len(data) < 1_000 and str(folder).encode() in data
    again = pickle.loads(data)
    assert again.predict(CLIP) == model.predict(CLIP)
    assert b"small" in pickle.dumps(earnest.load("small"))
    other = write_bundle(tmp_path / "other")
    changed = Predictor.load([folder, other], threads=2, batch_s=5.0, tta="gain")
    changed.max_seconds, changed.activity, changed.file_s = 7.0, "energy", 3.0
    for found in (pickle.loads(pickle.dumps(changed)), copy.deepcopy(changed)):
        assert (found.max_seconds, found.activity, found.file_s, found.batch_s) == (7.0, "energy", 3.0, 5.0)
        assert found.info == changed.info
        assert found.predict(CLIP) == changed.predict(CLIP)


def test_a_bundle_that_changed_after_pickling_is_refused(tmp_path: Path) -> None:
    data = pickle.dumps(earnest.load(write_bundle(tmp_path / "bundle")))
    write_adapting(tmp_path / "bundle")
    with pytest.raises(BundleError, match="bundle has changed since it was pickled"):
        pickle.loads(data)


def test_a_bundle_that_says_something_else_since_pickling_is_refused(tmp_path: Path) -> None:
    info = write_bundle(tmp_path / "bundle") / "bundle.json"
    data = pickle.dumps(earnest.load(info.parent))
    said = json.loads(info.read_text("utf-8"))
    info.write_text(json.dumps({**said, "abstain_below": 0.9}), encoding="utf-8")
    with pytest.raises(BundleError, match="bundle has changed since it was pickled"):
        pickle.loads(data)


def test_a_model_with_decoder_processes_is_not_pickled(folder: Path) -> None:
    model = earnest.load(folder)
    watched = model.watched(lambda path, seconds: None)
    model.decoders = object()  # type: ignore[assignment]
    for one in (model, watched):
        with pytest.raises(EarnestError, match="can't be pickled"):
            pickle.dumps(one)


def test_rows_that_are_still_to_come_are_not_pickled(model: Predictor) -> None:
    rows = model.predict_many([CLIP])
    for copied in (pickle.dumps, copy.copy):
        with pytest.raises(EarnestError, match=r"can't be pickled or copied\. Take list\(rows\)"):
            copied(rows)
    assert list(pickle.loads(pickle.dumps(earnest.PredictionRows(list(rows))))) == [model.predict(CLIP)]


def test_rows_and_streams_say_what_they_are(model: Predictor) -> None:
    rows = model.predict_many([CLIP, CLIP])
    next(rows)
    assert repr(rows) == "<PredictionRows, 1 read: go through them, or take list(…) or .to_pandas()>"
    with model.stream(8_000) as stream:
        stream.accept_waveform(voice(0.5, 8_000))
        assert repr(stream) == "<Stream at 8000 Hz, 0.5 s handed over>"
    assert repr(stream) == "<Stream at 8000 Hz, 0.5 s handed over, finished>"


def test_answers_can_be_awaited(model: Predictor, tmp_path: Path) -> None:
    paths: list[Any] = [write_voice(tmp_path / f"{seed}.wav", 1.0, seed=seed) for seed in range(3)]

    async def answers() -> tuple[Any, Any, list[Any]]:
        one, timeline = await asyncio.gather(model.apredict(paths[0], abstain_below=0.0), model.atimeline(paths[0]))
        return one, timeline, [row async for row in model.apredict_many([*paths, "none.wav"], jobs=2)]

    one, timeline, rows = asyncio.run(answers())
    assert one == model.predict(paths[0], abstain_below=0.0)
    assert timeline == model.timeline(paths[0])
    assert rows == list(model.predict_many([*paths, "none.wav"]))


def test_work_that_nobody_awaits_any_more_stops(model: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = threading.Event(), threading.Event()

    def endless(*_: object, **__: object) -> Any:
        began.set()
        try:
            while True:
                check_deadline()
                time.sleep(0.001)
        finally:
            ended.set()

    async def cancelled(work: str) -> None:
        task = asyncio.ensure_future(getattr(model, f"a{work}")(CLIP))
        while not began.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for work in ("predict", "timeline"):
        monkeypatch.setattr(Predictor, work, endless)
        asyncio.run(cancelled(work))  # which waits for its threads
        assert ended.is_set()
        began.clear()
        ended.clear()


def test_rows_that_nobody_awaits_any_more_hold_no_event_loop(model: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    go, close, went_on = threading.Event(), PredictionRows.close, []

    def slow(rows: PredictionRows) -> None:  # as where threads still decode
        went_on.append(go.wait(5))
        close(rows)

    async def left() -> None:
        rows = model.apredict_many([CLIP, CLIP])
        assert (await anext(rows)).error is None
        closing = asyncio.ensure_future(rows.aclose())
        asyncio.get_running_loop().call_soon(go.set)  # when the loop goes on
        await closing

    monkeypatch.setattr(PredictionRows, "close", slow)
    asyncio.run(left())
    assert went_on == [True]


def test_rows_that_are_cancelled_are_not_decoded_to_their_end(
    model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go, original, decoded = threading.Event(), threading.Event(), bulk.Bulk._decode, []

    def decode(self: bulk.Bulk, given: Any) -> Any:
        decoded.append(given)
        began.set()
        assert go.wait(120)
        return original(self, given)

    async def cancelled() -> None:
        task = asyncio.ensure_future(anext(model.apredict_many([CLIP] * 40, jobs=2)))
        while not began.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()

    monkeypatch.setattr(bulk, "AHEAD_CLIPS", 2)
    monkeypatch.setattr(bulk.Bulk, "_decode", decode)
    asyncio.run(cancelled())  # which waits for its threads
    assert len(decoded) < 10


def test_threads_that_ask_at_once_load_a_shipped_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []
    monkeypatch.setattr(loading, "_shipped", cache(lambda name: loaded.append(name) or earnest.load(name)))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: earnest.predict(CLIP, "small"), range(8)))
    assert loaded == ["small"]
    assert all(answer == answers[0] for answer in answers)


def test_errors_of_numpys_that_a_program_has_raised_change_nothing(model: Predictor) -> None:
    fading = (voice(2.0) * np.exp(-np.arange(32_000) / 200.0)).astype(np.float32)
    told = model.predict((fading, 16_000)), model.timeline((fading, 16_000))
    with np.errstate(all="raise"):
        assert (model.predict((fading, 16_000)), model.timeline((fading, 16_000))) == told


def test_what_is_handed_through_by_name_is_typed_as_where_it_goes() -> None:
    for function, through in (
        (Predictor.predict, earnest.predict),
        (Predictor.predict, Predictor.apredict),
        (Predictor.predict_many, Predictor.apredict_many),
        (Predictor.timeline, Predictor.atimeline),
    ):
        (words,) = get_args(get_type_hints(through, vars(predictor))["request"])
        taken, own = get_type_hints(function), inspect.signature(through).parameters.keys()
        named = {name: kind for name, kind in taken.items() if name not in {*own, "source", "sources", "return"}}
        assert get_type_hints(words) == named


def test_the_event_loop_goes_on_while_a_recording_is_answered(model: Predictor) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def answer() -> None:
        ticking = asyncio.create_task(tick())
        await model.apredict((np.tile(voice(10.0), 12), 16_000))
        ticking.cancel()

    asyncio.run(answer())
    assert ticks > 10


def test_what_is_no_name_of_a_model_a_variant_a_class_or_a_speaker_is_told(model: Predictor) -> None:
    wrong: Any = 3
    for call in (earnest.load, lambda name: earnest.load(["small", name]), lambda name: earnest.predict(CLIP, name)):
        with pytest.raises(BundleError, match=r"Expected the name or the folder of a model, got 3\."):
            call(wrong)
    with pytest.raises(BundleError, match=r"Expected the name or the folder of a model, got ''\."):
        earnest.load("")
    with pytest.raises(EarnestError, match="There are no variants called None"):
        earnest.load(tta=None)  # type: ignore[arg-type]
    with pytest.raises(EarnestError, match="classes: expected names such as 'angry', got 3"):
        model.predict(CLIP, classes=wrong)
    with pytest.raises(EarnestError, match="speakers: expected one name, or a list with one for each, got 3"):
        model.predict_many([CLIP], speakers=wrong)


@pytest.mark.parametrize("name", ["max_seconds", "file_s"])
@pytest.mark.parametrize("wrong", ["x", None, [3.0], 0, -1, math.nan])
def test_what_is_no_number_of_seconds_is_told_by_its_name(model: Predictor, name: str, wrong: Any) -> None:
    copied = copy.copy(model)
    setattr(copied, name, wrong)
    told = f"^{name} must be a number of seconds above 0, got "
    clip = (voice(1.0), 16_000)
    for method in (copied.predict, copied.spectrogram, lambda source: list(copied.predict_many([source]))):
        with pytest.raises(EarnestError, match=told):
            method(clip)
    if name == "max_seconds":
        with pytest.raises(EarnestError, match=told):
            model.timeline(clip, max_seconds=wrong)
    with pytest.raises(EarnestError, match=r"^batch_s must be a number of seconds above 0, got "):
        Predictor.load("small", batch_s=wrong)


def test_other_wrong_types_are_told_with_what_is_right(model: Predictor, tmp_path: Path) -> None:
    wrong: Any
    for wrong in ("small", None, [], ["small"]):
        with pytest.raises(BundleError, match=r"^Expected one bundle or a list of them, got .*load"):
            Predictor(wrong)
    for wrong in (["speed"], {}):
        with pytest.raises(EarnestError, match=r"^There are no variants called "):
            earnest.load("small", tta=wrong)
    with pytest.raises(BundleError, match=r"^Expected the name or the folder of a model, got b'small'"):
        earnest.load(b"small")  # type: ignore[arg-type]
    for wrong in ("x", None, [1]):
        with pytest.raises(EarnestError, match=r"^Expected 0.1 ≤ hop ≤ window ≤ 60 seconds, got hop 1.0 and window "):
            Windowing(wrong)
    with pytest.raises(EarnestError, match=r"^There is no voice activity detector 3"):
        model.stream(16_000, Windowing(activity=3))  # type: ignore[arg-type]
    for word in ("label_column", "speaker_column", "label_pattern", "speaker_pattern", "name"):
        wrong = {word: 3}
        with pytest.raises(EarnestError, match=f"^{word} must be text, got 3"):
            earnest.learn(tmp_path, tmp_path / "out", **wrong)


def test_a_wrong_word_of_learn_is_told_before_anything_is_heard(tmp_path: Path) -> None:
    wrong: Any = None
    with pytest.raises(EarnestError, match="licence: None can't be printed"):
        earnest.learn("nowhere", tmp_path / "own", licence=wrong)
    with pytest.raises(EarnestError, match="seed must be at least 0, got -1"):
        earnest.learn("nowhere", tmp_path / "own", seed=-1)
    with pytest.raises(EarnestError, match="source: an empty text names no folder"):  # Path("") is the working folder
        earnest.learn("", tmp_path / "own")
    column: Any = np.array(["a.wav", "b.wav"])  # compared with a text, as a data frame is: an array of booleans
    with pytest.raises(EarnestError, match=r"source: expected the path of a folder, .* got ndarray.*with to_csv"):
        earnest.learn(column, tmp_path / "own")


@pytest.mark.parametrize("threads", [-1, 100_000])
def test_a_number_of_threads_that_no_machine_has_is_refused(threads: int) -> None:
    with pytest.raises(EarnestError, match=rf"threads: expected 1 to 512, or 0 for all cores, got {threads}\."):
        earnest.load(threads=threads)


CALLER = """
import earnest
import numpy as np

def told(model: earnest.Predictor, loaded: tuple[np.ndarray, int | float]) -> None:  # that of librosa.load
    sound, _ = loaded
    model.predict(loaded)
    model.predict((sound, np.int64(16_000)))
    model.predict((np.float64(16_000), sound))
    model.predict_many([loaded], speakers=["anna", 3, None, float("nan")])
    model.predict((sound, "16000"))  # type: ignore[arg-type]  # or strict says that nothing is to be ignored
"""
# The types of torch and all else take mypy a minute.
ONLY_OURS = "[mypy]\nfollow_imports = skip\n[mypy-earnest.*,numpy.*]\nfollow_imports = silent\n"


@pytest.mark.long
def test_what_the_docs_hand_over_passes_a_callers_strict_mypy(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api", reason="needs mypy, earnest[dev]")
    (caller := tmp_path / "caller.py").write_text(CALLER)
    (settings := tmp_path / "mypy.ini").write_text(ONLY_OURS)
    told, _, _ = api.run(["--strict", f"--config-file={settings}", f"--cache-dir={tmp_path}", str(caller)])
    assert told.startswith("Success"), told
