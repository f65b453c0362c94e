"""Models and the threads that run them: bounded work, each piece with a deadline."""

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
        self._jobs = jobs

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

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have threads until the block ends; inside a running event loop."""
        with (
            ThreadPoolExecutor(self._jobs, "earnest-request") as self._pool,
            ThreadPoolExecutor(self._jobs, "earnest-stream") as self._stream_pool,
        ):
            self._turns = asyncio.Semaphore(self._jobs)
            yield

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
                try:
                    if await is_gone():
                        raise ProblemError("not-understood", "The client went away.")
                    future = asyncio.get_running_loop().run_in_executor(self._pool, work, hurried)
                except BaseException:
                    self._turns.release()
                    raise
                future.add_done_callback(self._finished)  # a turn ends when the thread does, whoever waits
                return await asyncio.shield(future)
        except (TimeoutError, TooLateError):
            detail = f"There was no answer within {self._limits.request_s:g} s, the time for a request. Send less."
            raise ProblemError("too-long-to-answer", detail) from None

    def _finished(self, future: "asyncio.Future[T]") -> None:
        self._turns.release()
        if not future.cancelled():
            future.exception()  # somebody has looked: nothing to complain about when the request is gone

    async def run_piece(self, work: Callable[[], T]) -> T:
        """Do a piece of a stream's work; streams bring the next piece when this one is done."""
        return await asyncio.get_running_loop().run_in_executor(self._stream_pool, work)
