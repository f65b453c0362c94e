"""A wire between a browser and a server that counts what passes, request by request, and can be cut."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Thread
from urllib.parse import urlsplit

from patience import PATIENCE_S

_REQUEST = re.compile(rb"(?:^|\r\n\r\n)([A-Z]+) (\S+) HTTP/1\.1\r\n")


class Wire:
    """Passes connections on to a server; ``received`` are path and bytes of each answer, heads included."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._server = (str(parts.hostname), int(parts.port or 80))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.received: list[tuple[str, int]] = []
        self._open: list[socket.socket] = []
        self._lock = Lock()
        self._threads: list[Thread] = []
        self._start(self._accept)

    @property
    def n_bytes(self) -> int:
        """Everything that came from the server."""
        return sum(n_bytes for _, n_bytes in self.received)

    def cut(self) -> None:
        """Refuse connections from now on, and end those that are open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for connections
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(PATIENCE_S)
        for connection in self._open:
            connection.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                browser, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._open += [browser, server]
            asked: list[str] = []  # of this connection, where one request waits for the answer to the one before
            self._start(self._up, browser, server, asked)
            self._start(self._down, server, browser, asked)

    def _up(self, browser: socket.socket, server: socket.socket, asked: list[str]) -> None:
        for piece in _pieces(browser):
            asked += [path.decode() for _, path in _REQUEST.findall(piece)]
            with suppress(OSError):
                server.sendall(piece)
        _end(server)

    def _down(self, server: socket.socket, browser: socket.socket, asked: list[str]) -> None:
        n_asked = 0
        for piece in _pieces(server):
            with self._lock:
                if len(asked) > n_asked:
                    n_asked = len(asked)
                    self.received.append((asked[-1], 0))
                    place = len(self.received) - 1
                path, n_bytes = self.received[place]
                self.received[place] = (path, n_bytes + len(piece))
            with suppress(OSError):
                browser.sendall(piece)
        _end(browser)


def _pieces(connection: socket.socket) -> Iterator[bytes]:
    with suppress(OSError):
        while piece := connection.recv(65_536):
            yield piece


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


@contextmanager
def wired(address: str) -> Iterator[Wire]:
    """Give a wire to a server; it is cut at the end."""
    wire = Wire(address)
    try:
        yield wire
    finally:
        wire.cut()
