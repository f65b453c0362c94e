"""Models and the threads that run them: bounded work, each piece with a deadline; what a thread does for a request."""

import asyncio
import ctypes
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue
from threading import BoundedSemaphore, Lock
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

from prometheus_client import Gauge
from starlette.types import Receive

from earnest.apps.server.body import Body, refuse_large_profile
from earnest.apps.server.formats import ProblemError
from earnest.apps.server.settings import Limits, Settings
from earnest.audio.deadline import Deadline, check_deadline, current_deadline, until
from earnest.audio.source import renamed
from earnest.audio.waveform import Waveform
from earnest.bundle import shipped_bundles
from earnest.errors import AudioError, EarnestError, NoPicturesError, TooLateError, suggestion
from earnest.files.reading import decoded
from earnest.runtime.adaptation import Adapter
from earnest.runtime.decoders import InProcess, start_decoders
from earnest.runtime.graph import LogMel, Outputs, PictureNetwork, WindowNetwork
from earnest.runtime.prediction import NOT_ADAPTED, Options, Prediction
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import Profile
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing

T = TypeVar("T")
P = ParamSpec("P")
Adapt: TypeAlias = Literal["auto", "off"]


class Threads(Executor):
    """So many threads, which take their work in order.

    Python's own executor waits at the end of the process for all that its threads do; these are left behind.
    """

    def __init__(self, size: int, name: str) -> None:
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do this as soon as a thread is free."""
        future: Future[T] = Future()
        self._work.put((future, lambda: fn(*args, **kwargs)))
        return future

    def end(self, patience_s: float) -> bool:
        """Take no more work; wait so long for what is under way, and return whether it has ended."""
        for _ in self._threads:
            self._work.put(None)
        until = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            future, work = item
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del future, work, item  # what was asked for is not kept until the next one comes


ALIKE = 1.25  # longest to shortest window of a run: more is padding that costs more than sharing saves


class _Wanted:
    """One window that waits for a run."""

    def __init__(self, waveform: Waveform, names: tuple[str, ...]) -> None:
        self.waveform, self.names = waveform, names
        self.deadline = current_deadline()
        self.outputs: Future[Outputs] = Future()
        self.is_taken = False


class Shared:
    """A network that answers windows which wait at the same time in one run; nobody waits for others to come.

    Several windows that are handed over together stay together: they are a batch already.
    """

    def __init__(self, network: WindowNetwork, most: int, runs: int) -> None:
        self._network, self._most = network, most
        self._waiting: deque[_Wanted] = deque()
        self._lock, self._turns = Lock(), BoundedSemaphore(runs)
        self.predicted = network.predicted

    def run_log_mel(self, log_mel: LogMel, names: Sequence[str] | None = None) -> Outputs:
        """Answer about a spectrogram, which waits for no others."""
        if not isinstance(self._network, PictureNetwork):
            raise NoPicturesError("This model answers about recordings only, not about pictures.")
        with self._turns:
            return self._network.run_log_mel(log_mel, names)

    def run(self, waveforms: Sequence[Waveform], names: Sequence[str] | None = None) -> Outputs:
        """Answer a batch; see `earnest.runtime.graph.Graph.run`."""
        if len(waveforms) != 1:
            with self._turns:
                return self._network.run(waveforms, names)
        mine = _Wanted(waveforms[0], tuple(names or self.predicted))
        with self._lock:
            self._waiting.append(mine)
        # Whoever gets a turn runs the first in the row, which may be another's window: so all move on, and none
        # waits for others to come.
        while not mine.is_taken:
            with self._turns:
                self._run_first()
        check_deadline()
        return mine.outputs.result()

    def _run_first(self) -> None:
        """Run whoever waits longest, with those that are like it."""
        with self._lock:
            together = self._taken()
        if not together:
            return
        # The latest one: who still has time must not lose an answer because another one's time is over.
        # It is the run's own: that of a request ends when its client leaves.
        last = Deadline(max(wanted.deadline.left_s for wanted in together), "The time for this request is over.")
        try:
            with until(last):
                outputs = self._network.run([wanted.waveform for wanted in together], together[0].names)
        except BaseException as error:
            for wanted in together:
                wanted.outputs.set_exception(error)
            return
        for row, wanted in enumerate(together):
            wanted.outputs.set_result({name: values[row : row + 1] for name, values in outputs.items()})

    def _taken(self) -> list[_Wanted]:
        together: list[_Wanted] = []
        for wanted in list(self._waiting):
            # The one that waits longest is like itself, so it is always taken.
            if len(together) < self._most and _alike([*together, wanted]):
                wanted.is_taken = True
                self._waiting.remove(wanted)
                together.append(wanted)
        return together


def _alike(some: Sequence[_Wanted]) -> bool:
    lengths = [len(wanted.waveform) for wanted in some]
    return len({wanted.names for wanted in some}) == 1 and max(lengths) <= ALIKE * min(lengths)


LAST_S = 5.0  # for threads to end when the process does; those that don't are left behind
M_ARENA_MAX = -8  # mallopt(3)
STUCK_SHARE = 0.5  # of the time for a request: so long without a free turn, who comes now may come too late
_log = logging.getLogger("earnest.server")


def share_memory_arenas() -> None:
    """Let all threads of this process take memory from two arenas: each more keeps what its threads gave back.

    glibc makes up to eight a core; a server that ran for 40 minutes held 160 MiB with two, 176 with all. Other systems
    and C libraries have nothing to set.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 2)


