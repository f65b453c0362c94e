"""``earnest serve`` as a process of its own, for trials and measurements."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from earnest.errors import EarnestError

START_S = 120.0  # on a busy machine
END_S = 60.0


@dataclass(frozen=True)
class ServerProcess:
    """A server that answers, on this machine."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """The address that requests begin with."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Number of the process; its decoders and workers are its children."""
        return self.process.pid

    def is_ready(self) -> bool:
        """Whether it would take on a recording."""
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def server_process(*words: str, tree: Path | None = None) -> Iterator[ServerProcess]:
    """Start a server on a free port, wait until it is ready, and end it with the block.

    Raises `EarnestError` when it ends, or doesn't answer within `START_S`; what it said stands on standard error.

    Parameters
    ----------
    words : of the command line, behind ``earnest serve --port …``
    tree : a folder with another version of the package ``earnest``; None for this one
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": str(tree)} if tree else {})
    command = [sys.executable, "-m", "earnest", "serve", "--port", str(port), *words]
    server = ServerProcess(port, subprocess.Popen(command, env=environment, cwd=tree))
    try:
        end = time.monotonic() + START_S
        while not server.is_ready():
            if server.process.poll() is not None or time.monotonic() > end:
                raise EarnestError("The server doesn't answer. What it said stands above.")
            time.sleep(0.2)
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(END_S)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()
