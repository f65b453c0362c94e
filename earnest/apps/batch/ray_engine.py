"""Shards spread over a Ray cluster by actors, each with the model; for clusters that are there already.

Only numbers of shards and reports go through Ray, some hundred bytes each: an actor reads its inputs and writes its
shard itself. So its object store needs no room, and each actor has one shard at a time.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from earnest.apps.batch.engines import MOST_DEATHS, Waiting
from earnest.apps.batch.shard import ShardReport, ShardWorker, Work
from earnest.errors import EarnestError, first_line
from earnest.experiments.ray_cluster import ray_cluster

MOST_RESTARTS = 1_000  # of lost nodes, beyond those that shards are counted for
_log = logging.getLogger(__name__)


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
        """Yield what became of the shards; see `earnest.apps.batch.engines.BatchEngine`."""
        while waiting or self._busy:
            if not (self._busy or self._starting):
                raise EarnestError(f"Ray: {self._n_started} workers died. Give the same command again.")
            (done,), _ = self._ray.wait([*self._starting, *self._busy], num_returns=1)
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

    def _give(self, actor: Any, waiting: Waiting) -> None:
        """Give an actor the next shard; without one it has done its work."""
        if waiting:
            number, isolated = waiting.take()
            self._busy[actor.answered.remote(number, isolated)] = actor, number
        else:
            self._ray.kill(actor)

    def _result(self, done: Any) -> tuple[ShardReport | None, str]:
        """Return what an actor said, or why it says nothing any more."""
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
