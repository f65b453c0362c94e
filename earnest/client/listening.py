"""A stream as both clients see it: messages in, events out."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from earnest.audio.mixing import Mixer
from earnest.client.calls import ServerError, error_of, understood
from earnest.errors import EarnestError, MissingExtraError
from earnest.runtime.events import Event, event_from_dict
from earnest.runtime.prediction import Prediction, with_separate

FINISH = json.dumps({"type": "finish"})
OPEN_S, PONG_S = 30.0, 60.0  # a pong may wait behind sound that the server reads no faster than it allows


class ServerMessages:
    """What came from the server.

    Attributes
    ----------
    classes, model : as the server's greeting says
    mixer : of what is sent, which is one channel, so that only here can be told whether there were separate ones
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self.classes: tuple[str, ...] = ()
        self.model = ""
        self._prediction: Prediction | None = None
        self._events: list[Event] = []
        self._is_finished = False
        self.mixer = Mixer(sample_rate_hz)

    @property
    def is_ended(self) -> bool:
        """Whether the server has said all."""
        return self._prediction is not None

    def take(self, message: str | bytes) -> None:
        """Take one message; an error frame is raised, and a `ServerError` for what is no message."""
        with understood():
            self._take(json.loads(message))

    def _take(self, values: Mapping[str, Any]) -> None:
        kind = values["event"]
        if kind == "ready":
            self.classes, self.model = tuple(values["classes"]), values["model"]
        elif kind == "end":
            self._prediction = Prediction.from_dict(values["prediction"])
        elif kind == "error":
            raise error_of(values["code"], values["detail"])
        elif kind != "heartbeat":
            self._events.append(event_from_dict(values))

    def events(self) -> list[Event]:
        """Return what is new."""
        new, self._events = self._events, []
        return new

    def finish(self, opening: str) -> None:
        """Note that the caller has sent all; ``opening`` shows how a stream is opened, see `refuse`."""
        self.refuse(opening)
        self._is_finished = True
        self.mixer.check("stream")

    def refuse(self, opening: str) -> None:
        """Raise an `EarnestError` when the stream was not opened, or the caller has finished it."""
        if self._is_finished:
            raise EarnestError("This stream is finished. Open another one with client.stream(…).")
        if not self.model:  # what the greeting names
            raise EarnestError(f"This stream is not open. Use it in a block: {opening} client.stream(…) as stream:")

    def refuse_when_ended(self) -> None:
        """Raise a `ServerError` when the server hears no more and all it said was handed on."""
        if self._prediction and not self._events:
            heard_s = self._prediction.duration_s or 0.0
            raise ServerError(
                f"This stream ended after {heard_s:g} s of sound: the server restarts, or no sound came for long. "
                "Open another one."
            )

    def prediction(self) -> Prediction:
        """Return what all windows say together, once the stream is finished."""
        if self._prediction is None:
            raise EarnestError("This stream is not finished. Call finish() first.")
        quality = with_separate(self._prediction.quality, self.mixer.has_separate_channels())
        return replace(self._prediction, quality=quality)


def headers_of(api_key: str | None) -> dict[str, str]:
    """Return what tells the server who asks; a key that no header can hold is an `EarnestError`."""
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise EarnestError("api_key: expected letters, digits and signs of ASCII in one line. Was it copied whole?")
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def refused(error: Exception) -> EarnestError:
    """Return an exception of the WebSocket library as ours."""
    from websockets.exceptions import InvalidStatus

    if isinstance(error, InvalidStatus):
        try:
            problem = json.loads(error.response.body or b"{}")
        except (ValueError, RecursionError):
            problem = {}
        problem = problem if isinstance(problem, dict) else {}
        kind = str(problem.get("type", "")).rpartition(":")[2] or "unknown"
        return error_of(kind, str(problem.get("detail", error)), error.response.status_code)
    return ServerError(f"The stream ended early ({error}). Open another one.")


def expected_errors() -> tuple[type[Exception], ...]:
    """Return all that the WebSocket library raises."""
    try:
        from websockets.exceptions import WebSocketException
    except ImportError:
        raise MissingExtraError("the client", "client") from None
    return WebSocketException, OSError, TimeoutError, EOFError


def take_all(heard: ServerMessages, messages: Iterable[str | bytes]) -> None:
    """Take messages until the server has said all."""
    for message in messages:
        heard.take(message)
        if heard.is_ended:
            return
