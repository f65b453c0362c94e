"""Decoders: this process, or child processes that have nothing to lose.

What strangers sent is decoded in these: a recording that kills one costs its own answer and no other. A child has no
files, no network and little memory (`earnest.audio.confinement`). It gets a recording as an open descriptor and gives
mono samples back, block by block; while nobody takes them it waits. It is used again many times.
"""

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
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np

from earnest.audio.deadline import Deadline, check_deadline, current_deadline, until
from earnest.audio.io import MAX_SECONDS, NOTES, AudioStream, check_form, checked, cut, most_before_end, open_audio
from earnest.audio.source import Channel, Part, Source, opened, source_name, source_of, whole_and_channel
from earnest.audio.waveform import Waveform
from earnest.errors import AudioError, DecoderDiedError, EarnestError, TooLateError, counted, printable
from earnest.runtime.decoder_child import LENGTH, STOP, Kind, WireError, error_of, read_message, values_of
from earnest.runtime.picture import MAX_PIXELS, Picture, picture_of, read_picture
from earnest.settings.limits import require_seconds

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Decoders(Protocol):
    """Opens recordings and pictures; see `InProcess` and `DecoderPool`."""

    def open_audio(self, source: Source, max_seconds: float) -> AbstractContextManager[AudioStream]:
        """Open a recording for reading block by block; see `earnest.audio.io.open_audio`."""

    def read_picture(self, source: Source) -> Picture:
        """Read a spectrogram; see `earnest.runtime.picture.read_picture`."""

    def close(self) -> None:
        """End the processes, if there are any."""


class InProcess:
    """Decodes in the thread that asks."""

    def open_audio(self, source: Source, max_seconds: float) -> AbstractContextManager[AudioStream]:
        """See `Decoders`."""
        return open_audio(source, max_seconds)

    def read_picture(self, source: Source) -> Picture:
        """See `Decoders`."""
        return read_picture(source)

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Reading:
    """Settings of reading recordings.

    Attributes
    ----------
    max_seconds : longer ones are refused
    file_s : seconds in which one must be decoded and cut into windows, a long one answered; infinity for no bound
    """

    max_seconds: float = MAX_SECONDS
    decoders: Decoders = field(default_factory=InProcess)
    file_s: float = math.inf

    def __post_init__(self) -> None:
        require_seconds(max_seconds=self.max_seconds, file_s=self.file_s)

    def open_audio(self, source: Source) -> AbstractContextManager[AudioStream]:
        """Open a recording; see `Decoders`."""
        return self.decoders.open_audio(source, self.max_seconds)

    def deadline(self, source: Source) -> Deadline:
        """Start the clock for one recording; its error is one of the recording's own."""
        told = f"{source_name(source)}: not read within {self.file_s:g} s. Leave it out, or allow more time."
        return Deadline(self.file_s, told, AudioError)


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


def start_decoders(size: int, spares: int = 0) -> Decoders:
    """Start child processes; where the system can't, this process decodes, and a line in the log says so."""
    try:
        pool = DecoderPool(size, spares)
        words = pool.confinement()
    except (EarnestError, OSError, AttributeError) as error:  # no sockets that carry descriptors: Windows
        _log.warning("Recordings are decoded in this process: no decoder process starts (%s).", error)
        return InProcess()
    of_own, by = f"{counted(size, 'process')} of {'its' if size == 1 else 'their'} own", ", ".join(words) or "nothing"
    _log.info("Recordings are decoded in %s, confined by %s.", of_own, by)
    return pool


