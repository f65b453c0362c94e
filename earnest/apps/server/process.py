"""Processes and sockets: uvicorn, with a time for headers, and its supervisor where there are several workers."""

import asyncio
import functools
import os
import socket
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.supervisors import Multiprocess

from earnest.apps.server.app import create_app
from earnest.apps.server.logs import log_config
from earnest.apps.server.metrics import FOLDER
from earnest.apps.server.service import ENDING
from earnest.apps.server.settings import Settings
from earnest.bundle import load_bundle

if TYPE_CHECKING:
    from websockets.frames import Frame

HEADER_BYTES = 32 * 1024
PING_S, PONG_S = 20.0, 60.0  # a pong may wait behind sound that is read no faster than allowed
LINGER_S = 0.5
SPARE_S, SPARE_BYTES = 2.0, 2**20  # for the rest of a body after a refusal, which is not kept
POLICY_VIOLATION, MESSAGE_TOO_BIG = 1008, 1009  # why a WebSocket is closed
READ_BYTES, MOST_FRAGMENTS, MOST_PINGS = 16 * 1024, 1024, 256  # of a WebSocket; in one message; within PING_S
LAST_S = 5.0  # to finish what the time for requests allows
SILENT_S = 60  # a worker that says nothing for so long hangs; on a busy machine uvicorn's 5 s kill those that start


@dataclass(frozen=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8000


class Config(uvicorn.Config):
    """Uvicorn's, and the seconds in which headers must come."""

    header_s: float = 10.0


class TimedProtocol(H11Protocol):
    """Closes connections whose headers don't come in time, and when the process ends only those that are idle.

    Uvicorn itself would wait for ever for headers, and at the end drop a request whose first byte it has not read yet.
    """

    config: Config
    _timer: asyncio.TimerHandle | None = None
    _n_spare = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self._start_clock()

    def on_response_complete(self) -> None:
        """Start it again for the next request of a connection; who was refused while sending may end, if that is soon.

        Closed at once, a connection would take the answer with it: clients that are still sending read it later.
        """
        is_sending = self.conn.their_state is h11.SEND_BODY
        super().on_response_complete()
        self._start_clock(SPARE_S if is_sending else 0.0)
        if is_sending and not self.transport.is_closing():
            self._n_spare = SPARE_BYTES
            self.loop.call_later(SPARE_S, self._abort_if_sending, self.cycle)

    def _abort_if_sending(self, cycle: RequestResponseCycle) -> None:
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self.transport.abort()

    def _is_refused(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY

    def data_received(self, data: bytes) -> None:
        """Drop what comes after a refusal; what comes when the process ends is answered as the connection's last."""
        if self._is_refused():
            self._n_spare -= len(data)
            if self._n_spare < 0:
                self.flow.pause_reading()
                return
        super().data_received(data)
        if self.app_state[ENDING].is_set() and self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """End, after a moment in which a request that is on its way arrives."""
        self.app_state[ENDING].set()
        self.loop.call_later(LINGER_S, self._end)
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _end(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop it."""
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def _start_clock(self, more_s: float = 0.0) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.config.header_s + more_s, self._close_unless_asked)

    def _close_unless_asked(self) -> None:
        """Close, unless a request is under way or the connection became a stream."""
        if self in self.connections and (self.cycle is None or self.cycle.response_complete):
            self.transport.abort()


class GuardedStream(WebSocketsSansIOProtocol):
    """Bounds what control frames and fragments cost, and lets the application end its streams.

    Uvicorn itself answers pings and keeps fragments however many, waits for ever to say good-bye to who is gone, and
    closes streams at the end of the process with all that is still to tell.
    """

    _n_pings, _pings_since = 0, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read little at a time: the frames of one reading are taken before anybody else has a turn."""
        super().connection_made(transport)
        self.transport.max_size = READ_BYTES  # type: ignore[attr-defined]

    def handle_ping(self) -> None:
        """Answer, unless there are too many."""
        if self.loop.time() > self._pings_since + PING_S:
            self._n_pings, self._pings_since = 0, self.loop.time()
        self._n_pings += 1
        if self._n_pings > MOST_PINGS:
            self._end(POLICY_VIOLATION, "too many pings")
        else:
            super().handle_ping()

    def handle_cont(self, event: "Frame") -> None:
        """Take a fragment, unless there are too many: empty ones add nothing to the size of a message."""
        if len(self.frames) >= MOST_FRAGMENTS:
            self._end(MESSAGE_TOO_BIG, "too many fragments")
        else:
            super().handle_cont(event)

    def _end(self, code: int, reason: str) -> None:
        if not self.close_sent:
            self.conn.fail(code, reason)
            self.handle_parser_exception()

    def keepalive_timeout(self) -> None:
        """Close, without waiting for who is gone."""
        super().keepalive_timeout()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def shutdown(self) -> None:
        """Tell the application, which may be waiting for sound; it closes with 1012."""
        if self.close_sent:
            super().shutdown()
            return
        self.app_state[ENDING].set()
        self.queue.put_nowait({"type": "websocket.receive", "bytes": b""})


class Supervisor(Multiprocess):
    """Uvicorn's; at the end its own copy of the socket closes first, so that nobody waits where no worker answers."""

    def keep_subprocess_alive(self) -> None:
        """Replace who died; workers hold their ends of the pipes alone, so that a death is seen, not waited for."""
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        """Let workers finish and end; one that starts has nothing to finish, but would hold the socket until it has."""
        for listener in self.sockets:
            listener.close()
        for process in self.processes:
            if process.ping(timeout=1) and not process.is_ready():
                process.kill()
        super().terminate_all()


def serve(settings: Settings, address: Address, workers: int = 1, log_level: str = "info") -> None:
    """Serve until SIGTERM or Ctrl-C; then what was taken on is answered before the process ends.

    A worker that dies is replaced.
    """
    for name in settings.models:
        load_bundle(name)  # what is wrong with a model is told here, not by each worker
    config = config_of(settings, address, workers, log_level)
    if workers == 1:
        uvicorn.Server(config).run()
        return
    with tempfile.TemporaryDirectory(prefix="earnest-metrics-") as folder:
        os.environ[FOLDER] = folder
        listener = config.bind_socket()
        # asyncio does so for sockets of its own; what connects inherits it. Else small answers wait 40 ms for others.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Supervisor(config, [listener]).run()


def config_of(settings: Settings, address: Address, workers: int, log_level: str) -> Config:
    """Return how uvicorn is to run."""
    limits = settings.limits
    config = Config(
        functools.partial(create_app, settings),
        factory=True,
        host=address.host,
        port=address.port,
        workers=workers,
        http=TimedProtocol,
        ws=GuardedStream,  # reads a message when the one before was taken: back-pressure
        loop="asyncio",
        lifespan="on",
        log_config=dict(log_config(log_level)),
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        h11_max_incomplete_event_size=HEADER_BYTES,
        ws_max_size=limits.stream_frame_bytes,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PONG_S,
        ws_per_message_deflate=False,  # samples don't shrink, and what doesn't inflate can't be a bomb
        timeout_worker_healthcheck=SILENT_S,
        timeout_graceful_shutdown=int(limits.body_s + limits.request_s + LAST_S),
    )
    config.header_s = limits.header_s
    return config