class ModelThreads:
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
        self._under_way: dict[asyncio.Future[Any], float] = {}  # and when each should have ended
        self._last_change = time.monotonic()  # of who has a turn

    @classmethod
    def load(cls, settings: Settings, waiting: Gauge) -> "ModelThreads":
        """Load all models of a server."""
        predictors: dict[str, Predictor] = {}
        for name_or_path in settings.models:
            predictor = Predictor.load(name_or_path, settings.threads, settings.provider)
            predictor.max_seconds, longer_s = settings.limits.recording_s, settings.limits.timeline_s
            predictor.if_too_long = f"Or ask /v1/predict with kind=timeline, for up to {longer_s:g} s."
            if predictor.can_adapt:
                predictor.adaptation  # noqa: B018 -- a broken one is told at the start
            if settings.micro_batch > 1:
                predictor.graph = Shared(predictor.graph, settings.micro_batch, settings.jobs)
            if predictor.info.name in predictors:
                raise EarnestError(f"--model: two models are called '{predictor.info.name}'. Serve one of them.")
            predictors[predictor.info.name] = predictor
        return cls(predictors, settings.limits, settings.jobs, waiting, settings.isolate)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have threads and decoder processes until the block ends; inside a running event loop."""
        share_memory_arenas()
        self._pool = Threads(self._jobs, "earnest-request")
        self._stream_pool = Threads(self._jobs, "earnest-stream")
        self._turns = asyncio.Semaphore(self._jobs)
        decoders = start_decoders(self._jobs, spares=1) if self._isolate else InProcess()
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
        is_over = all(ends < time.monotonic() for ends in self._under_way.values())
        return is_over or time.monotonic() - self._last_change > STUCK_SHARE * self._limits.request_s

    def predictor(self, name: str | None) -> Predictor:
        """Return a model by its name; None for the first one."""
        if name is None:
            return next(iter(self.predictors.values()))
        if name not in self.predictors:
            ours = name in shipped_bundles()
            hint = f" Start the server with --model {name}." if ours else suggestion(name, self.predictors)
            raise ProblemError("not-valid", f"There is no model '{name[:50]}' here.{hint}")
        return self.predictors[name]

    async def run(self, predictor: Predictor, work: Callable[[Predictor], T], receive: Receive) -> T:
        """Do the work of a request in its turn; it ends soon after its time is over, or its client is gone.

        Raises `ProblemError` when its time is over, or the client went away.

        Parameters
        ----------
        receive : of the request, whose body has been read
        """
        answering = asyncio.create_task(self._in_turn(predictor, work))
        leaving = asyncio.create_task(_until_gone(receive))
        for task in (answering, leaving):
            task.add_done_callback(_look_at)
        del task  # as below
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise ProblemError("not-understood", "The client closed the connection.")
            return answering.result()
        finally:
            leaving.cancel()
            answering.cancel()
            del answering  # an error in it would keep this frame, and with it the recording

    async def _in_turn(self, predictor: Predictor, work: Callable[[Predictor], T]) -> T:
        deadline = Deadline(self._limits.request_s, "The time for this request is over.")
        waited_s = self._limits.request_s  # until a turn comes

        def in_time() -> T:
            with deadline:
                deadline.check()
                return work(predictor)

        try:
            # Waiting for a turn counts as well.
            async with asyncio.timeout(self._limits.request_s):
                came = time.monotonic()
                with self._waiting.track_inprogress():
                    await self._turns.acquire()
                waited_s = time.monotonic() - came
                future = asyncio.get_running_loop().run_in_executor(self._pool, in_time)
                self._under_way[future], self._last_change = deadline.ends, time.monotonic()
                future.add_done_callback(self._finished)  # a turn ends when the thread does, whoever waits
                try:
                    # A thread can't be cancelled: it ends by its own deadline, and `asyncio.wait` leaves it alone. From
                    # Python 3.14 on `asyncio.shield` logs errors of what nobody waits for any more.
                    await asyncio.wait((future,))
                    return future.result()
                finally:
                    deadline.end()
                    del future  # as above
        except (TimeoutError, TooLateError):
            raise self._too_late(waited_s) from None

    def _too_late(self, waited_s: float) -> ProblemError:
        """Return the error at the deadline: asking again helps where a request mostly waited for others, else not."""
        detail = f"There was no answer within {self._limits.request_s:g} s, this server's limit request_s"
        if waited_s > self._limits.request_s / 2:
            return ProblemError(
                "overloaded", f"{detail}. Of these it waited {waited_s:.3g} s for other requests. Try again soon."
            )
        return ProblemError("too-long-to-answer", f"{detail}. Send a shorter recording, or fewer.")

    def _finished(self, future: "asyncio.Future[T]") -> None:
        self._turns.release()
        del self._under_way[future]
        self._last_change = time.monotonic()
        _look_at(future)

    async def run_piece(self, work: Callable[[], T]) -> T:
        """Do a piece of a stream's work; streams bring the next piece when this one is done.

        Raises `TooLateError` when it takes longer than a request may.
        """

        def in_time() -> T:
            with Deadline(self._limits.request_s, "This piece of the stream took too long."):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._stream_pool, in_time)


def _look_at(future: "asyncio.Future[Any]") -> None:
    """Look at an error, so that asyncio doesn't complain that nobody did when the request is gone."""
    if not future.cancelled():
        future.exception()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def adapter_for(predictor: Predictor, adapt: Adapt) -> Adapter | None:
    """Return an adapter to one speaker, None for "off" and where the model can't."""
    return predictor.adapter() if adapt == "auto" and predictor.can_adapt else None


