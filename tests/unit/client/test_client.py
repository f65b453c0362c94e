"""The clients give the same objects as the model itself, and its errors."""

import asyncio
import copy
import json
import pickle
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from serving import decoders_start_once, listening, settings_for
from stand_in import write_adapting, write_bundle, write_hearing
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State
from websockets.sync.server import ServerConnection, serve

import earnest
from earnest.apps.server.service import digest_of_key
from earnest.apps.server.settings import Settings
from earnest.audio.io import load_waveform
from earnest.audio.source import AudioInput, Channel, Part
from earnest.client import AsyncClient, Client, ServerError, calls
from earnest.client.calls import Call
from earnest.errors import AudioError, EarnestError, RecordingTooLongError
from earnest.runtime.prediction import Event, Prediction, Span, VocalBurst
from earnest.runtime.predictor import Predictor
from earnest.runtime.windows import Windowing
from earnest.testing.sounds import voice, write_voice

__all__ = ["decoders_start_once"]
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("decoders_start_once")]

KEY = "a key that is long enough"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("client")


@pytest.fixture(scope="module")
def model(folder: Path) -> Predictor:
    return earnest.load(write_bundle(folder / "bundle"))


@pytest.fixture(scope="module")
def address(folder: Path, model: Predictor) -> Iterator[str]:
    with listening(settings_for(folder, {"recording_s": 20}, api_keys=(digest_of_key(KEY),))) as address:
        yield address


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return write_voice(folder / "clip.wav", 4.0, 22_050)


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address, KEY) as client:
        yield client


def test_a_prediction_equals_the_models(client: Client, model: Predictor, clip: Path) -> None:
    assert client.predict(clip) == Prediction.from_dict(model.predict(clip).to_dict())


def test_a_client_can_be_sent_to_another_process(client: Client, address: str, clip: Path) -> None:
    for one in (client, AsyncClient(address, KEY, 7.0)):
        other, copied = pickle.loads(pickle.dumps(one)), copy.deepcopy(one)  # of bytes that we made
        assert type(other) is type(copied) is type(one)
        assert other.__reduce__() == copied.__reduce__() == one.__reduce__()
    with pickle.loads(pickle.dumps(client)) as other:
        assert other.predict(clip) == client.predict(clip)
    assert client.predict(clip).emotion  # has connections of its own


def test_a_client_of_another_event_loop_says_what_to_do(address: str, clip: Path) -> None:
    client = AsyncClient(address, KEY)

    async def first() -> None:
        assert (await client.predict(clip)).emotion == (await client.predict(clip)).emotion
        await client._http.aclose()  # else its connection would be found open at the end of the test
        client._http = AsyncClient(address, KEY)._http

    asyncio.run(first())
    for ask in (lambda: client.predict(clip), client.models, client.close):
        with pytest.raises(EarnestError, match=r"another event loop.*async with AsyncClient\(url\) as client"):
            asyncio.run(ask())  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["bytes", "file", "array"])
def test_all_that_the_model_takes_is_taken(client: Client, model: Predictor, clip: Path, kind: str) -> None:
    with clip.open("rb") as file:
        source = {"bytes": clip.read_bytes(), "file": file, "array": (voice(4.0), 16_000)}[kind]
        answer = client.predict(source)
    expected = model.predict(source if kind != "file" else clip)
    assert answer.probabilities == expected.to_dict()["probabilities"]
    assert answer.path == (str(clip) if kind == "file" else kind)


def test_recordings_are_called_as_the_model_calls_them(client: Client, model: Predictor, clip: Path) -> None:
    cell = {"bytes": clip.read_bytes(), "path": "a.wav"}
    given: list[AudioInput] = [cell, Channel(cell, 1), {"path": str(clip)}, {"path": "none.wav"}, bytearray(b"text")]
    expected = [(row.path, row.error) for row in model.predict_many(given)]
    assert [(row.path, row.error) for row in client.predict_many(given)] == expected
    assert [client.predict(one).path for one in given[:3]] == ["a.wav", "a.wav#1", str(clip)]
    assert client.timeline(cell).prediction.path == "a.wav"
    with pytest.raises(AudioError, match=r"^recording of 4 bytes: "):
        client.predict(bytearray(b"text"))


