"""Progress of commands that hear recordings, perhaps of hours: the seconds heard, beside the recordings."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import TypeVar

from earnest.progress import SILENT, Progress, ShowAmount
from earnest.runtime.predictor import Predictor

SLOW_S = 1.0  # after which somebody who waits is told how much was heard
T = TypeVar("T")


class Hearing:
    """Counts the seconds that a predictor hears of recordings, and shows them; what is opened again counts once.

    Attributes
    ----------
    predictor : a copy that is counted
    """

    def __init__(self, predictor: Predictor, progress: Progress = SILENT) -> None:
        self.predictor = predictor.watched(self._hear) if progress.visible else predictor
        self._progress, self._lock = progress, Lock()  # recordings are decoded by several threads
        self._seconds, self._total_s = dict[str, float](), 0.0
        self._show: Callable[[], object] = lambda: None

    def _hear(self, path: str, seconds: float) -> None:
        with self._lock:
            known = self._seconds.get(path, 0.0)
            if seconds > known:
                self._seconds[path] = seconds
                self._total_s += seconds - known
            self._show()

    def counted(self, what: str, items: Iterable[T], total: int) -> Iterable[T]:
        """Return the items, ``total`` of them; a bar counts them, and says how many seconds were heard."""
        return self._progress.counted(what, items, total, lambda: f"{self._total_s:.0f} s heard")

    def among(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items that are told on the terminal; a bar shows the seconds while the next one takes long."""
        found = iter(items)
        while True:
            with self.waiting():
                item = next(found, None)
            if item is None:
                return
            yield item

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Show the seconds while the block goes on, once it takes long."""
        since = time.monotonic()
        with ExitStack() as bars:
            shown: list[ShowAmount] = []

            def show() -> None:
                if time.monotonic() - since >= SLOW_S:
                    if not shown:
                        shown.append(bars.enter_context(self._progress.amount("Seconds heard")))
                    shown[0](round(self._total_s), 0)

            self._show = show
            try:
                yield
            finally:
                with self._lock:
                    self._show = lambda: None
