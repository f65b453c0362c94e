"""Hostile clients of a real server process: the right status, bounded memory, and an answer for the next one."""

import io
import json
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest
import soundfile
from server_process import WAV, answers, ask, connected, head, memory_mb, metrics, said, serving
from serving import wait_for
from stand_in import write_bundle
from voices import write_voice
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

STREAM = "/v1/stream?sample_rate_hz=16000"
FORM = {"Content-Type": "multipart/form-data; boundary=xyz"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("process") / "bundle")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_voice(tmp_path_factory.mktemp("clips") / "clip.wav", 3.0).read_bytes()


@pytest.fixture(scope="module")
def server(bundle: Path, sound: bytes) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with serving(bundle, "--log-level", "warning") as (address, process):
        assert ask(address, sound).status_code == 200
        before_mb = memory_mb(process.pid)
        yield address, process
        # Two jobs have decoded ten minutes each, which malloc may keep; all else leaves nothing.
        assert memory_mb(process.pid) < before_mb + 150


@pytest.fixture
def address(server: tuple[str, subprocess.Popen[str]]) -> str:
    return server[0]


@pytest.fixture(autouse=True)
def the_server_lives_on(server: tuple[str, subprocess.Popen[str]], sound: bytes) -> Iterator[None]:
    """After every test nothing stays open, and it answers."""
    address, _ = server
    yield
    wait_for(lambda: answers(address), 30)
    wait_for(lambda: "earnest_streams_open 0.0" in metrics(address), 30)
    wait_for(lambda: "earnest_requests_under_way 0.0" in metrics(address), 30)
    assert ask(address, sound).json()["status"] == "ok"


def test_an_endless_body_is_cut_off_and_memory_stays(address: str) -> None:
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