def test_one_channel_equals_the_models(client: Client, model: Predictor, tmp_path: Path) -> None:
    call = tmp_path / "call.wav"
    soundfile.write(call, np.stack([voice(4.0, seed=1), voice(4.0, seed=2)], axis=1), 16_000, subtype="FLOAT")
    array = soundfile.read(call, dtype="float32")
    sides = []
    for number in (1, 2):
        expected = model.predict(Channel(call, number))
        for source in (call, call.read_bytes(), array):
            side = client.predict(Channel(source, number))
            assert side.to_dict()["probabilities"] == expected.to_dict()["probabilities"]
            assert side.path.endswith(f"#{number}")
        assert client.timeline(Channel(call, number)).prediction.duration_s == expected.duration_s
        sides.append(expected)
    assert sides[0].probabilities != sides[1].probabilities
    both = client.predict_many([Channel(call, 2), Channel(call.read_bytes(), 2)])
    assert [row.path for row in both] == [f"{call}#2", "bytes#2"]
    assert both[0].probabilities == both[1].probabilities == Prediction.from_dict(sides[1].to_dict()).probabilities
    mixed = client.predict_many([Channel(call, 1), "none.wav", Channel(array, 2), call, Channel(call, 2)])
    assert [row.path for row in mixed] == [f"{call}#1", "none.wav", "array#2", str(call), f"{call}#2"]
    assert (mixed[1].status, mixed[1].error) == ("error", "none.wav: no such file. Check the path.")
    assert mixed[0].probabilities == Prediction.from_dict(sides[0].to_dict()).probabilities
    assert mixed[2].probabilities == mixed[4].probabilities == both[0].probabilities
    with pytest.raises(EarnestError, match="Ask for each channel by itself"):
        client.predict_many([Channel(call, 1), Channel(call, 2)], adapt="auto")
    with pytest.raises(AudioError, match="there is no channel 3"):
        client.predict(Channel(call, 3))


def test_a_part_is_answered_as_it_is_here(client: Client, model: earnest.Predictor, clip: Path) -> None:
    part = Part(Channel(clip, 1), 0.25, 1.25)
    (found, late), expected = client.predict_many([part, Part(clip, 60)]), model.predict(part)
    assert (found.path, found.duration_s, found.status) == (expected.path, 1.0, expected.status)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
    assert late.error == f"{clip}@60-: the recording has ended before this part begins."


def test_a_timeline_equals_the_models(client: Client, model: Predictor, clip: Path) -> None:
    windowing = Windowing(1.0, 0.5)
    timeline = client.timeline(clip, windowing)
    assert timeline.to_dict() == model.timeline(clip, windowing).to_dict()
    assert timeline.spans
    assert timeline.to_srt() == model.timeline(clip, windowing).to_srt()
    with pytest.raises(EarnestError, match="windowing must be a Windowing, got a list of 2"):
        client.timeline(clip, (1, 0.5))


def test_many_keep_their_order_and_a_bad_one_is_a_row(client: Client, model: Predictor, clip: Path) -> None:
    rows = client.predict_many([clip, b"no sound", clip])
    assert [row.status for row in rows] == ["ok", "error", "ok"]
    assert rows[0] == rows[2] == Prediction.from_dict(model.predict(clip).to_dict())
    assert client.predict_many([]) == []


def test_classes_and_threshold_go_with_every_question(client: Client, model: Predictor, clip: Path) -> None:
    options: dict[str, Any] = {"classes": ["sad", "angry"], "abstain_below": 0.999}
    expected = Prediction.from_dict(model.predict(clip, **options).to_dict())
    assert expected.status == "unsure"
    assert client.predict(clip, **options) == expected
    assert client.predict_many([clip], **options) == [expected]
    assert client.timeline(clip, **options).to_dict() == model.timeline(clip, **options).to_dict()
    with client.stream(16_000, **options) as stream:
        told = [*stream.accept_waveform(voice(4.0)), *stream.finish()]
    assert {event.emotion for event in told if isinstance(event, Span)} == {"unsure"}
    with pytest.raises(ServerError, match="Did you mean 'angry'"):
        client.predict(clip, classes="sad,angri")
    with pytest.raises(ServerError, match="Did you mean 'angry'"), client.stream(16_000, classes="sad,angri"):
        pass


def test_vocal_bursts_come_as_objects(tmp_path: Path) -> None:
    hearing = write_hearing(tmp_path / "hearing")
    laugh = voice(2.0, level=0.35)
    expected = earnest.load(hearing).timeline((laugh, 16_000))
    with listening(Settings(models=(str(hearing),))) as address, Client(address) as client:
        assert client.predict((laugh, 16_000)).vocal_bursts == client.timeline((laugh, 16_000)).prediction.vocal_bursts
        with client.stream(16_000) as stream:
            told = [*stream.accept_waveform(laugh), *stream.finish()]
    (burst,) = told
    assert isinstance(burst, VocalBurst)
    assert burst.to_dict() == expected.prediction.vocal_bursts[0].to_dict()


