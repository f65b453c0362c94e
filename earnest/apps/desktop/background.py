"""Work in threads: what a function returns, or why it failed, comes back to the window's thread."""

import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Signal

from earnest.apps.desktop.texts import explained
from earnest.audio.deadline import Deadline, until
from earnest.errors import EarnestError, printable

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
