"""What is wrong, too large, too much or too slow is refused with the right status, and the next request is answered."""

import asyncio
import encodings
import gc
import io
import json
import logging
import threading
import time
import tracemalloc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from patience import PATIENCE_S, wait_for
from serving import application, settings_for
from starlette.requests import Request
from starlette.testclient import TestClient

from earnest.apps.server import body, engine
from earnest.apps.server.body import ONE, BodyBudget, Upload, read_body
from earnest.apps.server.metrics import JsonFormatter
from earnest.apps.server.service import digest_of_key
from earnest.apps.server.settings import Limits
from earnest.audio.source import Source
from earnest.runtime.predictor import Predictor
from earnest.testing.sounds import voice

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("decoders_start_once")]

WAV = {"Content-Type": "audio/wav"}
FORM = {"Content-Type": "multipart/form-data; boundary=xyz"}


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    limits = {"body_bytes": 200_000, "recording_s": 30, "timeline_s": 60, "batch_files": 2}
    with application(settings_for(folder, limits)) as client:
        yield client


def refused(answer: Any, status: int, kind: str) -> dict[str, Any]:
    """Check that an answer is a problem of RFC 9457, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"urn:earnest:problem:{kind}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    return dict(problem)


def test_a_body_over_the_bound_is_refused_while_it_arrives(client: TestClient) -> None:
    read = []

    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            read.append(1)
            yield bytes(50_000)

    problem = refused(client.post("/v1/predict", content=bytes(200_001), headers=WAV), 413, "too-large")
    assert "(the limit body_bytes)" in problem["detail"]
    refused(client.post("/v1/predict", content=endless(), headers=WAV), 413, "too-large")


def test_a_body_is_held_once_while_it_arrives() -> None:
    n_chunks, n_bytes = 128, 2**16
    left = iter(range(n_chunks, 0, -1))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": bytes(n_bytes), "more_body": next(left) > 1}

    async def peak() -> int:
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"audio/wav")]}
        tracemalloc.start()
        with BodyBudget(Limits()).share("") as share:
            read = await read_body(Request(scope, receive), Limits(), share, ONE)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert read.uploads[0].data == bytes(n_chunks * n_bytes)
        return most

    assert asyncio.run(peak()) < 1.5 * n_chunks * n_bytes


def too_long() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(31 * 4000), 4000, "PCM_U8", format="WAV")
    return file.getvalue()


@pytest.mark.parametrize(("content", "status"), [(b"no sound", 422), (too_long(), 413)])
def test_a_recording_that_is_refused_is_forgotten_with_its_answer(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, content: bytes, status: int
) -> None:
    uploads: list[weakref.ref[Upload]] = []

    def noted(name: str, data: bytes) -> Upload:
        upload = Upload(name, data)
        uploads.append(weakref.ref(upload))
        return upload

    monkeypatch.setattr(body, "Upload", noted)
    gc.disable()  # it would find what refers to itself, sooner or later
    try:
        assert client.post("/v1/predict", content=content, headers=WAV).status_code == status
        wait_for(lambda: uploads and not any(upload() for upload in uploads), 10)
    finally:
        gc.enable()


def test_a_decompression_bomb_is_refused(client: TestClient) -> None:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8_000, 1, format="FLAC") as flac:
        for _ in range(100):
            flac.write(np.zeros(8_000 * 36, np.float32))  # an hour of silence
    assert len(file.getvalue()) < 200_000
    answer = client.post("/v1/predict", content=file.getvalue(), headers=WAV)
    assert "longer than 30 s" in refused(answer, 413, "too-large")["detail"]
    answer = client.post("/v1/predict?kind=timeline", content=file.getvalue(), headers=WAV)
    told = refused(answer, 413, "too-large")["detail"]
    assert "longer than 60 s" in told and "Or ask" not in told
    (row,) = client.post("/v1/batch", files={"file": file.getvalue()}).json()["predictions"]
    assert row["error"].endswith("Cut it into parts. Or ask /v1/predict with kind=timeline, for up to 60 s.")


@pytest.mark.parametrize(
    "kind", ["", "text/html", "application/json", "multipart/mixed; boundary=x", "image/jpeg", "x" * 900]
)
def test_other_content_is_not_read(client: TestClient, sound: bytes, kind: str) -> None:
    refused(client.post("/v1/predict", content=sound, headers={"Content-Type": kind}), 415, "not-audio")


@pytest.mark.parametrize("kind", ["", "application/json", "audio/flac", "multipart/form-data-x"])
def test_several_recordings_come_in_a_form_alone_and_a_refusal_shows_one(
    client: TestClient, sound: bytes, kind: str
) -> None:
    problem = refused(client.post("/v1/batch", content=sound, headers={"Content-Type": kind}), 415, "not-audio")
    assert problem["detail"].endswith("With curl: -F file=@a.wav -F file=@b.wav.")


@pytest.mark.parametrize(
    "body", [b"", b"this is text", b"RIFF\x00\x00", bytes(1000)], ids=["empty", "text", "riff", "zeros"]
)
def test_what_is_no_recording_is_not_readable(client: TestClient, body: bytes) -> None:
    refused(client.post("/v1/predict", content=body, headers=WAV), 422, "not-readable")
    for query in ("", "?kind=timeline"):
        answer = client.post(f"/v1/predict{query}", files={"file": ("/home/anna/call.wav", body)})
        assert refused(answer, 422, "not-readable")["detail"].startswith("call.wav: ")
    (row,) = client.post("/v1/batch", files={"file": ("call.wav", body)}).json()["predictions"]
    assert row["error"].startswith("call.wav: ") and ".csv" not in row["error"]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (None, ""),
        ("inline", ""),
        ('attachment; filename="/"', ""),
        ('attachment; filename="talk.wav"', "talk.wav"),
        ('attachment; filename="/home/anna/C:\\\\a b.wav"', "a b.wav"),
        ('attachment; filename="größe.wav"', "größe.wav"),
        ("attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.wav", "größe.wav"),
        ("attachment; filename=\"x.wav\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.wav", "größe.wav"),
        ("attachment; filename*=undefined''a.wav", ""),  # no charset of text
        ("attachment; filename*=iso-8859-1''gr%F6%DFe.wav", "größe.wav"),
        ("attachment; filename*=''talk.wav", "talk.wav"),
        ("attachment; filename*=UTF-8''%1b%5b2J.wav", "\N{REPLACEMENT CHARACTER}[2J.wav"),
        ("attachment; filename=" + "a" * 2000, "a" * 200),
    ],
)
def test_a_recording_as_it_is_has_the_name_of_its_header_and_else_none(
    client: TestClient, sound: bytes, disposition: str | None, name: str
) -> None:
    headers = {**WAV, **({"Content-Disposition": disposition.encode()} if disposition else {})}
    assert client.post("/v1/predict", content=sound, headers=headers).json()["path"] == (name or "bytes")
    problem = refused(client.post("/v1/predict", content=b"no sound", headers=headers), 422, "not-readable")
    assert problem["detail"].startswith(f"{name or 'the recording'}: ")
    answer = client.post("/v1/predict?channel=2", content=b"no sound", headers=headers)
    told = f"{name}#2: " if name else "the recording, channel 2: "
    assert refused(answer, 422, "not-readable")["detail"].startswith(told)


def test_a_header_that_gives_two_names_is_no_error(client: TestClient, sound: bytes) -> None:
    headers = {**WAV, "Content-Disposition": "attachment; filename*0=a; filename*=b.wav"}
    answer = client.post("/v1/predict", content=sound, headers=headers).json()
    assert answer["path"] in ("bytes", "a")  # before Python 3.14, and since


def part(headers: bytes, content: bytes = b"abc") -> bytes:
    return b"--xyz\r\n" + headers + b"\r\n\r\n" + content + b"\r\n--xyz--\r\n"


@pytest.mark.parametrize(
    "names",
    [
        'filename="größe.wav"',
        "filename*=utf-8''gr%C3%B6%C3%9Fe.wav",  # alone
        "filename=\"=?utf-8?B?Z3LDtsOfZS53YXY=?=\"; filename*=utf-8''gr%C3%B6%C3%9Fe.wav",  # .NET
    ],
)
def test_a_recording_in_a_form_has_its_name_however_a_client_writes_it(
    client: TestClient, sound: bytes, names: str
) -> None:
    body = part(f'Content-Disposition: form-data; name="file"; {names}'.encode(), sound)
    assert client.post("/v1/predict", content=body, headers=FORM).json()["path"] == "größe.wav"


def test_a_recording_in_a_form_without_a_filename_is_told_that_it_lacks_one(client: TestClient, sound: bytes) -> None:
    body = part(b'Content-Disposition: form-data; name="file"', sound)
    problem = refused(client.post("/v1/predict", content=body, headers=FORM), 422, "not-valid")
    assert "Give each recording a filename." in problem["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"--xyz\r\n",
        b"--xyz--\r\n",
        b"--xyz\r\nbroken\r\n\r\n",
        part(b'Content-Disposition: form-data; filename="a.wav"'),
        part(b'Content-Disposition: form-data; name="file"'),
        part(b'Content-Disposition: form-data; name="other"; filename="a.wav"'),
        part(b'Content-Disposition: form-data; name="file"; filename="a"').replace(b"--xyz--", b"--xyz") * 9 + b"--",
        part(b"Content-Disposition: form-data; name*=utf-8''%ff%fe; filename=\"a\""),
        part(b"\xff\xfe: \x00"),
    ],
)
def test_a_broken_form_is_not_valid(client: TestClient, body: bytes) -> None:
    refused(client.post("/v1/predict", content=body, headers=FORM), 422, "not-valid")


@pytest.mark.parametrize(("address", "last"), [("/v1/batch", "file"), ("/v1/predict", "profile")])
def test_a_form_that_breaks_off_loses_no_part_without_a_word(
    client: TestClient, sound: bytes, address: str, last: str
) -> None:
    first, second = (
        part(f'Content-Disposition: form-data; name="{name}"; filename="a"'.encode(), sound) for name in ("file", last)
    )
    body = first.replace(b"--xyz--", b"--xyz").removesuffix(b"\r\n") + second.removeprefix(b"--xyz")
    problem = refused(client.post(address, content=body.replace(b"--xyz--", b""), headers=FORM), 422, "not-valid")
    assert "breaks off before its last boundary" in problem["detail"]
    if last == "file":
        for whole in body, body.removesuffix(b"\r\n"):  # some clients write no line end behind it
            assert len(client.post(address, content=whole, headers=FORM).json()["predictions"]) == 2


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\xe9"]
)
def test_a_form_without_a_boundary_is_not_valid(client: TestClient, kind: str) -> None:
    answer = client.post("/v1/predict", content=b"abc", headers={"Content-Type": kind.encode("latin-1")})
    refused(answer, 422, "not-valid")


def test_no_charset_that_a_client_names_is_looked_up(client: TestClient, sound: bytes) -> None:
    for number in range(3):
        kind = f"multipart/form-data; boundary=xyz; charset=made-up-{number}"
        named = part(f"Content-Disposition: form-data; name=file; filename*=made-up-{number}''a.wav".encode(), sound)
        problem = refused(client.post("/v1/predict", content=named, headers={"Content-Type": kind}), 422, "not-valid")
        assert f"charset is 'made-up-{number}'" in problem["detail"]
        assert client.post("/v1/predict", content=named, headers=FORM).json()["path"] == "bytes"
    kept = encodings._cache  # type: ignore[attr-defined]  # by Python, for ever
    assert not [name for name in kept if name.startswith("made")]


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"', "iso-8859-1", "US-ASCII"])
def test_a_form_may_name_a_charset_of_the_web(client: TestClient, sound: bytes, charset: str) -> None:
    kind = f"multipart/form-data; boundary=xyz; charset={charset}"
    named = part(b'Content-Disposition: form-data; name="file"; filename="a.wav"', sound)
    assert client.post("/v1/predict", content=named, headers={"Content-Type": kind}).json()["path"] == "a.wav"


def test_too_many_files_are_too_large_for_a_batch_and_not_valid_for_one(client: TestClient, sound: bytes) -> None:
    files = [("file", ("a.wav", sound))]
    assert client.post("/v1/batch", files=files * 2).status_code == 200
    refused(client.post("/v1/batch", files=files * 3), 413, "too-large")
    refused(client.post("/v1/predict", files=files * 2), 422, "not-valid")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\talk.wav", "talk.wav"),
        ("/", "bytes"),
        ("a\x1b[31mb.wav", "a�[31mb.wav"),
        ("ü" * 500, "ü" * 200),
    ],
)
def test_names_are_shown_in_part_and_never_opened(client: TestClient, sound: bytes, given: str, shown: str) -> None:
    assert client.post("/v1/predict", files={"file": (given, sound)}).json()["path"] == shown


@pytest.mark.parametrize(
    "query",
    ["kind=song", "hop_s=0", "window_s=61", "window_s=nan", "format=mp3", "adapt=yes", "abstain_below=2", "model=x"],
)
def test_wrong_parameters_are_named(client: TestClient, sound: bytes, query: str) -> None:
    problem = refused(client.post(f"/v1/predict?{query}", content=sound, headers=WAV), 422, "not-valid")
    assert query.partition("=")[0] in problem["detail"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("kind=timelin", "query.kind: there is no 'timelin'. Did you mean 'timeline'?"),
        ("adapt=yes", "query.adapt: there is no 'yes'. Choose one of: auto, off."),
        ("kind=timeline&format=text-grid", "query.format: there is no 'text-grid'. Did you mean 'textgrid'?"),
        ("adapt=%1b%5b2J", "query.adapt: there is no '\\x1b[2J'. Choose one of: auto, off."),
    ],
)
def test_a_value_that_is_none_of_a_parameters_words_is_told_with_these(
    client: TestClient, sound: bytes, query: str, told: str
) -> None:
    problem = refused(client.post(f"/v1/predict?{query}", content=sound, headers=WAV), 422, "not-valid")
    assert problem["detail"] == told
    assert problem["errors"] == [dict(zip(("where", "what"), told.split(": ", 1), strict=True))]


def test_a_model_that_ships_but_was_not_started_says_how_to_start_it(client: TestClient, sound: bytes) -> None:
    told = refused(client.post("/v1/predict?model=small", content=sound, headers=WAV), 422, "not-valid")["detail"]
    assert told == "There is no model 'small' here. Start the server with --model small."
    told = refused(client.post("/v1/predict?model=smal", content=sound, headers=WAV), 422, "not-valid")["detail"]
    assert "--model" not in told


@pytest.mark.parametrize("address", ["/v1/predict", "/v1/batch"])
def test_a_parameter_that_nobody_would_look_at_is_refused(client: TestClient, sound: bytes, address: str) -> None:
    answer = client.post(f"{address}?abstian_below=0", files={"file": ("a.wav", sound)})
    assert (
        "There is no parameter 'abstian_below'. Did you mean 'abstain_below'?"
        in refused(answer, 422, "not-valid")["detail"]
    )


def test_a_hop_beyond_the_window_is_not_valid(client: TestClient, sound: bytes) -> None:
    answer = client.post("/v1/predict?kind=timeline&hop_s=5", content=sound, headers=WAV)
    assert "hop" in refused(answer, 422, "not-valid")["detail"]


def test_more_files_than_are_read_are_counted_right(client: TestClient, sound: bytes) -> None:
    files = [("file", (str(number), sound[:100])) for number in range(9)]
    told = refused(client.post("/v1/batch", files=files), 413, "too-large")["detail"]
    assert told.startswith("The form holds too many files, the most is 2 (the limit batch_files). ")


@pytest.mark.parametrize("address", ["/", "/healthz", "/readyz", "/metrics", "/v1/models"])
def test_what_is_got_can_be_asked_for_without_its_body(client: TestClient, address: str) -> None:
    answer, got = client.head(address), client.get(address)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == got.headers["content-type"]
    if address != "/metrics":  # each request is counted there
        assert answer.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        *((address, "GET, HEAD") for address in ("/", "/healthz", "/v1/models", "/v1/stream", "/openapi.json")),
        *((address, "POST") for address in ("/v1/predict", "/v1/tickets")),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "PUT"])
def test_a_wrong_method_is_told_which_are_answered(client: TestClient, address: str, allowed: str, method: str) -> None:
    answer = client.request(method, address)
    refused(answer, 405, "wrong-method")
    assert answer.headers["allow"] == allowed
    for right in allowed.split(", "):
        assert client.request(right, address).status_code != 405


@pytest.mark.parametrize("address", ["/v1/predict", "/v1/batch"])
def test_a_body_that_was_compressed_on_its_way_is_refused_by_its_coding(
    client: TestClient, sound: bytes, address: str
) -> None:
    files = {"file": ("a.wav", sound)}
    problem = refused(client.post(address, files=files, headers={"Content-Encoding": "gzip"}), 415, "not-audio")
    assert problem["detail"].startswith("Content-Encoding: gzip is not read. Send the recording as it is")
    assert client.post(address, files=files, headers={"Content-Encoding": "identity"}).status_code == 200


def test_windows_are_for_timelines(client: TestClient, sound: bytes) -> None:
    answer = client.post("/v1/predict?window_s=1&hop_s=0.5", content=sound, headers=WAV)
    assert "window_s and hop_s are for timelines." in refused(answer, 422, "not-valid")["detail"]


def test_formats_of_timelines_are_not_for_utterances(client: TestClient, sound: bytes) -> None:
    refused(client.post("/v1/predict?format=srt", content=sound, headers=WAV), 406, "not-acceptable")
    headers = WAV | {"Accept": "image/png, text/csv;q=0"}
    refused(client.post("/v1/predict", content=sound, headers=headers), 406, "not-acceptable")


def test_wrong_addresses_and_methods_are_problems(client: TestClient) -> None:
    refused(client.get("/v2"), 404, "not-found")
    answer = client.get("/v1/predict")
    refused(answer, 405, "wrong-method")
    assert answer.headers["allow"] == "POST"
    answer = client.get("/v1/stream?sample_rate_hz=16000")
    assert "a proxy on the way" in refused(answer, 426, "upgrade-needed")["detail"]
    assert answer.headers["upgrade"] == "websocket"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "sample_rate_hz"),
        ("sample_rate_hz=16000&encodng=f32le", "Did you mean 'encoding'?"),
        ("sample_rate_hz=16000&model=big", "There is no model 'big' here"),
        ("sample_rate_hz=16000&channel=2", "There is no channel 2 where channels=1."),
        ("sample_rate_hz=16000&classes=happy,hapy", "hapy"),
        ("sample_rate_hz=16000&window_s=2&hop_s=3", "hop"),
    ],
)
def test_a_plain_request_learns_why_no_stream_opens(client: TestClient, query: str, why: str) -> None:
    assert why in refused(client.get(f"/v1/stream?{query}"), 422, "not-valid")["detail"]


def test_a_slash_too_many_is_no_address_and_leads_nowhere_else(client: TestClient, sound: bytes) -> None:
    for answer in (
        client.post("/v1/predict/", content=sound, headers=WAV, follow_redirects=False),
        client.get("/v1/models/", follow_redirects=False),
    ):
        assert "POST /v1/predict" in refused(answer, 404, "not-found")["detail"]
        assert "location" not in answer.headers


def test_keys_are_asked_for_where_there_are_any(folder: Path, sound: bytes) -> None:
    with application(settings_for(folder, api_keys=(digest_of_key("first"), digest_of_key("second")))) as client:
        for headers in ({}, {"X-API-Key": "third"}, {"Authorization": "Basic first"}, {"Authorization": "Bearer"}):
            answer = client.post("/v1/predict", content=sound, headers=WAV | headers)
            refused(answer, 401, "key-needed")
            assert answer.headers["www-authenticate"] == "Bearer"
        for headers in ({"X-API-Key": "first"}, {"Authorization": "bearer second"}):
            assert client.post("/v1/predict", content=sound, headers=WAV | headers).status_code == 200
        for path in ("/v1/models", "/metrics"):
            refused(client.get(path), 401, "key-needed")
        assert client.get("/healthz").text == "ok"


class Slow:
    """Holds every utterance until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.begun = threading.Event(), threading.Semaphore(0)
        original = engine.utterance

        def held(predictor: Predictor, *arguments: Any, **more: Any) -> Any:
            self.begun.release()
            assert self.go.wait(PATIENCE_S)
            return original(predictor, *arguments, **more)

        monkeypatch.setattr(engine, "utterance", held)


