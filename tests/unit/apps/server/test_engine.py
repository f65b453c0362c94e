"""Work that does not end: its turn is told about, its network stopped, its process ended; and others are answered."""

import asyncio
import gc
import io
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from patience import PATIENCE_S, wait_for
from prometheus_client import CollectorRegistry, Gauge
from server_process import ask, connected, head, metrics
from serving import application, listening, settings_for
from starlette.testclient import TestClient

from attacks import decoding
from earnest.apps.server import engine
from earnest.apps.server.engine import ModelThreads, Threads
from earnest.apps.server.formats import ProblemError
from earnest.apps.server.settings import Limits
from earnest.audio.deadline import Deadline, check_deadline
from earnest.bundle import load_bundle
from earnest.errors import TooLateError
from earnest.runtime.decoders import DecoderPool
from earnest.runtime.engine import OnnxRuntimeEngine, OnnxRuntimeSession
from earnest.testing.sounds import voice

pytestmark = pytest.mark.long

WAV = {"Content-Type": "audio/wav"}


def pool_of(client: TestClient) -> DecoderPool:
    """Return the decoders of a server in this process."""
    (pool,) = [item for item in gc.get_objects() if type(item) is DecoderPool and item.pids()]
    return pool


def test_bombs_are_too_large_and_who_comes_next_is_answered(folder: Path, sound: bytes) -> None:
    with application(settings_for(folder, jobs=1)) as client:
        for bomb in (decoding.flac(590, 1_000_000, 8), decoding.flac(590, 1_000_000, 8, promised_s=0)):
            for query in ("", "?kind=timeline"):
                answer = client.post(f"/v1/predict{query}", content=bomb, headers=WAV)
                assert (answer.status_code, answer.json()["type"]) == (413, "urn:earnest:problem:too-large")
        rows = client.post(
            "/v1/batch", files=[("file", ("a", decoding.flac(590, 1_000_000, 8))), ("file", ("b", sound))]
        )
        assert [row["status"] for row in rows.json()["predictions"]] == ["error", "ok"]
        assert client.post("/v1/predict", content=sound, headers=WAV).status_code == 200


def test_a_decoder_that_is_killed_costs_one_request(folder: Path, sound: bytes) -> None:
    long = decoding.flac(590, 192_000, 2)
    with application(settings_for(folder, jobs=1)) as client, ThreadPoolExecutor() as threads:
        expected = client.post("/v1/predict", content=sound, headers=WAV).json()
        pool = pool_of(client)
        waiting = threads.submit(client.post, "/v1/predict", content=long, headers=WAV)
        wait_for(lambda: pool._busy)
        pid = pool.pids()[-1]
        os.kill(pid, signal.SIGKILL)
        problem = waiting.result().json()
        assert (problem["status"], problem["type"]) == (422, "urn:earnest:problem:not-readable")
        assert "ended the process that decoded it (killed)" in problem["detail"]
        for _ in range(3):
            assert client.post("/v1/predict", content=sound, headers=WAV).json() == expected


def test_a_decoder_that_hangs_is_ended_at_the_deadline(folder: Path, sound: bytes) -> None:
    with application(settings_for(folder, {"request_s": 2.0}, jobs=1)) as client:
        assert client.post("/v1/predict", content=sound, headers=WAV).status_code == 200
        pid = pool_of(client).pids()[-1]
        os.kill(pid, signal.SIGSTOP)
        answer = client.post("/v1/predict", content=sound, headers=WAV)
        assert (answer.status_code, answer.json()["type"]) == (504, "urn:earnest:problem:too-long-to-answer")
        wait_for(lambda: not Path(f"/proc/{pid}").exists())
        wait_for(lambda: client.post("/v1/predict", content=sound, headers=WAV).status_code == 200)


