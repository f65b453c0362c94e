"""A real server process: SIGTERM under load, a killed worker, a model that is not there."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from patience import PATIENCE_S, wait_for
from server_process import (
    CLIP,
    NO_TLS,
    answers,
    ask,
    ask_until_gone,
    connected,
    head,
    metrics,
    n_answered,
    said,
    serving,
    workers_of,
)
from stand_in import write_bundle
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import earnest
from attacks import web
from earnest.apps.server.metrics import SELDOM_S
from earnest.testing.sounds import voice

RATE_HZ = 16_000
TALK = np.concatenate([voice(10.0, seed=seed) for seed in range(6)])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("process") / "bundle")


def test_a_request_under_way_is_answered_after_term_and_logs_tell_no_person(bundle: Path) -> None:
    with serving(bundle, "--limit", "body_s=60") as (address, process), connected(address) as connection:
        assert httpx2.post(f"{address}/v1/predict", files={"file": ("name-of-a-person.wav", CLIP)}).status_code == 200
        connection.sendall(head("/v1/predict", f"Content-Length: {len(CLIP)}") + CLIP[:1000])
        wait_for(lambda: "under_way 1.0" in metrics(address))
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: not answers(address))
        connection.sendall(CLIP[1000:])
        assert b"HTTP/1.1 200" in (answer := said(connection))
        assert b"\r\nconnection: close\r\n" in answer.lower()  # so that the client asks another process next
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == "ok"
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    assert any(line["message"] == "answered" and line.get("route") == "/v1/predict" for line in lines)
    assert "name-of-a-person" not in errors


def test_a_flood_above_the_connections_is_one_line_of_the_log(bundle: Path) -> None:
    limits = [word for limit in ("connections=2", "header_s=600") for word in ("--limit", limit)]
    began = time.monotonic()
    with serving(bundle, "--log-level", "warning", *limits) as (address, process), connected(address):
        with httpx2.Client(base_url=address, timeout=PATIENCE_S) as client:
            assert {client.get("/readyz").status_code for _ in range(200)} == {503}
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_S)
    told = [json.loads(line)["message"] for line in errors.splitlines()]
    assert set(told) == {"Exceeded concurrency limit."}
    assert len(told) <= 1 + (time.monotonic() - began) // SELDOM_S


@dataclass
class Talk:
    """A stream that brings sound: what it was told, and how it ended."""

    told: list[dict[str, Any]] = field(default_factory=list)
    code: int | None = None

    @property
    def heard_s(self) -> float:
        """Up to where answers have come."""
        return float(max((item.get("end_s") or 0.0 for item in [*self.told]), default=0.0))

    def speak(self, address: str, piece_s: float, pause_s: float, most_s: float) -> None:
        """Send talk and, after ``most_s`` seconds of it, nothing, until the server closes the stream."""
        sound = np.round(TALK * 32767).astype("<i2")
        n_piece = round(piece_s * RATE_HZ)
        url = f"{address.replace('http', 'ws')}/v1/stream?sample_rate_hz={RATE_HZ}&window_s=1&hop_s=0.5&adapt=off"
        with connect(url, compression=None, ping_interval=None, max_queue=None) as stream:
            with suppress(ConnectionClosed):
                for start in range(0, round(most_s * RATE_HZ), n_piece):
                    stream.send(sound[start : start + n_piece].tobytes())
                    time.sleep(pause_s)
                    self._take(stream, 0)
            try:
                while True:
                    self._take(stream, PATIENCE_S)
            except ConnectionClosed as closed:
                self.code = closed.rcvd.code if closed.rcvd else None

    def _take(self, stream: ClientConnection, patience_s: float) -> None:
        """Take what has come; with patience, wait for it."""
        while True:
            try:
                item = json.loads(stream.recv(timeout=patience_s))
            except TimeoutError:
                assert not patience_s, "the stream stays open and is silent"
                return
            if item["event"] != "heartbeat":
                self.told.append(item)


def assert_all_was_told(talk: Talk, bundle: Path) -> float:
    """Compare with the model's own stream of the sound that was heard; return its seconds."""
    assert talk.code == 1012
    _, *events, end = talk.told
    assert end["event"] == "end"
    heard_s = float(end["prediction"]["duration_s"])
    model = earnest.load(bundle)
    stream = model.stream(RATE_HZ, earnest.runtime.stream.Windowing(1.0, 0.5))
    heard = np.round(TALK[: round(heard_s * RATE_HZ)] * 32767).astype("<i2")
    assert events == [event.to_dict() for event in [*stream.accept_waveform(heard), *stream.finish()]]
    assert end["prediction"] == stream.prediction("stream").to_dict()
    return heard_s


