"""A decoder process, seen from the process that uses it: its start, its jobs, what it says, its end."""

import errno
import json
import logging
import math
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from earnest.audio.deadline import Deadline, check_deadline, current_deadline, until
from earnest.audio.io import NOTES
from earnest.audio.waveform import Waveform
from earnest.errors import DecoderDiedError, EarnestError
from earnest.runtime.decoder_child import LENGTH, STOP, Kind, WireError, error_of, read_message, values_of

T = TypeVar("T")
_log = logging.getLogger(__name__)

START_S = 60.0  # on a busy machine
MOST_JOBS = 1_000
MOST_GROWN_BYTES, LOOK_EVERY = 96 * 2**20, 10  # jobs
NOTHING_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC)  # for this process
STOP_S, LATE_STOP_S = 1.0, 0.25  # for a job that nobody wants to go on, where the time is over too
CPU_S, CPU_SHARE = 30.0, 0.1  # computing, and for each second of the longest recording: a tenth of it
_MOST_WAIT_S = 1e9
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT", "TMPDIR")
# Modules are looked for where we do, but Python's own at its start as ever: a script's folder may hold a types.py.
_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from earnest.runtime.decoder_child import main; main()"


class DecoderProcess:
    """One process, and what it is about.

    Attributes
    ----------
    is_alive : whether it was not ended by us
    notes : of the recording that it decoded to its end, see `earnest.audio.io.AudioStream`
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        # For the starter's thread, and for the processes that it starts, which inherit it: we decide when they end.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, str(os.getpid()), *_import_paths()],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                cwd="/",
            )
        self._socket, self._link = ours, _Link(ours)
        self._words: tuple[str, ...] | None = None
        self._first_bytes, self._since_s = 0, time.monotonic()
        self._name, self._n_jobs, self._works, self.is_alive = "", 0, False, True
        self._is_between = True  # messages: no part of one was read
        self.notes: tuple[str, ...] = ()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    @property
    def has_started(self) -> bool:
        """Whether it has said that it can work."""
        return self._words is not None

    def words(self) -> tuple[str, ...]:
        """Wait until it can work; return what confines it. It goes on starting for the next one when time is over."""
        if self._words is None:
            while not self._has_message():
                check_deadline()
            self._works = True
            kind, payload = self._message()
            words = values_of(payload).get("confined") if kind is Kind.READY else None
            if not isinstance(words, list):
                raise self._died(WireError("it did not start"))
            self._words = tuple(map(str, words))
            self._works, self._first_bytes = False, _resident_bytes(self.pid)
        return self._words

    def begin(self, file: BinaryIO, **job: Any) -> None:
        """Hand over a job with its file."""
        self._name = job["name"]
        # A fresh child is waited for here, so that starting one blocks nobody.
        self.words()
        self._works, self.notes = True, ()
        self._n_jobs += 1
        data = json.dumps({**job, "cpu_s": CPU_S + CPU_SHARE * job["max_seconds"]}).encode()
        try:
            # One message: with its first four bytes, the length, the child gets the descriptor too.
            with _descriptor(file) as number:
                socket.send_fds(self._socket, [LENGTH.pack(len(data)) + data], [number])
        except OSError as error:
            if error.errno in NOTHING_LEFT:  # which is no fault of the recording, nor of the child
                self._works = False
                raise EarnestError(f"The system gives no more files or memory ({error.strerror}).") from error
            raise self._died(error) from error

    def blocks(self) -> Iterator[Waveform]:
        """Yield the samples of a job as they come, until it is over."""
        while True:
            kind, payload = self._message()
            if kind is Kind.DONE:
                told = self._understood(values_of, payload).get("notes")
                self.notes = tuple(word for word in NOTES if isinstance(told, list) and word in told)
                return
            if kind is not Kind.BLOCK or len(payload) % 4:
                raise self._died(WireError("it sent no valid sound"))
            yield np.frombuffer(payload, "<f4")

    def frames(self, n_channels: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the samples of a job of several channels, shape (frames, channels)."""
        for block in self.blocks():
            if len(block) % n_channels:
                raise self._died(WireError("it sent no valid sound"))
            yield block.reshape(-1, n_channels)

    def values(self, expected: Kind) -> dict[str, Any]:
        """Return the values of the next message."""
        return self._understood(values_of, self.payload(expected))

    def payload(self, expected: Kind) -> bytes:
        """Return the next message, which must be of this kind."""
        kind, payload = self._message()
        if kind is not expected:
            raise self._died(WireError("it sent an unexpected message"))
        return payload

    def _understood(self, read: Callable[[bytes], T], payload: bytes) -> T:
        try:
            return read(payload)
        except WireError as error:
            raise self._died(error) from error

    def is_fit(self) -> bool:
        """Whether it can be used again; a job that goes on is stopped first."""
        if not self.is_alive:
            return False
        if not self.has_started and not self._works:
            return time.monotonic() - self._since_s < START_S
        if self._works and not self._is_stopped():
            return False
        # Not after every job: the answer is a file in /proc.
        if self._n_jobs % LOOK_EVERY == 0 and _resident_bytes(self.pid) - self._first_bytes > MOST_GROWN_BYTES:
            return False
        return self._n_jobs < MOST_JOBS and self.is_running()

    def end(self) -> None:
        """End the process, while another thread may be reading what it says."""
        self._process.kill()

    def kill(self) -> None:
        """End the process, and forget it."""
        if self.is_alive:
            self.is_alive = False
            self._process.kill()
            self._process.wait()
            self._socket.close()

    def _has_message(self) -> bool:
        """Wait for something to read, as long as the deadline allows; the end of the process is that too."""
        left_s = current_deadline().left_s
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(None if math.isinf(left_s) else math.ceil(1e3 * left_s)))

    def _is_stopped(self) -> bool:
        """Ask it to stop, and hear it out: that takes less than the start of another one."""
        if self._words is None or not self._is_between:
            return False
        patience_s = max(min(current_deadline().left_s, STOP_S), LATE_STOP_S)
        # Where the time is over, as where the client has left, this has a little of its own.
        with suppress(EarnestError, OSError), until(Deadline(patience_s)):
            self._socket.sendall(STOP)
            # What it sent before it heard of the wish lies in the socket, and would be taken for the next job's.
            while self._works:
                self._message()
        return not self._works and self.is_alive

    def _message(self) -> tuple[Kind, bytes]:
        """Return the next message; an error is raised, and so is the deadline's."""
        check_deadline()  # before any of it is read, so that the process can be stopped instead of ended
        self._link.wait_for(current_deadline().left_s)
        self._is_between = False
        try:
            kind, payload = read_message(self._link)
            self._is_between = True
        except BlockingIOError:  # nothing came in time
            self.kill()
            check_deadline()
            raise self._died(WireError("it takes too long")) from None
        except (WireError, OSError) as error:
            raise self._died(error) from error
        if kind in (Kind.DONE, Kind.ERROR):
            self._works = False
        if kind is Kind.ERROR:
            # In no variable: it would keep this frame, and with it the recording.
            raise self._understood(error_of, payload)
        return kind, payload

    def _died(self, error: Exception) -> DecoderDiedError:
        """Make sure that it is dead, and return what to tell."""
        code = self._process.returncode
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(0.5)  # it may be about to end by itself, which says why
        self.kill()
        why = _why(code, str(error))
        _log.warning("A decoder process died: %s.", why)
        if not self.has_started:
            return DecoderDiedError(f"A decoder process ended as it started ({why}).")
        return DecoderDiedError(f"{self._name}: ended the process that decoded it ({why}). Convert it to WAV or FLAC.")


