"""Models and the threads that run them: bounded work, each piece with a deadline."""

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from prometheus_client import Gauge

from earnest.apps.server.problems import ProblemError
from earnest.apps.server.settings import Limits, Settings
from earnest.apps.server.sharing import Shared, TooLateError, Until
from earnest.errors import EarnestError
from earnest.runtime.predictor import Predictor
from earnest.suggest import suggestion

T = TypeVar("T")


class Engine:
    """Runs work on models; at most ``jobs`` pieces for requests and as many for streams at a time.

    Attributes
    ----------
    predictors : name → model, the first one being what is used where no name is given
    """

    def __init__(self, predictors: Mapping[str, Predictor], limits: Limits, jobs: int, waiting: Gauge) -> None:
        self.predictors, self._limits, self._waiting = predictors, limits, waiting
        self._turns = asyncio.Semaphore(jobs)
        self._pool = ThreadPoolExecutor(jobs, "earnest-request")
        self._stream_pool = ThreadPoolExecutor(jobs, "earnest-stream")

    @classmethod
    def load(cls, settings: Settings, waiting: Gauge) -> "Engine":
        """Load all models of a server."""
        predictors: dict[str, Predictor] = {}
        for name_or_path in settings.models:
            predictor = Predictor.load(name_or_path, settings.threads, settings.provider)
            predictor.max_seconds = settings.limits.recording_s
            if settings.micro_batch > 1:
                predictor.graph = Shared(predictor.graph, settings.micro_batch, settings.jobs)
            if predictor.info.name in predictors:
                raise EarnestError(f"--model: two models are called '{predictor.info.name}'. Serve one of them.")
            predictors[predictor.info.name] = predictor
        return cls(predictors, settings.limits, settings.jobs, waiting)

    def predictor(self, name: str | None) -> Predictor:
        """Return a model by its name; None for the first one."""
        if name is None:
            return next(iter(self.predictors.values()))
        if name not in self.predictors:
            raise ProblemError("not-valid", f"There is no model '{name[:50]}' here.{suggestion(name, self.predictors)}")
        return self.predictors[name]

    async def run(
        self, predictor: Predictor, work: Callable[[Predictor], T], is_gone: Callable[[], Awaitable[bool]]
    ) -> T:
        """Do the work of a request in its turn.

        Raises
        ------
        ProblemError
            When its time is over, or the client went away before its turn.
        """
        deadline = time.monotonic() + self._limits.request_s
        hurried = copy.copy(predictor)
        hurried.graph = Until(predictor.graph, deadline)
        try:
            async with asyncio.timeout(self._limits.request_s):
                with self._waiting.track_inprogress():
                    await self._turns.acquire()
                if await _released_if_true(is_gone, self._turns):
                    raise ProblemError("not-understood", "The client went away.")
                # Its turn ends when the thread does, not when nobody waits any more.
                future = asyncio.get_running_loop().run_in_executor(self._pool, work, hurried)
                future.add_done_callback(self._finished)
                return await asyncio.shield(future)
        except (TimeoutError, TooLateError):
            bound = f"{self._limits.request_s:g} s, the time for a request"
            raise ProblemError(
                "too-long-to-answer", f"There was no answer within {bound}. Send less, or later."
            ) from None

    def _finished(self, future: "asyncio.Future[T]") -> None:
        self._turns.release()
        if not future.cancelled():
            future.exception()  # somebody has looked: nothing to complain about when the request is gone

    async def run_piece(self, work: Callable[[], T]) -> T:
        """Do a piece of a stream's work; streams bring the next piece when this one is done."""
        return await asyncio.get_running_loop().run_in_executor(self._stream_pool, work)

    def close(self) -> None:
        """Let the threads end."""
        for pool in (self._pool, self._stream_pool):
            pool.shutdown(wait=False, cancel_futures=True)


async def _released_if_true(is_gone: Callable[[], Awaitable[bool]], turns: asyncio.Semaphore) -> bool:
    try:
        gone = await is_gone()
    except BaseException:
        turns.release()
        raise
    if gone:
        turns.release()
    return gone