def rounded(events: list[Event]) -> list[dict[str, object]]:
    return [event.to_dict() for event in events]


def test_a_stream_tells_what_the_models_stream_tells(client: Client, model: Predictor) -> None:
    sound = voice(6.0, 44_100)
    expected = model.stream(44_100)
    events = [*expected.accept_waveform(sound), *expected.finish()]
    with client.stream(44_100) as stream:
        heard = [
            event
            for start in range(0, len(sound), 7_001)
            for event in stream.accept_waveform(sound[start : start + 7_001])
        ]
        heard += stream.finish()
    assert events
    assert rounded(heard) == rounded(events)
    assert stream.prediction().to_dict() == expected.prediction("stream").to_dict()


def test_asyncio_gives_the_same(address: str, model: Predictor, clip: Path) -> None:
    sound = voice(5.0)

    async def ask() -> None:
        async with AsyncClient(address, KEY) as client:
            expected = Prediction.from_dict(model.predict(clip).to_dict())
            assert await client.predict(clip) == expected
            assert await client.predict_many([clip]) == [expected]
            assert (await client.timeline(clip)).to_dict() == model.timeline(clip).to_dict()
            assert [item["name"] for item in await client.models()] == ["stand-in"]
            async with client.stream(16_000) as stream:
                events = [*await stream.accept_waveform(sound), *await stream.finish()]
            listener = model.stream(16_000)
            assert rounded(events) == rounded([*listener.accept_waveform(sound), *listener.finish()])
            with pytest.raises(AudioError, match="text"):
                await client.predict(b"this is text")
            async with client.stream(16_000) as broken:
                await broken._send("nonsense")  # as a broken client would
                with pytest.raises(ServerError, match="binary"):
                    await broken.finish()

    asyncio.run(ask())


def test_what_many_ask_at_once_waits_in_the_client_and_is_not_refused(folder: Path, clip: Path) -> None:
    n_asked = 3 * calls.AT_ONCE
    with listening(settings_for(folder, {"client_requests": calls.AT_ONCE}, jobs=1)) as address:

        async def ask() -> list[Prediction]:
            async with AsyncClient(address) as client:
                return await asyncio.gather(*(client.predict(clip) for _ in range(n_asked)))

        assert {row.status for row in asyncio.run(ask())} == {"ok"}
        with Client(address) as client, ThreadPoolExecutor(n_asked) as threads:
            assert {row.status for row in threads.map(client.predict, [clip] * n_asked)} == {"ok"}


def test_the_model_is_listed(client: Client) -> None:
    (told,) = client.models()
    assert told["name"] == "stand-in"
    assert told["sample_rate_hz"] == 16_000


def test_a_profile_that_is_none_is_an_error_of_every_question(client: Client, clip: Path) -> None:
    ways: list[Any] = [client.predict, client.timeline, lambda _, profile: client.predict_many([clip], profile=profile)]
    for ask in [*ways, lambda _, profile: client.stream(16_000, profile=profile)]:
        with pytest.raises(EarnestError, match=r"none\.json: no such file"):
            ask(clip, profile="none.json")
        with pytest.raises(EarnestError, match=r"profile: expected a Profile or the path of its file, got 3\."):
            ask(clip, profile=3)


