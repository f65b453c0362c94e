"""`WS /v1/stream` tells what the model's stream tells; broken rules end it with a reason."""

import gc
import json
import logging
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
from patience import wait_for
from serving import application, settings_for
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

import earnest
from earnest.apps.server import streaming
from earnest.apps.server.service import ENDING, digest_of_key
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import Profile
from earnest.runtime.stream import Stream
from earnest.runtime.windows import Windowing
from earnest.testing.sounds import voice

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("decoders_start_once")]

ADDRESS = "/v1/stream?sample_rate_hz=16000"
FINISH = '{"type": "finish"}'
SECOND = bytes(32_000)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with application(settings_for(folder)) as client:
        yield client


@pytest.fixture(scope="module")
def model(client: TestClient, folder: Path) -> Predictor:
    return earnest.load(folder / "bundle")


def told(websocket: Any) -> list[dict[str, Any]]:
    """Return all messages until the server closes, heartbeats left out."""
    found = []
    try:
        while True:
            found.append(json.loads(websocket.receive_text()))
    except WebSocketDisconnect as closed:
        return [item for item in [*found, {"closed": closed.code}] if item.get("event") != "heartbeat"]


@pytest.mark.parametrize(("encoding", "n_bytes"), [("s16le", 6_002), ("f32le", 40_004), ("s16le", 200_000)])
def test_events_are_those_of_the_models_stream(
    client: TestClient, model: Predictor, encoding: str, n_bytes: int
) -> None:
    samples = voice(6.0)
    data = samples.astype("<f4") if encoding == "f32le" else np.round(samples * 32767).astype("<i2")
    stream = model.stream(16_000, Windowing(2.0, 0.5))
    events = [event.to_dict() for event in [*stream.accept_waveform(data), *stream.finish()]]
    sent = data.tobytes()
    with client.websocket_connect(f"{ADDRESS}&encoding={encoding}&window_s=2&hop_s=0.5") as websocket:
        for start in range(0, len(sent), n_bytes):
            websocket.send_bytes(sent[start : start + n_bytes])
        websocket.send_text(FINISH)
        ready, *heard, end, closed = told(websocket)
    assert ready == {"event": "ready", "model": "stand-in", "classes": list(model.info.classes)}
    assert heard == events
    assert {"window", "span", "segment"} == {event["event"] for event in events}
    assert end == {"event": "end", "prediction": stream.prediction("stream").to_dict()}
    assert closed == {"closed": 1000}


@pytest.mark.parametrize(("query", "heard"), [("", slice(None)), ("&channel=2", 1)], ids=["mean", "one"])
def test_channels_are_averaged_or_one_is_heard_by_itself(
    client: TestClient, model: Predictor, query: str, heard: slice | int
) -> None:
    stereo = np.stack([voice(4.0), voice(4.0, seed=1)], axis=1).astype("<f4")
    stream = model.stream(8_000)
    stream.accept_waveform(stereo[:, heard])
    stream.finish()
    with client.websocket_connect(f"/v1/stream?sample_rate_hz=8000&encoding=f32le&channels=2{query}") as websocket:
        for start in range(0, len(stereo), 10_000):
            websocket.send_bytes(stereo[start : start + 10_000].tobytes())
        websocket.send_text(FINISH)
        assert told(websocket)[-2]["prediction"] == stream.prediction("stream").to_dict()


