"""A moment after which nobody waits for an answer, and work that ends there.

The deadline of a piece of work belongs to the thread that does it: ``with Deadline(60): …``. All that may take long
asks `check_deadline` as it goes along: each block that is decoded, ten seconds of voice activity, a run of the network.
What can't ask, as it waits in foreign code, is stopped from another thread: see `stopped_at_deadline`.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

from earnest.errors import EarnestError, TooLateError


class Deadline:
    """Holds inside its ``with`` block, in the thread that entered it; of two, the earlier one.

    Attributes
    ----------
    ends : seconds of `time.monotonic`; infinity for never
    """

    def __init__(
        self,
        seconds: float = math.inf,
        told: str = "The time for this work is over.",
        kind: type[EarnestError] = TooLateError,
    ) -> None:
        """Start the clock; ``told`` and ``kind`` are message and type of the error that `check` raises."""
        self.ends, self._told, self._kind = time.monotonic() + seconds, told, kind

    def __enter__(self) -> "Deadline":
        before = current_deadline()
        self._token: Token[Deadline] = _CURRENT.set(self if self.ends < before.ends else before)
        return self

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)

    @property
    def left_s(self) -> float:
        """Seconds to go; 0 when it is over."""
        return max(self.ends - time.monotonic(), 0.0)

    def end(self) -> None:
        """Be over from now on: nobody waits any more."""
        self.ends = -math.inf

    def check(self) -> None:
        """Raise the error when it is over."""
        if self.ends < time.monotonic():
            raise self._kind(self._told)


_NEVER = Deadline()
_CURRENT: ContextVar[Deadline] = ContextVar("deadline", default=_NEVER)


def current_deadline() -> Deadline:
    """Return the one that holds here and now."""
    return _CURRENT.get()


@contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """Have this deadline hold, even where an earlier one does: others wait for the same work."""
    token = _CURRENT.set(deadline)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def check_deadline() -> None:
    """Raise the current deadline's error when it is over."""
    _CURRENT.get().check()


@contextmanager
def stopped_at_deadline(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop``, from another thread, if the current deadline passes inside this block.

    What the block raises after that is the deadline's error.
    """
    deadline = current_deadline()
    deadline.check()
    if math.isinf(deadline.ends):
        yield
        return
    number = _WATCH.add(deadline.ends, stop)
    try:
        yield
    except Exception as error:
        try:
            deadline.check()
        except EarnestError as late:
            raise late from error
        raise
    finally:
        _WATCH.remove(number)


class _Watch:
    """One thread for all: it sleeps until the first of the deadlines that somebody is working towards."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._stops: dict[int, tuple[float, Callable[[], None]]] = {}
        self._n_added = 0
        self._sleeps_until = -math.inf
        self._thread: threading.Thread | None = None

    def add(self, ends: float, stop: Callable[[], None]) -> int:
        """Begin to watch; return what `remove` takes."""
        with self._changed:
            self._n_added += 1
            self._stops[self._n_added] = ends, stop
            # A fork takes no threads along: the new process starts its own.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="earnest-deadlines", daemon=True)
                self._thread.start()
            elif ends < self._sleeps_until:
                self._changed.notify()
            return self._n_added

    def remove(self, number: int) -> None:
        """End watching."""
        with self._changed:
            self._stops.pop(number, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                over = [number for number, (ends, _) in self._stops.items() if ends <= time.monotonic()]
                for number in over:  # inside the lock: who has removed itself is not stopped any more
                    self._stops.pop(number)[1]()
                self._sleeps_until = min((ends for ends, _ in self._stops.values()), default=math.inf)
                left_s = self._sleeps_until - time.monotonic()
                self._changed.wait(None if math.isinf(left_s) else max(left_s, 0.0))


_WATCH = _Watch()
