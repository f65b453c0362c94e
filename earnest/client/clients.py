"""The clients: for ordinary code, and for asyncio. What one of them does the other does too."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from earnest.audio.source import AudioInput
from earnest.client import calls
from earnest.client.calls import LOCAL, TIMEOUT_S, Adapt, Call, GivenProfile
from earnest.errors import EarnestError
from earnest.runtime.prediction import Classes, Event, Options, Prediction
from earnest.runtime.profile import Profile
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing

if TYPE_CHECKING:
    import httpx2
    from anyio.from_thread import BlockingPortal

BUSY = (429, 503)


@dataclass
class BusyWait:
    """The waits for a server that is busy, ``left_s`` seconds together at most."""

    left_s: float
    n_waits: int = 0

    def next_s(self, response: "httpx2.Response") -> float | None:
        """Return the seconds to wait before the same is asked again; None where this is the answer.

        Each wait is twice the one before, and eight times what the server says at most.
        """
        told = response.headers.get("Retry-After", "")
        if response.status_code not in BUSY or not (told.isascii() and told.isdecimal()):
            return None
        wait_s = max(float(told), 1.0) * 2 ** min(self.n_waits, 3)
        self.left_s -= wait_s
        self.n_waits += 1
        return wait_s if self.left_s >= 0 else None


class AsyncClient:
    """`Client` with methods to be awaited, all in one event loop: that of its first request."""

    def __init__(self, url: str = LOCAL, api_key: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._headers = calls.checked_url(url), calls.headers_of(api_key)
        self._timeout_s, self._api_key = calls.checked_timeout(timeout_s), api_key
        self._http = calls.made_client(calls.http_module().AsyncClient, url, timeout_s, headers=self._headers)
        self._loop: asyncio.AbstractEventLoop | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._url, self._api_key, self._timeout_s)  # with connections of its own

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close connections."""
        self._refuse_other_loop()
        await self._http.aclose()

    async def predict(
        self,
        source: AudioInput,
        model: str | None = None,
        adapt: Adapt = "off",
        classes: Classes = None,
        abstain_below: float | None = None,
        profile: GivenProfile = None,
    ) -> Prediction:
        """Predict the emotion of one recording; see `Client.predict`."""
        call = await asyncio.to_thread(
            calls.predict_call, source, model, adapt, Options.of(classes, abstain_below), profile
        )
        return calls.prediction_in(await self._ask(call), call.recording)

    async def predict_many(
        self,
        sources: Iterable[AudioInput],
        model: str | None = None,
        adapt: Adapt = "off",
        classes: Classes = None,
        abstain_below: float | None = None,
        profile: GivenProfile = None,
    ) -> list[Prediction]:
        """Predict several recordings; see `Client.predict_many`."""
        options = Options.of(classes, abstain_below)
        batch = await asyncio.to_thread(calls.BatchRows, sources, model, options, adapt, profile)
        coming = batch.calls()
        while asked := await asyncio.to_thread(next, coming, None):  # files are read on a thread
            call, places = asked
            with batch.answering(places):
                batch.take(await self._ask(call), call, places)
        return batch.rows()

    async def timeline(
        self,
        source: AudioInput,
        windowing: Windowing | None = None,
        model: str | None = None,
        adapt: Adapt = "off",
        classes: Classes = None,
        abstain_below: float | None = None,
        profile: GivenProfile = None,
    ) -> Timeline:
        """Predict the emotion over time of one recording."""
        call = await asyncio.to_thread(
            calls.timeline_call, source, windowing, model, adapt, Options.of(classes, abstain_below), profile
        )
        return calls.timeline_in(await self._ask(call), call.recording)

    async def models(self) -> list[dict[str, Any]]:
        """Return the server's descriptions of its models."""
        return calls.models_in(await self._ask(Call("GET", "/v1/models")))

    def stream(
        self,
        sample_rate_hz: int,
        windowing: Windowing | None = None,
        model: str | None = None,
        adapt: Adapt = "off",
        classes: Classes = None,
        abstain_below: float | None = None,
        profile: GivenProfile = None,
    ) -> "AsyncRemoteStream":
        """Return a stream to be used in an ``async with`` block."""
        address = calls.stream_address(
            self._url, sample_rate_hz, windowing, model, adapt, Options.of(classes, abstain_below)
        )
        return AsyncRemoteStream(address, sample_rate_hz, self._headers, calls.known_profile(profile))

    async def _ask(self, call: Call) -> Any:
        http = calls.http_module()
        if self._http.is_closed:
            raise EarnestError(calls.CLOSED)
        self._refuse_other_loop()
        try:
            response = await self._answered(call)
        except (http.HTTPError, http.InvalidURL) as error:
            raise calls.no_answer(self._url, error, self._timeout_s) from error
        return calls.values_in(response, call)

    def _refuse_other_loop(self) -> None:
        """Raise an `EarnestError` in another event loop than that of the first request, to which connections belong."""
        running = asyncio.get_running_loop()
        self._loop = self._loop or running
        if running is not self._loop:
            raise EarnestError(calls.OTHER_LOOP)

    async def _answered(self, call: Call) -> Any:
        """Ask, and again where the server is busy: see `Client`."""
        waits = BusyWait(self._timeout_s)
        while (wait_s := waits.next_s(response := await self._sent(call))) is not None:
            await asyncio.sleep(wait_s)
        return response

    async def _sent(self, call: Call) -> Any:
        """Ask, and once more where the connection broke: servers close what was idle, or sent what they refused."""
        try:
            return await self._http.request(call.method, **call.arguments())
        except calls.broken_connections():  # asking again changes nothing
            return await self._http.request(call.method, **call.arguments())


