"""A recording's samples, decoded once into a file without a name: to look at, and to play through the sound card."""

import tempfile
import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, QTimer, Signal

from earnest.apps.desktop.analysis import Background
from earnest.apps.desktop.texts import tr
from earnest.audio.deadline import check_deadline
from earnest.audio.feed import portaudio, sound_stream
from earnest.audio.io import open_audio, resampled
from earnest.audio.waveform import Waveform
from earnest.errors import AudioError
from earnest.runtime.predictor import TIMELINE_MAX_SECONDS

RATE_HZ = 16_000  # three hours are 346 MB of disk
BLOCK = 256  # samples of which the lowest and the highest are kept
COLUMNS, RAW = 1_600, 40_000
FRAMES, FRAME = 256, 512  # of the spectrogram that is looked at
FULL = 32_767.0
Floats = npt.NDArray[np.float32]
SEEN_MS = 30


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of one recording, to draw and to play.

    Attributes
    ----------
    values : shape (samples,), int16 at `RATE_HZ`; on disk, without a name
    low, high : extremes of each `BLOCK` samples, shape (blocks,), in [-1, 1]
    """

    path: str
    values: npt.NDArray[np.int16]
    low: Floats
    high: Floats

    @property
    def duration_s(self) -> float:
        """Seconds."""
        return len(self.values) / RATE_HZ

    @classmethod
    def read(cls, path: str) -> "Samples":
        """Decode a recording of up to two days; ends early where the current deadline passes.

        Raises `AudioError` when it can't be read; `OSError` when the disk that holds temporary files is full.
        """
        with tempfile.TemporaryFile(prefix="earnest-") as file, open_audio(path, TIMELINE_MAX_SECONDS) as audio:
            lows, highs, rest = [], [], np.empty(0, np.int16)
            for block in resampled(audio.blocks, audio.sample_rate_hz, RATE_HZ):
                check_deadline()
                values = np.round(np.clip(block, -1, 1) * FULL).astype(np.int16)
                file.write(values.tobytes())
                whole = np.concatenate([rest, values])
                n_whole = len(whole) // BLOCK * BLOCK
                blocks, rest = whole[:n_whole].reshape(-1, BLOCK), whole[n_whole:]
                lows.append(blocks.min(axis=1) / FULL)
                highs.append(blocks.max(axis=1) / FULL)
            file.flush()
            mapped = np.memmap(file, np.int16, "r")  # keeps the file when its name and handle are gone
        return cls(path, mapped, *(np.concatenate(parts).astype(np.float32) for parts in (lows, highs)))

    def part(self, start_s: float, end_s: float) -> Waveform:
        """Return the samples between two times, float32 in [-1, 1]."""
        first, last = (min(max(round(seconds * RATE_HZ), 0), len(self.values)) for seconds in (start_s, end_s))
        return self.values[first:last].astype(np.float32) / FULL

    def outline(self, start_s: float, end_s: float) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """Return times and values of a line that looks like the waveform between two times; at most 40,000 points."""
        start_s, end_s = max(start_s, 0.0), min(end_s, self.duration_s)
        if (end_s - start_s) * RATE_HZ <= RAW:
            part = self.part(start_s, end_s)
            return start_s + np.arange(len(part)) / RATE_HZ, part
        first, last = (int(seconds * RATE_HZ) // BLOCK for seconds in (start_s, end_s))
        low, high = self.low[first:last], self.high[first:last]
        # At most as many columns as blocks, so no two edges are the same.
        edges = np.linspace(0, len(low), min(COLUMNS, len(low)), endpoint=False).astype(np.intp)
        # Each column goes from its lowest to its highest sample: low, high, low, high …
        line = np.stack([np.minimum.reduceat(low, edges), np.maximum.reduceat(high, edges)], axis=1).ravel()
        return (first + np.repeat(edges, 2)) * (BLOCK / RATE_HZ), line

    def decibels(self, start_s: float, end_s: float) -> npt.NDArray[np.float64]:
        """Return a log-mel spectrogram to look at, shape (bands, frames).

        Of a long part a frame is the loudest of its stretch, as the outline has its extremes: others are mostly pauses.
        """
        from earnest.frontends.mel import log_mel

        first, last = (min(max(round(seconds * RATE_HZ), 0), len(self.values)) for seconds in (start_s, end_s))
        if last - first <= FRAMES * FRAME:
            return log_mel(self.part(start_s, end_s), RATE_HZ)
        edges = np.linspace(first // BLOCK, last // BLOCK, FRAMES + 1).astype(np.intp)
        loudest = [start + (self.high[start:end] - self.low[start:end]).argmax() for start, end in pairwise(edges)]
        starts = [min(block * BLOCK, last - FRAME) for block in loudest]
        frames = np.concatenate([self.values[start : start + FRAME] for start in starts])
        return log_mel(frames.astype(np.float32) / FULL, RATE_HZ)


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

    def __init__(self, background: Background, parent: QObject) -> None:
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
    """The playing position of one recording; PortAudio's thread asks it for samples."""

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
        settings = {"samplerate": RATE_HZ, "channels": 1, "dtype": "int16"}
        stream = sound_stream(sounddevice.OutputStream, **settings, callback=head.fill)
        try:
            stream.start()
        except sounddevice.PortAudioError:
            stream.close()  # while one is open, no microphone is looked for
            raise
    except (sounddevice.PortAudioError, ValueError) as error:
        why = str(error).strip().splitlines()[0]
        raise AudioError(
            tr("Nothing can be played: no loudspeaker that works was found ({why}).").format(why=why)
        ) from error
    return stream