def told_plain(predictor: Predictor, adapt: Adapt, answer: Prediction) -> Prediction:
    """Mark an answer as plain where adaptation was asked for, and the model can't adapt."""
    is_in_vain = adapt == "auto" and not predictor.can_adapt and answer.error is None
    return replace(answer, quality=(*answer.quality, NOT_ADAPTED)) if is_in_vain else answer


def known_adapter(predictor: Predictor, profile: object) -> Adapter:
    """Return an adapter by a profile, its JSON's bytes or values; `ProblemError` for an invalid one."""
    try:
        if isinstance(profile, bytes):
            refuse_large_profile(len(profile))
            text = decoded(profile, "profile", what="profile of `earnest adapt`")
            return predictor.adapter(Profile.parsed(text, "profile"))
        return predictor.adapter(Profile.from_values(profile, "profile"))
    except EarnestError as error:
        raise ProblemError("not-valid", str(error)) from None


def _adapter(predictor: Predictor, body: Body, adapt: Adapt) -> Adapter | None:
    return adapter_for(predictor, adapt) if body.profile is None else known_adapter(predictor, body.profile)


def _named(error: AudioError, body: Body) -> AudioError:
    """Return an error that says what the client calls the one recording.

    No context manager: from Python 3.12 on, one that raises another error keeps both, and the upload, in a circle.
    """
    return type(error)(renamed(str(error), body.sounds[0], body.told))


def utterance(predictor: Predictor, body: Body, adapt: Adapt, options: Options) -> Prediction:
    """Predict one recording; `AudioError` when it can't be read."""
    (sound,), (name,) = body.sounds, body.names
    try:
        answer = predictor.predict(sound, _adapter(predictor, body, adapt), **options.words())
    except AudioError as error:
        raise _named(error, body) from error
    return replace(told_plain(predictor, adapt, answer), path=name)


def timeline(
    predictor: Predictor, body: Body, adapt: Adapt, windowing: Windowing, most_s: float, options: Options
) -> Timeline:
    """Predict the emotion over time; `AudioError` when it can't be read."""
    (sound,), (name,) = body.sounds, body.names
    try:
        answer = predictor.timeline(sound, windowing, _adapter(predictor, body, adapt), most_s, **options.words())
    except AudioError as error:
        raise _named(error, body) from error
    return replace(answer, prediction=replace(told_plain(predictor, adapt, answer.prediction), path=name))


def batch(predictor: Predictor, body: Body, adapt: Adapt, options: Options) -> list[Prediction]:
    """Predict many recordings in their order, with "auto" as those of one speaker; see `Predictor.predict_many`."""
    if body.profile is None and adapt == "auto" and predictor.can_adapt:
        rows = predictor.predict_many(body.sounds, speakers="one", **options.words())
    else:
        rows = predictor.predict_many(body.sounds, 1, _adapter(predictor, body, "off"), **options.words())
    told = (told_plain(predictor, adapt, row) for row in rows)
    named = zip(told, body.sounds, body.names, strict=True)
    return [replace(row, path=name, error=renamed(row.error, sound, name), speaker=None) for row, sound, name in named]