@pytest.mark.parametrize("adapt", ["auto", "off"])
def test_a_model_that_cannot_adapt_says_so_in_every_answer_where_it_was_asked_to(
    client: TestClient, model: Predictor, sound: bytes, adapt: str
) -> None:
    assert not model.can_adapt
    clip, broken = ("file", ("clip.wav", sound)), ("file", ("broken.wav", b"no sound"))
    quality = [*model.predict(sound).quality, *(["not-adapted"] if adapt == "auto" else [])]
    for kind in "utterance", "timeline":
        assert client.post(f"/v1/predict?kind={kind}&adapt={adapt}", files=[clip]).json()["quality"] == quality
    rows = client.post(f"/v1/batch?adapt={adapt}", files=[clip, broken]).json()["predictions"]
    assert [row["quality"] for row in rows] == [quality, []]
    with client.websocket_connect(f"{ADDRESS}&adapt={adapt}") as websocket:
        websocket.send_bytes(np.round(voice(2.0) * 32767).astype("<i2").tobytes())
        websocket.send_text(FINISH)
        assert ("not-adapted" in told(websocket)[-2]["prediction"]["quality"]) == (adapt == "auto")


def test_many_channels_are_averaged_however_few_frames_a_message_holds(client: TestClient, model: Predictor) -> None:
    sound = np.round(np.stack([voice(1.0, seed=number) for number in range(16)], axis=1) * 32767).astype("<i2")
    stream = model.stream(16_000)
    stream.accept_waveform(sound)
    stream.finish()
    with client.websocket_connect(f"{ADDRESS}&channels=16") as websocket:
        for part in np.split(sound, [2, 3, 8_000]):
            websocket.send_bytes(part.tobytes())
            time.sleep(0.1)  # else they are worked on together
        websocket.send_text(FINISH)
        assert told(websocket)[-2]["prediction"] == stream.prediction("stream").to_dict()


def test_channels_that_cancel_each_other_end_a_stream(client: TestClient) -> None:
    opposite = np.stack([voice(1.0), -voice(1.0)], axis=1).astype("<f4")
    with client.websocket_connect(f"{ADDRESS}&encoding=f32le&channels=2") as websocket:
        websocket.send_bytes(opposite[:16_000].tobytes())
        websocket.send_text(FINISH)
        *_, error, closed = told(websocket)
    assert error["detail"].startswith("the recording: its 2 channels cancel each other")
    assert (error["code"], closed) == ("bad-sound", {"closed": 1007})


def test_nothing_sent_is_too_short(client: TestClient) -> None:
    with client.websocket_connect(ADDRESS) as websocket:
        websocket.send_bytes(b"")
        websocket.send_text(FINISH)
        assert told(websocket)[-2]["prediction"]["status"] == "too-short"


@pytest.mark.parametrize(
    ("message", "code", "close"),
    [
        (b"abc", "bad-sound", 1007),
        (np.array([0.1, np.nan], "<f4").tobytes() + b"\0\0", "bad-sound", 1007),
        (bytes(2**18 + 2), "too-big", 1009),
        ("finish", "bad-message", 1003),
        ('{"type": "stop"}', "bad-message", 1003),
        ("[" * 100_000, "bad-message", 1003),
        ("", "bad-message", 1003),
    ],
)
def test_a_broken_rule_ends_the_stream_with_its_reason(
    client: TestClient, message: str | bytes, code: str, close: int
) -> None:
    with client.websocket_connect(ADDRESS.replace("16000", "16000&encoding=s16le")) as websocket:
        websocket.send_text(message) if isinstance(message, str) else websocket.send_bytes(message)
        if message == np.array([0.1, np.nan], "<f4").tobytes() + b"\0\0":
            websocket.send_text("x")  # ten bytes are five samples: no rule is broken
            code, close = "bad-message", 1003
        ready, error, closed = told(websocket)
    assert ready["event"] == "ready"
    assert (error["event"], error["code"]) == ("error", code)
    assert error["detail"]
    assert closed == {"closed": close}


