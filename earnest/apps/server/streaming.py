"""``WS /v1/stream``: sound in, events out; documented in docs/server.md."""

import asyncio
import contextlib
import functools
import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Query
from prometheus_client import Counter
from pydantic import Field
from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket, WebSocketDisconnect

from earnest.apps.server.body import THE_RECORDING
from earnest.apps.server.engine import ModelThreads, adapter_for, known_adapter, told_plain
from earnest.apps.server.formats import ProblemError
from earnest.apps.server.routes import WindowsQuery, classes_of, refuse_repeated
from earnest.apps.server.service import Service
from earnest.apps.server.settings import Limits
from earnest.audio.feed import are_floats, container_of
from earnest.audio.sound_file import is_wav
from earnest.errors import AudioError, EarnestError, TooLateError, counted, printable
from earnest.runtime.adaptation import Adapter
from earnest.runtime.prediction import Event, Options, Prediction
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import has_too_many_lists
from earnest.runtime.stream import Stream
from earnest.runtime.windows import Windowing

_log = logging.getLogger("earnest.server")

STREAM = "stream"  # path of the answer
Encoding: TypeAlias = Literal["s16le", "f32le"]
_DTYPES = {"s16le": "<i2", "f32le": "<f4"}
_LEAST_S = 0.01  # what a message counts for at least: work is by message as well as by length
_TOGETHER = 32  # messages, at most, that are worked on at a time
_QUIET_S, _DRAIN_S = 0.05, 2.0  # when the process ends, streams are heard until nothing waits, but no longer than this
_CLOSE = {
    "finished": 1000,
    "idle": 1008,
    "ending": 1012,
    "bad-message": 1003,
    "bad-sound": 1007,
    "too-long": 1008,
    "too-big": 1009,
    "failed": 1011,
}