def test_term_under_load_answers_requests_and_lets_streams_tell_all(bundle: Path) -> None:
    bounds = ("--jobs", "1", "--limit", "stream_burst_s=20", "--limit", "stream_speed=2", "--log-level", "warning")
    with serving(bundle, *bounds) as (address, process), ThreadPoolExecutor(8) as pool:
        live, silent, hasty = [Talk() for _ in range(3)], Talk(), Talk()
        talking = [pool.submit(talk.speak, address, 0.1, 0.05, 60.0) for talk in live]
        talking.append(pool.submit(silent.speak, address, 1.0, 0.0, 5.0))
        talking.append(pool.submit(hasty.speak, address, 0.5, 0.0, 60.0))  # waits, as it may not be so fast
        wait_for(lambda: "earnest_streams_open 5.0" in metrics(address))
        asking = [pool.submit(ask_until_gone, address, CLIP) for _ in range(3)]
        wait_for(lambda: n_answered(address) >= 3)
        wait_for(lambda: all(talk.heard_s for talk in live) and silent.heard_s > 4 and hasty.heard_s > 20)
        process.send_signal(signal.SIGTERM)
        answered = [item for one in asking for item in one.result(PATIENCE_S)]
        for one in talking:
            one.result(PATIENCE_S)
        assert all(assert_all_was_told(talk, bundle) > 0 for talk in live)
        assert assert_all_was_told(silent, bundle) == 5.0
        assert assert_all_was_told(hasty, bundle) > 20
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
        assert errors == ""
    assert answered.count(200) >= 3
    assert not [item for item in answered if isinstance(item, int) and item != 200]  # see below


def test_a_killed_worker_is_replaced_and_term_under_load_loses_nothing(bundle: Path) -> None:
    with serving(bundle, "--workers", "2", "--jobs", "1", "--log-level", "warning") as (address, process):
        wait_for(lambda: "earnest_streams_open 0.0" in metrics(address) and len(workers_of(process)) == 2)
        before = workers_of(process)
        os.kill(before[0], signal.SIGSTOP)
        time.sleep(1.5)  # now the supervisor waits for its sign of life
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: before[0] not in workers_of(process))
        n_asked = 0
        while len(workers_of(process)) < 2 or n_asked < 6:  # the other one answers all
            assert ask(address, CLIP).status_code == 200
            n_asked += 1
        assert before[1] in workers_of(process)
        assert f'earnest_recordings_total{{status="ok"}} {n_asked}.0' in metrics(address)
        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask_until_gone, address, CLIP) for _ in range(4)]
            wait_for(lambda: n_answered(address) > n_asked + 20)
            process.send_signal(signal.SIGTERM)
            answered = [item for one in asking for item in one.result(PATIENCE_S)]
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    (line,) = map(json.loads, errors.splitlines())
    assert (line["level"], line["worker"], line["exit"]) == ("warning", before[0], -signal.SIGKILL)
    assert answered.count(200) > 20
    # A client's last request may have waited in the kernel, accepted by no worker, when the socket was closed, or have
    # met an idle connection as it was closed: no answer then, and never one but 200.
    assert not [item for item in answered if isinstance(item, int) and item != 200]