def test_a_stream_that_broke_a_rule_is_forgotten_at_its_end(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams: list[weakref.ref[Stream]] = []
    opened = Predictor.stream

    def noted(*given: Any, **named: Any) -> Stream:
        stream = opened(*given, **named)
        streams.append(weakref.ref(stream))
        return stream

    monkeypatch.setattr(Predictor, "stream", noted)
    gc.disable()  # it would find what refers to itself, sooner or later
    try:
        with client.websocket_connect(ADDRESS) as websocket:
            websocket.send_bytes(b"abc")
            assert told(websocket)[-1] == {"closed": 1007}
        wait_for(lambda: streams and not any(stream() for stream in streams), 10)
    finally:
        gc.enable()


def test_infinite_samples_are_bad_sound_of_the_recording(client: TestClient) -> None:
    with client.websocket_connect(f"{ADDRESS}&encoding=f32le") as websocket:
        websocket.send_bytes(np.array([0.1, np.inf], "<f4").tobytes())
        _, error, _ = told(websocket)
    assert error["code"] == "bad-sound"
    assert error["detail"].startswith("the recording: holds NaN or infinite samples")


def test_integers_sent_as_floats_are_told_how_to_be_sent(client: TestClient) -> None:
    with client.websocket_connect(f"{ADDRESS}&encoding=f32le") as websocket:
        websocket.send_bytes((voice(1.0) * 32767).astype("<i2").tobytes())
        *_, error, closed = told(websocket)
    assert (error["code"], closed) == ("bad-sound", {"closed": 1007})
    assert error["detail"].endswith("If these are integers of 16 bits, open the stream with encoding=s16le.")


@pytest.mark.parametrize("channels", [1, 2])
def test_floats_are_not_heard_as_integers(client: TestClient, channels: int) -> None:
    samples = np.repeat(voice(1.0)[:, None], channels, axis=1)
    address = f"{ADDRESS}&channels={channels}"
    with client.websocket_connect(address) as websocket:
        websocket.send_bytes(bytes(800))  # silence is the same in both
        websocket.send_bytes(samples.astype("<f4").tobytes())
        _, error, closed = told(websocket)
    assert (error["code"], closed) == ("bad-sound", {"closed": 1007})
    assert error["detail"] == "These are 32-bit floats, not s16le. Open the stream with encoding=f32le."
    for level in (0.001, 1.0, 9.0):
        with client.websocket_connect(address) as websocket:
            websocket.send_bytes(np.round(np.clip(level * samples, -1, 1) * 32_767).astype("<i2").tobytes())
            websocket.send_json({"type": "finish"})
            assert told(websocket)[-1] == {"closed": 1000}


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"\x1a\x45\xdf\xa3", "WebM"), (b"OggS", "Ogg"), (b"RIFF\0\0\0\0WAVE", "WAV"), (b"\0\0\0\x20ftyp", "MP4")],
)
def test_a_file_is_not_heard_as_samples(client: TestClient, head: bytes, kind: str) -> None:
    with client.websocket_connect(ADDRESS) as websocket:
        websocket.send_bytes(head + bytes(1001))  # a browser's MediaRecorder gives such pieces, of any length
        _, error, closed = told(websocket)
    assert (error["code"], closed) == ("bad-sound", {"closed": 1007})
    assert f"the beginning of a {kind} file" in error["detail"]
    with client.websocket_connect(ADDRESS) as websocket:
        websocket.send_bytes(bytes(2))
        websocket.send_bytes(head.ljust(12, b"\0"))  # later, samples may be any bytes
        websocket.send_json({"type": "finish"})
        assert told(websocket)[-1] == {"closed": 1000}


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ("", 422, "sample_rate_hz"),
        ("sample_rate_hz=100", 422, "sample_rate_hz"),
        ("sample_rate_hz=16000&encoding=s16", 422, "query.encoding: there is no 's16'. Did you mean 's16le'?"),
        ("sample_rate_hz=16000&channels=0", 422, "channels"),
        ("sample_rate_hz=16000&channels=2&channel=3", 422, "no channel 3 where channels=2"),
        ("sample_rate_hz=16000&sample_rate_hz=8000", 422, "more than once"),
        ("sample_rate_hz=16000&hop_s=9", 422, "hop"),
        ("sample_rate_hz=16000&model=none", 422, "model"),
        ("sample_rate_hz=16000&adpat=auto", 422, "Did you mean 'adapt'?"),
    ],
)
def test_wrong_parameters_are_refused_before_the_stream_opens(
    client: TestClient, query: str, status: int, word: str
) -> None:
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(f"/v1/stream?{query}"):
        pass
    assert denied.value.status_code == status
    assert denied.value.headers["content-type"] == "application/problem+json"
    assert word in denied.value.json()["detail"]