def test_many_go_in_parts_that_a_server_takes(
    folder: Path, model: Predictor, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_files: list[int] = []
    call_of = calls.BatchRows._call

    def noted(self: calls.BatchRows, channel: int | None, files: Mapping[int, bytes]) -> Any:
        n_files.append(len(files))
        return call_of(self, channel, files)

    monkeypatch.setattr(calls.BatchRows, "_call", noted)
    short = write_voice(folder / "short.wav", 1.0)
    sources = [clip, short, "none.wav", Channel(clip, 1), short, clip, short, bytes(400_000)]
    expected = [Prediction.from_dict(row.to_dict()) for row in model.predict_many(sources[:-1])]

    async def ask(address: str) -> list[Prediction]:
        async with AsyncClient(address) as client:
            return await client.predict_many(sources)

    with listening(settings_for(folder, {"batch_files": 2, "body_bytes": 300_000})) as address:
        with Client(address) as client:
            answers = client.predict_many(sources)  # limits that are not the usual ones: refused parts go in halves
            n_files.clear()
            monkeypatch.setattr(calls, "TOGETHER_FILES", 4)
            assert [row.status for row in client.predict_many([short] * 8)] == ["ok"] * 8
            assert n_files == [4, 2, 2, 2, 2]  # once is enough
            monkeypatch.setattr(calls, "TOGETHER_FILES", 2)
            monkeypatch.setattr(calls, "TOGETHER_BYTES", 250_000)
            assert client.predict_many(sources) == answers
            with pytest.raises(
                AudioError, match=r"limit batch_files\).*With adapt=\"auto\" all recordings go together"
            ):
                client.predict_many([short] * 3, adapt="auto")
        assert asyncio.run(ask(address)) == answers
    assert answers[:-1] == expected
    assert (answers[-1].status, answers[-1].path) == ("error", "bytes")
    assert "bytes: A body may have 300,000 bytes" in str(answers[-1].error)


def test_a_later_part_that_fails_loses_no_answer(folder: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "TOGETHER_FILES", 2)
    short, sources = write_voice(folder / "short.wav", 1.0), [clip] * 4
    n_asked = 0

    def too_much(request: Any) -> None:
        nonlocal n_asked
        n_asked += 1
        if n_asked in {2, 4}:
            raise ServerError("The server is busy.", "busy", 503)

    async def ask(address: str) -> list[Prediction]:
        async with AsyncClient(address) as client:
            monkeypatch.setattr(calls.Call, "arguments", failing)
            return await client.predict_many([*sources, short])

    arguments = calls.Call.arguments

    def failing(call: calls.Call) -> dict[str, Any]:
        too_much(call)
        return arguments(call)

    with listening(settings_for(folder)) as address:
        with Client(address) as client:
            monkeypatch.setattr(calls.Call, "arguments", failing)
            answers = client.predict_many([*sources, short])
            with pytest.raises(ServerError, match="busy"):
                client.predict_many(sources)
        n_asked = 0
        assert asyncio.run(ask(address)) == answers
    assert [row.status == "error" for row in answers] == [False, False, True, True, False]
    assert answers[2].error == f"{clip}: The server is busy."


@pytest.mark.parametrize("page", ["<html>nginx</html>", '{"message": "Request Too Long"}'])
def test_a_recording_that_is_too_large_for_a_proxy_is_a_row_as_one_for_the_server(
    address: str, client: Client, clip: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    import httpx2

    monkeypatch.setattr(calls, "TOGETHER_BYTES", 300_000)
    answered, large = Client._answered, bytes(400_000)

    def through_nginx(self: Client, call: Call) -> Any:
        n_bytes = len(call.content or b"") + sum(len(data) for _, (_, data) in call.files)
        return httpx2.Response(413, text=page) if n_bytes > 300_000 else answered(self, call)

    monkeypatch.setattr(Client, "_answered", through_nginx)
    told = "A proxy before the server refuses so many bytes (413). Send it in parts."
    with pytest.raises(RecordingTooLongError) as caught:
        client.predict(large)
    assert str(caught.value) == told
    rows = client.predict_many([large, clip])
    assert [row.status for row in rows] == ["error", "ok"]
    assert rows[0].error == f"recording of 400000 bytes: {told}"


def test_after_a_refused_body_the_next_question_is_answered(folder: Path, model: Predictor, clip: Path) -> None:
    expected = Prediction.from_dict(model.predict(clip).to_dict())

    async def ask(address: str) -> None:
        async with AsyncClient(address) as client:
            for _ in range(3):
                with pytest.raises(RecordingTooLongError, match="limit body_bytes"):
                    await client.predict(bytes(3_000_000))
                assert await client.predict(clip) == expected

    with listening(settings_for(folder, {"body_bytes": 1_000_000})) as address:
        with Client(address) as client:
            for _ in range(3):
                with pytest.raises(RecordingTooLongError, match="limit body_bytes"):
                    client.predict(bytes(3_000_000))
                assert client.predict(clip) == expected
        asyncio.run(ask(address))


def test_a_connection_that_breaks_is_replaced_once() -> None:
    """The server closes each connection when its second request comes, as one that found it idle does."""
    asked: list[int] = []

    def serve_one(connection: socket.socket) -> None:
        with connection:
            for number in range(2):
                if not connection.recv(65_536):
                    return
                asked.append(number)
                if number == 0:
                    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"models": []}')

    def serve_all(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                serve_one(listener.accept()[0])

    async def ask(address: str) -> None:
        async with AsyncClient(address) as client:
            assert [await client.models() for _ in range(3)] == [[]] * 3

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_all, args=(listener,))
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(address) as client:
            assert [client.models() for _ in range(3)] == [[]] * 3
        assert asked == [0, 1, 0, 1, 0]
        asyncio.run(ask(address))
        assert asked == [0, 1, 0, 1, 0] * 2
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_unreadable_recordings_are_the_librarys_errors(client: Client) -> None:
    with pytest.raises(AudioError, match="text"):
        client.predict(b"this is text")
    long, told = (voice(21.0, 4_000), 4_000), "Or call timeline(…), which has the same answer, for up to 3600 s."
    with pytest.raises(RecordingTooLongError, match=rf"longer than 20 s.* {re.escape(told)}"):
        client.predict(long)
    (row,) = client.predict_many([long])
    assert row.error is not None and row.error.endswith(told)


def test_errors_name_what_the_caller_named(client: Client, tmp_path: Path, clip: Path) -> None:
    bad = tmp_path / "notes.wav"
    bad.write_text("this is text")
    for source, name in [(bad, str(bad)), (Channel(bad, 2), f"{bad}#2")]:
        with pytest.raises(AudioError, match=f"^{re.escape(name)}: "):
            client.predict(source)
        errors = [row.error or "" for row in client.predict_many([clip, source])]
        assert errors[0] == ""
        assert errors[1].startswith(f"{name}: ")


def test_channels_of_an_array_or_a_stream_that_take_turns_are_told(client: Client, model: Predictor) -> None:
    sides = np.stack([voice(2.0), np.zeros_like(voice(2.0))], axis=1)
    call = np.concatenate([sides, sides[:, ::-1]])
    for sound, is_separate in ((call, True), (np.repeat(voice(2.0)[:, None], 2, axis=1), False)):
        answers = [client.predict((sound, 16_000)), *client.predict_many([(sound, 16_000)])]
        with client.stream(16_000) as stream:
            stream.accept_waveform(sound)
            stream.finish()
        told = model.predict((sound, 16_000))
        assert [answer.quality for answer in (*answers, stream.prediction())] == [told.quality] * 3
        assert ("separate-channels" in told.quality) == is_separate
        assert answers[0].probabilities == pytest.approx(told.probabilities, abs=1e-5)
    assert "separate-channels" not in client.predict(Channel((call, 16_000), 1)).quality


def test_channels_that_cancel_each_other_are_an_error_at_the_end(client: Client, model: Predictor) -> None:
    opposite = np.stack([voice(1.0), -voice(1.0)], axis=1)
    with client.stream(16_000) as stream, model.stream(16_000) as local:
        for one in (stream, local):
            assert one.accept_waveform(opposite) == []
            with pytest.raises(AudioError, match=r"stream: its 2 channels cancel each other"):
                one.finish()


def test_one_recording_in_place_of_a_list_is_refused(client: Client, clip: Path) -> None:
    with pytest.raises(AudioError, match="Expected several recordings, got one"):
        client.predict_many(str(clip))


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "http://",
        "http://localhost:80a",
        "http://localhost:99999",
        "http://localhost:8000\n",
        "http://[::1",
    ],
)
def test_what_is_no_address_of_a_server_is_refused(kind: type[Any], url: str) -> None:
    with pytest.raises(EarnestError, match=re.escape(f"{url!r}: expected the address of a server, such as http://")):
        kind(url)