class _Link:
    """Reads whole messages from a socket: one call of the system each, however many pieces they come in."""

    def __init__(self, link: socket.socket) -> None:
        self._socket, self._wait_s = link, math.inf

    def wait_for(self, seconds: float) -> None:
        """Wait so long at most for what `read` wants."""
        if not (math.isinf(seconds) and math.isinf(self._wait_s)):
            # A struct timeval: seconds and microseconds. Zero means for ever, so what is over waits for a millisecond.
            at_most = 0 if math.isinf(seconds) else max(round(min(seconds, _MOST_WAIT_S) * 1e6), 1_000)
            whole, part = divmod(at_most, 1_000_000)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", whole, part))
        self._wait_s = seconds

    def read(self, n_bytes: int) -> bytes:
        """Return so many bytes, or fewer where the other side has ended.

        Raises `BlockingIOError` when they don't come in time.
        """
        data = self._socket.recv(n_bytes, socket.MSG_WAITALL) if n_bytes else b""
        while 0 < len(data) < n_bytes:  # a signal came between, or the time is over
            check_deadline()
            more = self._socket.recv(n_bytes - len(data), socket.MSG_WAITALL)
            if not more:
                break
            data += more
        return data


def _why(code: int | None, error: str) -> str:
    if code is None or code >= 0:  # of None we have ended it
        return error
    known = {signal.SIGXCPU: "too much to compute", signal.SIGKILL: "killed"}
    try:
        return known.get(signal.Signals(-code), signal.Signals(-code).name)
    except ValueError:
        return error


def _environment() -> Mapping[str, str]:
    """Return the environment of a child, without secrets."""
    # Each thread and each arena of malloc reserves addresses, which `confine` counts as memory.
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, **threads}


def _import_paths() -> list[str]:
    """Return where this process looks for modules, without the folder that it stands in; in Python's own places first.

    A folder of scripts may have joined them after this process had Python's own modules, and hold one of that name.
    """
    paths = [path for path in sys.path if path and isinstance(path, str)]  # what is no text, Python leaves out too
    library = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    library |= {str(Path(path, "lib-dynload")) for path in library}
    return sorted(paths, key=lambda path: path not in library)


@contextmanager
def _descriptor(file: BinaryIO) -> Iterator[int]:
    """Give a descriptor of the file's bytes, at their start."""
    if not isinstance(file, BytesIO):
        # The child shares the open file and its position with this process.
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        yield file.fileno()
        return
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile(buffering=0) as copy:
            _write(copy.fileno(), file)
            yield copy.fileno()
        return
    number = os.memfd_create("recording")
    try:
        _write(number, file)
        yield number
    finally:
        os.close(number)


def _write(number: int, file: BytesIO) -> None:
    left = file.getbuffer()
    while left:
        left = left[os.write(number, left) :]
    os.lseek(number, 0, os.SEEK_SET)


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
