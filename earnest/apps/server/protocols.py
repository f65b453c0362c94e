"""Changes to uvicorn's protocols and supervisor: the one file that leans on its internals.

Its settings know no time for headers (uvicorn's issue 157), no bound for pings and fragments, and no end of a stream in
the application's own words. The classes here override methods that uvicorn doesn't document: pyproject.toml bounds its
version from above, and tests/contracts/test_uvicorn.py compares these methods with the ones that were read.
"""

import asyncio
import logging
import os
import signal
import socket
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.middleware.proxy_headers import _TrustedHosts
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.supervisors import Multiprocess

from earnest.apps.server.front_door import network_of
from earnest.apps.server.metrics import QUIET
from earnest.apps.server.service import ENDING

if TYPE_CHECKING:
    from websockets.frames import Frame

_log = logging.getLogger("earnest.server")
_quiet = logging.getLogger(QUIET)
PING_S, PONG_S = 20.0, 60.0  # a pong may wait behind sound that is read no faster than allowed
HEADER_BYTES = 32 * 1024
LINGER_S = 0.5
SPARE_S, SPARE_BYTES = 2.0, 2**20  # for the rest of a body after a refusal, which is not kept
POLICY_VIOLATION, MESSAGE_TOO_BIG = 1008, 1009  # why a WebSocket is closed
AT_ONCE = struct.pack("ii", 1, 0)  # linger, for no time
NO_OPENING = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
READ_BYTES = 16 * 1024  # what of one reading comes is taken before anybody else has a turn
MOST_FRAGMENTS, MOST_PINGS = 1024, 256  # in one message of a WebSocket; within PING_S
MOST_PIECES, LEAST_PIECE_BYTES = 4096, 128  # of a body; its mean, where there are more: each costs as much as 1 KiB
ONE_TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
LAST_ANSWER = (b"Connection", b"close")


def _plain(client: tuple[str, int] | None) -> tuple[str, int] | None:
    """The address of a client: of IPv4 also where a socket of IPv6 takes it, or a proxy there would not be known."""
    return (client[0].removeprefix("::ffff:"), client[1]) if client else None


def _peer(client: tuple[str, int] | None) -> str:
    return network_of(client[0]) if client else ""


class Config(uvicorn.Config):
    """Uvicorn's, and what it has no words for.

    Attributes
    ----------
    header_s, read_s : seconds in which headers must come, and answers must be read on
    client_connections : of one address, unless it is a proxy whose word about addresses counts
    """

    header_s: float = 10.0
    read_s: float = 60.0
    client_connections: int = 512

    def is_proxy(self, host: str) -> bool:
        """Whether an address is trusted to name the client's; see FORWARDED_ALLOW_IPS."""
        return host in _TrustedHosts(self.forwarded_allow_ips)


class _Wire(h11.Connection):
    """An HTTP/1.1 connection that closes after its last answer: at the end of the process, or after a refused body.

    Clients then open another connection. The next request on this one would be lost when it is closed.
    """

    _is_long = False
    _n_pieces, _n_bytes = 0, 0

    def __init__(self, most_bytes: int, is_ending: Callable[[], bool]) -> None:
        super().__init__(h11.SERVER, most_bytes)
        self._is_ending = is_ending

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Parse the next event, and note the length of a request's body; refuse one that comes in crumbs."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            declared = dict(event.headers).get(b"content-length")  # a chunked body has none
            self._is_long = declared is None or int(declared) > SPARE_BYTES
            self._n_pieces, self._n_bytes = 0, 0
        elif isinstance(event, h11.Data):
            self._n_pieces += 1
            self._n_bytes += len(event.data)
            if self._n_pieces > MOST_PIECES and self._n_bytes < LEAST_PIECE_BYTES * self._n_pieces:
                raise h11.RemoteProtocolError("The body comes in too many pieces.")
        return event

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override]  # the parent has an overload for each
        """Give the bytes of an answer."""
        is_refused = self.their_state is h11.SEND_BODY and self._is_long
        if isinstance(event, h11.Response) and (is_refused or self._is_ending()):
            headers = [*(header for header in event.headers if header[0] != b"connection"), LAST_ANSWER]
            event = h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)
        return super().send(event)


