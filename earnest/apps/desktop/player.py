"""What is heard: a recording, or a stretch of it, through the sound card."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from earnest.apps.desktop.background import Background
from earnest.apps.desktop.samples import RATE_HZ, Samples
from earnest.apps.desktop.texts import tr
from earnest.audio.feed import portaudio
from earnest.errors import AudioError

SEEN_MS = 30
Opener = Callable[..., Any]


class Player(QObject):
    """Plays one stretch at a time.

    Signals
    -------
    moved : seconds in the recording, some thirty times a second
    state_changed : whether it plays
    failed : why it can't
    """

    moved = Signal(float)
    state_changed = Signal(bool)
    failed = Signal(str)

    def __init__(self, background: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = background
        self._stream: Any = None
        self._turn = 0
        self._head = _Head()
        self._timer = QTimer(self, interval=SEEN_MS)
        self._timer.timeout.connect(self._look)

    @property
    def is_playing(self) -> bool:
        """Whether it plays, or begins to."""
        return self._timer.isActive()

    def play(self, samples: Samples, start_s: float, end_s: float, loop: bool = False) -> None:
        """Play from one second to another, with ``loop`` until it is stopped."""
        self.stop()
        first, last = (min(max(round(seconds * RATE_HZ), 0), len(samples.values)) for seconds in (start_s, end_s))
        if last <= first:
            return
        self._head = head = _Head(samples, first, last, loop)
        self._turn += 1
        turn = self._turn
        self._timer.start()
        self.state_changed.emit(True)

        def opened(stream: Any) -> None:
            if turn == self._turn and self.is_playing:
                self._stream = stream
            else:  # stopped before the sound card was ready
                self._background.run(stream.close, lambda _: None)

        def refused(why: str) -> None:
            if turn == self._turn:
                self.stop()
                self.failed.emit(why)

        self._background.run(lambda: _started(head), opened, refused)

    def stop(self) -> None:
        """Be silent."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._background.run(stream.close, lambda _: None)
        if self._timer.isActive():
            self._timer.stop()
            self.state_changed.emit(False)

    def set_loop(self, loop: bool) -> None:
        """Begin anew at the end, or don't, from now on."""
        self._head.loop = loop

    def _look(self) -> None:
        self.moved.emit(self._head.position / RATE_HZ)
        if self._head.ended.is_set():
            self.stop()


class _Head:
    """What PortAudio's thread asks for sound."""

    def __init__(self, samples: Samples | None = None, first: int = 0, last: int = 0, loop: bool = False) -> None:
        self._samples, self._first, self._last = samples, first, last
        self.position, self.loop, self.ended = first, loop, threading.Event()

    def fill(self, data: Any, n_frames: int, _time: Any, _status: Any) -> None:
        """Write the next samples to ``data``, shape (frames, 1), int16; silence at the end."""
        assert self._samples is not None
        done = 0
        while done < n_frames:
            if self.position >= self._last:
                if not self.loop:
                    data[done:] = np.zeros((n_frames - done, 1), np.int16)
                    self.ended.set()
                    return
                self.position = self._first
            part = self._samples.values[self.position : min(self._last, self.position + n_frames - done)]
            data[done : done + len(part), 0] = part
            done += len(part)
            self.position += len(part)


def _started(head: _Head) -> Any:
    sounddevice = portaudio(tr("Playing"), "desktop")
    try:
        stream = sounddevice.OutputStream(samplerate=RATE_HZ, channels=1, dtype="int16", callback=head.fill)
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        why = str(error).strip().splitlines()[0]
        raise AudioError(
            tr("Nothing can be played: no loudspeaker that works was found ({why}).").format(why=why)
        ) from error
    return stream