class DecoderPool:
    """At most ``size`` children that work, each on one job at a time; all are started at once.

    Parameters
    ----------
    spares : children that wait besides: so nobody waits for the start of one in place of a child that died
    """

    def __init__(self, size: int, spares: int = 0) -> None:
        self._size, self._lock, self._turns = size + spares, threading.Lock(), threading.Semaphore(size)
        # A child dies with the thread that started it, so that is one that lives as long as the pool.
        self._starter = ThreadPoolExecutor(1, "earnest-decoders")
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._is_closed = False
        try:
            self._idle = self._starter.submit(lambda: [_Child() for _ in range(self._size)]).result()
        except BaseException:
            self._starter.shutdown()
            raise

    def __enter__(self) -> "DecoderPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def confinement(self) -> tuple[str, ...]:
        """Wait for the first child; return what confines it, see `earnest.audio.confinement.confine`.

        Raises `EarnestError` when it doesn't start; the pool is closed then.
        """
        try:
            with Deadline(START_S, "it takes too long"), self._child() as child:
                return child.words()
        except EarnestError:
            self.close()
            raise

    def pids(self) -> list[int]:
        """Return the numbers of all processes; those that work stand last."""
        with self._lock:
            return [child.pid for child in (*self._idle, *self._busy)]

    def close(self) -> None:
        """End all; who works is ended too."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            for child in self._busy:
                child.end()  # whoever waits for it is told
        # Outside the lock, as waiting for a process to end takes time. A replacement that is just starting finds the
        # pool closed, and is ended by `_replace`.
        for child in idle:
            child.kill()
        self._starter.shutdown(wait=True)

    @contextmanager
    def open_audio(self, source: Source, max_seconds: float = MAX_SECONDS) -> Iterator[AudioStream]:
        """Open a recording for reading block by block; the samples are those of `earnest.audio.io.open_audio`.

        Raises `DecoderDiedError` when the recording ended the process that decoded it.
        """
        if isinstance(source, Part):
            most_s = most_before_end(source, max_seconds)
            with self._opened(source_of(source.source), most_s, source.end_s, is_part=True) as stream:
                yield cut(stream, source, max_seconds)
            return
        with self._opened(source, max_seconds) as stream:
            yield stream

    @contextmanager
    def _opened(
        self, source: Source, max_seconds: float, until_s: float | None = None, is_part: bool = False
    ) -> Iterator[AudioStream]:
        name, (whole, channel) = source_name(source), whole_and_channel(source)
        # An array is nothing to decode, so it needs no child.
        if isinstance(whole, tuple):
            with open_audio(source, max_seconds, is_part=is_part) as stream:
                yield stream
            return
        with opened(whole, name) as file, self._child() as child:
            limits = {"max_seconds": max_seconds, "until_s": until_s, "is_part": is_part}
            child.begin(file, name=name, picture=False, channel=channel, **limits)
            values = child.values(Kind.OPENED)
            rate_hz, n_channels = _whole(values, "sample_rate_hz"), _whole(values, "n_channels")
            check_form(name, rate_hz, n_channels)
            # Form and samples are checked again on this side, for a recording may have taken the child over. The length
            # that a header promises is the child's to compare, so none is given here.
            blocks = checked(child.blocks(), name, rate_hz, max_seconds, None)
            encoding = printable(str(values.get("encoding")))[:100]
            yield AudioStream(name, rate_hz, n_channels, encoding, blocks, lambda: child.notes)

    def read_picture(self, source: Source) -> Picture:
        """Read a spectrogram; see `earnest.runtime.picture.read_picture`."""
        assert not isinstance(source, tuple | Channel | Part)
        name = source_name(source)
        with opened(source, name) as file, self._child() as child:
            child.begin(file, name=name, picture=True, max_seconds=0.0)
            values, greys = child.values(Kind.PICTURE), child.payload(Kind.GREYS)
            child.payload(Kind.DONE)  # heard to its end, so that the child is free again
        shape = values.get("shape")
        # Two bytes a pixel.
        if not isinstance(shape, list) or not _is_shape(shape) or 2 * math.prod(shape) != len(greys):
            raise DecoderDiedError(f"{name}: its decoder process sent no valid picture. Make the picture again.")
        return picture_of(np.frombuffer(greys, "<u2").reshape(shape), str(values.get("text")), name)

    @contextmanager
    def _child(self) -> Iterator["_Child"]:
        """Lend a child; one that is not fit to work again is replaced."""
        left_s = current_deadline().left_s
        if not self._turns.acquire(timeout=None if math.isinf(left_s) else left_s):
            check_deadline()
            raise TooLateError("No decoder process was free.")
        try:
            child = self._taken()
            try:
                yield child
            finally:
                self._give_back(child)
        finally:
            self._turns.release()

    def _taken(self) -> "_Child":
        """Return a child that waits, or a new one; the lock is not held while that starts."""
        with self._lock:
            dead = [child for child in self._idle if not child.is_running()]
            self._idle = [child for child in self._idle if child not in dead]
            found = self._idle.pop() if self._idle else None
            if found is not None:
                self._busy.add(found)
        for one in dead:
            one.kill()
        if found is None:
            try:
                # In the starter's thread: a child dies with the thread that started it.
                found = self._starter.submit(_Child).result()
            except RuntimeError:  # it takes no more work
                raise EarnestError("The decoders are closed.") from None
            with self._lock:
                self._busy.add(found)
        if dead:
            self._replace()
        return found

    def _give_back(self, child: "_Child") -> None:
        # Asked outside the lock: a job that goes on is stopped first, which may take `STOP_S`.
        is_fit = False
        try:
            is_fit = child.is_fit()
        finally:
            with self._lock:
                self._busy.discard(child)
                is_kept = is_fit and self._has_room()
                if is_kept:
                    self._idle.insert(len(self._idle) if child.has_started else 0, child)  # `_taken` pops the last
            if not is_kept:
                child.kill()
                self._replace()

    def _has_room(self) -> bool:
        return not self._is_closed and len(self._busy) + len(self._idle) < self._size

    def _replace(self) -> None:
        """Start those that are missing, for which nobody waits."""
        with self._lock:
            n_missing = self._size - len(self._busy) - len(self._idle)
        for _ in range(n_missing):
            with suppress(RuntimeError):  # the pool was closed meanwhile
                self._starter.submit(self._start_one)

    def _start_one(self) -> None:
        """Start another one, unless that has been done meanwhile."""
        with self._lock:
            if not self._has_room():
                return
        fresh = _Child()
        with self._lock:
            is_kept = self._has_room()
            if is_kept:
                self._idle.insert(0, fresh)  # the far end: `_taken` pops the last one, which is warm
        if not is_kept:
            fresh.kill()


class _Child:
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


def _whole(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) else 0  # which no recording has


def _is_shape(shape: list[Any]) -> bool:
    return len(shape) == 2 and all(isinstance(size, int) and 0 < size <= MAX_PIXELS for size in shape)
