"""Hostile WebSocket clients of a real server process: a close with its reason, bounded memory, and an answer then."""

import json
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from patience import PATIENCE_S
from server_process import CLIP, ask, bounded_server, check_nothing_stays, connected, head, memory_mb
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

STREAM = "/v1/stream?sample_rate_hz=16000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with bounded_server(tmp_path_factory.mktemp("process") / "bundle") as found:
        yield found


@pytest.fixture(autouse=True)
def address(server: tuple[str, subprocess.Popen[str]]) -> Iterator[str]:
    """Give the address; after every test nothing stays open, and the server answers."""
    yield server[0]
    check_nothing_stays(server[0])


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
            code = json.loads(stream.recv(timeout=PATIENCE_S)).get("code", code)
    except ConnectionClosed as closed:
        return code, closed.rcvd.code if closed.rcvd else None


def frame(first: int, content: bytes = b"") -> bytes:
    """Return a WebSocket frame: flags and opcode as they are, masked with zeros."""
    n_bytes = len(content)
    length = struct.pack("!B", 128 + n_bytes) if n_bytes < 126 else struct.pack("!BH", 254, n_bytes)
    return bytes([first]) + length + bytes(4) + content


@pytest.mark.parametrize("n_more", [2, 2**18])
def test_a_message_that_is_too_big_is_told_so(address: str, n_more: int) -> None:
    with stream_at(address) as stream:
        stream.send(bytes(2**18 + n_more))
        assert json.loads(stream.recv())["code"] == "too-big"
        with pytest.raises(ConnectionClosed) as closed:
            stream.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


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
    f"GET {STREAM} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()


def vanish(connection: socket.socket) -> None:
    """Go away without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def test_who_vanishes_leaves_nothing_behind(address: str) -> None:
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
def test_floods_of_frames_are_held_back(server: tuple[str, subprocess.Popen[str]], data: bytes) -> None:
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
        assert ask(address, CLIP).json()["status"] == "ok"  # while they are open
        for connection in connections:
            vanish(connection)