def problem_kind(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("urn:earnest:problem:")


def test_an_hour_of_silence_in_few_bytes_is_too_long(server: tuple[str, subprocess.Popen[str]]) -> None:
    address, process = server
    bomb = io.BytesIO()
    with soundfile.SoundFile(bomb, "w", 8_000, 1, format="FLAC") as flac:
        for _ in range(101):
            flac.write(np.zeros(8_000 * 36, np.float32))
    assert len(bomb.getvalue()) < 200_000
    before_mb = memory_mb(process.pid)
    with ThreadPoolExecutor(3) as pool:
        for query in ({}, {"kind": "timeline"}):
            for answer in pool.map(lambda query: ask(address, bomb.getvalue(), params=query), [query] * 3):
                assert problem_kind(answer) == (413, "too-large")
    assert memory_mb(process.pid) < before_mb + 150  # two at a time are decoded, ten minutes of each at most


@pytest.mark.parametrize("kind", ["", "text/html", "application/json", "multipart/mixed; boundary=x", "image/svg+xml"])
def test_what_is_no_sound_by_its_own_words_is_not_read(address: str, sound: bytes, kind: str) -> None:
    assert problem_kind(ask(address, sound, {"Content-Type": kind})) == (415, "not-audio")


@pytest.mark.parametrize(
    "body",
    [
        b"garbage",
        b"--xyz\r\n",
        b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nno end',
        b"--xyz\r\n" + b"X-Long: " + b"x" * 500_000,
        b"--xyz\r\nContent-Disposition: form-data; name=x\r\n\r\nx\r\n" * 5_000 + b"--xyz--\r\n",
        b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n' * 5_000 + b"--xyz--\r\n",
    ],
)
def test_a_broken_form_is_not_valid(address: str, body: bytes) -> None:
    assert problem_kind(ask(address, body, FORM)) == (422, "not-valid")


@pytest.mark.parametrize(("name", "shown"), [("../../etc/passwd", "passwd"), ("C:\\boot.ini", "boot.ini")])
def test_a_files_name_is_no_path(address: str, sound: bytes, name: str, shown: str) -> None:
    right = httpx2.post(f"{address}/v1/predict", files={"file": (name, sound)}, timeout=60)
    assert (right.status_code, right.json()["path"]) == (200, shown)
    wrong = httpx2.post(f"{address}/v1/predict", files={"file": (name, b"root")}, timeout=60)
    assert problem_kind(wrong) == (422, "not-readable")
    assert "etc" not in wrong.text


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/clips/..%2f..%2fpyproject.toml", "/models/%2e%2e/__init__.py"])
def test_an_address_is_no_path(address: str, path: str) -> None:
    with connected(address) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert b"HTTP/1.1 404" in said(connection)


@contextmanager
def stream_at(address: str, query: str = "") -> Iterator[ClientConnection]:
    url = f"{address.replace('http', 'ws')}{STREAM}{query}"
    with connect(url, compression=None, ping_interval=None, max_queue=None, close_timeout=1) as stream:
        assert json.loads(stream.recv())["event"] == "ready"
        yield stream


def ended(stream: ClientConnection) -> tuple[str | None, int | None]:
    """Return the word of the error, if one was told, and the code of the close."""
    code = None
    try:
        while True:
            code = json.loads(stream.recv(timeout=60)).get("code", code)
    except ConnectionClosed as closed:
        return code, closed.rcvd.code if closed.rcvd else None


def frame(first: int, content: bytes = b"") -> bytes:
    """Return a WebSocket frame: flags and opcode as they are, masked with zeros."""
    n_bytes = len(content)
    length = struct.pack("!B", 128 + n_bytes) if n_bytes < 126 else struct.pack("!BH", 254, n_bytes)
    return bytes([first]) + length + bytes(4) + content


@pytest.mark.parametrize(
    ("data", "query", "end"),
    [
        (frame(0x83), "", (None, 1002)),  # no such opcode
        (frame(0xC2, b"ab"), "", (None, 1002)),  # a reserved bit
        (frame(0x09), "", (None, 1002)),  # a ping in fragments
        (frame(0x80, b"ab"), "", (None, 1002)),  # goes on with nothing
        (b"\x82\x04abcd", "", (None, 1002)),  # not masked
        (b"\x82\xff" + b"\x7f" * 8, "", (None, 1009)),  # nine exabytes are to come
        (frame(0x81, b"\xff"), "", (None, 1007)),  # text that is none
        (frame(0x81, b"{"), "", ("bad-message", 1003)),
        (frame(0x81, b'{"type": ["finish"]}'), "", ("bad-message", 1003)),
        (frame(0x82, b"abc"), "", ("bad-sound", 1007)),  # a sample and a half
        (frame(0x82, b"ab" * 3), "&channels=2", ("bad-sound", 1007)),
        (frame(0x82, struct.pack("<f", float("nan"))), "&encoding=f32le", ("bad-sound", 1007)),
        (frame(0x02) + frame(0x00) * 2_000, "", (None, 1009)),  # fragments of nothing
        (frame(0x89) * 300, "", (None, 1008)),  # pings without need
    ],
)
def test_a_broken_frame_ends_its_stream_with_a_reason(
    address: str, data: bytes, query: str, end: tuple[str | None, int]
) -> None:
    with stream_at(address, query) as stream:
        stream.socket.sendall(data)
        assert ended(stream) == end


UPGRADE = (
    f"GET {STREAM} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()


def vanish(connection: socket.socket) -> None:
    """Go away without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def test_who_vanishes_leaves_nothing_behind(address: str, sound: bytes) -> None:
    for data in (b"", b"\x82", b"\x82\xfe\xff", frame(0x82, bytes(1000)), frame(0x82, bytes(1000))[:500]):
        connection = connected(address)
        connection.sendall(UPGRADE)
        assert b"101" in connection.recv(4096)
        connection.sendall(data)
        vanish(connection)
    for data in (b"", b"POST", head(), head("/v1/predict", "Content-Length: 9") + b"x", UPGRADE[:50], UPGRADE):
        connection = connected(address)
        connection.sendall(data)
        vanish(connection)


def flood(connection: socket.socket, data: bytes, seconds: float) -> int:
    """Send the same again and again without reading a byte; return how many bytes went."""
    n_sent, end = 0, time.monotonic() + seconds
    connection.settimeout(0.5)
    try:
        while time.monotonic() < end:
            n_sent += connection.send(data)
    except (TimeoutError, BrokenPipeError, ConnectionResetError):
        pass  # the server takes no more
    return n_sent


@pytest.mark.parametrize(
    "data",
    [
        frame(0x82, bytes(60_000)),  # sound, faster than it may come
        frame(0x82) * 1_000,
        frame(0x89, bytes(125)) * 500,  # pings, with pongs that nobody reads
        frame(0x02) + frame(0x00) * 1_000,
    ],
)
def test_floods_of_frames_are_held_back(server: tuple[str, subprocess.Popen[str]], sound: bytes, data: bytes) -> None:
    address, process = server
    before_mb = memory_mb(process.pid)
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(address)) for _ in range(8)]
        for connection in connections:
            connection.sendall(UPGRADE)
            assert b"101" in connection.recv(4096)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda connection: flood(connection, data, 2.0), connections))
        assert memory_mb(process.pid) < before_mb + 60
        assert ask(address, sound).json()["status"] == "ok"  # while they are open
        for connection in connections:
            vanish(connection)


def test_a_flood_of_tiny_requests_is_survived(address: str) -> None:
    def flood(_: int) -> list[int]:
        with httpx2.Client(base_url=address, timeout=60) as client:
            return [client.post("/v1/predict", content=b"x", headers=WAV).status_code for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        codes = {code for found in pool.map(flood, range(4)) for code in found}
    assert codes <= {422, 429, 503}


def test_more_connections_than_allowed_don_t_end_the_server(address: str) -> None:
    many = [connected(address) for _ in range(310)]
    assert not answers(address)
    for connection in many:
        connection.close()
    wait_for(lambda: answers(address))