def denied_status(client: TestClient, **headers: str) -> int:
    try:
        with client.websocket_connect(ADDRESS, headers=headers):
            return 101
    except WebSocketDenialResponse as denied:
        return denied.status_code


def test_pages_of_other_origins_and_strangers_are_kept_out(folder: Path) -> None:
    settings = settings_for(folder, cors_origins=("https://page.example",), api_keys=(digest_of_key("key"),))
    with application(settings) as client:
        key = {"X-API-Key": "key"}
        assert denied_status(client, Origin="https://evil.example", **key) == 403
        assert denied_status(client, Origin="null", **key) == 403
        assert denied_status(client, Origin="http://testserver", **key) == 101
        assert denied_status(client, Origin="https://page.example", **key) == 101
        assert denied_status(client) == 401


@pytest.mark.parametrize(("limits", "status"), [({"client_streams": 2}, 429), ({"streams": 2}, 503)])
def test_streams_are_counted_and_their_places_given_back(folder: Path, limits: dict[str, int], status: int) -> None:
    with application(settings_for(folder, limits)) as client:
        for _ in range(3):
            with client.websocket_connect(ADDRESS), client.websocket_connect(ADDRESS):
                assert denied_status(client) == status
                assert "earnest_streams_open 2.0" in client.get("/metrics").text
        assert denied_status(client) == 101


def test_a_silent_client_hears_heartbeats_and_is_closed(folder: Path) -> None:
    limits = {"heartbeat_s": 0.05, "stream_idle_s": 1.0}
    with application(settings_for(folder, limits)) as client, client.websocket_connect(ADDRESS) as websocket:
        websocket.receive_text()
        assert json.loads(websocket.receive_text()) == {"event": "heartbeat", "received_s": 0.0}
        end, closed = told(websocket)
        assert (end["event"], end["prediction"]["duration_s"]) == ("end", 0.0)
        assert closed == {"closed": 1008}


def test_a_client_that_pauses_for_too_long_is_told_all_of_what_it_sent(folder: Path) -> None:
    with application(settings_for(folder, {"stream_idle_s": 0.3})) as client:
        with client.websocket_connect(ADDRESS) as websocket:
            websocket.send_bytes(np.round(voice(4.0) * 32767).astype("<i2").tobytes())
            *events, end, closed = told(websocket)
        assert {"window", "segment"} <= {event["event"] for event in events}
        assert end["prediction"]["duration_s"] == 4.0
        assert closed == {"closed": 1008}


def test_a_stream_has_a_longest_length(folder: Path) -> None:
    with application(settings_for(folder, {"stream_s": 1})) as client, client.websocket_connect(ADDRESS) as websocket:
        websocket.send_bytes(bytes(32_002))
        assert told(websocket)[1]["code"] == "too-long"


def test_faster_than_allowed_is_read_later(folder: Path) -> None:
    limits = {"stream_burst_s": 1, "stream_speed": 5}
    with application(settings_for(folder, limits)) as client:
        started = time.monotonic()  # the server's clock begins with the connection, so later
        with client.websocket_connect(ADDRESS) as websocket:
            for _ in range(3):
                websocket.send_bytes(bytes(32_000))
            websocket.send_text(FINISH)
            events = told(websocket)
            assert events[-2]["prediction"]["duration_s"] == 3.0
            assert time.monotonic() - started >= 0.4  # the two seconds beyond the burst, at five times real time