def test_a_server_without_decoders_of_its_own_answers_the_same(folder: Path, sound: bytes) -> None:
    answers = []
    for isolate in (True, False):
        with application(settings_for(folder, isolate=isolate)) as client:
            answers += [client.post("/v1/predict", content=sound, headers=WAV).json()]
    assert answers[0] == answers[1]


def test_a_server_whose_turns_are_all_lost_is_not_ready(
    folder: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, original = threading.Event(), engine.utterance

    def stuck(*arguments: Any, **more: Any) -> Any:
        assert go.wait(PATIENCE_S)  # deaf to every deadline
        return original(*arguments, **more)

    monkeypatch.setattr(engine, "utterance", stuck)
    with application(settings_for(folder, {"request_s": 0.5}, jobs=2)) as client, ThreadPoolExecutor(2) as threads:
        assert client.get("/readyz").text == "ready"
        post: Callable[[int], int] = lambda _: client.post("/v1/predict", content=sound, headers=WAV).status_code  # noqa: E731
        assert list(threads.map(post, range(2))) == [504, 504]
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:earnest:problem:overloaded")
        assert client.get("/healthz").status_code == 200
        go.set()
        wait_for(lambda: client.get("/readyz").text == "ready")


@pytest.mark.parametrize("n_left", [1, 3])  # one has its turn; the others wait for it
def test_work_for_clients_that_left_ends_and_who_comes_next_is_answered(
    n_left: int, folder: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, original = threading.Event(), engine.utterance

    def endless(*arguments: Any, **more: Any) -> Any:
        if began.is_set():
            return original(*arguments, **more)
        began.set()
        while True:
            check_deadline()
            time.sleep(0.01)

    monkeypatch.setattr(engine, "utterance", endless)
    with listening(settings_for(folder, {"request_s": PATIENCE_S}, jobs=1)) as address, ExitStack() as connections:
        for _ in range(n_left):
            connection = connections.enter_context(connected(address))
            connection.sendall(head("/v1/predict", f"Content-Length: {len(sound)}") + sound)
        wait_for(began.is_set)
        wait_for(lambda: f"earnest_requests_under_way {n_left}.0" in metrics(address))
        connections.close()
        assert ask(address, sound).status_code == 200
        told = 'earnest_requests_total{method="POST",route="/v1/predict",status="%s"} %s.0'
        wait_for(lambda: told % (400, n_left) in metrics(address))
        assert told % (200, 1) in metrics(address)


def test_what_fails_after_its_client_has_left_is_no_complaint_of_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[dict[str, Any]] = []
    original = asyncio.shield

    def as_from_3_14_on(inner: "asyncio.Future[Any]") -> "asyncio.Future[Any]":
        def watch(outer: "asyncio.Future[Any]") -> None:
            if outer.cancelled():
                told = {"message": "exception in shielded future"}
                inner.add_done_callback(lambda _: inner.get_loop().call_exception_handler(told))

        outer = original(inner)
        outer.add_done_callback(watch)
        return outer

    async def left(engine: ModelThreads) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        began = asyncio.Event()

        def endless(_: Any) -> None:
            loop.call_soon_threadsafe(began.set)
            while True:
                check_deadline()

        async def receive() -> dict[str, Any]:
            await began.wait()
            return {"type": "http.disconnect"}

        loop = asyncio.get_running_loop()
        with engine.running():
            for _ in range(3):
                with pytest.raises(ProblemError, match="closed the connection"):
                    await engine.run(Any, endless, receive)  # type: ignore[arg-type]  # no model is needed
            while engine._under_way:
                await asyncio.sleep(0.01)

    monkeypatch.setattr(asyncio, "shield", as_from_3_14_on)
    waiting = Gauge("waiting", "", registry=CollectorRegistry())
    asyncio.run(left(ModelThreads({}, Limits(), 1, waiting, isolate=False)))
    gc.collect()  # a task whose error nobody looked at complains at its end
    assert complaints == []


def test_a_server_that_is_merely_busy_is_ready() -> None:
    limits = Limits(request_s=1_000.0)
    engine = ModelThreads({}, limits, 2, Gauge("waiting", "", registry=CollectorRegistry()), isolate=False)

    async def busy() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            engine._under_way[loop.create_future()] = Deadline(limits.request_s).ends

    asyncio.run(busy())
    assert not engine.is_stuck
    engine._last_change -= 501.0  # none of the two has ended for more than half of the time for a request
    assert engine.is_stuck
    engine._under_way.popitem()
    assert not engine.is_stuck


def test_a_run_of_the_network_that_does_not_end_is_stopped() -> None:
    onnx = pytest.importorskip("onnx")
    import onnxruntime

    helper, kind = onnx.helper, onnx.TensorProto
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Sin", ["value"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("number", kind.INT64, []),
            helper.make_tensor_value_info("go", kind.BOOL, []),
            helper.make_tensor_value_info("value", kind.FLOAT, [4]),
        ],
        [helper.make_tensor_value_info("on", kind.BOOL, []), helper.make_tensor_value_info("next", kind.FLOAT, [4])],
    )
    most = helper.make_tensor("most", kind.INT64, [], [2**62])
    graph = helper.make_graph(
        [helper.make_node("Loop", ["most", "", "waveform"], ["out"], body=body)],
        "endless",
        [helper.make_tensor_value_info("waveform", kind.FLOAT, [4])],
        [helper.make_tensor_value_info("out", kind.FLOAT, [4])],
        [most],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = OnnxRuntimeSession(
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    )
    with Deadline(0.3, "the time is over"), pytest.raises(TooLateError, match="the time is over"):
        session.run({"waveform": np.zeros(4, np.float32)}, ["out"])


def test_a_run_after_the_deadline_does_not_begin(folder: Path) -> None:
    bundle = load_bundle(settings_for(folder).models[0])
    session = OnnxRuntimeEngine(bundle, 1, "cpu").session("whole")
    feeds = {"waveform": np.zeros((1, 16_000), np.float32), "lengths": np.array([16_000])}
    with Deadline(60):
        assert len(session.run(feeds, ["probabilities"])) == 1
    with Deadline(0), pytest.raises(TooLateError):
        session.run(feeds, ["probabilities"])


def test_threads_that_hang_are_left_behind() -> None:
    go = threading.Event()
    threads = Threads(2, "test")
    assert threads.submit(lambda: 5).result(PATIENCE_S) == 5
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0).result(PATIENCE_S)
    hanging = threads.submit(go.wait, 60)
    assert not threads.end(0.05)
    go.set()
    assert hanging.result(PATIENCE_S)
    assert threads.end(10)


def test_a_long_talk_ends_in_its_decoder_too(folder: Path) -> None:
    file = io.BytesIO()
    soundfile.write(file, voice(60), 16_000, format="FLAC")
    with application(settings_for(folder, {"request_s": 0.001}, jobs=1)) as client:
        answer = client.post("/v1/predict?kind=timeline", content=file.getvalue(), headers=WAV)
        assert answer.json()["type"] == "urn:earnest:problem:too-long-to-answer"
        assert "no answer within 0.001 s, this server's limit request_s. Send a shorter" in answer.json()["detail"]
        wait_for(lambda: client.get("/readyz").status_code == 200)


def test_a_piece_of_a_stream_that_takes_too_long_ends_the_stream(folder: Path) -> None:
    sound = np.round(voice(5.0) * 32_767).astype("<i2").tobytes()
    with (
        application(settings_for(folder, {"request_s": 1e-6})) as client,
        client.websocket_connect("/v1/stream?sample_rate_hz=16000") as stream,
    ):
        assert stream.receive_json()["event"] == "ready"
        stream.send_bytes(sound)
        told = stream.receive_json()
        assert (told["event"], told["code"]) == ("error", "failed")
        assert "too long" in told["detail"]
