"""Models and the threads that run them: bounded work, each piece with a deadline."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from prometheus_client import Gauge

from earnest.apps.server.problems import ProblemError
from earnest.apps.server.settings import Limits, Settings
from earnest.apps.server.sharing import Shared
from earnest.apps.server.threads import Threads
from earnest.audio.deadline import Deadline
from earnest.errors import EarnestError, TooLateError
from earnest.runtime.decoder_pool import start_decoders
from earnest.runtime.decoders import InProcess
from earnest.runtime.predictor import Predictor
from earnest.suggest import suggestion

T = TypeVar("T")
LAST_S = 5.0  # for threads to end when the process does; those that don't are left behind
STUCK_SHARE = 0.5  # of the time for a request: so long without a free turn, who comes now may come too late
_log = logging.getLogger("earnest.server")


class Engine:
    """Runs work on models; at most ``jobs`` pieces for requests and as many for streams at a time.

    Attributes
    ----------
    predictors : name → model, the first one being what is used where no name is given
    """

    def __init__(
        self, predictors: Mapping[str, Predictor], limits: Limits, jobs: int, waiting: Gauge, isolate: bool = True
    ) -> None:
        self.predictors, self._limits, self._waiting = predictors, limits, waiting
        self._jobs, self._isolate = jobs, isolate
        self._under_way: dict[asyncio.Future[Any], Deadline] = {}
        self._last_change = time.monotonic()  # of who has a turn

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
        return cls(predictors, settings.limits, settings.jobs, waiting, settings.isolate)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have threads and decoder processes until the block ends; inside a running event loop."""
        self._pool = Threads(self._jobs, "earnest-request")
        self._stream_pool = Threads(self._jobs, "earnest-stream")
        self._turns = asyncio.Semaphore(self._jobs)
        decoders = start_decoders(self._jobs) if self._isolate else InProcess()
        for predictor in self.predictors.values():
            predictor.decoders = decoders
        try:
            yield
        finally:
            decoders.close()
            for threads in (self._pool, self._stream_pool):
                if not threads.end(LAST_S):
                    _log.warning("ended while a thread still worked")

    @property
    def is_stuck(self) -> bool:
        """Whether there is no free turn, and there will be none soon.

        So it is when whoever has a turn should have ended by now, or when none has ended for half of the time that a
        request has: a server with much to do gives turns back all the time.
        """
        if len(self._under_way) < self._jobs:
            return False
        is_over = all(deadline.left_s == 0 for deadline in self._under_way.values())
        return is_over or time.monotonic() - self._last_change > STUCK_SHARE * self._limits.request_s

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
        """Do the work of a request in its turn; it ends soon after its time is over.

        Raises
        ------
        ProblemError
            When its time is over, or the client went away before its turn.
        """
        deadline = Deadline(self._limits.request_s, "The time for this request is over.")

        def in_time() -> T:
            with deadline:
                deadline.check()
                return work(predictor)

        try:
            async with asyncio.timeout(self._limits.request_s):
                with self._waiting.track_inprogress():
                    await self._turns.acquire()
                try:
                    if await is_gone():
                        raise ProblemError("not-understood", "The client went away.")
                    future = asyncio.get_running_loop().run_in_executor(self._pool, in_time)
                except BaseException:
                    self._turns.release()
                    raise
                self._under_way[future], self._last_change = deadline, time.monotonic()
                future.add_done_callback(self._finished)  # a turn ends when the thread does, whoever waits
                return await asyncio.shield(future)
        except (TimeoutError, TooLateError):
            detail = f"There was no answer within {self._limits.request_s:g} s, the time for a request. Send less."
            raise ProblemError("too-long-to-answer", detail) from None

    def _finished(self, future: "asyncio.Future[T]") -> None:
        self._turns.release()
        del self._under_way[future]
        self._last_change = time.monotonic()
        if not future.cancelled():
            future.exception()  # somebody has looked: nothing to complain about when the request is gone

    async def run_piece(self, work: Callable[[], T]) -> T:
        """Do a piece of a stream's work; streams bring the next piece when this one is done.

        Raises
        ------
        TooLateError
            When it takes longer than a request may.
        """

        def in_time() -> T:
            with Deadline(self._limits.request_s, "This piece of the stream took too long."):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._stream_pool, in_time)