def test_overload_is_refused_at_once_and_passes(folder: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    limits = {"requests": 3, "client_requests": 3}
    with application(settings_for(folder, limits, jobs=1)) as client, ThreadPoolExecutor(3) as pool:
        post = lambda: client.post("/v1/predict", content=sound, headers=WAV)  # noqa: E731
        waiting = [pool.submit(post) for _ in range(3)]
        assert slow.begun.acquire(timeout=PATIENCE_S)
        wait_for(lambda: "earnest_requests_under_way 3.0" in client.get("/metrics").text)
        refused(post(), 429, "too-many")
        assert client.get("/healthz").status_code == 200
        refused(client.get("/readyz"), 503, "overloaded")
        slow.go.set()
        assert [answer.result().status_code for answer in waiting] == [200, 200, 200]
        assert post().status_code == 200
        assert client.get("/readyz").text == "ready"


def test_a_full_server_says_so(folder: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    with (
        application(settings_for(folder, {"requests": 1, "client_requests": 3})) as client,
        ThreadPoolExecutor() as pool,
    ):
        waiting = pool.submit(client.post, "/v1/predict", content=sound, headers=WAV)
        assert slow.begun.acquire(timeout=PATIENCE_S)
        refused(client.post("/v1/predict", content=sound, headers=WAV), 503, "overloaded")
        slow.go.set()
        assert waiting.result().status_code == 200


def test_all_bodies_together_are_bounded(folder: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    with application(settings_for(folder, {"held_bytes": len(sound) + 1000})) as client, ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.post, "/v1/predict", content=sound, headers=WAV)
        assert slow.begun.acquire(timeout=PATIENCE_S)
        refused(client.post("/v1/predict", content=sound, headers=WAV), 503, "overloaded")
        slow.go.set()
        assert waiting.result().status_code == 200
        assert client.post("/v1/predict", content=sound, headers=WAV).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up_and_invites_no_other_try(
    folder: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    with application(settings_for(folder, {"request_s": 0.3}, jobs=1)) as client, ThreadPoolExecutor() as pool:
        post = lambda: client.post("/v1/predict", content=sound, headers=WAV)  # noqa: E731
        first, second = pool.submit(post), pool.submit(post)
        waited, began = sorted((first.result(), second.result()), key=lambda answer: answer.status_code)
        told = refused(waited, 503, "overloaded")["detail"]
        assert "within 0.3 s, this server's limit request_s. Of these it waited 0.3 s for other requests" in told
        refused(began, 504, "too-long-to-answer")  # without Retry-After: the same again would take as long
        slow.go.set()
        monkeypatch.undo()
        wait_for(lambda: post().status_code == 200)


def test_long_work_ends_when_its_time_is_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    original = Predictor.timeline

    def watched(self: Predictor, source: Source, *arguments: Any, **options: Any) -> Any:
        network = self.graph
        run = network.run

        def slowly(*given: Any) -> Any:
            runs.append(1)
            time.sleep(0.3)
            return run(*given)

        monkeypatch.setattr(network, "run", slowly)
        return original(self, source, *arguments, **options)

    monkeypatch.setattr(Predictor, "timeline", watched)
    file = io.BytesIO()
    soundfile.write(file, voice(60), 16_000, format="FLAC")
    with application(settings_for(folder, {"request_s": 2.0}, jobs=1)) as client:
        answer = client.post("/v1/predict?kind=timeline", content=file.getvalue(), headers=WAV)
        refused(answer, 504, "too-long-to-answer")
        time.sleep(0.5)
        n_runs = len(runs)
        time.sleep(0.5)
        assert 0 < len(runs) == n_runs < 20


def test_an_unforeseen_error_tells_nothing_of_the_recording(
    folder: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a secret that somebody said")

    monkeypatch.setattr(engine, "utterance", broken)
    with application(settings_for(folder)) as client, caplog.at_level(logging.INFO, "earnest.server"):
        answer = client.post("/v1/predict", files={"file": ("name-of-a-person.wav", sound)})
        problem = refused(answer, 500, "failed")
        monkeypatch.undo()
        assert client.post("/v1/predict", content=sound, headers=WAV).status_code == 200
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records if record.name == "earnest.server"]
    assert "secret" not in json.dumps([problem, lines])
    assert "name-of-a-person" not in json.dumps(lines)
    assert "testclient" not in json.dumps(lines)
    assert {"failed", "answered"} == {line["message"] for line in lines}
    (failed,) = [line for line in lines if line["message"] == "failed"]
    assert failed["exception"] == "ZeroDivisionError"
    assert failed["at"]
    assert answer.headers["x-request-id"] == failed["request"]


def test_other_origins_may_ask_only_where_they_were_named(folder: Path) -> None:
    origin = {"Origin": "https://page.example"}
    with application(settings_for(folder)) as client:
        assert "access-control-allow-origin" not in client.get("/v1/models", headers=origin).headers
    with application(settings_for(folder, cors_origins=("https://page.example",))) as client:
        answer = client.get("/v1/models", headers=origin)
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        assert answer.headers["access-control-expose-headers"] == "Retry-After, X-Request-ID"
        other = client.get("/v1/models", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_a_page_that_may_ask_can_read_refusals_and_failures_too(
    folder: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(engine, "utterance", broken)
    page = {"Origin": "https://page.example"}
    with application(settings_for(folder, cors_origins=(page["Origin"],))) as client:
        failed = client.post("/v1/predict", content=sound, headers=WAV | page)
        foreign = client.get("/v1/models", headers=page | {"Host": "elsewhere.example"})
        other = client.post("/v1/predict", content=sound, headers=WAV | {"Origin": "https://other.example"})
    refused(failed, 500, "failed")
    refused(foreign, 421, "foreign-host")
    for answer in (failed, foreign):
        assert answer.headers["access-control-allow-origin"] == page["Origin"]
        assert answer.headers["access-control-expose-headers"] == "Retry-After, X-Request-ID"
        assert answer.headers["vary"] == "Origin"
    refused(other, 403, "foreign-origin")
    assert "access-control-allow-origin" not in other.headers


def test_a_browser_that_asks_for_a_page_elsewhere_is_told_what_the_server_needs(folder: Path) -> None:
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST", "Sec-Fetch-Site": "cross-site"}
    with application(settings_for(folder)) as client:
        answer = client.options("/v1/predict", headers=asked)
        assert "--cors-origin" in refused(answer, 403, "foreign-origin")["detail"]
    with application(settings_for(folder, cors_origins=("https://page.example",))) as client:
        answer = client.options("/v1/predict", headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        private = client.options("/v1/predict", headers=asked | {"Access-Control-Request-Private-Network": "true"})
        assert (private.status_code, private.headers["access-control-allow-private-network"]) == (200, "true")
        head = client.options("/v1/models", headers=asked | {"Access-Control-Request-Method": "HEAD"})
        assert head.status_code == 200
        other = client.options("/v1/predict", headers=asked | {"Origin": "https://other.example"})
        refused(other, 403, "foreign-origin")


def test_every_answer_has_the_security_headers(client: TestClient) -> None:
    for path in ("/", "/v1/models", "/nope", "/healthz"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert len(headers["x-request-id"]) == 32
        for policy in ("opener", "resource"):  # nothing here is a part of another site's page
            assert headers[f"cross-origin-{policy}-policy"] == "same-origin"
    refused(client.get("/", headers={"Host": "evil.example"}), 421, "foreign-host")
    assert "content-security-policy" in client.get("/", headers={"Host": "evil.example"}).headers


def test_statistics_tell_routes_not_addresses(client: TestClient, sound: bytes) -> None:
    client.post("/v1/predict", content=sound, headers=WAV)
    client.get("/secret-name.wav")
    text = client.get("/metrics").text
    assert 'earnest_requests_total{method="POST",route="/v1/predict",status="200"}' in text
    assert 'earnest_recordings_total{status="ok"}' in text
    assert "secret" not in text
