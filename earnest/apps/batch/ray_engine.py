"""Shards spread over a Ray cluster by actors, each with the model; for clusters that are there already.

Only numbers of shards and reports go through Ray, some hundred bytes each: an actor reads its inputs and writes its
shard itself. So its object store needs no room, and each actor has one shard at a time.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from earnest.apps.batch.engines import MOST_DEATHS, MOST_FAILURES
from earnest.apps.batch.shard import ShardReport, ShardWorker, Work
from earnest.errors import EarnestError, MissingExtraError, first_line

STORE_BYTES = 100 * 2**20  # of a cluster that is started for this run; Ray takes a third of the memory else
_log = logging.getLogger(__name__)


class RayActors:
    """Actors of a Ray cluster, at most one a core."""

    def __init__(self, jobs: int, address: str | None) -> None:
        self._jobs, self._address = jobs, address

    def reports(self, work: Work, numbers: Sequence[int]) -> Iterator[ShardReport]:
        """See `earnest.apps.batch.engines.Engine`; the shards of a node that was lost are done by others."""
        if not numbers:
            return
        with _cluster(self._jobs, self._address) as ray:
            left, told, n_failed = list(numbers), work, 0
            for _ in range(MOST_DEATHS):
                done = set[int]()
                for report in self._round(ray, told, left):
                    done.add(report.number)
                    n_failed = n_failed + 1 if report.error else 0
                    yield report
                    if n_failed >= MOST_FAILURES:
                        return
                left = [number for number in left if number not in done]
                if not left:
                    return
                _log.warning("%d shards lost their workers; they are done again.", len(left))
                told = replace(work, isolate=True)  # perhaps it was a recording that ended the decoder
            yield from (ShardReport(n, error=f"Shard {n}: {MOST_DEATHS} workers died over it.") for n in left)

    def _round(self, ray: Any, work: Work, numbers: Sequence[int]) -> Iterator[ShardReport]:
        """Yield what became of shards; those whose actor died are left out."""
        from ray.util.actor_pool import ActorPool

        count = min(self._jobs, len(numbers), max(1, int(ray.cluster_resources().get("CPU", 1))))
        # Ray's own restart would wait for a core, with a shard in hand, also where none will be free again.
        start = ray.remote(num_cpus=1, max_restarts=0)(ShardWorker).remote
        actors = [start(work) for _ in range(count)]
        pool: Any = ActorPool(actors)
        for number in numbers:
            pool.submit(lambda actor, number: actor.answered.remote(number), number)
        while pool.has_next():
            try:
                yield pool.get_next_unordered()
            except ray.exceptions.RayActorError as error:
                _log.warning("A worker died (%s).", first_line(error))
                if ray.available_resources().get("CPU", 0) >= 1:
                    actors.append(start(work))
                    pool.push(actors[-1])
            except ray.exceptions.RayError as error:
                raise EarnestError(f"Ray: {first_line(error)}. Give the same command again.") from error
        for actor in actors:
            ray.kill(actor)


@contextmanager
def _cluster(jobs: int, address: str | None) -> Iterator[Any]:
    """Join a cluster, or start one on this machine that ends with the run."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise MissingExtraError("--engine ray", "ray") from None
    own: dict[str, Any] = {"num_cpus": jobs, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    options = {"log_to_driver": False, "logging_level": logging.ERROR, **({} if address else own)}
    try:
        ray.init(address or "local", **options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise EarnestError(f"Ray at {address or 'this machine'}: {first_line(error)}. Check --address.") from error
    try:
        yield ray
    finally:
        ray.shutdown()