class AsyncRemoteStream:
    """`RemoteStream` with methods to be awaited. ``opening``: how its user opens it, for messages."""

    def __init__(
        self,
        address: str,
        sample_rate_hz: int,
        headers: dict[str, str],
        profile: Profile | None = None,
        opening: str = "async with",
    ) -> None:
        self._address, self._headers, self._profile, self._opening = address, headers, profile, opening
        self._expected = calls.expected_errors()
        self._heard = calls.ServerMessages(sample_rate_hz)
        self._closing = AsyncExitStack()
        self._socket: Any = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "AsyncRemoteStream":
        from websockets.asyncio.client import connect

        try:
            async with AsyncExitStack() as closing:  # where the greeting fails, __aexit__ is not called
                opening = connect(
                    self._address,
                    additional_headers=self._headers,
                    open_timeout=calls.OPEN_S,
                    ping_timeout=calls.PONG_S,
                    compression=None,
                )
                self._socket = await closing.enter_async_context(opening)
                self._heard.take(await self._socket.recv())
                if self._profile:
                    await self._socket.send(calls.profile_message(self._profile))
                self._closing = closing.pop_all()
        except self._expected as error:
            raise calls.refused(error, self._address) from error
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._reader is not None
        self._heard.close()
        await self._closing.aclose()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def accept_waveform(self, waveform: npt.ArrayLike) -> list[Event]:
        """Send the next samples and return what the server has told by now; for errors see `RemoteStream`."""
        self.refuse_unless_open()
        self._heard.refuse_when_ended()
        for piece in calls.pieces(waveform, self._heard.mixer):
            self._heard.note_sent(piece)
            await self._send(piece)
        assert self._reader is not None
        if self._reader.done():
            await self._reader  # tells why it ended
        return self._heard.events()

    async def finish(self) -> list[Event]:
        """End the recording and return the rest; for errors see `RemoteStream`."""
        self.refuse_unless_open()
        self._heard.finish()
        await self._send(calls.FINISH)
        assert self._reader is not None
        await self._reader
        self._heard.refuse_lost()
        return self._heard.events()

    def prediction(self) -> Prediction:
        """Return the answer of all windows together, once the stream is finished."""
        return self._heard.prediction()

    def refuse_unless_open(self) -> None:
        """Raise an `EarnestError` when the stream was not opened yet, or is finished."""
        self._heard.refuse(self._opening)

    async def _read(self) -> None:
        try:
            while not self._heard.is_ended:
                self._heard.take(await self._socket.recv())
        except self._expected as error:
            raise calls.refused(error) from error

    async def _send(self, message: str | bytes) -> None:
        try:
            await self._socket.send(message)
        except self._expected as error:
            assert self._reader is not None
            await self._reader  # its error is the reason
            if self._heard.is_ended:
                return
            raise calls.refused(error) from error


