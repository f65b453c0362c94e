"""A real ``earnest serve`` process for tests, and connections to it that keep no rule."""

import io
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import soundfile
from patience import PATIENCE_S, wait_for
from ports import free_port
from stand_in import write_bundle

from earnest.testing.sounds import voice

KEPT_MB = 150.0  # two jobs have decoded ten minutes each, which malloc may keep; all else leaves nothing
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # else each question reads all certificates first, which takes 30 ms
WAV = {"Content-Type": "audio/wav"}
LIMITS = ("header_s=1", "body_s=2", "body_bytes=1000000", "connections=300")


def wav(seconds: float) -> bytes:
    """Return a made-up voice as a file."""
    file = io.BytesIO()
    soundfile.write(file, voice(seconds), 16_000, format="WAV")
    return file.getvalue()


CLIP = wav(3.0)


@contextmanager
def serving(bundle: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Give the address and the process of ``earnest serve``."""
    limits = [word for limit in LIMITS for word in ("--limit", limit)]
    port = free_port()
    command = [sys.executable, "-m", "earnest", "serve", "--port", str(port), "--model", str(bundle), *limits, *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(address))
        yield address, process
    finally:
        if process.poll() is None:
            process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_S)
        sys.stderr.write(errors or "")  # shown when the test fails


@contextmanager
def bounded_server(bundle: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Give a server, which at the end holds little more than at the beginning."""
    with serving(write_bundle(bundle), "--log-level", "warning") as (address, process):
        assert ask(address, CLIP).status_code == 200
        before_mb = memory_mb(process.pid)
        yield address, process
        assert memory_mb(process.pid) < before_mb + KEPT_MB


def answers(address: str) -> bool:
    """Whether the next recording would be taken on."""
    try:
        return httpx2.get(f"{address}/readyz", timeout=5, verify=NO_TLS).status_code == 200
    except httpx2.HTTPError:
        return False


def n_answered(address: str) -> float:
    """Return how many recordings have their answer."""
    found = re.search(r'earnest_recordings_total{status="ok"} (\S+)', metrics(address))
    return float(found[1]) if found else 0.0


def metrics(address: str) -> str:
    """Return what the server tells Prometheus."""
    answer = httpx2.get(f"{address}/metrics", timeout=PATIENCE_S, verify=NO_TLS)
    assert answer.status_code == 200
    return answer.text


def ask(address: str, sound: bytes, headers: dict[str, str] = WAV, **more: Any) -> httpx2.Response:
    """Send one recording."""
    where = f"{address}/v1/predict"
    return httpx2.post(where, content=sound, headers=headers, timeout=PATIENCE_S, verify=NO_TLS, **more)


def ask_until_gone(address: str, sound: bytes) -> list[Any]:
    """Ask again and again until the server refuses connections; return statuses, and the error if one came."""
    found: list[Any] = []
    with httpx2.Client(base_url=address, timeout=PATIENCE_S, verify=NO_TLS) as client:
        while True:
            try:
                found.append(client.post("/v1/predict", content=sound, headers=WAV).status_code)
            except httpx2.ConnectError:
                return found  # refused: it was not taken on
            except httpx2.HTTPError as error:
                return [*found, error]


def check_nothing_stays(address: str) -> None:
    """After hostile clients nothing is open or under way, and the server answers."""
    wait_for(lambda: answers(address))
    wait_for(lambda: "earnest_streams_open 0.0" in metrics(address))
    wait_for(lambda: "earnest_requests_under_way 0.0" in metrics(address))
    assert ask(address, CLIP).json()["status"] == "ok"


def connected(address: str) -> socket.socket:
    """Return a bare connection."""
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def said(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes."""
    found = b""
    try:
        while part := connection.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return found


def head(path: str = "/v1/predict", *more: str) -> bytes:
    """Return the headers of a recording that is yet to come."""
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: audio/wav", *more)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def memory_mb(pid: int) -> float:
    """Return what a process holds."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found
    return int(found[1]) / 1024


def command_of(pid: int) -> bytes:
    """Return the words that started a process, none if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # before it was opened, or after
        return b""


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the process ids of the workers: the children, without Python's tracker of resources."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    return [pid for pid in map(int, children) if b"spawn_main" in command_of(pid)]
