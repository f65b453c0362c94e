"""Shards spread over workers: processes of this machine, or actors of a Ray cluster; what is done when these fail.

Only numbers of shards and reports go through Ray, some hundred bytes each: an actor reads its inputs and writes its
shard itself. So its object store needs no room, and each actor has one shard at a time.
"""

import logging
import signal
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from earnest.apps.batch.shard import ShardReport, ShardWorker, Work
from earnest.errors import EarnestError, counted, first_line
from earnest.experiments.workers import ray_cluster

LOOK_S = 10.0  # at the nodes of a cluster that says nothing
MOST_DEATHS = (
    3  # of workers over one shard; from the second try on its recordings are decoded in processes of their own
)
MOST_FAILURES = 3  # shards, one after the other, that an error keeps from being written: then it is all of them
STOP_S = 10.0
_log = logging.getLogger(__name__)
MOST_RESTARTS = 1_000  # of lost nodes, beyond those that shards are counted for


class BatchEngine(Protocol):
    """Answers shards by several workers."""

    def reports(self, work: Work, numbers: Sequence[int]) -> Iterator[ShardReport]:
        """Yield a report of each shard, in the order in which they end.

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
        return ShardReport(number, error=f"Shard {number}: {MOST_DEATHS} worker processes died on it ({why}).")

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
        waiting, workers = Waiting(numbers), dict[Any, _Process]()  # links, which have another class on Windows
        try:
            while waiting or workers:
                while waiting and len(workers) < self._jobs:
                    worker = _Process(work)
                    worker.give(waiting)
                    workers[worker.link] = worker
                for link in wait(list(workers)):
                    worker = workers[link]
                    try:
                        yield waiting.told(worker.link.recv())
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


class RayActors:
    """Actors of a Ray cluster, at most one a core."""

    def __init__(self, jobs: int, address: str | None) -> None:
        self._jobs, self._address = jobs, address

    def reports(self, work: Work, numbers: Sequence[int]) -> Iterator[ShardReport]:
        """See `earnest.apps.batch.engines.BatchEngine`; the shards of a node that was lost are done by others."""
        if not numbers:
            return
        with ray_cluster(self._jobs, self._address) as ray:
            count = min(self._jobs, len(numbers), max(1, int(ray.cluster_resources().get("CPU", 1))))
            yield from _Actors(ray, work, count).reports(Waiting(numbers))


class _Actors:
    """Actors, each with a shard at a time once it has started.

    `ray.util.ActorPool` hands work to actors that have not started too; where a node is lost there is no core for the
    one in its place, and that shard would wait for ever.
    """

    def __init__(self, ray: Any, work: Work, count: int) -> None:
        self._ray, self._work = ray, work
        self._starting, self._busy = dict[Any, Any](), dict[Any, tuple[Any, int]]()
        self._n_started, self._most_started = 0, MOST_DEATHS * count + MOST_RESTARTS
        for _ in range(count):
            self._start()

    def reports(self, waiting: Waiting) -> Iterator[ShardReport]:
        """Yield reports of the shards; see `earnest.apps.batch.engines.BatchEngine`."""
        while waiting or self._busy:
            if not (self._busy or self._starting):
                raise EarnestError(f"Ray: {counted(self._n_started, 'worker')} died. Give the same command again.")
            found, _ = self._ray.wait([*self._starting, *self._busy], num_returns=1, timeout=LOOK_S)
            if not found:
                self._require_node()
                continue
            (done,) = found
            actor, number = (self._starting.pop(done), None) if done in self._starting else self._busy.pop(done)
            report, why = self._result(done)
            if why:
                _log.warning("Ray: %s.", why)
                self._start()
                report = None if number is None else waiting.died(number, "on Ray")
            if report:
                yield waiting.told(report)
            if not why:
                self._give(actor, waiting)
        for actor in [*self._starting.values(), *(actor for actor, _ in self._busy.values())]:
            self._ray.kill(actor)

    def _start(self) -> None:
        if self._n_started < self._most_started:
            self._n_started += 1
            # Ray's own restarts would do a shard again that ended its worker, as often as it does.
            actor = self._ray.remote(num_cpus=1, max_restarts=0)(ShardWorker).remote(self._work)
            self._starting[actor.ready.remote()] = actor

    def _require_node(self) -> None:
        """Raise where no node is left, whose worker would be waited for for ever."""
        if not any(node["Alive"] for node in self._ray.nodes()):
            raise EarnestError("Ray: none of its nodes is alive any more. Give the same command again.")

    def _give(self, actor: Any, waiting: Waiting) -> None:
        """Give an actor the next shard; without one it has done its work."""
        if waiting:
            number, isolated = waiting.take()
            self._busy[actor.answered.remote(number, isolated)] = actor, number
        else:
            self._ray.kill(actor)

    def _result(self, done: Any) -> tuple[ShardReport | None, str]:
        """Return an actor's report, or the reason of its death."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(done), ""
        except errors.RayActorError as error:
            cause = getattr(error, "cause", None) or error.__cause__
            if isinstance(cause, EarnestError):  # a worker that can't start: no other one can
                raise EarnestError(str(cause)) from error
            return None, first_line(error)
        except errors.RayError as error:
            raise EarnestError(f"Ray: {first_line(error)}. Give the same command again.") from error
