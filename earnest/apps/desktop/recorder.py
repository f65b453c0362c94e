"""The microphone: emotions while somebody speaks, and the recording afterwards."""

import os
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QListWidget, QProgressBar, QVBoxLayout, QWidget

from earnest.apps.desktop.analysis import Background, Listening, reason
from earnest.apps.desktop.answer import paint
from earnest.apps.desktop.fields import ChoiceField, arranged, button
from earnest.apps.desktop.texts import PlainLabel, explained, localised, tr, word
from earnest.audio.feed import Feed, Lost, microphone, microphones
from earnest.errors import EarnestError, printable, told
from earnest.files.writing import PARTIAL, held_file, lock_of, new_file, put_in_place, refuse_existing, unfollowed
from earnest.runtime.prediction import Event, Gap, Segment, Span, VocalBurst, Window, burst_span, percent
from earnest.runtime.timeline_plot import clock, colours_of

RATE_HZ = 16_000
HEADER_BYTES = 44  # of a WAV file as it is written here
SHOWN_MS = 80
LOWEST_DBFS = -60.0


class Microphone(QObject):
    """A thread that listens; what it hears is handed over some twelve times a second.

    Signals
    -------
    heard : seconds, level in dBFS, whether somebody speaks
    told : a window, span, vocal burst, segment or gap
    ended : path of the recording, "" where nothing was recorded
    failed : why it can't listen, or what ended it too early; then `ended` has the path of what is there
    """

    heard = Signal(float, float, bool)
    told = Signal(object)
    ended = Signal(str)
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread: threading.Thread | None = None
        self._feed: Feed | None = None
        self._events: deque[Event] = deque()
        self._state = (0.0, LOWEST_DBFS, False)
        self._stopping = False
        self._outcome: tuple[str, str] | None = None  # path and problem
        self._timer = QTimer(self, interval=SHOWN_MS)
        self._timer.timeout.connect(self._look)

    @property
    def is_on(self) -> bool:
        """Whether it listens, or begins to."""
        return self._thread is not None

    def start(self, listening: Listening, folder: Path, device: str | None) -> None:
        """Listen; the sound goes to a new file in a folder when it ends."""
        if self.is_on:
            return
        self._events.clear()
        self._state, self._outcome, self._stopping = (0.0, LOWEST_DBFS, False), None, False
        self._thread = threading.Thread(
            target=self._work, args=(listening, folder, device), name="earnest-microphone", daemon=True
        )
        self._thread.start()
        self._timer.start()

    def stop(self) -> None:
        """End it; `ended` follows."""
        self._stopping = True
        if self._feed is not None:
            self._feed.close()

    def close(self) -> None:
        """End it, and wait for it."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
            self._look()
        self._timer.stop()

    def _look(self) -> None:
        while self._events:
            self.told.emit(self._events.popleft())
        self.heard.emit(*self._state)
        if self._outcome is not None:
            (path, problem), self._outcome, self._thread, self._feed = self._outcome, None, None, None
            self._timer.stop()
            if problem:
                self.failed.emit(problem)
            self.ended.emit(path)

    def _work(self, listening: Listening, folder: Path, device: str | None) -> None:
        try:
            self._outcome = self._listened(listening, folder, device)
        except Exception as error:  # the outermost boundary of this thread
            self._outcome = "", explained(reason(error))

    def _listened(self, listening: Listening, folder: Path, device: str | None) -> tuple[str, str]:
        """Return the path of the recording, and what ended it too early."""
        stream = listening.predictor.stream(RATE_HZ, adapter=listening.adapter(), **listening.options.words())
        path = _free_name(folder)
        problem = ""
        with new_file(path) as place, _sound_file(place) as file:
            try:
                self._hear_out(stream, file, device)
            except Exception as error:
                if not stream.received_s:
                    raise
                problem = explained(reason(error))  # what was recorded before it is kept
            if not stream.received_s:
                raise EarnestError(tr("The microphone gave no sound. Is it muted, or in use by another program?"))
        return str(path), problem

    def _hear_out(self, stream: Any, file: Any, device: str | None) -> None:
        with microphone(RATE_HZ, device) as feed:
            self._feed = feed
            if self._stopping:
                feed.close()
            for item in feed:
                self._events.extend(self._taken(item, stream, file))
        self._events.extend(stream.finish())

    def _taken(self, item: Any, stream: Any, file: Any) -> list[Event]:
        if isinstance(item, Lost):
            file.write(np.zeros(round(item.seconds * RATE_HZ), np.float32))
            return list(stream.skip(item.seconds))
        file.write(item)
        events = list(stream.accept_waveform(item))
        level = float(10 * np.log10(np.var(item) + 1e-20)) if len(item) else LOWEST_DBFS
        self._state = stream.received_s, level, stream.is_speaking
        return events


def _free_name(folder: Path) -> Path:
    """Return the path of a recording that begins now: the time, and a number where one of this second is there."""
    stem = time.strftime("recording-%Y%m%d-%H%M%S")
    names = chain([f"{stem}.wav"], (f"{stem}-{number}.wav" for number in count(2)))
    return next(path for path in map(folder.joinpath, names) if not path.exists() and not lock_of(path).exists())


def recovered(folder: Path) -> list[str]:
    """Make recordings of what a crash or a loss of power cut off; return their paths. What is being recorded stays."""
    found = []
    for partial in sorted(folder.glob(f"{PARTIAL}recording-*.wav")):
        path = folder / partial.name.removeprefix(PARTIAL)
        with suppress(EarnestError), held_file(path), told(path):
            refuse_existing(path, overwrite=False)
            if partial.stat().st_size <= HEADER_BYTES:
                partial.unlink()
                continue
            with open(partial, "r+b", opener=unfollowed) as file:
                n_bytes = file.seek(0, os.SEEK_END)
                for place in (4, HEADER_BYTES - 4):  # two lengths of what follows, which are written at the end
                    file.seek(place)
                    file.write(struct.pack("<I", n_bytes - place - 4))
            put_in_place(partial, path)
            found.append(str(path))
    return found


def _sound_file(path: Path) -> Any:
    import soundfile

    return soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16", format="WAV")


class RecordPanel(QWidget):
    """Button, level, bars and the last spans.

    Signals
    -------
    wanted : device that the user wants to record with, "" for the system's
    """

    wanted = Signal(str)

    def __init__(self, sound: Microphone, background: Background) -> None:
        super().__init__()
        self._sound, self._background = sound, background
        self.button = button(tr("Record"), self.toggle, tr("Record"))
        self.devices = ChoiceField(tr("Microphone"))
        self.devices.addItem(tr("The system's microphone"), "")
        self.devices.setMinimumWidth(80)  # its list shows names whole
        self.level = QProgressBar(textVisible=False)
        self.level.setRange(int(LOWEST_DBFS), 0)
        self.level.setValue(int(LOWEST_DBFS))
        self.level.setAccessibleName(tr("Level"))
        self.state = PlainLabel(tr("The microphone is off."))
        self.problem = PlainLabel(name=tr("Problem with the microphone"), wraps=True)
        self.spans = QListWidget()
        self.spans.setAccessibleName(tr("Emotions that were heard"))
        self._bars, self._grid = dict[str, tuple[QProgressBar, QLabel]](), QGridLayout()
        states = (tr("The microphone is off."), *(f"00:00:00  {sound}" for sound in (tr("speech"), tr("pause"))))
        self.state.setMinimumWidth(max(map(self.fontMetrics().horizontalAdvance, states)) + 8)
        top = arranged(QHBoxLayout(), self.button, self.devices, self.state, (self.level, 1))
        below = arranged(QHBoxLayout(), (self._grid, 1), (self.spans, 1))
        arranged(QVBoxLayout(self), top, self.problem, (below, 1))
        sound.heard.connect(self._hear)
        sound.told.connect(self._take)
        sound.ended.connect(self._end)
        sound.failed.connect(self.problem.setText)

    def find_microphones(self) -> None:
        """List what can record."""
        self._background.run(microphones, self._list, self.problem.setText)

    def _list(self, found: list[tuple[int, str]]) -> None:
        chosen = self.devices.currentData()
        self.devices.clear()
        self.devices.addItem(tr("The system's microphone"), "")
        names = [name for _, name in found]
        for number, name in found:  # numbers change where a device goes or comes; of one name, they alone tell apart
            self.devices.addItem(printable(name), name if names.count(name) == 1 else str(number))
        self.devices.setCurrentIndex(max(self.devices.findData(chosen), 0))
        if not found:
            self.problem.setText(tr("No microphone was found. Connect one, or allow this program to use it."))

    def toggle(self) -> None:
        """Begin or end a recording."""
        if self._sound.is_on:
            self._sound.stop()
            return
        self.problem.setText("")
        self.wanted.emit(str(self.devices.currentData() or ""))

    def begin(self, classes: tuple[str, ...]) -> None:
        """Show that it listens."""
        while item := self._grid.takeAt(0):
            if widget := item.widget():
                widget.deleteLater()
        self._bars = {}
        colours = colours_of(classes)
        for row, name in enumerate(classes):
            bar, share = QProgressBar(textVisible=False), PlainLabel(localised(percent(0)))
            share.setMinimumWidth(self.fontMetrics().horizontalAdvance(localised(percent(1))) + 4)
            bar.setRange(0, 1000)
            paint(bar, colours[name])
            bar.setAccessibleName(tr("Probability of {emotion}").format(emotion=word(name)))
            for column, cell in enumerate((PlainLabel(word(printable(name))), bar, share)):
                self._grid.addWidget(cell, row, column)
            self._bars[name] = bar, share
        self.spans.clear()
        self.button.setText(tr("Stop"))
        self.state.setText(tr("The microphone begins …"))

    def _hear(self, seconds: float, level_dbfs: float, speaking: bool) -> None:
        said = tr("speech") if speaking else tr("pause")
        self.state.setText(f"{localised(clock(round(seconds, 1), max(seconds, 1)))}  {said}")
        self.level.setValue(int(min(max(level_dbfs, LOWEST_DBFS), 0)))

    def _take(self, event: Event) -> None:
        if isinstance(event, Window | Segment):
            shares = event.probabilities if isinstance(event, Window) else {}
            for name, (bar, share) in self._bars.items():
                bar.setValue(round(1000 * shares.get(name, 0.0)))
                share.setText(localised(percent(shares.get(name, 0.0))))
        if isinstance(event, Gap):
            lost = localised(f"{event.end_s - event.start_s:.1f}")
            self.problem.setText(tr("{seconds} s of sound were lost: this computer is too slow.").format(seconds=lost))
        if isinstance(event, Span | VocalBurst):
            span = burst_span(event) if isinstance(event, VocalBurst) else event
            times = localised(f"{span.start_s:.1f}–{span.end_s:.1f} s")
            self.spans.insertItem(0, f"{times}  {word(span.emotion)}  {localised(percent(span.confidence))}")

    def _end(self, path: str) -> None:
        self.button.setText(tr("Record"))
        self.state.setText(tr("The microphone is off."))
        self.level.setValue(int(LOWEST_DBFS))
        self.find_microphones()  # one may have gone, or come