class StreamEndedError(EarnestError):
    """The server ends a stream; ``code`` is a word of the table in docs/server.md."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


@dataclass
class Conversation:
    """One open stream: reads what has arrived, works on it, answers, reads on, so that a client feels back-pressure.

    Attributes
    ----------
    ending : set when the process is about to end; streams then end as if their clients had finished
    with_profile : gives the stream that adapts to the speaker of a profile, in place of ``stream``
    told : gives the stream's answer as it is told at its end
    heard : the statistics of sound that was heard
    heard_s : seconds of sound so far
    """

    websocket: WebSocket
    stream: Stream
    engine: ModelThreads
    limits: Limits
    ending: asyncio.Event
    with_profile: Callable[[object], Stream]
    told: Callable[[Prediction], Prediction]
    heard: Counter
    sample_rate_hz: int
    encoding: Encoding = "s16le"
    channels: int = 1
    channel: int | None = None
    heard_s: float = 0.0
    _counted_s: float = 0.0
    _reading: "asyncio.Future[Any] | None" = None

    async def hold(self, greeting: dict[str, Any]) -> str:
        """Talk until the client finishes or breaks a rule, or the process ends; return how, a word of `_CLOSE`."""
        self._opened = self._last_sound = time.monotonic()
        try:
            await self._send({"event": "ready", **greeting})
            how = await self._listen()
            await self._tell(await self.engine.run_piece(self.stream.finish))
            await self._send({"event": "end", "prediction": self.told(self.stream.prediction(STREAM)).to_dict()})
            await self.websocket.close(_CLOSE[how], how if how == "idle" else None)
            return how
        except EarnestError as error:
            return await self._break_off(error if isinstance(error, StreamEndedError) else _ended_by(error))

    async def _break_off(self, end: StreamEndedError) -> str:
        """Tell the error and close; a variable of `hold` would keep it, its frame and the stream in a circle."""
        await self._send({"event": "error", "code": end.code, "detail": end.detail})
        await self.websocket.close(_CLOSE[end.code], end.code)
        return end.code

    async def _listen(self) -> str:
        """Hear until the client says that it is done or sends nothing, or the process ends; return which it was."""
        until = math.inf
        try:
            while time.monotonic() < until:
                arrived = await self._arrived(_QUIET_S if self.ending.is_set() else self._patience_s())
                if not arrived and self.ending.is_set():
                    return "ending"
                if self.ending.is_set():
                    until = min(until, time.monotonic() + _DRAIN_S)
                heard_s = self.heard_s
                if arrived and await self._understand(arrived):
                    return "finished"
                # Messages without sound keep no stream open.
                if self.heard_s == heard_s and time.monotonic() - self._last_sound > self.limits.stream_idle_s:
                    return "idle"
                if not arrived:
                    await self._send({"event": "heartbeat", "received_s": round(self.heard_s, 3)})
            return "ending"
        finally:
            if self._reading:
                self._reading.cancel()

    async def _arrived(self, patience_s: float) -> list[Mapping[str, Any]]:
        """Return the messages that are there, so that a busy server works on several at a time; [] if none comes."""
        arrived: list[Mapping[str, Any]] = []
        n_bytes = 0
        while len(arrived) < _TOGETHER and n_bytes < self.limits.stream_frame_bytes:
            # One that waits is kept for the next call: cancelled, it could lose what has just come.
            self._reading = self._reading or asyncio.ensure_future(self.websocket.receive())
            await asyncio.wait({self._reading}, timeout=0 if arrived else patience_s)  # only the first is waited for
            if not self._reading.done():
                break
            message, self._reading = self._reading.result(), None
            arrived.append(message)
            if message.get("bytes") is None:  # maybe the last one: nothing may be read after it
                break
            n_bytes += len(message["bytes"])
        return arrived

    async def _understand(self, messages: Iterable[Mapping[str, Any]]) -> bool:
        """Work on the sound in messages; True when one of them says that the client is done."""
        chunks: list[npt.NDArray[Any]] = []
        try:
            for message in messages:
                if (sound := _sound_in(message)) is not None:
                    chunks.append(self._counted(sound))
                elif (profile := self._profile_in(message)) is None:
                    return True
                else:
                    await self._adapt_to(profile)
        except WebSocketDisconnect:
            chunks.clear()
            raise
        finally:
            await self._hear(chunks)  # what came before an end or an error is answered too
        return False

    def _profile_in(self, message: Mapping[str, Any]) -> object:
        """Return the profile in a text, None when the client says that it is done."""
        text = message.get("text", "")
        if len(text) > self.limits.stream_frame_bytes:
            raise StreamEndedError("too-big", f"A message may have {self.limits.stream_frame_bytes:,} bytes.")
        if has_too_many_lists(text):
            raise StreamEndedError("bad-message", "A profile holds fewer lists. Make it again with `earnest adapt`.")
        match _command(text):
            case {"type": "finish"}:
                return None
            case {"type": "profile", "profile": dict() as profile}:
                return profile
        raise StreamEndedError("bad-message", 'Text must be {"type": "finish"} or a profile; sound comes in binary.')

    async def _adapt_to(self, profile: object) -> None:
        if self.heard_s:
            raise StreamEndedError("bad-message", "A profile must come before all sound.")
        try:
            self.stream = await self.engine.run_piece(lambda: self.with_profile(profile))
        except ProblemError as error:
            raise StreamEndedError("bad-message", error.detail) from None

    def _counted(self, sound: bytes) -> npt.NDArray[Any]:
        """Return a message's samples, once it is known that they may be heard."""
        chunk = self._samples(sound)
        if len(chunk):
            self._last_sound = time.monotonic()
        seconds = len(chunk) / self.sample_rate_hz
        self.heard_s += seconds
        self.heard.inc(seconds)
        self._counted_s += max(seconds, _LEAST_S)
        if self.heard_s > self.limits.stream_s:
            raise StreamEndedError("too-long", f"A stream may last {self.limits.stream_s:g} s. Open another one.")
        return chunk

    def _patience_s(self) -> float:
        """Return how long to wait for a message before a heartbeat, or before it is known that no sound comes."""
        silent_s = time.monotonic() - self._last_sound
        return min(self.limits.heartbeat_s, max(self.limits.stream_idle_s - silent_s, 0.0) + _LEAST_S)

    async def _hear(self, chunks: list[npt.NDArray[Any]]) -> None:
        await self._wait_for_real_time()
        if not any(map(len, chunks)):
            return
        sound = np.concatenate(chunks)
        try:
            await self._tell(await self.engine.run_piece(lambda: self.stream.accept_frames(sound)))
        except AudioError as error:
            raise _bad_sound(error) from None

    def _samples(self, message: bytes) -> npt.NDArray[Any]:
        if len(message) > self.limits.stream_frame_bytes:
            raise StreamEndedError("too-big", f"A message may have {self.limits.stream_frame_bytes:,} bytes.")
        if not self.heard_s and (file := "WAV" if is_wav(message) else container_of(message[:12])):
            told = f"this is the beginning of a {file} file. Send samples alone, without a header: {self.encoding}."
            raise StreamEndedError("bad-sound", f"{THE_RECORDING}: {told}")
        if self.encoding == "s16le" and are_floats(message):
            raise StreamEndedError(
                "bad-sound", "These are 32-bit floats, not s16le. Open the stream with encoding=f32le."
            )
        kind = np.dtype(_DTYPES[self.encoding])
        n_frame = kind.itemsize * self.channels
        if len(message) % n_frame:
            raise StreamEndedError(
                "bad-sound", f"{counted(len(message), 'byte')}: no whole number of frames of {n_frame} bytes."
            )
        frames = np.frombuffer(message, kind).reshape(-1, self.channels)
        if self.encoding == "f32le" and not np.isfinite(frames).all():  # quiet integers look so
            advice = "If these are integers of 16 bits, open the stream with encoding=s16le."
            raise StreamEndedError("bad-sound", f"{THE_RECORDING}: holds NaN or infinite samples. {advice}")
        return frames if self.channel is None else frames[:, self.channel - 1 : self.channel]

    async def _wait_for_real_time(self) -> None:
        # Allowed after t seconds: burst + speed · t; the surplus is worn off in surplus / speed seconds.
        allowed_s = self.limits.stream_burst_s + self.limits.stream_speed * (time.monotonic() - self._opened)
        if self._counted_s > allowed_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((self._counted_s - allowed_s) / self.limits.stream_speed):
                    await self.ending.wait()

    async def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            await self._send(event.to_dict())

    async def _send(self, values: dict[str, Any]) -> None:
        await self.websocket.send_text(json.dumps(values, ensure_ascii=False, allow_nan=False))


