"""How much memory graphs may take: those that ship share one bound, each other one has a bound of its own.

Two things are bounded. What a graph computes while it runs comes from an arena of onnxruntime, which has an end. What
onnxruntime computes while it prepares a graph (constants that follow from constants) comes from malloc: for so long the
process gets few more addresses; Linux only.
"""

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from earnest.audio.deadline import check_deadline, current_deadline
from earnest.errors import TooLateError

MIB = 2**20
_CORES = os.cpu_count() or 1
# Of all graphs that ship, in one process: `base` takes 53 MiB a thread for 20 s of sound at once, 473 for 60 s.
MOST_SHARED = max(2048 * MIB, _CORES * 512 * MIB)
MOST_OF_ONE = 200 * MIB  # any other graph, beyond what its file accounts for …
MORE_A_CORE = 48 * MIB  # … and for each core but the first, which may run it at the same time
FILE_TIMES = 16  # weights of 8 bits become 32, and are kept in a second order for fast products
ADDRESSES_A_THREAD = 144 * MIB  # a stack, and malloc's reserve: addresses, not memory

_LOCK = threading.Lock()


def most_of_one(n_bytes: int) -> int:
    """Return how many bytes a graph whose file has ``n_bytes`` may take while it runs."""
    return MOST_OF_ONE + (_CORES - 1) * MORE_A_CORE + FILE_TIMES * n_bytes


@contextmanager
def shared_arena() -> Iterator[None]:
    """Have a session that is made here take its memory where those that ship do.

    An arena is given to sessions when they are made: those made before and after a session with its own have two.
    """
    with _LOCK:
        _share()
        yield


@contextmanager
def own_arena(n_bytes: int, threads: int) -> Iterator[None]:
    """Have a session that is made here, of a file of ``n_bytes``, take its memory from an arena of its own.

    Nothing else may be made meanwhile; what other threads of the process take counts, too.
    """
    with _LOCK:
        _register(most_of_one(n_bytes))
        _share.cache_clear()  # the next one that ships must not get this arena
        with _few_addresses(MOST_OF_ONE + FILE_TIMES * n_bytes + ((threads or _CORES) - 1) * ADDRESSES_A_THREAD):
            yield


@cache
def _share() -> None:
    _register(MOST_SHARED)


def _register(most: int) -> None:
    """Have all sessions that are made from now on share one new arena."""
    import onnxruntime

    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    about = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    bound = onnxruntime.OrtArenaCfg({"max_mem": most, "arena_extend_strategy": 0})
    onnxruntime.create_and_register_allocator(about, bound)


@contextmanager
def _few_addresses(more_bytes: int) -> Iterator[None]:
    """Let this process take so much more memory, counted as addresses, until the block ends."""
    if sys.platform != "linux":
        yield
        return
    import resource

    n_pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    before, hardest = resource.getrlimit(resource.RLIMIT_AS)
    most = n_pages * resource.getpagesize() + more_bytes
    bounds = [most, *(bound for bound in (before, hardest) if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hardest))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hardest))


class Turns:
    """Who runs one graph at this moment: many at once, or, where many had too little memory together, one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_inside = self._n_waiting = 0
        self._is_alone = False

    @contextmanager
    def among_others(self) -> Iterator[None]:
        """Wait while somebody runs alone, or is about to."""
        with self._changed:
            self._wait(lambda: not self._is_alone and not self._n_waiting)
            self._n_inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody runs, and have nobody begin meanwhile."""
        with self._changed:
            self._n_waiting += 1
            try:
                self._wait(lambda: not self._is_alone and not self._n_inside)
                self._is_alone = True
            finally:
                self._n_waiting -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()

    def _wait(self, is_free: Callable[[], bool]) -> None:
        left_s = current_deadline().left_s
        if not self._changed.wait_for(is_free, None if math.isinf(left_s) else left_s):
            check_deadline()
            raise TooLateError("There was no turn to run the network.")
