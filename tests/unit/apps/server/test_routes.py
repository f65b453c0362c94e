"""`POST /v1/predict` and `/v1/batch` say what the model says, to the last digit, in every format."""

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from serving import application, settings_for
from stand_in import write_adapting, write_bundle, write_hearing
from starlette.testclient import TestClient

import earnest
from earnest.apps.server import engine
from earnest.apps.server.formats import MEDIA_TYPES
from earnest.apps.server.settings import Limits, Settings
from earnest.audio.source import Channel
from earnest.bundle import SOUNDS
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import MOST_BYTES
from earnest.runtime.windows import Windowing
from earnest.testing.sounds import voice, write_voice

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("decoders_start_once")]

DEMO = sorted((Path(earnest.__file__).parent / "demo").glob("*.flac"))
WAV = {"Content-Type": "audio/wav"}


@pytest.fixture(scope="module")
def model() -> Predictor:
    return earnest.load("small")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    limits = Limits(requests=8, client_requests=8)
    with application(Settings(models=("small",), jobs=2, limits=limits)) as client:
        yield client


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech, as the shipped model asks for, in a file of another kind and rate."""
    path = tmp_path_factory.mktemp("clips") / "clip.wav"
    waveform, rate_hz = soundfile.read(DEMO[0])
    soundfile.write(path, np.tile(waveform, 3)[: 5 * rate_hz], rate_hz)
    return path


def form(*paths: Path) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", (path.name, path.read_bytes())) for path in paths]


@pytest.mark.parametrize("path", DEMO, ids=lambda path: path.stem)
def test_the_numbers_are_the_models(client: TestClient, model: Predictor, path: Path) -> None:
    answer = client.post("/v1/predict", files=form(path))
    assert answer.status_code == 200, answer.text
    assert answer.json() == model.predict(path).to_dict() | {"path": path.name}


def test_requests_at_the_same_time_don_t_change_the_numbers(client: TestClient, model: Predictor) -> None:
    paths = [*DEMO, *DEMO]
    with ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(lambda path: client.post("/v1/predict", files=form(path)), paths[:8]))
    for path, answer in zip(paths, answers, strict=False):
        assert answer.json() == model.predict(path).to_dict() | {"path": path.name}


def test_a_raw_body_is_the_same_recording(client: TestClient, model: Predictor, clip: Path) -> None:
    for kind in ("audio/wav", "AUDIO/X-WAV; codec=1", "application/octet-stream", "video/mp4"):
        answer = client.post("/v1/predict", content=clip.read_bytes(), headers={"Content-Type": kind})
        assert answer.json() == model.predict(clip).to_dict() | {"path": "bytes"}


def test_a_body_in_pieces_is_the_same_recording(client: TestClient, model: Predictor, clip: Path) -> None:
    data = clip.read_bytes()
    pieces = (data[start : start + 10_001] for start in range(0, len(data), 10_001))
    assert (
        client.post("/v1/predict", content=pieces, headers=WAV).json()["confidence"]
        == (model.predict(clip).to_dict()["confidence"])
    )


def test_one_channel_is_asked_for_by_its_number(client: TestClient, model: Predictor, tmp_path: Path) -> None:
    call, (waveform, rate_hz) = tmp_path / "call.wav", soundfile.read(DEMO[0])
    soundfile.write(call, np.stack([0 * waveform, waveform], axis=1), rate_hz)
    expected = model.predict(Channel(call, 2)).to_dict()
    answer = client.post("/v1/predict", params={"channel": 2}, files=form(call)).json()
    assert answer == expected | {"path": "call.wav#2"}
    timeline = client.post("/v1/predict", params={"channel": 2, "kind": "timeline"}, files=form(call)).json()
    assert timeline["path"] == "call.wav#2"
    rows = client.post("/v1/batch", params={"channel": 1}, files=form(call, DEMO[0])).json()["predictions"]
    assert [(row["path"], row["status"]) for row in rows] == [
        ("call.wav#1", "no-speech"),
        (f"{DEMO[0].name}#1", model.predict(DEMO[0]).status),
    ]
    (row,) = client.post("/v1/batch", params={"channel": 2}, files=form(DEMO[0])).json()["predictions"]
    assert row["error"] == f"{DEMO[0].name}#2: there is no channel 2, only one channel."
    for params in ([("channel", 1), ("channel", 2)], [("model", "small"), ("model", "base")]):
        refused = client.post("/v1/predict", params=params, files=form(call))
        assert (refused.status_code, "more than once" in refused.json()["detail"]) == (422, True)
    in_form = client.post("/v1/predict", data={"channel": "2"}, files=form(call))
    assert "stands in the address, such as /v1/predict?channel=2" in in_form.json()["detail"]
    for wrong in ({"channel": 3}, {"channel": 0}, {"chanel": 1}):
        assert client.post("/v1/predict", params=wrong, files=form(call)).status_code == 422, wrong


def test_a_timeline_is_the_models(client: TestClient, model: Predictor) -> None:
    params: dict[str, Any] = {"kind": "timeline", "window_s": 1, "hop_s": 0.5}
    answer = client.post("/v1/predict", params=params, files=form(DEMO[0])).json()
    expected = model.timeline(DEMO[0], Windowing(1.0, 0.5)).to_dict()
    assert answer == expected | {"path": DEMO[0].name}
    assert answer["windows"]


@pytest.mark.parametrize("kind", ["timeline", "utterance"])
def test_nothing_adapts_unless_it_is_asked_for(tmp_path: Path, kind: str) -> None:
    long = write_voice(tmp_path / "long.wav", 20.0)
    folder = write_adapting(tmp_path / "adapting")
    model = earnest.load(folder)
    answer = model.timeline if kind == "timeline" else model.predict
    with application(Settings(models=(str(folder),))) as client:
        adapted = client.post(f"/v1/predict?kind={kind}&adapt=auto", files=form(long)).json()
        plain = client.post(f"/v1/predict?kind={kind}", files=form(long)).json()
    assert adapted == answer(long, adapter=model.adapter()).to_dict() | {"path": "long.wav"}
    assert plain == answer(long).to_dict() | {"path": "long.wav"}
    assert (adapted["adapted"], plain["adapted"]) == (True, False)


def test_a_batch_is_adapted_as_recordings_of_one_speaker(
    adapting_client: TestClient, adapting: Predictor, tmp_path: Path
) -> None:
    paths = [write_voice(tmp_path / f"{number}.wav", 1.0 + number, seed=number) for number in range(5)]
    told = adapting_client.post("/v1/batch?adapt=auto", files=form(*paths)).json()["predictions"]
    expected = [replace(row, speaker=None).to_dict() for row in adapting.predict_many(paths, speakers="anna")]
    assert told == [row | {"path": Path(row["path"]).name} for row in expected]
    assert all(row["adaptation_weight"] == 0.5 for row in told)


def test_a_profile_comes_with_a_recording_or_several(
    adapting_client: TestClient, adapting: Predictor, tmp_path: Path
) -> None:
    paths = [write_voice(tmp_path / f"{number}.wav", 1.0 + number, seed=number) for number in range(5)]
    profile = adapting.profile(paths[1:])
    part = ("profile", ("anna.json", profile.to_json().encode()))
    for kind, answer in (("utterance", adapting.predict), ("timeline", adapting.timeline)):
        told = adapting_client.post(f"/v1/predict?kind={kind}", files=[*form(paths[0]), part]).json()
        assert told["adapted"]
        known = answer(paths[0], adapter=adapting.adapter(profile))  # type: ignore[operator]
        assert told["probabilities"] == pytest.approx(known.to_dict()["probabilities"], abs=2e-5)
    rows = adapting_client.post("/v1/batch", files=[*form(*paths), part]).json()["predictions"]
    assert all(row["adapted"] for row in rows)
    assert [row["path"] for row in rows] == [path.name for path in paths]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"no JSON", "profile: not valid JSON"),
        (b"{}", "profile: the key 'model' is missing"),
        (b"\xff", "profile:1: not a readable profile of `earnest adapt` (not UTF-8"),
        (b"RIFF\1\x80", "profile: a binary file, not a profile of `earnest adapt`"),
        (b"\xef\xbb\xbf{}", "profile: the key 'model' is missing"),  # a mark that some editors write
        (b"[" + b"[]," * 2_000 + b"[]]", "more lists"),
    ],
)
def test_what_is_no_profile_is_not_valid(
    adapting_client: TestClient, tmp_path: Path, content: bytes, detail: str
) -> None:
    clip = write_voice(tmp_path / "clip.wav", 1.0)
    answer = adapting_client.post("/v1/predict", files=[*form(clip), ("profile", ("a", content))])
    assert answer.status_code == 422
    assert detail in answer.json()["detail"]


def test_a_profile_beyond_what_one_may_have_is_refused_while_it_arrives(
    adapting_client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_voice(tmp_path / "clip.wav", 1.0)
    monkeypatch.setattr(engine, "known_adapter", None)  # nobody comes so far as to read it
    answer = adapting_client.post("/v1/predict", files=[*form(clip), ("profile", ("a", b" " * (MOST_BYTES + 1)))])
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:earnest:problem:too-large")
    assert "'profile' may have 4,194,304 bytes" in answer.json()["detail"]


def test_one_profile_at_most_and_no_recording_more_than_may_be(
    adapting_client: TestClient, client: TestClient, adapting: Predictor, tmp_path: Path
) -> None:
    clip = write_voice(tmp_path / "clip.wav", 1.0)
    part = ("profile", ("a", adapting.profile([clip]).to_json().encode()))
    for files in ([part], [*form(clip), part, part], [*form(clip, clip)], [*form(clip), ("other", ("a", b""))]):
        assert adapting_client.post("/v1/predict", files=files).status_code == 422
    other = client.post("/v1/predict", files=[*form(clip), part])
    assert other.status_code == 422
    assert "can't adapt" in other.json()["detail"] or "made with the model" in other.json()["detail"]


@pytest.mark.parametrize("name", MEDIA_TYPES)
def test_each_format_is_the_timelines_own_text(client: TestClient, model: Predictor, name: Any) -> None:
    expected = model.timeline(DEMO[0]).to(name).replace(str(DEMO[0]), DEMO[0].name)
    for params, accept in (({"format": name}, "*/*"), ({}, f"text/html;q=0.9, {MEDIA_TYPES[name]}")):
        asked = {"kind": "timeline", "adapt": "off"} | params
        answer = client.post("/v1/predict", params=asked, files=form(DEMO[0]), headers={"Accept": accept})
        assert answer.text == expected
        assert answer.headers["content-type"].partition(";")[0] == MEDIA_TYPES[name]


def test_rows_as_csv_have_a_header_and_the_same_numbers(client: TestClient, clip: Path) -> None:
    values = client.post("/v1/predict", files=form(clip)).json()
    (row,) = csv.DictReader(io.StringIO(client.post("/v1/predict?format=csv", files=form(clip)).text))
    assert float(row["confidence"]) == values["confidence"]
    assert float(row["p_sad"]) == values["probabilities"]["sad"]


def test_below_the_threshold_the_answer_is_unsure(client: TestClient, clip: Path) -> None:
    answer = client.post("/v1/predict?abstain_below=1", files=form(clip)).json()
    assert (answer["status"], answer["emotion"]) == ("unsure", None)
    assert client.post("/v1/predict?abstain_below=0", files=form(clip)).json()["status"] == "ok"
    spans = client.post("/v1/predict?kind=timeline&abstain_below=1", files=form(clip)).json()["spans"]
    assert {span["emotion"] for span in spans} == {"unsure"}


def test_the_classes_asked_for_are_those_of_the_answer(client: TestClient, model: Predictor, clip: Path) -> None:
    for path, kind in (("/v1/predict?", {}), ("/v1/predict?", {"kind": "timeline"}), ("/v1/batch?", {})):
        params = {"classes": "sad, angry", "abstain_below": 0} | kind
        answer = client.post(path, params=params, files=form(clip)).json()
        answer = answer["predictions"][0] if "predictions" in answer else answer
        expected = model.predict(clip, classes=["sad", "angry"], abstain_below=0.0).to_dict()
        assert list(answer["probabilities"]) == ["sad", "angry"]
        assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=2e-6)
        assert answer["emotion"] == expected["emotion"]
    rows = client.post("/v1/predict", params={"classes": "sad,angry", "format": "csv"}, files=form(clip)).text
    assert [name for name in rows.splitlines()[0].split(",") if name.startswith("p_")] == ["p_sad", "p_angry"]
    for classes, words in (("sad,angri", "Did you mean 'angry'"), ("sad", "two classes or more")):
        refused = client.post("/v1/predict", params={"classes": classes}, files=form(clip))
        assert refused.status_code == 422
        assert words in refused.json()["detail"]


def test_vocal_bursts_are_told_and_counted(tmp_path: Path) -> None:
    folder = write_hearing(tmp_path / "hearing", abstain_below=0.4)
    soundfile.write(tmp_path / "laugh.wav", voice(2.0, level=0.35), 16_000)
    with application(Settings(models=(str(folder),))) as client:
        answer = client.post("/v1/predict", files=form(tmp_path / "laugh.wav")).json()
        timeline = client.post("/v1/predict?kind=timeline&format=srt", files=form(tmp_path / "laugh.wav")).text
        (described,) = client.get("/v1/models").json()["models"]
        statistics = client.get("/metrics").text
    assert (answer["status"], answer["emotion"]) == ("vocal-burst", None)
    assert [burst["kind"] for burst in answer["vocal_bursts"]] == ["laughter"]
    assert "(laughter)" in timeline
    assert (described["abstain_below"], described["sounds"]) == (0.4, list(SOUNDS))
    assert 'earnest_recordings_total{status="vocal-burst"} 2.0' in statistics


def test_a_batch_keeps_its_order_and_a_bad_file_is_a_row(client: TestClient, model: Predictor, clip: Path) -> None:
    files = [*form(DEMO[1], clip), ("file", ("bad.wav", b"RIFF")), *form(DEMO[0])]
    rows = client.post("/v1/batch?abstain_below=0", files=files).json()["predictions"]
    assert [row["path"] for row in rows] == [DEMO[1].name, "clip.wav", "bad.wav", DEMO[0].name]
    assert [row["status"] for row in rows] == ["ok", "ok", "error", "ok"]
    expected = list(model.predict_many([path.read_bytes() for path in (DEMO[1], clip, DEMO[0])]))
    assert [row["probabilities"] for row in rows if row["error"] is None] == [
        item.to_dict()["probabilities"] for item in expected
    ]
    headers = {"Accept": "application/x-ndjson"}
    lines = client.post("/v1/batch?abstain_below=0", files=files, headers=headers).text.splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_a_model_is_chosen_by_name(tmp_path: Path, clip: Path) -> None:
    settings = settings_for(tmp_path)
    with application(Settings(models=("small", *settings.models))) as client:
        models = client.get("/v1/models").json()["models"]
        assert [item["name"] for item in models] == ["small", "stand-in"]
        assert models[0]["abstain_below"] == Predictor.load("small").info.abstain_below
        assert client.post("/v1/predict", files=form(clip)).json()["model"] == "small"
        assert client.post("/v1/predict?model=stand-in", files=form(clip)).json()["model"] == "stand-in"
        wrong = client.post("/v1/predict?model=smal", files=form(clip))
        assert wrong.status_code == 422
        assert "small" in wrong.json()["detail"]


def test_what_corpora_forbid_is_told_of_a_model_whose_licence_does_not(tmp_path: Path) -> None:
    corpus = {"name": "ravdess", "licence": "CC-BY-NC-SA-4.0", "n_utterances": 1, "n_speakers": 1, "hours": 0.1}
    bundle = write_bundle(tmp_path / "theirs", licence="unspecified", training_corpora=[corpus])
    with application(Settings(models=(str(bundle),))) as client:
        (model,) = client.get("/v1/models").json()["models"]
    assert model["licence"] == "non-commercial use only: unspecified"


def test_nothing_is_stored_unless_a_folder_is_given(tmp_path: Path, clip: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    with application(settings_for(tmp_path)) as client:
        client.post("/v1/predict", files=form(clip))
    assert not list(kept.iterdir())
    with application(settings_for(tmp_path, keep=kept)) as client:
        answer = client.post("/v1/predict", files=[("file", ("../../evil.wav", clip.read_bytes()))])
        client.post("/v1/batch", files=form(clip, clip))
    names = sorted(path.suffix for path in kept.glob("[!.]*"))
    assert names == [".answer", ".answer", ".audio", ".audio", ".audio"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept.iterdir())
    assert answer.text in [path.read_text() for path in kept.glob("*.answer")]
    assert {path.read_bytes() for path in kept.glob("*.audio")} == {clip.read_bytes()}


def test_a_spectrograms_picture_is_answered_as_its_recording(client: TestClient, model: Predictor, clip: Path) -> None:
    short = write_voice(clip.parent / "short.wav", 3.0)
    png, expected = model.spectrogram(short).to_png(), model.predict(short)
    in_form = client.post("/v1/predict", files={"file": ("talk.png", png)})
    raw = client.post("/v1/predict", content=png, headers={"Content-Type": "image/png"})
    for answer in (in_form, raw):
        assert answer.status_code == 200, answer.text
        assert answer.json()["emotion"] == expected.emotion
        assert answer.json()["probabilities"] == pytest.approx(expected.probabilities, abs=1e-3)
