"""Parts of recordings, in one pass: those of one recording that follow each other are read as one goes on.

A talk of two hours with a thousand parts is opened and decoded once, not a thousand times. What was read last of it
is kept for some time, so that parts may overlap, or be asked for by several threads in about their order. A part that
begins before that is read by opening the recording anew; `by_start` and `in_order` are for lists in another order.
"""

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from earnest.audio.deadline import check_deadline, current_deadline
from earnest.audio.io import (
    AudioStream,
    Frames,
    bounds_of,
    load_waveform,
    most_before_end,
    open_audio,
    open_frames,
    part_of,
)
from earnest.audio.sound_file import LONGEST_BLOCK_S
from earnest.audio.source import Part, Source, WholeSource, source_of, whole_and_channel
from earnest.audio.waveform import Waveform
from earnest.errors import AudioError

OpenFrames = Callable[[Source, float, float], AbstractContextManager[Frames]]
"""What opens a recording at a place, see `earnest.audio.io.open_frames`."""

HELD_S, HELD_VALUES = 120.0, 2**23  # what is kept of what was read last: 32 MB
MOST_OPEN = 2  # recordings that nobody reads just now
ROOM = 2  # times as much as a part may last is read in a pass: a last part without an end needs no other one
T = TypeVar("T")


class PartReader:
    """Opens parts of recordings for reading; several threads may."""

    def __init__(self, opens: OpenFrames = open_frames) -> None:
        self._opens, self._changed = opens, threading.Condition()
        self._idle: list[_Pass] = []
        self._busy: list[_Pass] = []
        self._n_keepers, self._n_in_need = 0, 0

    @contextmanager
    def open_audio(self, source: Source, max_seconds: float) -> Iterator[AudioStream]:
        """Open a recording or a part of one; the samples are those of `earnest.audio.io.open_audio`.

        A short part is read at once, so that its recording is free for other threads.
        """
        if not isinstance(source, Part) or isinstance(whole_and_channel(source)[0], tuple):
            with open_audio(source, max_seconds) as stream:
                yield stream
            return
        with ExitStack() as lent:
            one = lent.enter_context(self._lent(source, max_seconds))
            stream = part_of(one.frames_for(source), source, max_seconds)
            if one.holds(source):
                stream = replace(stream, blocks=iter(list(stream.blocks)))
                lent.close()
            else:
                self._lend_alone(one)
            yield stream

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep recordings open for further parts of them, until the block ends; else each part opens its own."""
        with self._changed:
            self._n_keepers += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_keepers -= 1
                is_last = not self._n_keepers
            if is_last:
                self._close_idle()

    @contextmanager
    def making_room(self) -> Iterator[None]:
        """Keep nothing open that is not being read, until the block ends: somebody needs what it takes."""
        with self._changed:
            self._n_in_need += 1
        try:
            self._close_idle()
            yield
        finally:
            with self._changed:
                self._n_in_need -= 1

    def _close_idle(self) -> None:
        with self._changed:
            idle, self._idle = self._idle, []
        for one in idle:
            one.close()

    @contextmanager
    def _lent(self, part: Part, max_seconds: float) -> Iterator["_Pass"]:
        one = self._taken(part, max_seconds)
        is_fit = False
        try:
            yield one
            is_fit = True
        except (AudioError, GeneratorExit):  # the last: nobody wants the rest of a part
            is_fit = current_deadline().left_s > 0  # else it was stopped amid the work
            raise
        finally:
            self._give_back(one, is_fit)

    def _taken(self, part: Part, max_seconds: float) -> "_Pass":
        """Return a recording that has not passed the part's start, an open one if there is any.

        One that another thread is reading is waited for: opening it once more would be to decode it once more.
        """
        recording = whole_and_channel(part)[0]
        with self._changed:
            while True:
                able = [one for one in self._idle if one.is_of(recording) and one.reaches(part, max_seconds)]
                if able:
                    self._idle.remove(able[-1])
                    self._busy.append(able[-1])
                    return able[-1]
                if not any(one.is_of(recording) for one in self._busy):
                    most_s = most_before_end(part, ROOM * max_seconds)
                    fresh = _Pass(recording, self._opens, part.start_s, most_s)
                    self._busy.append(fresh)
                    return fresh
                left_s = current_deadline().left_s
                self._changed.wait(None if math.isinf(left_s) else left_s)
                check_deadline()

    def _lend_alone(self, one: "_Pass") -> None:
        """Have nobody wait for a recording of which a long part is read."""
        with self._changed:
            self._busy.remove(one)
            self._changed.notify_all()

    def _give_back(self, one: "_Pass", is_fit: bool) -> None:
        with self._changed:
            if one in self._busy:
                self._busy.remove(one)
            dropped = [one]
            if is_fit and one.is_useful and self._n_keepers and not self._n_in_need:
                self._idle.append(one)
                dropped, self._idle = self._idle[:-MOST_OPEN], self._idle[-MOST_OPEN:]
            self._changed.notify_all()
        for old in dropped:
            old.close()


def by_start(sources: Iterable[T]) -> Iterator[tuple[int, T]]:
    """Number sources, and yield parts of one recording that follow each other by their starts, all else in order."""
    for recording, run in groupby(enumerate(sources), lambda numbered: _recording_of(numbered[1])):
        if recording is None:
            yield from run
        else:
            yield from sorted(run, key=lambda numbered: _start_of(numbered[1]))


def in_order(numbered: Iterable[tuple[int, T]]) -> Iterator[T]:
    """Yield what was made of each source in the order of the numbers of `by_start`, each as soon as it can be."""
    waiting, following = dict[int, T](), 0
    for number, item in numbered:
        waiting[number] = item
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _recording_of(source: object) -> Hashable:
    """Return what two parts of the same recording have in common; None for what is no part of one."""
    if isinstance(source, Part):
        with suppress(AudioError):
            whole = whole_and_channel(source)[0]
            return os.fspath(whole) if isinstance(whole, str | os.PathLike) else id(whole)
    return None


def _start_of(source: object) -> float:
    return source.start_s if isinstance(source, Part) else 0.0


def load_waveforms(sources: Iterable[Source], sample_rate_hz: int) -> Iterator[Waveform]:
    """Decode recordings and parts in turn, and resample them; see `earnest.audio.io.load_waveform`."""
    parts = PartReader()
    with parts.kept_open():
        for source in sources:
            yield load_waveform(source, sample_rate_hz, opener=parts.open_audio)


class _Pass:
    """A recording that is read on and on, from one place, and what was read of it last."""

    def __init__(self, recording: WholeSource, opens: OpenFrames, from_s: float, most_s: float) -> None:
        self._recording, self._opens, self._from_s, self._most_s = recording, opens, from_s, most_s
        self._stack = ExitStack()
        self._frames: Frames | None = None  # until it has been opened
        self._held: deque[npt.NDArray[np.float32]] = deque()
        self._start, self._n_held, self._most_held = 0, 0, 0
        self._error: tuple[type[AudioError], str] | None = None  # not itself: it would keep what it came through

    def is_of(self, recording: WholeSource) -> bool:
        """Whether this is that recording: a file of that path, else the same object."""
        if isinstance(recording, str | os.PathLike) and isinstance(self._recording, str | os.PathLike):
            return os.fspath(recording) == os.fspath(self._recording)
        return recording is self._recording

    def reaches(self, part: Part, max_seconds: float) -> bool:
        """Whether a part is ahead, or among what is held, and not too far ahead for what may be read."""
        if self._frames is None:
            return False
        end_s = part.start_s + max_seconds if part.end_s is None else part.end_s
        is_ahead = bounds_of(part, self._frames.sample_rate_hz)[0] >= self._start
        return is_ahead and end_s + LONGEST_BLOCK_S <= self._most_s

    def holds(self, part: Part) -> bool:
        """Whether all of a part can be held at once."""
        assert self._frames is not None
        first, last = bounds_of(part, self._frames.sample_rate_hz)
        return last - first <= self._most_held

    @property
    def is_useful(self) -> bool:
        """Whether it can give more; what is damaged further on is opened anew only where that leads past the damage."""
        return self._frames is not None and not (self._error and self._frames.is_exact)

    def frames_for(self, part: Part) -> Frames:
        """Return what is held, and what follows it, for one part."""
        if self._frames is None:
            recording = source_of(self._recording)
            self._frames = self._stack.enter_context(self._opens(recording, self._most_s, self._from_s))
            self._start = self._frames.first
            most_values = min(HELD_S * self._frames.sample_rate_hz * self._frames.n_channels, HELD_VALUES)
            self._most_held = int(most_values) // self._frames.n_channels
        return replace(self._frames, blocks=self._blocks(), first=self._start)

    def _blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        assert self._frames is not None
        yield from tuple(self._held)
        while (block := self._next(self._frames)) is not None:
            yield block

    def _next(self, frames: Frames) -> npt.NDArray[np.float32] | None:
        """Read the next block, hold it, and forget what is too old."""
        if self._error:
            kind, told = self._error
            raise kind(told)
        try:
            block = next(frames.blocks, None)
        except AudioError as error:
            self._error = type(error), str(error)
            raise
        if block is not None:
            self._held.append(block)
            self._n_held += len(block)
            while self._n_held - len(self._held[0]) >= self._most_held:
                old = self._held.popleft()
                self._start, self._n_held = self._start + len(old), self._n_held - len(old)
        return block

    def close(self) -> None:
        """Close the recording."""
        self._stack.close()
