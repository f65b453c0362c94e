"""Hostile HTTP clients of a real server process: the right status, bounded memory, and an answer for the next one."""

import io
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import numpy as np
import pytest
import soundfile
from patience import PATIENCE_S, wait_for
from server_process import (
    CLIP,
    WAV,
    answers,
    ask,
    bounded_server,
    check_nothing_stays,
    connected,
    head,
    memory_mb,
    said,
    wav,
)

from earnest.apps.server.protocols import MOST_PIECES

FORM = {"Content-Type": "multipart/form-data; boundary=xyz"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with bounded_server(tmp_path_factory.mktemp("process") / "bundle") as found:
        yield found


@pytest.fixture(autouse=True)
def address(server: tuple[str, subprocess.Popen[str]]) -> Iterator[str]:
    """Give the address; after every test nothing stays open, and the server answers."""
    yield server[0]
    check_nothing_stays(server[0])


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


def test_who_is_refused_while_sending_gets_the_answer_and_another_turn(address: str) -> None:
    with connected(address) as connection:
        connection.sendall(head("/v1/predict?kind=none", "Content-Length: 900000"))
        assert connection.recv(4096).startswith(b"HTTP/1.1 422")
        connection.sendall(bytes(900_000))
        connection.sendall(head("/v1/predict", f"Content-Length: {len(CLIP)}", "Connection: close") + CLIP)
        assert b"HTTP/1.1 200" in said(connection)


@pytest.mark.parametrize("length", ["Content-Length: 3000000", "Transfer-Encoding: chunked"])
def test_who_is_refused_while_sending_much_is_told_to_open_another_connection(address: str, length: str) -> None:
    with connected(address) as connection:
        connection.sendall(head("/v1/predict?kind=none", length))
        time.sleep(0.2)
        connection.sendall(b"100000\r\n" + bytes(500_000))  # the answer isn't lost
        answer = said(connection)
        assert answer.startswith(b"HTTP/1.1 422")
        assert b"connection: close" in answer.lower()
    with httpx2.Client(base_url=address) as client:
        assert client.post("/v1/predict", content=bytes(2_000_000), headers=WAV).status_code == 413
        assert client.post("/v1/predict", content=CLIP, headers=WAV).status_code == 200


def test_a_declared_giant_is_refused_unread(address: str) -> None:
    with connected(address) as connection:
        connection.sendall(head("/v1/predict", f"Content-Length: {10**15}"))
        assert b"HTTP/1.1 413" in said(connection)


@pytest.mark.parametrize(("path", "status"), [("/v1/predict", 400), ("/v1/predict?kind=none", 422)])
def test_a_body_in_crumbs_is_refused_before_it_is_whole(address: str, path: str, status: int) -> None:
    # The second is refused at once, and its rest is not kept.
    with connected(address) as connection:
        connection.sendall(head(path, "Transfer-Encoding: chunked") + b"1\r\nx\r\n" * (MOST_PIECES + 10))
        assert said(connection).startswith(f"HTTP/1.1 {status}".encode())
    assert answers(address)


def test_a_recording_in_many_pieces_of_some_size_is_answered(address: str) -> None:
    sound, piece = wav(20.5), 160  # bytes: 10 ms of telephone sound
    pieces = [sound[start : start + piece] for start in range(0, len(sound), piece)]
    assert len(pieces) > MOST_PIECES
    answer = httpx2.post(f"{address}/v1/predict", content=iter(pieces), headers=WAV, timeout=PATIENCE_S)
    assert answer.status_code == 200


def test_slow_clients_are_let_go(address: str) -> None:
    silent, headers, body = connected(address), connected(address), connected(address)
    with silent, headers, body:
        headers.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        body.sendall(head("/v1/predict", "Content-Length: 1000"))
        for connection in (headers, body):
            send_slowly(connection)
        assert answers(address)
        assert said(silent) == b""
        assert b"200" not in said(headers)
        assert b"HTTP/1.1 408" in said(body)


def send_slowly(connection: socket.socket) -> None:
    """Send a byte now and then until the server answers or ends the connection."""
    end = time.monotonic() + PATIENCE_S
    while not select.select([connection], [], [], 0.2)[0]:
        assert time.monotonic() < end, "the server has endless patience"
        try:
            connection.sendall(b"x")
        except (BrokenPipeError, ConnectionResetError):
            return


def test_what_is_no_http_is_no_trouble(address: str) -> None:
    for data in (b"\x16\x03\x01\x02\x00\x01\x00", b"\0" * 1000, b"A" * 100_000):
        with connected(address) as connection:
            try:
                connection.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                continue
            assert b" 200 " not in said(connection)
    assert answers(address)


def problem_kind(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("urn:earnest:problem:")


def test_an_hour_of_silence_in_few_bytes_is_too_long(server: tuple[str, subprocess.Popen[str]]) -> None:
    address, process = server
    bomb = io.BytesIO()
    with soundfile.SoundFile(bomb, "w", 8_000, 1, format="FLAC") as flac:
        for _ in range(110):
            flac.write(np.zeros(8_000 * 36, np.float32))
    assert len(bomb.getvalue()) < 200_000
    before_mb = memory_mb(process.pid)
    with ThreadPoolExecutor(3) as pool:
        for query in ({}, {"kind": "timeline"}):
            for answer in pool.map(lambda query: ask(address, bomb.getvalue(), params=query), [query] * 3):
                assert problem_kind(answer) == (413, "too-large")
    assert memory_mb(process.pid) < before_mb + 150  # two at a time are decoded, ten minutes of each at most


@pytest.mark.parametrize("kind", ["", "text/html", "application/json", "multipart/mixed; boundary=x", "image/svg+xml"])
def test_what_is_no_sound_by_its_own_words_is_not_read(address: str, kind: str) -> None:
    assert problem_kind(ask(address, CLIP, {"Content-Type": kind})) == (415, "not-audio")


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
def test_a_files_name_is_no_path(address: str, name: str, shown: str) -> None:
    right = httpx2.post(f"{address}/v1/predict", files={"file": (name, CLIP)}, timeout=PATIENCE_S)
    assert (right.status_code, right.json()["path"]) == (200, shown)
    wrong = httpx2.post(f"{address}/v1/predict", files={"file": (name, b"root")}, timeout=PATIENCE_S)
    assert problem_kind(wrong) == (422, "not-readable")
    assert "etc" not in wrong.text


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/clips/..%2f..%2fpyproject.toml", "/models/%2e%2e/__init__.py"])
def test_an_address_is_no_path(address: str, path: str) -> None:
    with connected(address) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert b"HTTP/1.1 404" in said(connection)


def test_a_flood_of_tiny_requests_is_survived(address: str) -> None:
    def flood(_: int) -> list[int]:
        with httpx2.Client(base_url=address, timeout=PATIENCE_S) as client:
            return [client.post("/v1/predict", content=b"x", headers=WAV).status_code for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        codes = {code for found in pool.map(flood, range(4)) for code in found}
    assert codes <= {422, 429, 503}


def test_more_connections_than_allowed_don_t_end_the_server(address: str) -> None:
    def none_is_left() -> bool:
        many = [connected(address) for _ in range(310)]
        try:
            return not answers(address)
        finally:
            for connection in many:
                connection.close()

    wait_for(none_is_left)  # again where the silent ones were let go before the last of them had come
    wait_for(lambda: answers(address))
