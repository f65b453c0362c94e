"""Decoders: this process, or child processes that have nothing to lose.

What strangers sent is decoded in these: a recording that kills one costs its own answer and no other. A child has no
files, no network and little memory (`earnest.audio.confinement`). It gets a recording as an open descriptor and gives
samples back, block by block: mono, or all channels of one whose parts are read. While nobody takes them it waits. It is
used again many times.
"""

import logging
import math
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import numpy as np

from earnest.audio.deadline import Deadline, check_deadline, current_deadline
from earnest.audio.io import MAX_SECONDS, AudioStream, Frames, check_form, checked
from earnest.audio.parts import PartReader
from earnest.audio.source import Channel, Part, Source, opened, source_name, whole_and_channel
from earnest.errors import (
    AudioError,
    DecoderDiedError,
    EarnestError,
    RecordingTooLongError,
    TooLateError,
    counted,
    printable,
)
from earnest.runtime.decoder_child import Kind
from earnest.runtime.decoder_process import START_S, DecoderProcess
from earnest.runtime.picture import MAX_PIXELS, Picture, picture_of, read_picture
from earnest.settings.limits import require_seconds

_log = logging.getLogger(__name__)


class Decoders(Protocol):
    """Opens recordings and pictures; see `InProcess` and `DecoderPool`."""

    def open_audio(self, source: Source, max_seconds: float) -> AbstractContextManager[AudioStream]:
        """Open a recording for reading block by block; see `earnest.audio.io.open_audio`."""

    def kept_open(self) -> AbstractContextManager[None]:
        """Keep recordings open for further parts of them; see `earnest.audio.parts.PartReader`."""

    def read_picture(self, source: Source) -> Picture:
        """Read a spectrogram; see `earnest.runtime.picture.read_picture`."""

    def close(self) -> None:
        """End the processes, if there are any."""


class InProcess:
    """Decodes in the thread that asks."""

    def __init__(self) -> None:
        self._parts = PartReader()

    def open_audio(self, source: Source, max_seconds: float) -> AbstractContextManager[AudioStream]:
        """See `Decoders`."""
        return self._parts.open_audio(source, max_seconds)

    def kept_open(self) -> AbstractContextManager[None]:
        """See `Decoders`."""
        return self._parts.kept_open()

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
    if_too_long : what else to do about longer ones, a sentence
    """

    max_seconds: float = MAX_SECONDS
    decoders: Decoders = field(default_factory=InProcess)
    file_s: float = math.inf
    if_too_long: str = ""

    def __post_init__(self) -> None:
        require_seconds(max_seconds=self.max_seconds, file_s=self.file_s)

    @contextmanager
    def open_audio(self, source: Source) -> Iterator[AudioStream]:
        """Open a recording; see `Decoders`."""
        try:
            with self.decoders.open_audio(source, self.max_seconds) as audio:
                yield audio
        except RecordingTooLongError as error:
            error.args = (f"{error} {self.if_too_long}".rstrip(),)  # another one would keep both, and the sound
            raise

    def deadline(self, source: Source) -> Deadline:
        """Start the clock for one recording; its error is one of the recording's own."""
        told = f"{source_name(source)}: not read within {self.file_s:g} s. Leave it out, or allow more time."
        return Deadline(self.file_s, told, AudioError)


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
        self._idle: list[DecoderProcess] = []
        self._busy: set[DecoderProcess] = set()
        self._is_closed = False
        self._parts = PartReader(self._open_frames)
        try:
            self._idle = self._starter.submit(lambda: [DecoderProcess() for _ in range(self._size)]).result()
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
        name, (whole, channel) = source_name(source), whole_and_channel(source)
        # An array is nothing to decode, so it needs no child.
        if isinstance(source, Part) or isinstance(whole, tuple):
            with self._parts.open_audio(source, max_seconds) as stream:
                yield stream
            return
        with self._begun(whole, name, max_seconds=max_seconds, from_s=None, channel=channel) as (child, values):
            # Form and samples are checked again on this side, for a recording may have taken the child over. The length
            # that a header promises is the child's to compare, so none is given here.
            form = _form(name, values)
            blocks = checked(child.blocks(), name, form[1], max_seconds)
            yield AudioStream(*form, blocks, lambda: child.notes)

    @contextmanager
    def _open_frames(self, source: Source, max_seconds: float, from_s: float) -> Iterator[Frames]:
        """Open a recording for its parts, see `earnest.audio.io.open_frames`; samples are checked part by part."""
        name, (whole, _) = source_name(source), whole_and_channel(source)
        assert not isinstance(whole, tuple)
        with self._begun(whole, name, max_seconds=max_seconds, from_s=from_s, channel=None) as (child, values):
            form = _form(name, values)
            first = min(max(_whole(values, "first"), 0), round(from_s * form[1]))
            has = (values.get("is_exact") is True, values.get("has_other_tracks") is True)
            yield Frames(*form, child.frames(form[2]), first, *has)

    @contextmanager
    def _begun(
        self, whole: str | os.PathLike[str] | bytes | BinaryIO, name: str, **job: Any
    ) -> Iterator[tuple[DecoderProcess, dict[str, Any]]]:
        """Have a child open a recording; give it, and what it says of the recording."""
        with opened(whole, name) as file, self._child() as child:
            child.begin(file, name=name, picture=False, **job)
            yield child, child.values(Kind.OPENED)

    def kept_open(self) -> AbstractContextManager[None]:
        """See `Decoders`."""
        return self._parts.kept_open()

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
    def _child(self) -> Iterator[DecoderProcess]:
        """Lend a child; one that is not fit to work again is replaced."""
        left_s = current_deadline().left_s
        if not self._turns.acquire(blocking=False):
            with self._parts.making_room():
                has_turn = self._turns.acquire(timeout=None if math.isinf(left_s) else left_s)
            if not has_turn:
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

    def _taken(self) -> DecoderProcess:
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
                found = self._starter.submit(DecoderProcess).result()
            except RuntimeError:  # it takes no more work
                raise EarnestError("The decoders are closed.") from None
            with self._lock:
                self._busy.add(found)
        if dead:
            self._replace()
        return found

    def _give_back(self, child: DecoderProcess) -> None:
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
        fresh = DecoderProcess()
        with self._lock:
            is_kept = self._has_room()
            if is_kept:
                self._idle.insert(0, fresh)  # the far end: `_taken` pops the last one, which is warm
        if not is_kept:
            fresh.kill()


def _whole(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) else 0  # which no recording has


def _form(name: str, values: Mapping[str, Any]) -> tuple[str, int, int, str]:
    """Return name, rate, channels and encoding of a recording that a child has opened."""
    rate_hz, n_channels = _whole(values, "sample_rate_hz"), _whole(values, "n_channels")
    check_form(name, rate_hz, n_channels)
    return name, rate_hz, n_channels, printable(str(values.get("encoding")))[:100]


def _is_shape(shape: list[Any]) -> bool:
    return len(shape) == 2 and all(isinstance(size, int) and 0 < size <= MAX_PIXELS for size in shape)
