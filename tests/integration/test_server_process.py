"""A real server process: hostile connections, SIGTERM under load, a killed worker."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import wait_for
from stand_in import write_bundle
from voices import write_voice

WAV = {"Content-Type": "audio/wav"}
LIMITS = ("header_s=1", "body_s=2", "body_bytes=1000000", "connections=300")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("process") / "bundle")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_voice(tmp_path_factory.mktemp("clips") / "clip.wav", 3.0).read_bytes()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serving(bundle: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Give the address and the process of ``earnest serve``."""
    limits = [word for limit in LIMITS for word in ("--limit", limit)]
    port = free_port()
    command = [sys.executable, "-m", "earnest", "serve", "--port", str(port), "--model", str(bundle), *limits, *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(address), 30)
        yield address, process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with serving(bundle, "--log-level", "warning") as found:
        yield found


@pytest.fixture
def address(server: tuple[str, subprocess.Popen[str]]) -> str:
    return server[0]


def connected(address: str) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def said(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes."""
    found = b""
    try:
        while part := connection.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return found


def memory_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found
    return int(found[1]) / 1024


def head(path: str = "/v1/predict", *more: str) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: audio/wav", *more)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_an_endless_body_is_cut_off_and_memory_stays(server: tuple[str, subprocess.Popen[str]], sound: bytes) -> None:
    address, process = server
    assert httpx2.post(f"{address}/v1/predict", content=sound, headers=WAV).status_code == 200
    before_mb = memory_mb(process.pid)
    for _ in range(3):
        with connected(address) as connection:
            connection.sendall(head("/v1/predict", "Transfer-Encoding: chunked"))
            chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
            n_sent = 0
            try:
                while n_sent < 100_000_000:
                    connection.sendall(chunk)
                    n_sent += 65_536
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert n_sent < 20_000_000  # what sockets buffer, beyond the million that is read
    assert memory_mb(process.pid) < before_mb + 20
    assert answers(address)


def test_a_declared_giant_is_refused_unread(address: str) -> None:
    with connected(address) as connection:
        connection.sendall(head("/v1/predict", f"Content-Length: {10**15}"))
        assert b"HTTP/1.1 413" in said(connection)


def test_slow_clients_are_let_go(address: str) -> None:
    silent, headers, body = connected(address), connected(address), connected(address)
    with silent, headers, body:
        started = time.monotonic()
        headers.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        body.sendall(head("/v1/predict", "Content-Length: 1000"))
        for _ in range(6):
            time.sleep(0.2)
            body.sendall(b"x")
            try:
                headers.sendall(b"y")
            except (BrokenPipeError, ConnectionResetError):
                break
        assert answers(address)
        assert said(silent) == b""
        assert b"200" not in said(headers)
        assert b"HTTP/1.1 408" in said(body)
        assert time.monotonic() - started < 6


def test_what_is_no_http_is_no_trouble(address: str) -> None:
    for data in (b"\x16\x03\x01\x02\x00\x01\x00", b"\0" * 1000, b"A" * 100_000):
        with connected(address) as connection:
            try:
                connection.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                continue
            connection.settimeout(3)
            assert b" 200 " not in said(connection)
    assert answers(address)


def test_half_open_and_broken_websockets_are_no_trouble(address: str) -> None:
    upgrade = (
        b"GET /v1/stream?sample_rate_hz=16000 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    reset = b"\1\0\0\0\0\0\0\0"
    for data in (b"", b"\x82\xff" + b"\xff" * 8, b"\xff\xff\xff\xff", b"\x82\x05hello", b"\x82\xfe\xff"):
        connection = connected(address)
        connection.sendall(upgrade)
        assert b"101" in connection.recv(4096)
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)  # goes away without a word
        connection.close()
    wait_for(lambda: "earnest_streams_open 0.0" in httpx2.get(f"{address}/metrics").text)
    assert answers(address)


def test_a_flood_of_tiny_requests_is_survived(address: str, sound: bytes) -> None:
    def flood(_: int) -> list[int]:
        with httpx2.Client(base_url=address) as client:
            return [client.post("/v1/predict", content=b"x", headers=WAV).status_code for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        codes = {code for found in pool.map(flood, range(4)) for code in found}
    assert codes <= {422, 429, 503}
    assert httpx2.post(f"{address}/v1/predict", content=sound, headers=WAV).status_code == 200


def test_more_connections_than_allowed_don_t_end_the_server(address: str) -> None:
    many = [connected(address) for _ in range(310)]
    assert not answers(address)
    for connection in many:
        connection.close()
    wait_for(lambda: answers(address))


def test_a_request_under_way_is_answered_after_term_and_logs_tell_no_person(bundle: Path, sound: bytes) -> None:
    with serving(bundle) as (address, process), connected(address) as connection:
        assert httpx2.post(f"{address}/v1/predict", files={"file": ("name-of-a-person.wav", sound)}).status_code == 200
        connection.sendall(head("/v1/predict", f"Content-Length: {len(sound)}") + sound[:1000])
        wait_for(lambda: "under_way 1.0" in httpx2.get(f"{address}/metrics").text)
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: not answers(address))
        connection.sendall(sound[1000:])
        assert b"HTTP/1.1 200" in (answer := said(connection))
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == "ok"
        _, errors = process.communicate(timeout=20)
        assert process.returncode in (0, -signal.SIGTERM)
    lines = [json.loads(line) for line in errors.splitlines()]
    assert any(line["message"] == "answered" and line.get("route") == "/v1/predict" for line in lines)
    assert "name-of-a-person" not in errors


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    return [pid for pid in map(int, children) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def ask_until_gone(address: str, sound: bytes) -> list[Any]:
    """Ask again and again until the server refuses connections; return statuses, and the error if one came."""
    found: list[Any] = []
    with httpx2.Client(base_url=address, timeout=20) as client:
        while True:
            try:
                found.append(client.post("/v1/predict", content=sound, headers=WAV).status_code)
            except httpx2.ConnectError:
                return found  # refused: it was not taken on
            except httpx2.HTTPError as error:
                return [*found, error]


def test_a_killed_worker_is_replaced_and_term_under_load_loses_nothing(bundle: Path, sound: bytes) -> None:
    with serving(bundle, "--workers", "2", "--jobs", "1", "--log-level", "warning") as (address, process):
        wait_for(lambda: len(workers_of(process)) == 2)
        before = workers_of(process)
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: len(workers_of(process)) == 2 and before[0] not in workers_of(process))
        assert before[1] in workers_of(process)
        wait_for(lambda: answers(address))
        for _ in range(6):
            assert httpx2.post(f"{address}/v1/predict", content=sound, headers=WAV, timeout=20).status_code == 200
        assert 'earnest_recordings_total{status="ok"} 6.0' in httpx2.get(f"{address}/metrics").text
        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask_until_gone, address, sound) for _ in range(4)]
            wait_for(lambda: 'status="ok"} 3' in httpx2.get(f"{address}/metrics").text)
            process.send_signal(signal.SIGTERM)
            answered = [item for one in asking for item in one.result(20)]
        process.wait(20)
        assert process.returncode == 0
    assert answered.count(200) > 20
    # One may have been waiting in the kernel, accepted by no worker, when the last one closed the socket.
    assert len([item for item in answered if item != 200]) <= 1


def test_what_is_wrong_with_a_model_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "earnest", "serve", "--model", str(tmp_path / "none"), "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stderr.startswith("earnest: ")
    assert len(done.stderr.splitlines()) == 1