class Client:
    """Asks a server; methods and answers are those of `earnest.load`'s model.

    A server that is busy says when to ask again (429 and 503, "Retry-After"), and is asked again then.

    Parameters
    ----------
    api_key : where the server wants one
    timeout_s : for one answer, and for all waits for a busy server before it
    """

    def __init__(self, url: str = LOCAL, api_key: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._headers = calls.checked_url(url), calls.headers_of(api_key)
        self._timeout_s, self._api_key = calls.checked_timeout(timeout_s), api_key
        self._http = calls.made_client(calls.http_module().Client, url, timeout_s, headers=self._headers)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._url, self._api_key, self._timeout_s)  # with connections of its own

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def predict(
        self,
        source: AudioInput,
        model: str | None = None,
        adapt: Adapt = "off",
        classes: Classes = None,
        abstain_below: float | None = None,
        profile: GivenProfile = None,
    ) -> Prediction:
        """Predict the emotion of one recording.

        Raises `AudioError` when the server can't read it; `ServerError` when it refuses, or can't be reached.

        Parameters
        ----------
        adapt : "auto" for adaptation to the speaker by what was heard before in the recording
        profile : of the speaker, see `Predictor.profile`, or its file; then ``adapt`` is of no meaning
        """
        call = calls.predict_call(source, model, adapt, Options.of(classes, abstain_below), profile)
        return calls.prediction_in(self._ask(call), call.recording)

    def predict_many(
        self,
        sources: Iterable[AudioInput],
        model: str | None = None,
        adapt: Adapt = "off",
        classes: Classes = None,
        abstain_below: float | None = None,
        profile: GivenProfile = None,
    ) -> list[Prediction]:
        """Predict several recordings; what can't be read, here or there, is a row with status "error".

        Many are sent in parts. An error of the first one is raised; one of a later part is a row for each of its
        recordings, so that no answer is lost. With ``adapt="auto"`` and without a profile they are those of one
        speaker: all go in one request, within the server's limits, and are heard before they are answered.
        """
        batch = calls.BatchRows(sources, model, Options.of(classes, abstain_below), adapt, profile)
        for call, places in batch.calls():
            with batch.answering(places):
                batch.take(self._ask(call), call, places)
        return batch.rows()

    def timeline(
        self,
        source: AudioInput,
        windowing: Windowing | None = None,
        model: str | None = None,
        adapt: Adapt = "off",
        classes: Classes = None,
        abstain_below: float | None = None,
        profile: GivenProfile = None,
    ) -> Timeline:
        """Predict the emotion over time of one recording; for errors see `predict`."""
        call = calls.timeline_call(source, windowing, model, adapt, Options.of(classes, abstain_below), profile)
        return calls.timeline_in(self._ask(call), call.recording)

    def models(self) -> list[dict[str, Any]]:
        """Return the server's descriptions of its models."""
        return calls.models_in(self._ask(Call("GET", "/v1/models")))

    def stream(
        self,
        sample_rate_hz: int,
        windowing: Windowing | None = None,
        model: str | None = None,
        adapt: Adapt = "off",
        classes: Classes = None,
        abstain_below: float | None = None,
        profile: GivenProfile = None,
    ) -> "RemoteStream":
        """Return a stream to be used in a ``with`` block."""
        address = calls.stream_address(
            self._url, sample_rate_hz, windowing, model, adapt, Options.of(classes, abstain_below)
        )
        return RemoteStream(address, sample_rate_hz, self._headers, calls.known_profile(profile))

    def _ask(self, call: Call) -> Any:
        http = calls.http_module()
        if self._http.is_closed:
            raise EarnestError(calls.CLOSED)
        try:
            response = self._answered(call)
        except (http.HTTPError, http.InvalidURL) as error:
            raise calls.no_answer(self._url, error, self._timeout_s) from error
        return calls.values_in(response, call)

    def _answered(self, call: Call) -> Any:
        waits = BusyWait(self._timeout_s)
        while (wait_s := waits.next_s(response := self._sent(call))) is not None:
            time.sleep(wait_s)
        return response

    def _sent(self, call: Call) -> Any:
        """Ask, and once more where the connection broke: servers close what was idle, or sent what they refused."""
        try:
            return self._http.request(call.method, **call.arguments())
        except calls.broken_connections():  # asking again changes nothing
            return self._http.request(call.method, **call.arguments())


class RemoteStream:
    """`earnest.runtime.stream.Stream` on a server: events come as soon as the network brings them.

    The connection has a thread of its own, which alone writes to it and reads from it: OpenSSL may lose what one thread
    writes while another reads (TLS 1.3, whose server speaks at once).
    """

    def __init__(
        self, address: str, sample_rate_hz: int, headers: dict[str, str], profile: Profile | None = None
    ) -> None:
        self._stream = AsyncRemoteStream(address, sample_rate_hz, headers, profile, opening="with")
        self._closing = ExitStack()
        self._portal: BlockingPortal

    def __enter__(self) -> "RemoteStream":
        from anyio.from_thread import start_blocking_portal

        with ExitStack() as closing:  # where it can't be opened, __exit__ is not called
            portal = closing.enter_context(start_blocking_portal())
            closing.enter_context(portal.wrap_async_context_manager(self._stream))
            self._portal, self._closing = portal, closing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def accept_waveform(self, waveform: npt.ArrayLike) -> list[Event]:
        """Send the next samples and return what the server has told by now; for shapes see the model's stream.

        Raises `ServerError` when the stream broke off, or the server ended it and its last events were returned before.
        """
        return self._asked(self._stream.accept_waveform, waveform)

    def finish(self) -> list[Event]:
        """End the recording and return the rest.

        Raises `ServerError` when the stream broke off, or the server ended it before it had heard all; `prediction`
        says what it heard.
        """
        return self._asked(self._stream.finish)

    def prediction(self) -> Prediction:
        """Return the answer of all windows together, once the stream is finished."""
        return self._stream.prediction()

    def _asked(self, method: Callable[..., Coroutine[Any, Any, list[Event]]], *arguments: Any) -> list[Event]:
        self._stream.refuse_unless_open()
        return self._portal.call(method, *arguments)
