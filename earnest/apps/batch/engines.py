"""Shards spread over workers: what every engine does about those that fail, and processes of this machine."""

import logging
import signal
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Protocol

from earnest.apps.batch.shard import ShardReport, ShardWorker, Work
from earnest.errors import EarnestError

MOST_DEATHS = (
    3  # of workers over one shard; from the second try on its recordings are decoded in processes of their own
)
MOST_FAILURES = 3  # shards, one after the other, that an error keeps from being written: then it is all of them
STOP_S = 10.0
_log = logging.getLogger(__name__)


class BatchEngine(Protocol):
    """Answers shards by several workers."""

    def reports(self, work: Work, numbers: Sequence[int]) -> Iterator[ShardReport]:
        """Yield what became of each shard, in the order in which they end.

        A shard whose worker dies is done again by another one, at most `MOST_DEATHS` times.
        """


class Waiting:
    """Shards that wait for a worker, and how often one died over each."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._left, self._deaths = deque(numbers), Counter[int]()
        self._n_failed = 0

    def __bool__(self) -> bool:
        return bool(self._left)

    def take(self) -> tuple[int, bool]:
        """Return the next shard, and whether its recordings are to be decoded in processes of their own."""
        number = self._left.popleft()
        return number, self._deaths[number] > 0

    def died(self, number: int, why: str) -> ShardReport | None:
        """Take a shard back whose worker died; return a report where that was once too often."""
        self._deaths[number] += 1
        _log.warning("Shard %d: its worker died (%s).", number, why)
        if self._deaths[number] < MOST_DEATHS:
            self._left.appendleft(number)
            return None
        return ShardReport(number, error=f"Shard {number}: {MOST_DEATHS} workers died over it ({why}).")

    def told(self, report: ShardReport) -> ShardReport:
        """Take note of a report; after several failures one after the other nothing waits any more."""
        self._n_failed = self._n_failed + 1 if report.error else 0
        if self._n_failed >= MOST_FAILURES:
            self._left.clear()
        return report


class Processes:
    """Processes of this machine, each with the model."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def reports(self, work: Work, numbers: Sequence[int]) -> Iterator[ShardReport]:
        """See `BatchEngine`."""
        waiting, workers = Waiting(numbers), dict[Connection, _Process]()
        try:
            while waiting or workers:
                while waiting and len(workers) < self._jobs:
                    worker = _Process(work)
                    worker.give(waiting)
                    workers[worker.link] = worker
                for link in wait(list(workers)):
                    assert isinstance(link, Connection)
                    worker = workers[link]
                    try:
                        yield waiting.told(link.recv())
                    except (EOFError, OSError):
                        del workers[link]
                        if lost := waiting.died(worker.number, worker.end()):
                            yield waiting.told(lost)
                        continue
                    if waiting:
                        worker.give(waiting)
                    else:
                        del workers[link]
                        worker.end()
        finally:
            for worker in workers.values():
                worker.end(kill=True)


class _Process:
    """A worker process and the shard that it is at.

    Attributes
    ----------
    link : gives reports; at its end when the process has ended
    """

    def __init__(self, work: Work) -> None:
        self.number = -1
        self.link, theirs = get_context("spawn").Pipe()
        with theirs:
            # No daemon: it may have decoder processes of its own.
            self._process = get_context("spawn").Process(target=_serve, args=(theirs, work), name="earnest-batch")
            self._process.start()

    def give(self, waiting: Waiting) -> None:
        """Hand over the next shard."""
        self.number, isolated = waiting.take()
        with suppress(OSError):  # it has died, which the next look at the link tells
            self.link.send((self.number, isolated))

    def end(self, kill: bool = False) -> str:
        """End the process when it has done its shard, or now; return how it ended."""
        self.link.close()
        if kill:
            self._process.terminate()
        self._process.join(STOP_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        return _ending(self._process.exitcode)


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _serve(link: Connection, work: Work) -> None:
    """Answer shards until the other end of the link is closed, as it is when the driver has ended, however it did."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    try:
        worker = ShardWorker(work)
    except EarnestError as error:
        number, _ = link.recv()
        link.send(ShardReport(number, error=str(error)))
        return
    try:
        while True:
            link.send(worker.answered(*link.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    finally:
        worker.close()