class _Lingering:
    """A connection as answers see it: while a client is still sending it stays open, or the answer would be lost."""

    def __init__(self, protocol: "TimedProtocol") -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        """Send some more of an answer."""
        self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._protocol.transport.is_closing()

    def close(self) -> None:
        """Close, unless the clock of a refusal does so."""
        if not self._protocol.is_refused():
            self._protocol.transport.close()


class TimedProtocol(H11Protocol):
    """Closes connections that are slow with headers or don't read; when the process ends, only those that are idle.

    Uvicorn itself would wait for ever for both, and at the end drop a request whose first byte it has not read yet.
    """

    config: Config
    _timer: asyncio.TimerHandle | None = None
    _reading_timer: asyncio.TimerHandle | None = None
    _n_spare, _n_unread = 0, 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock, and read little at a time; end at once what is one too many of a client."""
        super().connection_made(transport)
        self.transport.max_size = READ_BYTES  # type: ignore[attr-defined]
        most_bytes = self.config.h11_max_incomplete_event_size or HEADER_BYTES
        self.conn = _Wire(most_bytes, self.app_state[ENDING].is_set)
        self.client = _plain(self.client)
        self.peer = _peer(self.client)
        if self._is_one_too_many():
            self.logger.warning("Too many connections of one client.")
            self.transport.write(ONE_TOO_MANY)
            self.transport.close()
        else:
            self._start_clock()

    def _is_one_too_many(self) -> bool:
        most = self.config.client_connections
        if len(self.connections) <= most or self.client is None or self.config.is_proxy(self.client[0]):
            return False
        # Counted anew: nothing can be forgotten when a connection becomes a stream, or ends.
        own = islice((True for other in self.connections if getattr(other, "peer", None) == self.peer), most + 1)
        return sum(own) > most

    def handle_events(self) -> None:
        """Begin a request as uvicorn does, but let its answer linger."""
        super().handle_events()
        if self.cycle is not None:
            self.cycle.transport = _Lingering(self)  # type: ignore[assignment]

    def on_response_complete(self) -> None:
        """Start it again for the next request of a connection; who was refused while sending may end, if that is soon.

        Closed at once, a connection would take the answer with it: clients that are still sending read it later.
        """
        is_sending = self.conn.their_state is h11.SEND_BODY  # asked before uvicorn begins the next cycle
        super().on_response_complete()
        self._start_clock(SPARE_S if is_sending else 0.0)
        if is_sending and not self.transport.is_closing():
            self._n_spare = SPARE_BYTES
            self.loop.call_later(SPARE_S, self._abort_if_sending, self.cycle)

    def _abort_if_sending(self, cycle: RequestResponseCycle) -> None:
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self.transport.abort()

    def is_refused(self) -> bool:
        """Whether the last request has its answer, and its body is still coming."""
        return self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY

    def data_received(self, data: bytes) -> None:
        """Drop the bytes after a refusal."""
        if self.is_refused():
            self._n_spare -= len(data)
            if self._n_spare < 0:
                self.flow.pause_reading()
                return
            if self.conn.our_state is not h11.DONE:  # that was the connection's last answer
                return
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or close where an answer has begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.abort()

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
        """Stop the clocks."""
        for timer in (self._timer, self._reading_timer):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for a client that has not read what was sent, but not for ever."""
        super().pause_writing()
        self._reading_timer = self.loop.call_later(self.config.read_s, self._drop)

    def _drop(self) -> None:
        """Close, without what was not read: the kernel would keep it for who may never come."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.transport.abort()

    def resume_writing(self) -> None:
        """Go on, as it read."""
        if self._reading_timer:
            self._reading_timer.cancel()
        super().resume_writing()

    def _start_clock(self, more_s: float = 0.0) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.config.header_s + more_s, self._close_unless_asked)

    def _close_unless_asked(self) -> None:
        """Close, unless a request is under way, its answer is still being read, or the connection became a stream."""
        if self not in self.connections or (self.cycle is not None and not self.cycle.response_complete):
            return
        n_unread = self.transport.get_write_buffer_size()
        if 0 < n_unread != self._n_unread:
            # Another number than at the last look: somebody reads.
            self._n_unread = n_unread
            self._start_clock()
        else:
            self.transport.abort()


class GuardedStream(WebSocketsSansIOProtocol):
    """Bounds what control frames and fragments cost, and lets the application end its streams.

    Uvicorn itself answers pings and keeps fragments however many, waits for ever to say good-bye to who is gone, closes
    streams at the end of the process with all that is still to tell, keeps a connection whose opening it doesn't
    understand, and logs addresses of clients and queries.
    """

    _n_pings, _pings_since = 0, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read little at a time: the frames of one reading are taken before anybody else has a turn."""
        self.logger = self.conn.logger = _quiet
        super().connection_made(transport)
        self.client = _plain(self.client)
        self.peer = _peer(self.client)
        self.transport.max_size = READ_BYTES  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Take frames; what the opening should be comes in one piece, and is refused when it is none."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(NO_OPENING)
            self.transport.close()

    async def send(self, message: Any) -> None:
        """Send; a stream that is refused has had its answer, and is no error (uvicorn's pull request 3138)."""
        await super().send(message)
        if self.initial_response and self.close_sent:
            self.handshake_complete = True

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
        """Notify the application, which may be waiting for sound; it closes with 1012."""
        if self.close_sent:
            super().shutdown()
            return
        self.app_state[ENDING].set()
        # An empty message wakes who waits for sound, and is none.
        self.queue.put_nowait({"type": "websocket.receive", "bytes": b""})


