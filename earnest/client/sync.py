"""The client for ordinary code."""

from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import numpy.typing as npt

from earnest.audio.source import AudioInput
from earnest.client import calls
from earnest.client.calls import LOCAL, TIMEOUT_S, Adapt, Call, GivenProfile
from earnest.errors import EarnestError
from earnest.runtime.events import Event
from earnest.runtime.prediction import Classes, Options, Prediction
from earnest.runtime.profile import Profile
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing


class Client:
    """Asks a server; methods and answers are those of `earnest.load`'s model.

    Parameters
    ----------
    api_key : where the server wants one
    timeout_s : for one answer
    """

    def __init__(self, url: str = LOCAL, api_key: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._headers = calls.checked_url(url), calls.headers_of(api_key)
        self._timeout_s = calls.checked_timeout(timeout_s)
        self._http = calls.made_client(calls.http_module().Client, url, headers=self._headers, timeout=timeout_s)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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

        Parameters
        ----------
        adapt : "auto" for adaptation to the speaker by what was heard before in the recording
        profile : of the speaker, see `Predictor.profile`, or its file; then ``adapt`` is of no meaning

        Raises
        ------
        AudioError
            When the server can't read it.
        ServerError
            When it refuses, or can't be reached.
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
        """Tell the emotion over time of one recording; for errors see `predict`."""
        call = calls.timeline_call(source, windowing, model, adapt, Options.of(classes, abstain_below), profile)
        return calls.timeline_in(self._ask(call), call.recording)

    def models(self) -> list[dict[str, Any]]:
        """Return what the server says about its models."""
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
        """Ask, and once more where the connection broke: servers close what was idle, or sent what they refused."""
        try:
            return self._http.request(call.method, **call.arguments())
        except calls.broken_connections():  # asking again changes nothing
            return self._http.request(call.method, **call.arguments())


class RemoteStream:
    """`earnest.runtime.stream.Stream` on a server: events come as soon as the network brings them."""

    def __init__(
        self, address: str, sample_rate_hz: int, headers: dict[str, str], profile: Profile | None = None
    ) -> None:
        self._address, self._headers, self._profile = address, headers, profile
        self._expected = calls.expected_errors()
        self._heard = calls.ServerMessages(sample_rate_hz)
        self._closing = ExitStack()
        self._socket: Any = None

    def __enter__(self) -> "RemoteStream":
        from websockets.sync.client import connect

        try:
            with ExitStack() as closing:  # where the greeting fails, __exit__ is not called
                opening = connect(
                    self._address,
                    additional_headers=self._headers,
                    open_timeout=calls.OPEN_S,
                    ping_timeout=calls.PONG_S,
                    compression=None,
                )
                self._socket = closing.enter_context(opening)
                self._heard.take(self._socket.recv())
                if self._profile:
                    self._socket.send(calls.profile_message(self._profile))
                self._closing = closing.pop_all()
        except self._expected as error:
            raise calls.refused(error, self._address) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def accept_waveform(self, waveform: npt.ArrayLike) -> list[Event]:
        """Send the next samples and return what the server has told by now; for shapes see the model's stream.

        Raises
        ------
        ServerError
            When the stream broke off, or the server ended it and its last events were returned before.
        """
        self._heard.refuse("with")
        self._heard.refuse_when_ended()
        try:
            for piece in calls.pieces(waveform, self._heard.mixer):
                self._heard.note_sent(piece)
                self._send(piece)
                self._take_waiting()
        except self._expected as error:
            self._refuse_unless_ended(error)
        return self._heard.events()

    def finish(self) -> list[Event]:
        """End the recording and return the rest.

        Raises
        ------
        ServerError
            When the stream broke off, or the server ended it before it had heard all; `prediction` says what it heard.
        """
        self._heard.finish("with")
        try:
            self._send(calls.FINISH)
            calls.take_all(self._heard, iter(self._socket.recv, None))
        except self._expected as error:
            self._refuse_unless_ended(error)
        self._heard.refuse_lost()
        return self._heard.events()

    def prediction(self) -> Prediction:
        """Return what all windows say together, once the stream is finished."""
        return self._heard.prediction()

    def _refuse_unless_ended(self, error: Exception) -> None:
        if not self._heard.is_ended:
            raise calls.refused(error) from error

    def _send(self, message: str | bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._socket.send(message)
        except ConnectionClosed:
            self._take_waiting()  # the server's reason came before it closed
            raise

    def _take_waiting(self) -> None:
        while True:
            try:
                self._heard.take(self._socket.recv(timeout=0))
            except TimeoutError:
                return