def unreachable(url: str) -> Iterator[ServerError]:
    """Yield the errors of all ways to ask a server that doesn't answer."""
    client = Client(url)

    async def asynchronous(streaming: bool) -> None:
        async with AsyncClient(url) as asked:
            if not streaming:
                await asked.models()
            async with asked.stream(16_000):
                pass

    for ask in (client.models, client.stream(16_000).__enter__):
        with pytest.raises(ServerError) as caught:
            ask()
        yield caught.value
    for streaming in (False, True):
        with pytest.raises(ServerError) as caught:
            asyncio.run(asynchronous(streaming))
        yield caught.value


def test_an_unreachable_server_is_told_with_its_address_and_without_its_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        for error in unreachable(f"http://me:secret@{place}"):
            assert re.match(
                rf"(http|ws)://{place}: no (answer|stream) \(.*\). Is the server running there\?$", str(error)
            )
            assert error.kind == "unreachable"


def test_a_server_that_takes_too_long_is_told_with_the_time_that_it_had(clip: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(place, timeout_s=0.2) as client, pytest.raises(ServerError) as caught:
            client.predict(clip)
    assert str(caught.value) == f"{place}: no answer within 0.2 s. Send less, or give more time: timeout_s=…"


@pytest.mark.parametrize("rate", ["16000", 48_000.5, None])
def test_a_stream_whose_rate_is_no_number_is_refused_as_the_models_is(
    client: Client, model: Predictor, rate: Any
) -> None:
    for one in (client, model):
        with pytest.raises(AudioError, match=r"^stream: the sample rate must be a whole number in Hz, got "):
            one.stream(rate)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("more", ["/#token=0123456789abcdef", "?key=0123456789abcdef"])
def test_the_address_that_a_server_prints_is_refused_with_where_its_key_belongs(kind: type[Any], more: str) -> None:
    with pytest.raises(EarnestError, match=r"'http://localhost:8000/?': .* is the key: api_key=") as refused:
        kind(f"http://localhost:8000{more}")
    assert "0123" not in str(refused.value)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"url": None}, "None: expected the address of a server, such as http://"),
        ({"api_key": 1}, "api_key: expected letters"),
        ({"timeout_s": 0}, "timeout_s: expected seconds, a number above 0, got 0"),
        ({"timeout_s": "3"}, "timeout_s: expected seconds, a number above 0, got '3'"),
    ],
)
def test_what_is_no_address_key_or_time_is_refused(kind: type[Any], wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(EarnestError, match=f"^{told}"):
        kind(**wrong)


@pytest.mark.parametrize("answer", [{}, [], {"models": [1]}, {"models": None}])
def test_a_server_that_is_another_one_is_told_as_such(answer: Any) -> None:
    with pytest.raises(ServerError, match="earnest doesn't know this answer of the server"):
        calls.models_in(answer)


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines"])
def test_a_key_that_no_header_holds_is_refused(key: str) -> None:
    with pytest.raises(EarnestError, match="api_key: expected letters"):
        Client("http://localhost:1", key)


def test_a_path_prefix_of_a_proxy_is_kept() -> None:
    with Client("https://example.org/speech") as client:
        call = Call("GET", "/v1/models")
        asked = client._http.build_request(call.method, **call.arguments())
        stream = client.stream(16_000)
    assert str(asked.url) == "https://example.org/speech/v1/models"
    assert stream._stream._address.startswith("wss://example.org/speech/v1/stream?")


def test_a_closed_client_says_so(address: str, clip: Path) -> None:
    async def ask_late() -> None:
        client = AsyncClient(address)
        await client.close()
        await client.predict(clip)

    with Client(address) as client:
        pass
    with pytest.raises(EarnestError, match="This client is closed"):
        client.predict(clip)
    with pytest.raises(EarnestError, match="This client is closed"):
        asyncio.run(ask_late())


def test_a_stream_is_opened_once_and_finished_once(address: str, client: Client) -> None:
    stream = client.stream(16_000)
    with pytest.raises(EarnestError, match=r"not open\. Use it in a block: with client\.stream"):
        stream.accept_waveform(voice(1.0))
    with stream:
        stream.accept_waveform(voice(1.0))
        stream.finish()
        for call in (stream.finish, lambda: stream.accept_waveform(voice(1.0))):
            with pytest.raises(EarnestError, match=r"finished\. Open another one with client\.stream"):
                call()
        assert stream.prediction().duration_s == 1.0

    async def unopened() -> None:
        async with AsyncClient(address, KEY) as other:
            await other.stream(16_000).finish()

    with pytest.raises(EarnestError, match="async with client"):
        asyncio.run(unopened())


def test_refusals_say_which(address: str, client: Client, clip: Path) -> None:
    with Client(address) as stranger:
        with pytest.raises(ServerError, match="valid key") as caught:
            stranger.predict(clip)
        assert (caught.value.kind, caught.value.status) == ("key-needed", 401)
        with pytest.raises(ServerError, match="valid key"), stranger.stream(16_000):
            pass
    with pytest.raises(ServerError, match="no model 'basis'"):
        client.predict(clip, model="basis")


def test_no_server_is_an_error_with_the_address() -> None:
    with Client("http://127.0.0.1:9", timeout_s=2) as client:
        with pytest.raises(ServerError, match=r"127\.0\.0\.1:9"):
            client.models()
        with pytest.raises(ServerError), client.stream(16_000):
            pass


def test_another_web_server_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx2

    from earnest.client.calls import values_in

    with pytest.raises(ServerError, match=r"earnest doesn't give: 502 Bad Gateway$") as caught:
        values_in(httpx2.Response(502, text="<h1>Bad gateway</h1>"), Call("GET", "/v1/models"))
    assert caught.value.status == 502


def test_a_broken_stream_is_an_error(folder: Path) -> None:
    with (
        listening(settings_for(folder, {"stream_s": 1})) as address,
        Client(address) as client,
        pytest.raises(ServerError, match="may last 1 s"),
        client.stream(16_000) as stream,
    ):
        stream.accept_waveform(voice(1.5))
        stream.finish()


def test_a_stream_that_is_refused_at_its_start_is_closed() -> None:
    left = []

    def refuse(connection: ServerConnection) -> None:
        connection.send('{"event": "error", "code": "bad-message", "detail": "no"}')
        with suppress(ConnectionClosed):
            connection.recv(timeout=20)
        left.append(connection.state)

    async def talk(address: str) -> None:
        async with AsyncClient(address) as client:
            with pytest.raises(ServerError, match="no"):
                await client.stream(16_000).__aenter__()

    with serve(refuse, "127.0.0.1", 0) as server:
        worker = threading.Thread(target=server.serve_forever)
        worker.start()
        address = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        with Client(address) as client, pytest.raises(ServerError, match="no"):
            client.stream(16_000).__enter__()
        asyncio.run(talk(address))
        server.shutdown()
        worker.join()
    assert left == [State.CLOSED] * 2


def test_a_server_that_restarts_gives_the_last_events_then_an_error(folder: Path, model: Predictor) -> None:
    local = model.stream(16_000)
    expected = [*local.accept_waveform(voice(4.0)), *local.finish()]
    with ExitStack() as server:
        client = Client(server.enter_context(listening(settings_for(folder))))
        with client, client.stream(16_000, adapt="off") as stream:
            told = stream.accept_waveform(voice(4.0))
            server.close()  # the server ends
            told += stream.accept_waveform(voice(1.0))
            assert rounded(told) == rounded(expected)
            with pytest.raises(ServerError, match="ended after 4 s of sound"):
                stream.accept_waveform(voice(1.0))
            assert stream.finish() == []
            assert stream.prediction().duration_s == 4.0


def test_the_last_sound_that_no_server_heard_is_told_at_the_end(folder: Path) -> None:
    async def talk(address: str, end: Callable[[], None]) -> None:
        async with AsyncClient(address) as client, client.stream(16_000) as stream:
            await stream.accept_waveform(voice(4.0))
            await asyncio.to_thread(end)
            await stream.accept_waveform(voice(1.0))
            with pytest.raises(ServerError, match="ended after 4 s of sound"):
                await stream.finish()
            assert stream.prediction().duration_s == 4.0

    with ExitStack() as server:
        client = Client(server.enter_context(listening(settings_for(folder))))
        with client, client.stream(16_000) as stream:
            stream.accept_waveform(voice(4.0))
            server.close()
            stream.accept_waveform(voice(1.0))
            with pytest.raises(ServerError, match="ended after 4 s of sound"):
                stream.finish()
            assert stream.prediction().duration_s == 4.0
    with ExitStack() as server:
        asyncio.run(talk(server.enter_context(listening(settings_for(folder))), server.close))


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_a_proxy_of_the_environment_that_cant_be_used_is_named(
    make: type[Client] | type[AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "foo://x")
    with pytest.raises(EarnestError, match=r"no client \(.*The environment names a proxy .*NO_PROXY=localhost goes"):
        make("http://localhost:1")


def test_an_answer_that_a_proxy_kept_away_names_the_proxy(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Client("http://localhost:1") as client, pytest.raises(ServerError, match="NO_PROXY=localhost goes around it"):
        client.predict(clip)


def test_a_server_that_restarts_is_the_same_for_asyncio(folder: Path) -> None:
    async def talk(server: ExitStack, address: str) -> None:
        async with AsyncClient(address) as client, client.stream(16_000) as stream:
            told = await stream.accept_waveform(voice(4.0))
            await asyncio.to_thread(server.close)
            told += await stream.accept_waveform(voice(1.0))
            assert told
            with pytest.raises(ServerError, match="ended after 4 s of sound"):
                await stream.accept_waveform(voice(1.0))
            assert await stream.finish() == []
            assert stream.prediction().duration_s == 4.0

    with ExitStack() as server:
        asyncio.run(talk(server, server.enter_context(listening(settings_for(folder)))))


def test_settings_don_t_show_keys() -> None:
    assert "abc" not in repr(Settings(api_keys=("abc",)))


def test_the_code_in_the_docs_runs(folder: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs/server.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(folder)
    for name in ("talk.wav", "interview.mp3"):
        (folder / name).write_bytes(clip.read_bytes())
    with listening(settings_for(folder)) as address:
        names: dict[str, Any] = {"chunk": voice(2.0)}
        exec(code.replace("http://127.0.0.1:8000", address), names)
    assert names["events"]


def test_the_clients_adapt_as_the_model_does(tmp_path: Path) -> None:
    paths = [write_voice(tmp_path / f"{number}.wav", 1.0 + number, seed=number) for number in range(5)]
    model = earnest.load(write_adapting(tmp_path / "bundle"))
    profile = model.profile(paths[1:])
    file = tmp_path / "anna.json"
    profile.write(file)
    expected = model.predict(paths[0], model.adapter(profile)).to_dict()["probabilities"]
    together = model.predict_many(paths, speakers="anna")
    batch = [replace(Prediction.from_dict(row.to_dict()), speaker=None) for row in together]

    async def asked(address: str) -> list[Prediction]:
        async with AsyncClient(address) as client:
            async with client.stream(16_000, profile=file) as stream:
                await stream.accept_waveform(load_waveform(paths[0], 16_000))
                await stream.finish()
            assert await client.predict_many(paths, adapt="auto") == batch
            timeline = await client.timeline(paths[0], profile=profile)
            return [await client.predict(paths[0], profile=profile), timeline.prediction, stream.prediction()]

    with listening(Settings(models=(str(tmp_path / "bundle"),))) as address:
        answers = asyncio.run(asked(address))
        with Client(address) as client:
            with client.stream(16_000, profile=str(file)) as stream:
                stream.accept_waveform(load_waveform(paths[0], 16_000))
                stream.finish()
            assert client.predict_many(paths, adapt="auto") == batch
            answers += [client.predict(paths[0], profile=profile), stream.prediction()]
            answers += [client.timeline(paths[0], profile=profile).prediction]
            answers += client.predict_many(paths[:1], profile=profile, adapt="auto")
            answers += [client.predict(paths[0], profile=file)]
    for answer in answers:
        assert answer.adapted
        assert answer.probabilities == pytest.approx(expected, abs=2e-4)


@contextmanager
def busy(times: int, retry_after: str = "1", status: int = 503) -> Iterator[tuple[str, list[int]]]:
    """Run a server that is busy so many times, and then tells its models; yield its address and what it told."""
    told: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code = status if len(told) < times else 200
            told.append(code)
            body = json.dumps({"models": []} if code == 200 else {"type": "urn:earnest:problem:overloaded"}).encode()
            self.send_response(code)
            if code != 200 and retry_after:
                self.send_header("Retry-After", retry_after)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", told
        finally:
            server.shutdown()
            thread.join()


def models_of(kind: type[Client] | type[AsyncClient], address: str, timeout_s: float) -> list[dict[str, Any]]:
    async def asked() -> list[dict[str, Any]]:
        async with AsyncClient(address, timeout_s=timeout_s) as client:
            return await client.models()

    if kind is AsyncClient:
        return asyncio.run(asked())
    with Client(address, timeout_s=timeout_s) as client:
        return client.models()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(kind: type[Client] | type[AsyncClient], status: int) -> None:
    with busy(1, status=status) as (address, told):
        assert models_of(kind, address, 5.0) == []
        assert told == [status, 200]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("retry_after", "status", "n_asked"),
    [("1", 503, 2), ("3600", 503, 1), ("", 503, 1), ("Wed, 21 Oct 2026 07:28:00 GMT", 503, 1), ("1", 500, 1)],
)
def test_one_that_stays_busy_for_too_long_or_does_not_say_how_long_is_told(
    kind: type[Client] | type[AsyncClient], retry_after: str, status: int, n_asked: int
) -> None:
    with busy(9, retry_after, status) as (address, told), pytest.raises(ServerError) as raised:
        models_of(kind, address, 2.5)  # waits of 1 and 2 s are more
    assert (raised.value.kind, raised.value.status, len(told)) == ("overloaded", status, n_asked)