@pytest.mark.parametrize(
    ("reason", "close", "messages"),
    [
        ("left", 1000, [SECOND]),
        ("finished", 1000, [SECOND, FINISH]),
        ("idle", 1008, [SECOND]),
        ("bad-sound", 1007, [b"odd"]),
        ("bad-message", 1003, ["?"]),
        ("too-long", 1008, 3 * [SECOND]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sound_counts_as_it_is_heard_and_how_a_stream_ended_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture, reason: str, close: int, messages: list[bytes | str]
) -> None:
    limits = {"stream_s": 2.0, "stream_idle_s": 0.2 if reason == "idle" else 60.0}
    with application(settings_for(folder, limits)) as client, caplog.at_level(logging.INFO, "earnest.server"):
        with client.websocket_connect(ADDRESS) as websocket:
            for message in messages:
                websocket.send({"type": "websocket.receive", _kind(message): message})
            if reason == "left":
                wait_for(lambda: 'audio_seconds_total{route="/v1/stream"} 1.0' in client.get("/metrics").text)
            else:
                told(websocket)
        wait_for(lambda: f'earnest_streams_ended_total{{reason="{reason}"}} 1.0' in client.get("/metrics").text)
    lines = [vars(record) for record in caplog.records if record.getMessage() == "answered"]
    assert [(line["ended"], line["close"]) for line in lines if line["status"] == 101] == [(reason, close)]


def _kind(message: bytes | str) -> str:
    return "text" if isinstance(message, str) else "bytes"


def test_a_client_that_leaves_frees_its_place(folder: Path) -> None:
    with application(settings_for(folder, {"streams": 1})) as client:
        for _ in range(3):
            with client.websocket_connect(ADDRESS) as websocket:
                websocket.send_bytes(voice(2.0).astype("<f4").tobytes())
        assert denied_status(client) == 101


def test_tiny_messages_are_read_later_too(folder: Path) -> None:
    limits = {"stream_burst_s": 0.25, "stream_speed": 5}
    with application(settings_for(folder, limits)) as client:
        started = time.monotonic()  # the server's clock begins with the connection, so later
        with client.websocket_connect(ADDRESS) as websocket:
            for _ in range(250):  # each counts as 10 ms
                websocket.send_bytes(b"ab")
            websocket.send_text(FINISH)
            assert told(websocket)[-2]["prediction"]["duration_s"] == pytest.approx(250 / 16_000)
            assert time.monotonic() - started >= 0.4


def test_messages_without_sound_keep_no_stream_open(folder: Path) -> None:
    limits = {"stream_idle_s": 0.2}
    with application(settings_for(folder, limits)) as client, client.websocket_connect(ADDRESS) as websocket:
        for _ in range(4):
            websocket.send_bytes(b"")
            time.sleep(0.1)
        assert told(websocket)[-2:] == [ANY, {"closed": 1008}]


def test_when_the_process_ends_a_stream_is_told_all_of_what_it_sent(
    folder: Path, model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_QUIET_S", 1.0)  # the rest comes within it, also on a busy machine
    data = np.round(voice(4.0) * 32767).astype("<i2")
    stream = model.stream(16_000)
    events = [event.to_dict() for event in [*stream.accept_waveform(data), *stream.finish()]]
    with application(settings_for(folder)) as client, client.websocket_connect(ADDRESS) as websocket:
        websocket.send_bytes(data[:40_000].tobytes())
        client.app_state[ENDING].set()
        websocket.send_bytes(data[40_000:].tobytes())
        _, *heard, end, closed = told(websocket)
    assert heard == events
    assert end == {"event": "end", "prediction": stream.prediction("stream").to_dict()}
    assert closed == {"closed": 1012}


def test_who_finishes_while_the_process_ends_has_finished(folder: Path) -> None:
    with application(settings_for(folder)) as client, client.websocket_connect(ADDRESS) as websocket:
        client.app_state[ENDING].set()
        websocket.send_text(FINISH)
        assert told(websocket)[-1] == {"closed": 1000}


def test_who_never_pauses_is_not_heard_for_ever_by_a_process_that_ends(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_QUIET_S", 60.0)
    monkeypatch.setattr(streaming, "_DRAIN_S", 1.0)
    with application(settings_for(folder)) as client, client.websocket_connect(ADDRESS) as websocket:
        client.app_state[ENDING].set()
        for _ in range(200):
            websocket.send_bytes(bytes(320))
            time.sleep(0.01)
        end, closed = told(websocket)[-2:]
    assert 0 < end["prediction"]["duration_s"] < 2.0  # what was sent
    assert closed == {"closed": 1012}


def test_a_process_that_ends_takes_no_more_streams_and_is_not_ready(folder: Path) -> None:
    with application(settings_for(folder)) as client:
        assert client.get("/readyz").status_code == 200
        client.app_state[ENDING].set()
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(ADDRESS):
            pass
        for answer in (denied.value, client.get("/readyz")):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["type"] == "urn:earnest:problem:ending"


def profile_text(profile: Profile) -> str:
    return json.dumps({"type": "profile", "profile": json.loads(profile.to_json())})


def test_a_profile_may_come_before_the_sound(adapting_client: TestClient, adapting: Predictor) -> None:
    samples, known = voice(6.0), [(voice(3.0, seed=seed), 16_000) for seed in range(4)]
    profile = adapting.profile(known)
    with adapting_client.websocket_connect(f"{ADDRESS}&encoding=f32le") as websocket:
        assert json.loads(websocket.receive_text())["event"] == "ready"
        websocket.send_text(profile_text(profile))
        websocket.send_bytes(samples.astype("<f4").tobytes()[:262_144])
        websocket.send_text(FINISH)
        end = told(websocket)[-2]["prediction"]
    stream = adapting.stream(16_000, adapter=adapting.adapter(profile))
    stream.accept_waveform(samples[: 262_144 // 4])
    stream.finish()
    assert end["adapted"]
    assert end["probabilities"] == pytest.approx(stream.prediction().to_dict()["probabilities"], abs=2e-5)


def test_a_profile_that_is_none_or_comes_late_ends_the_stream(adapting_client: TestClient, adapting: Predictor) -> None:
    good = profile_text(adapting.profile([(voice(3.0), 16_000)]))
    for messages, detail in (
        (['{"type": "profile", "profile": {}}'], "the key 'model' is missing"),
        (['{"type": "profile", "profile": 1}'], "or a profile"),
        (['{"type": "profile", "profile": {"classes": [' + "[]," * 2_000 + "[]]}}"], "fewer lists"),
        (["x" * 300_000], "262,144 bytes"),
        ([bytes(3_200), good], "before all sound"),
    ):
        with adapting_client.websocket_connect(ADDRESS) as websocket:
            for message in messages:
                websocket.send_bytes(message) if isinstance(message, bytes) else websocket.send_text(message)
            *_, error, _closed = told(websocket)
        assert error["event"] == "error"
        assert detail in error["detail"]


def test_channels_that_cancel_each_other_are_told_at_the_end(client: TestClient) -> None:
    with client.websocket_connect("/v1/stream?sample_rate_hz=8000&encoding=f32le&channels=2") as websocket:
        websocket.send_bytes(np.stack([voice(1.0, 8_000), -voice(1.0, 8_000)], axis=1).astype("<f4").tobytes())
        websocket.send_text(FINISH)
        *_, error, closed = told(websocket)
    assert (error["code"], closed) == ("bad-sound", {"closed": 1007})
    assert error["detail"].startswith("the recording: its 2 channels cancel each other")


def test_a_stream_elsewhere_is_told_where_streams_are(client: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/v1/streams?sample_rate_hz=8000"):
        pass
    problem = denied.value.json()
    assert denied.value.status_code == 404
    assert problem["detail"] == "No stream is heard at /v1/streams, but at /v1/stream."