@pytest.mark.parametrize("system", ["here", "elsewhere"])
def test_workers_end_with_a_supervisor_that_is_killed_and_the_next_one_clears_up(
    system: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    if system == "elsewhere":  # as where no system ends a process with its parent; each process of the server reads it
        told = "from earnest.audio import confinement\nconfinement.die_with_parent = lambda *_: None\n"
        (tmp_path / "sitecustomize.py").write_text(told)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with serving(bundle, "--workers", "2", "--log-level", "warning") as (address, process):
        wait_for(lambda: "earnest_streams_open 0.0" in metrics(address) and len(workers_of(process)) == 2)
        process.kill()
        process.wait(PATIENCE_S)
        wait_for(lambda: not is_listened_at(address))
        (left,) = tmp_path.glob("earnest-workers-*")
    with serving(bundle, "--workers", "2", "--log-level", "warning"):
        (new,) = tmp_path.glob("earnest-workers-*")
        assert new != left
        with serving(bundle, "--workers", "2", "--log-level", "warning"):
            assert new in (both := [*tmp_path.glob("earnest-workers-*")]) and len(both) == 2
    assert not [*tmp_path.glob("earnest-workers-*")]


def is_listened_at(address: str) -> bool:
    host, _, port = address.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no socket for both kinds of addresses")
def test_a_proxy_that_comes_by_ipv4_to_all_addresses_is_trusted(bundle: Path) -> None:
    def status_for(client: str) -> int:
        connection = stack.enter_context(connected(address))
        connection.sendall(web.upgrade(f"X-Forwarded-For: {client}"))
        return int(connection.recv(12).split()[1])

    words = ("--host", "::", "--no-token", "--limit", "client_streams=1")
    with serving(bundle, *words) as (address, _), ExitStack() as stack:
        assert [status_for(f"192.0.2.{number}") for number in (1, 2, 1)] == [101, 101, 429]


def test_workers_take_each_others_tickets_and_each_ticket_once(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARNEST_API_KEYS", "secret")

    def status_with(ticket: str) -> int:
        with connected(address) as connection:
            connection.sendall(web.upgrade(path=f"{web.STREAM}&ticket={ticket}"))
            return int(connection.recv(12).split()[1])

    with serving(bundle, "--workers", "2") as (address, process), ThreadPoolExecutor(8) as pool:
        wait_for(lambda: len(workers_of(process)) == 2)
        for _ in range(10):
            answer = httpx2.post(f"{address}/v1/tickets", headers={"X-API-Key": "secret"}, timeout=PATIENCE_S)
            statuses = list(pool.map(status_with, 6 * [answer.json()["ticket"]]))
            assert sorted(statuses) == [101, 401, 401, 401, 401, 401]
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_S)
    lines = [json.loads(line) for line in errors.splitlines()]
    assert sum(line.get("method") == "WEBSOCKET" for line in lines) == 60
    assert not [line for line in lines if line["level"] != "info"]
    assert "ticket=" not in errors


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
@pytest.mark.parametrize("workers", [1, 2])
def test_keys_are_read_again_at_a_hangup_by_all_and_a_damaged_file_changes_none(
    bundle: Path, tmp_path: Path, workers: int
) -> None:
    old, new, file = "old-key-0123456789", "new-key-0123456789", tmp_path / "keys"
    file.write_text(f"{old}\n")
    words = ("--workers", str(workers), "--api-keys", str(file), "--log-level", "warning")

    def statuses(key: str) -> set[int]:
        named, place = {"X-API-Key": key}, f"{address}/v1/models"
        asked = (httpx2.get(place, headers=named, timeout=PATIENCE_S, verify=NO_TLS) for _ in range(20))
        return {answer.status_code for answer in asked}

    with serving(bundle, *words) as (address, process):
        wait_for(lambda: workers == 1 or len(workers_of(process)) == workers)
        assert statuses(old) == {200}
        file.write_text(f"{new}\n")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: statuses(new) == {200} and statuses(old) == {401})
        file.write_text("short\n")
        process.send_signal(signal.SIGHUP)
        assert process.stderr
        told = next(line for line in map(json.loads, process.stderr) if "why" in line)
        for pid in workers_of(process)[:1]:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: pid not in workers_of(process) and len(workers_of(process)) == workers)  # noqa: B023
        assert statuses(new) == {200}
        assert statuses(old) == {401}
    assert told["level"] == "warning"
    assert "this key has 5 letters" in told["why"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_a_hangup_without_a_file_of_keys_ends_a_server_as_term_does(
    bundle: Path, request: pytest.FixtureRequest
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where these tests run under `nohup`
    request.addfinalizer(lambda: signal.signal(signal.SIGHUP, before))
    with serving(bundle, "--limit", "body_s=60") as (address, process), connected(address) as connection:
        connection.sendall(head("/v1/predict", f"Content-Length: {len(CLIP)}") + CLIP[:1000])
        wait_for(lambda: "under_way 1.0" in metrics(address))
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: not answers(address))
        connection.sendall(CLIP[1000:])
        assert b"HTTP/1.1 200" in said(connection)
        process.wait(PATIENCE_S)
        assert process.returncode == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_program_is_told_the_port_once_it_is_answered(bundle: Path, workers: str) -> None:
    words = ("--port", "0", "--json", "--quiet", "--model", str(bundle), "--workers", workers)
    command = [sys.executable, "-m", "earnest", "serve", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        told = json.loads(process.stdout.readline())
        assert is_listened_at(told["url"])
        assert httpx2.get(f"{told['url']}/healthz", timeout=PATIENCE_S).status_code == 200
        process.terminate()
        assert process.stdout.read() == ""
        process.wait(PATIENCE_S)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to whole groups of processes")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_a_server_with_130(bundle: Path, workers: str, request: pytest.FixtureRequest) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where these tests run in the background
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    words = ("--port", "0", "--json", "--quiet", "--model", str(bundle), "--workers", workers)
    command = [sys.executable, "-m", "earnest", "serve", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        assert process.stdout
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert (errors.strip(), process.returncode) == ("Stopped.", 130)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_log_says_where_the_server_listens_only_once_it_does(bundle: Path, workers: str) -> None:
    command = [sys.executable, "-m", "earnest", "serve", "--port", "0", "--model", str(bundle), "--workers", workers]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        lines = map(json.loads, process.stderr)
        told = next(line for line in lines if line["message"] == "listening" or " running on " in line["message"])
        answer = httpx2.get(f"http://{told['host']}:{told['port']}/healthz", timeout=PATIENCE_S)
        assert answer.status_code == 200
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def test_what_is_wrong_with_a_model_or_a_name_is_one_line(tmp_path: Path) -> None:
    for words in (("--model", str(tmp_path / "none")), ("--model", "small", "--host-name", "http://a")):
        command = [sys.executable, "-m", "earnest", "serve", *words, "--workers", "2"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 1
        assert done.stderr.startswith("earnest: ")
        assert len(done.stderr.splitlines()) == 1