def _ended_by(error: EarnestError) -> StreamEndedError:
    """Return how an error of the sound, the model or the time ends a stream; all but the first are logged."""
    if isinstance(error, AudioError):
        return _bad_sound(error)
    if not isinstance(error, TooLateError):
        _log.error("a stream failed", exc_info=error)
    return StreamEndedError("failed", str(error))


def _bad_sound(error: AudioError) -> StreamEndedError:
    """Return how an error of the sound ends a stream; it calls the sound as answers to a nameless recording do."""
    return StreamEndedError("bad-sound", re.sub(rf"^{STREAM}(?=: )", THE_RECORDING, str(error)))


def _sound_in(message: Mapping[str, Any]) -> bytes | None:
    """Return the sound in a message, None for a text."""
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    return None if message.get("bytes") is None else bytes(message["bytes"])


def _command(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class StreamQuery(WindowsQuery):
    """Query of a stream: the form of its sound, and the options of its answers."""

    sample_rate_hz: int = Field(ge=4_000, le=192_000)
    encoding: Encoding = "s16le"
    channels: int = Field(1, ge=1, le=16)
    channel: int | None = Field(None, ge=1, le=16)
    ticket: str | None = None


def stream_router(service: Service) -> APIRouter:
    """Return the route of streams; FastAPI leaves it out of ``/openapi.json``, docs/server.md has its words."""
    router = APIRouter()

    def requested(connection: HTTPConnection, query: StreamQuery) -> tuple[Predictor, Options, Windowing]:
        """Return the model and the options of a stream; what no stream can be opened for is refused."""
        refuse_repeated(connection)
        if query.channel and query.channel > query.channels:
            raise ProblemError("not-valid", f"There is no channel {query.channel} where channels={query.channels}.")
        predictor, options = service.engine.predictor(query.model), query.options()
        classes_of(predictor, options)
        return predictor, options, query.windowing()

    @router.websocket("/v1/stream")
    async def stream(websocket: WebSocket, query: Annotated[StreamQuery, Query()]) -> None:
        predictor, options, windowing = requested(websocket, query)
        service.refuse_when_ending()
        with service.streams.inside(service.client(websocket, query.ticket)):

            def opened(adapter: Adapter | None) -> Stream:
                return predictor.stream(query.sample_rate_hz, windowing, adapter, **options.words())

            def with_profile(profile: object) -> Stream:
                return opened(known_adapter(predictor, profile))

            listening = opened(adapter_for(predictor, query.adapt))
            limits, metrics = service.settings.limits, service.metrics
            form = query.sample_rate_hz, query.encoding, query.channels, query.channel
            told = functools.partial(told_plain, predictor, query.adapt)
            heard = metrics.heard.labels("/v1/stream")
            talk = Conversation(
                websocket, listening, service.engine, limits, service.ending, with_profile, told, heard, *form
            )
            await websocket.accept()
            how, code = "failed", _CLOSE["failed"]  # by what nobody foresaw
            try:
                how = await talk.hold({"model": predictor.info.name, "classes": list(listening.classes)})
                code = _CLOSE[how]
            except WebSocketDisconnect as gone:
                how, code = "left", gone.code
            finally:
                metrics.ended.labels(how).inc()
                websocket.state.end = {"ended": how, "close": code}

    @router.api_route("/v1/stream", methods=["GET", "HEAD"], include_in_schema=False)
    async def without_upgrade(request: Request, query: Annotated[StreamQuery, Query()]) -> None:
        """Refuse a plain request; what is wrong with its query comes first, as pages can't read why none was opened."""
        requested(request, query)
        told = "A plain request came, with a right query. Open it as a WebSocket: new WebSocket('ws://…')."
        proxy = "If you did, a proxy on the way must pass the headers Upgrade and Connection on."
        raise ProblemError("upgrade-needed", f"{told} {proxy}")

    @router.websocket("/{address:path}")
    async def elsewhere(address: str) -> None:
        raise ProblemError("not-found", f"No stream is heard at /{printable(address)[:100]}, but at /v1/stream.")

    return router