class Server(uvicorn.Server):
    """Uvicorn's, alone in its process; it tells when it listens, and an end by SIGTERM is no death by it."""

    on_listening: Callable[[], None] | None = None

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Wait for signals; after SIGTERM the process ends here with 0, not by the same signal, raised once more.

        Python's own end would wait for threads that hang, or abort where one of them is in the network.
        """
        before = signal.getsignal(signal.SIGTERM)
        with super().capture_signals():
            yield
            if signal.SIGTERM in self._captured_signals and before is signal.SIG_DFL:
                os._exit(0)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets)
        if self.on_listening:
            self.on_listening()


class Supervisor(Multiprocess):
    """Uvicorn's; at the end its own copy of the socket closes first, so that nobody waits where no worker answers.

    Attributes
    ----------
    on_listening : called once the first worker takes connections
    renewed_application : gives at SIGHUP what workers run that start later, None where that stays as it was; without
        it SIGHUP renews all workers, as uvicorn does
    """

    on_listening: Callable[[], None] | None = None
    renewed_application: Callable[[], Callable[[], Any] | None] | None = None
    _is_interrupted = False

    def run(self) -> None:
        """Run until a signal; Ctrl-C is then raised, as uvicorn's `Server` raises it."""
        super().run()
        if self._is_interrupted:
            raise KeyboardInterrupt

    def handle_int(self) -> None:
        """Note that it was Ctrl-C."""
        self._is_interrupted = True
        super().handle_int()

    def keep_subprocess_alive(self) -> None:
        """Replace who died; workers hold their ends of the pipes alone, so that a death is seen, not waited for."""
        for process in self.processes:
            process.child_conn.close()
        before = [*self.processes]
        super().keep_subprocess_alive()
        for old, new in zip(before, self.processes, strict=True):
            if old is not new:
                _log.warning("a worker died, another one starts", extra={"worker": old.pid, "exit": old.exitcode})
        if self.on_listening and any(process.is_ready() for process in self.processes):
            self.on_listening()
            self.on_listening = None

    def handle_hup(self) -> None:
        """Let workers take what changed; one that only starts dies of the signal, and is replaced."""
        if self.renewed_application is None:
            super().handle_hup()
        elif application := self.renewed_application():
            self.config.app = application
            for process in self.processes:
                if process.exitcode is None and process.pid:  # else it is about to be replaced
                    os.kill(process.pid, signal.SIGHUP)

    def terminate_all(self) -> None:
        """Let workers finish and end; one that starts has nothing to finish, but would hold the socket until it has."""
        for listener in self.sockets:
            listener.close()
        for process in self.processes:
            if process.ping(timeout=1) and not process.is_ready():
                process.kill()
        super().terminate_all()
