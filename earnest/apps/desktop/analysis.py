"""Work in threads: single functions, and many recordings that are answered one after the other.

What a function returns, or why it failed, comes back to the window's thread. Each recording can be watched, all can be
cancelled.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

from earnest.apps.desktop.texts import explained
from earnest.audio.deadline import Deadline, until
from earnest.audio.source import Source
from earnest.errors import EarnestError, printable
from earnest.runtime.adaptation import Adapter
from earnest.runtime.picture import is_picture
from earnest.runtime.prediction import Options, Prediction
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import Profile
from earnest.runtime.timeline import Timeline

T = TypeVar("T")
THREADS = 3
_log = logging.getLogger("earnest")


def reason(error: BaseException) -> str:
    """Explain a failure in a sentence; an unforeseen error is logged with its place."""
    if isinstance(error, EarnestError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return printable(f"{where}{error.strerror or error}.")
    _log.error("unforeseen", exc_info=error)
    return printable(f"{type(error).__name__}: {error}")


class Background(QObject):
    """Threads for work that takes longer than the eye notices."""

    _came = Signal(object, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(THREADS, "earnest-desktop")
        self._came.connect(self._hand_over)  # of a thread's signal: called in the window's thread
        self._open = True
        self._deadline = Deadline(told="Closed.")

    def run(
        self, work: Callable[[], T], done: Callable[[T], object], failed: Callable[[str], object] = lambda _: None
    ) -> None:
        """Do ``work`` in a thread; then call ``done`` with what it returned, or ``failed`` with a sentence, in ours."""
        if self._open:
            self._pool.submit(self._work, work, done, failed)

    def close(self) -> None:
        """Forget what has not begun, stop what asks whether it may go on, and call nobody any more."""
        self._open = False
        self._deadline.ends = -math.inf
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, work: Callable[[], T], done: Callable[[T], object], failed: Callable[[str], object]) -> None:
        try:
            with until(self._deadline):
                value = work()
        except Exception as error:  # the outermost boundary of this thread
            self._tell(failed, explained(reason(error)))
        else:
            self._tell(done, value)

    def _tell(self, whom: Callable[[Any], object], value: object) -> None:
        if self._open:
            self._came.emit(whom, value)

    def _hand_over(self, whom: Callable[[Any], object], value: object) -> None:
        if self._open:
            whom(value)


DELIVERED_MS = 60
MOST_AT_ONCE = 50  # answers that the window takes in a turn of its loop


@dataclass(frozen=True)
class Listening:
    """With what recordings are answered.

    Attributes
    ----------
    profile : of a speaker, to adapt to; None for none
    adapts : whether each recording adapts to what was heard in it before, as `earnest timeline --adapt auto`
    """

    predictor: Predictor
    options: Options = field(default_factory=Options)
    profile: Profile | None = None
    adapts: bool = False

    def timeline(self, path: str, heard: Callable[[float], None] = lambda _: None) -> Timeline:
        """Answer one recording or picture of a spectrogram; ``heard`` is called with the seconds so far."""
        predictor = self.predictor.watched(lambda _, seconds: heard(seconds))
        if is_picture(path):
            return Timeline(predictor.predict(path, **self.options.words()), classes=predictor.info.classes)
        return predictor.timeline(path, adapter=self.adapter(), **self.options.words())

    def adapter(self) -> Adapter | None:
        """Return the adapter for a new recording, None for none."""
        if self.profile:
            return self.predictor.adapter(self.profile)
        return self.predictor.adapter() if self.adapts else None

    def predict(self, source: Source) -> Prediction:
        """Answer a stretch of sound, as `earnest predict` does."""
        adapter = self.predictor.adapter(self.profile) if self.profile else None
        return self.predictor.predict(source, adapter, **self.options.words())


class _CancelledError(EarnestError):
    """Nobody waits for this answer any more."""


class Analysis(QObject):
    """A queue of recordings and the thread that answers them; what it found is handed over in small portions."""

    answered = Signal(list)  # of (path, Timeline); an error is a timeline, too
    begun = Signal(str)  # path
    ended = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._waiting, self._found = deque[str](), deque[tuple[Listening, str, Timeline]]()
        self._changed = threading.Condition()
        self._listening: Listening | None = None
        self._running, self._open = "", True
        self._deadline = Deadline()
        self.heard_s = 0.0
        self._turn = self._told = 0  # number of the recording that is heard, and of the last that was told of
        self._timer = QTimer(self, interval=DELIVERED_MS)
        self._timer.timeout.connect(self.deliver)
        self._thread = threading.Thread(target=self._work, name="earnest-analysis", daemon=True)
        self._thread.start()

    def answer_with(self, listening: Listening) -> None:
        """Answer what comes from now on with this; what was waiting is forgotten."""
        self.cancel()
        with self._changed:
            self._listening = listening
            self._changed.notify()

    def add(self, paths: Sequence[str]) -> None:
        """Add recordings to the end of the queue."""
        with self._changed:
            self._waiting.extend(paths)
            self._changed.notify()
        self._timer.start()

    def cancel(self) -> list[str]:
        """Stop at once; return what was not answered."""
        with self._changed:
            return self.forget({self._running, *self._waiting})

    def forget(self, paths: Collection[str]) -> list[str]:
        """Answer these no more, the others go on; return those that were waiting or heard."""
        with self._changed:
            dropped = [path for path in self._waiting if path in paths]
            self._waiting = deque(path for path in self._waiting if path not in paths)
            if self._running and self._running in paths:
                dropped.insert(0, self._running)
                self._told = self._turn  # not "hearing" any more, though its thread may not have ended yet
                self._deadline.ends = -math.inf  # asked at each block and each run of the network
        return dropped

    def close(self) -> None:
        """Stop, and end the thread."""
        self._timer.stop()
        self.cancel()
        with self._changed:
            self._open = False
            self._changed.notify()
        self._thread.join()

    @property
    def is_busy(self) -> bool:
        """Whether there is anything to answer or to hand over."""
        with self._changed:  # never between two places
            return bool(self._waiting or self._running or self._found)

    @property
    def n_waiting(self) -> int:
        """Recordings that are not answered, the one that is being heard included."""
        with self._changed:
            return len(self._waiting) + bool(self._running)

    def deliver(self) -> None:
        """Hand over what was found since."""
        with self._changed:
            running, is_new, self._told = self._running, self._turn != self._told, self._turn
        if running and is_new:
            self.begun.emit(running)
        portion: list[tuple[str, Timeline]] = []
        while self._found and len(portion) < MOST_AT_ONCE:
            listening, path, timeline = self._found.popleft()
            if listening is self._listening:  # not of the model before
                portion.append((path, timeline))
        if portion:
            self.answered.emit(portion)
        if not self.is_busy:
            self._timer.stop()
            self.ended.emit()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            path, listening, deadline = job
            try:
                with until(deadline):
                    timeline: Timeline | None = listening.timeline(path, self._count)
            except _CancelledError:
                timeline = None
            except Exception as error:  # the outermost boundary of this thread: one bad file is a row
                name = listening.predictor.info.name
                timeline = Timeline(Prediction(path, "error", model=name, error=reason(error)))
            with self._changed:
                self._running = ""
                if timeline is not None:
                    self._found.append((listening, path, timeline))
            time.sleep(0)  # the window's thread first

    def _next(self) -> tuple[str, Listening, Deadline] | None:
        with self._changed:
            while self._open and not (self._waiting and self._listening):
                self._changed.wait()
            if not self._open or self._listening is None:
                return None
            self._running, self.heard_s = self._waiting.popleft(), 0.0
            self._turn += 1
            self._deadline = Deadline(told="Cancelled.", kind=_CancelledError)
            return self._running, self._listening, self._deadline

    def _count(self, seconds: float) -> None:
        self.heard_s = seconds
