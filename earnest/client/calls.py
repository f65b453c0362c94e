"""Calls of both clients: questions as data, answers and messages of streams as objects, problems as errors."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import numpy as np
import numpy.typing as npt

from earnest.audio.io import SEPARATE, array_frames, mono_chunk, notes_of, open_audio
from earnest.audio.quality import Mixer
from earnest.audio.source import (
    AudioInput,
    Part,
    Source,
    channel_path,
    opened,
    path_of,
    rate_of,
    refuse_single,
    source_name,
    source_of,
    whole_and_channel,
)
from earnest.errors import AudioError, EarnestError, RecordingTooLongError, first_line, needs_extra, shown
from earnest.runtime.prediction import Event, Options, Prediction, event_from_dict, with_notes
from earnest.runtime.profile import Profile
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
Adapt: TypeAlias = Literal["auto", "off"]
GivenProfile: TypeAlias = Profile | str | os.PathLike[str] | None
LOCAL = "http://127.0.0.1:8000"
TIMEOUT_S = 120.0
AT_ONCE = 16  # requests of one client that are sent: a server takes 32 unless told otherwise
STREAM = "/v1/stream"
TOO_LARGE = 413
ROUNDED_S = 0.01  # of the server's count of seconds
THE_RECORDING = "the recording"  # what the server's messages call one that was sent without a name
CLOSED = "This client is closed. Make another one: Client(url)."
OTHER_LOOP = (
    "This AsyncClient belongs to another event loop, such as that of an earlier asyncio.run(…). Ask all in one, or "
    "make a client in each: async with AsyncClient(url) as client. Without asyncio it is Client(url)."
)
FRAME_SAMPLES = 16_000  # of one WebSocket message: 64 kB
FINISH = json.dumps({"type": "finish"})
OPEN_S, PONG_S = 30.0, 60.0  # a pong may wait behind sound that the server reads no faster than it allows
TOGETHER_FILES, TOGETHER_BYTES = 100, 48 * 2**20  # in one request at first; a server takes 100 and 64 MiB unless told
ONE_SPEAKER = (
    'With adapt="auto" all recordings go together. For more of them make a profile from some, with `earnest adapt` '
    "or Predictor.profile, and call predict_many(…, profile=…): recordings then go in parts."
)
_OF_RECORDINGS: Mapping[str, type[AudioError]] = {
    "not-readable": AudioError,
    "not-audio": AudioError,
    "too-large": RecordingTooLongError,
    "bad-sound": AudioError,
}


class ServerError(EarnestError):
    """The server refuses, fails or can't be reached.

    Attributes
    ----------
    kind : the last word of the problem's type, or the code of a stream's error; "unreachable" without an answer
    status : of HTTP, None in a stream
    """

    def __init__(self, message: str, kind: str = "unreachable", status: int | None = None) -> None:
        super().__init__(message)
        self.kind, self.status = kind, status


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes
    ----------
    names : what the server calls a recording that has no name there → what its errors are to call it here
    recording : path of the one recording, as its answer is to tell it
    advice : what to do where the server finds it too much
    """

    method: str
    path: str
    params: Mapping[str, str | float] = field(default_factory=dict)
    content: bytes | None = None
    files: Sequence[tuple[str, tuple[str, bytes]]] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    recording: str = ""
    advice: str = ""

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of httpx2's ``request``."""
        headers = {"Accept": "application/json"}
        if self.content is not None:
            headers["Content-Type"] = "application/octet-stream"
        found = {"url": self.path, "params": dict(self.params), "headers": headers}
        return found | ({"files": list(self.files)} if self.files else {"content": self.content})

    def told(self, error: str) -> str:
        """Return an error of the server with the name, and the words, that the caller knows."""
        error = error.replace("ask /v1/predict with kind=timeline", "call timeline(…), which has the same answer")
        sent = next((name for name in self.names if error.startswith(f"{name}: ")), None)
        return error if sent is None else self.names[sent] + error.removeprefix(sent)


def checked_url(url: str) -> str:
    """Return the address of a server; `EarnestError` for one that names no scheme or place, or more than a place."""
    if not isinstance(url, str):  # such as None, of a variable of the environment that is not set
        raise EarnestError(f"{shown(url)}: expected the address of a server, such as {LOCAL}.")
    address, *more = re.split(r"[?#]", url, maxsplit=1)
    try:
        parts = urlsplit(address)
        is_place = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of an IPv6 address
        is_place = False
    if not is_place or re.search(r"\s", address):  # a line that was read from a file ends so
        raise EarnestError(f"{shown(without_password(address))}: expected the address of a server, such as {LOCAL}.")
    if more:  # not told: it may be a key
        told = "expected the address without '?' or '#' and what follows. Behind '#token=' is the key: api_key=…"
        raise EarnestError(f"{shown(address)}: {told}")
    return url


def checked_timeout(timeout_s: float) -> float:
    """Return how long to wait for an answer; `EarnestError` for what is no time."""
    if not isinstance(timeout_s, Real) or not 0 < timeout_s < np.inf:
        raise EarnestError(f"timeout_s: expected seconds, a number above 0, got {shown(timeout_s)}.")
    return timeout_s


def without_password(url: str) -> str:
    """Return an address as messages tell it: they are kept in logs."""
    return re.sub("//[^/@]*@", "//", url)


def http_module() -> Any:
    """Return httpx2, or say that it is missing."""
    with needs_extra("the client", "client"):
        import httpx2
    return httpx2


def broken_connections() -> tuple[type[Exception], ...]:
    """Return httpx2's exceptions for a connection that ends before an answer."""
    http = http_module()
    return http.ReadError, http.WriteError, http.RemoteProtocolError


def no_answer(url: str, error: Exception, timeout_s: float) -> ServerError:
    """Return the error for an exception of httpx2: the server can't be reached, or takes too long."""
    http, place = http_module(), without_password(url)
    if isinstance(error, http.ReadTimeout | http.WriteTimeout):
        return ServerError(f"{place}: no answer within {timeout_s:g} s. Send less, or give more time: timeout_s=…")
    return ServerError(f"{place}: no answer ({error}). {_advice(error)}{proxy_hint(url)}")


def _advice(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "Trust its certificate: SSL_CERT_FILE=… names a file with it, or with that of who signed it."
    return "Is the server running there?"


def proxy_hint(url: str) -> str:
    """Hint at a proxy of the environment before an address, "" without one."""
    parts = urlsplit(url)
    host, proxies = parts.hostname or "", getproxies()
    if not {parts.scheme.replace("ws", "http"), "all"} & proxies.keys() or proxy_bypass(host):
        return ""
    return f" The environment names a proxy (such as HTTP_PROXY); NO_PROXY={host} goes around it."


def made_client(make: Callable[..., T], url: str, timeout_s: float, **settings: Any) -> T:
    """Make a client of httpx2; a proxy of the environment that can't be used is an `EarnestError`."""
    http = http_module()
    # What is asked beyond waits here, however long: a server refuses it.
    settings["limits"] = http.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    try:
        return make(base_url=url, timeout=http.Timeout(timeout_s, pool=None), **settings)
    except (ImportError, ValueError) as error:
        raise EarnestError(f"{without_password(url)}: no client ({first_line(error)}).{proxy_hint(url)}") from error


def predict_call(source: AudioInput, model: str | None, adapt: Adapt, options: Options, profile: GivenProfile) -> Call:
    """Return the question that `Prediction` answers."""
    return _predict_call({"kind": "utterance", **_asked(model, adapt, options)}, source, profile)


def timeline_call(
    source: AudioInput,
    windowing: Windowing | None,
    model: str | None,
    adapt: Adapt,
    options: Options,
    profile: GivenProfile,
) -> Call:
    """Return the question that `Timeline` answers."""
    params = {"kind": "timeline", **_asked(model, adapt, options), **_window(windowing)}
    return _predict_call(params, source, profile)


def _predict_call(params: Mapping[str, str | float], given: AudioInput, profile: GivenProfile) -> Call:
    source = source_of(given)
    data, channel = _sent(source)
    params, name, path = {**params, **_channel(channel)}, source_name(source), path_of(source)
    if profile is None:
        sent = THE_RECORDING if channel is None else f"{THE_RECORDING}, channel {channel}"
        return Call("POST", "/v1/predict", params, content=data, names={sent: name}, recording=path)
    files = [("file", ("0", data)), *_profile_part(profile)]
    names = {channel_path("0", channel): name}
    return Call("POST", "/v1/predict", params, files=files, names=names, recording=path)


def known_profile(given: GivenProfile) -> Profile | None:
    """Return the profile that a caller means, read where it is a path; what is none is an `EarnestError`."""
    if isinstance(given, str | os.PathLike):
        return Profile.read(Path(given))
    if not isinstance(given, Profile | None):
        raise EarnestError(f"profile: expected a Profile or the path of its file, got {shown(given)}.")
    return given


def _profile_part(given: GivenProfile) -> list[tuple[str, tuple[str, bytes]]]:
    profile = known_profile(given)
    return [] if profile is None else [("profile", ("profile.json", profile.to_json().encode()))]


def profile_message(profile: Profile) -> str:
    """Return the message with the profile, which a stream sends before its sound."""
    return f'{{"type": "profile", "profile": {profile.to_json()}}}'


class BatchRows:
    """The rows of several recordings, in their order, while they come.

    Recordings are read, and asked about, in parts: one of several channels hears the same channel of all recordings of
    a request. A part that a server or a proxy finds too large is asked about in halves, and those that follow are
    smaller. With ``adapt="auto"`` all are one request, as they are one speaker's.

    Raises `EarnestError` when one recording is given in place of a list; later, when different channels are to be
    adapted to as one speaker.
    """

    def __init__(
        self, sources: Iterable[AudioInput], model: str | None, options: Options, adapt: Adapt, profile: GivenProfile
    ) -> None:
        refuse_single(sources)
        self._sources = list(sources)
        self._paths, self._names = dict[int, str](), dict[int, str]()
        self._params = _asked(model, adapt, options)
        self._model, self._profile = model or "", _profile_part(profile)
        self._is_one_speaker = adapt == "auto" and not self._profile
        self._rows: dict[int, Prediction] = {}
        self._n_answered = 0  # by the server
        self._most_files, self._is_refused = TOGETHER_FILES, False  # as too large, the part that was asked about last

    def calls(self) -> Iterator[tuple[Call, Sequence[int]]]:
        """Yield the questions, with the places of their recordings; what can't be read here has its row already."""
        waiting: dict[int | None, dict[int, bytes]] = {}
        for place, source in enumerate(self._sources):
            try:
                data, channel = self._read(place, source)
            except AudioError as error:
                self._fail(place, str(error))
                continue
            files = waiting.setdefault(channel, {})
            if files and not self._is_one_speaker and self._is_much(files, data):
                yield from self._asked(channel, waiting.pop(channel))
                files = waiting.setdefault(channel, {})
            files[place] = data
        if self._is_one_speaker and len(waiting) > 1:
            told = "These are different channels, which are not one speaker's. Ask for each channel by itself."
            raise EarnestError(told)
        for channel, files in waiting.items():
            yield from self._asked(channel, files)

    def _asked(self, channel: int | None, files: Mapping[int, bytes]) -> Iterator[tuple[Call, Sequence[int]]]:
        """Yield the question about a part, and where it was too large those about its halves."""
        self._is_refused = False
        yield self._call(channel, files)
        if self._is_refused:
            half, places = len(files) // 2, list(files)
            self._most_files = half
            for part in (places[:half], places[half:]):
                yield from self._asked(channel, {place: files[place] for place in part})
        else:
            self._most_files = max(self._most_files, len(files))  # not smaller than one which is taken

    def _is_much(self, files: Mapping[int, bytes], more: bytes = b"") -> bool:
        """Whether files, with one more if there is one, are too much for one request."""
        n_bytes = sum(map(len, files.values())) + len(more)
        return len(files) + bool(more) > self._most_files or n_bytes > TOGETHER_BYTES

    def _read(self, place: int, given: AudioInput) -> tuple[bytes, int | None]:
        """Read the bytes of a recording to send; its row and its errors name it as those of a model do."""
        self._paths[place] = path_of(given)  # of what is no recording
        source = source_of(given)
        self._paths[place], self._names[place] = path_of(source), source_name(source)
        return _sent(source)

    def _call(self, channel: int | None, files: Mapping[int, bytes]) -> tuple[Call, Sequence[int]]:
        parts = [("file", (str(place), data)) for place, data in files.items()]
        names = {channel_path(str(place), channel): self._names[place] for place in files}
        advice = ONE_SPEAKER if self._is_one_speaker and len(files) > 1 else ""
        params = {**self._params, **_channel(channel)}
        files_sent = [*parts, *self._profile]
        return Call("POST", "/v1/batch", params, files=files_sent, names=names, advice=advice), list(files)

    def _fail(self, place: int, error: str) -> None:
        self._rows[place] = Prediction(self._paths[place], "error", error=error)

    @contextmanager
    def answering(self, places: Sequence[int]) -> Iterator[None]:
        """Make rows of an error: where one recording was sent by itself, and where answers to others would be lost."""
        try:
            yield
        except EarnestError as error:
            self._is_refused = isinstance(error, RecordingTooLongError) and len(places) > 1 and not self._is_one_speaker
            if self._is_refused:
                return
            if not self._n_answered and (len(places) > 1 or not isinstance(error, AudioError)):
                raise
            for place in places:
                name, told = self._names[place], str(error)
                self._fail(place, told if told.startswith(f"{name}: ") else f"{name}: {told}")

    def take(self, values: Mapping[str, Any], call: Call, places: Sequence[int]) -> None:
        """Take the answer to one of the questions."""
        with understood():
            for place, row in zip(places, values["predictions"], strict=True):
                found = prediction_in(row, self._paths[place])
                self._rows[place] = replace(found, error=found.error and call.told(found.error))
        self._n_answered += len(places)

    def rows(self) -> list[Prediction]:
        """Return all of them; those that were refused here name the model that answered the others, or was asked."""
        rows = [self._rows[place] for place in range(len(self._sources))]
        model = next((row.model for row in rows if row.model), self._model)
        return [replace(row, model=row.model or model) for row in rows]


def stream_address(
    url: str, sample_rate_hz: int, windowing: Windowing | None, model: str | None, adapt: Adapt, options: Options
) -> str:
    """Return where to open a stream of mono floats."""
    sound = {"sample_rate_hz": rate_of(sample_rate_hz, "stream"), "encoding": "f32le"}
    params = {**sound, **_asked(model, adapt, options), **_window(windowing)}
    scheme, _, rest = url.rstrip("/").partition("://")
    secure = {"http": "ws", "https": "wss"}.get(scheme, scheme)
    return f"{secure}://{rest}{STREAM}?{urlencode(params)}"


def _asked(model: str | None, adapt: Adapt, options: Options) -> dict[str, str | float]:
    asked = {"adapt": adapt, "classes": options.classes_text or None, "abstain_below": options.abstain_below}
    return {name: value for name, value in {**asked, "model": model}.items() if value is not None}


def _window(windowing: Windowing | None) -> dict[str, float]:
    chosen = windowing or Windowing()
    if not isinstance(chosen, Windowing):
        raise EarnestError(f"windowing must be a Windowing, got {shown(windowing)}.")
    return {"window_s": chosen.window_s, "hop_s": chosen.hop_s}


def _channel(number: int | None) -> dict[str, float]:
    return {} if number is None else {"channel": number}


def _sent(source: Source) -> tuple[bytes, int | None]:
    """Return the bytes of a recording, and the channel to ask for; of an array or a part what is to be heard is sent.

    Where its channels take turns, all are sent: the server tells that they do.
    """
    whole, channel = whole_and_channel(source)
    if isinstance(source, Part):
        return _wav(source), None
    if isinstance(whole, tuple):
        return _wav(source, whole[0]), None
    with opened(whole, source_name(source)) as file:
        return file.read(), channel


def _wav(source: Source, array: npt.ArrayLike | None = None) -> bytes:
    """Return samples as a WAV file of floats: nothing is lost. Of an array whose channels take turns these are sent."""
    import soundfile

    with open_audio(source, np.inf) as stream:
        sound = np.concatenate(list(stream.blocks))
        if array is not None and SEPARATE in stream.notes():
            sound = array_frames(array, stream.name)
    file = BytesIO()
    soundfile.write(file, sound, stream.sample_rate_hz, format="WAV", subtype="FLOAT")
    return file.getvalue()


def pieces(waveform: npt.ArrayLike, mixer: Mixer) -> Iterator[bytes]:
    """Yield sound as messages of a stream."""
    chunk = np.asarray(mono_chunk(waveform, mixer), "<f4")
    for start in range(0, len(chunk), FRAME_SAMPLES):
        yield chunk[start : start + FRAME_SAMPLES].tobytes()


def values_in(response: "httpx2.Response", call: Call) -> Any:
    """Return the JSON of a good answer to ``call``; a problem is raised."""
    try:
        values = response.json()
    except (ValueError, RecursionError):
        values = None
    if response.is_success and values is not None:
        return values
    problem = values if isinstance(values, dict) else {}
    told = f"{response.status_code} {response.reason_phrase}".rstrip()
    if "type" not in problem and response.status_code == TOO_LARGE:
        refused = "A proxy before the server refuses so many bytes (413). Send it in parts."
        problem = {"type": "too-large", "detail": refused}
    kind = str(problem.get("type", "")).rpartition(":")[2] or "unknown"
    detail = str(problem.get("detail") or f"an answer that earnest doesn't give: {told}")
    if call.advice and response.status_code == TOO_LARGE:
        detail = f"{detail} {call.advice}"
    raise error_of(kind, call.told(detail), response.status_code)


def error_of(kind: str, detail: str, status: int | None = None) -> EarnestError:
    """Return a problem as the library's error where it is about a recording, else as a `ServerError`."""
    if kind in _OF_RECORDINGS:
        return _OF_RECORDINGS[kind](detail)
    return ServerError(f"The server says: {detail}", kind, status)


def prediction_in(values: Mapping[str, Any], path: str) -> Prediction:
    """Return the prediction under the path that the caller knows."""
    with understood():
        return replace(Prediction.from_dict(values), path=path)


def models_in(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the server's descriptions of its models."""
    with understood():
        return [dict(model) for model in values["models"]]


def timeline_in(values: Mapping[str, Any], path: str) -> Timeline:
    """Return the timeline under the path that the caller knows."""
    with understood():
        timeline = Timeline.from_dict(values)
        return replace(timeline, prediction=replace(timeline.prediction, path=path))


@contextmanager
def understood() -> Iterator[None]:
    """Raise a `ServerError` for what is no answer of earnest's, whoever sent it."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        told = f"{type(error).__name__}: {str(error)[:100]}"
        raise ServerError(
            f"earnest doesn't know this answer of the server ({told}). Use one version on both sides."
        ) from error


class ServerMessages:
    """Messages of a stream from the server.

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
        self._sample_rate_hz, self._n_sent, self._is_told = sample_rate_hz, 0, False
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

    def note_sent(self, piece: bytes) -> None:
        """Count samples that the caller gave, float32, whether they arrive or not."""
        self._n_sent += len(piece) // 4

    def events(self) -> list[Event]:
        """Return new events."""
        new, self._events = self._events, []
        return new

    def finish(self) -> None:
        """Note that the caller has sent all."""
        self.close()
        self.mixer.check("stream")

    def close(self) -> None:
        """Note that the caller sends no more."""
        self._is_finished = True

    def refuse(self, opening: str) -> None:
        """Raise an `EarnestError` when the stream was not opened, or the caller has finished or closed it."""
        if self._is_finished:
            raise EarnestError("This stream is finished. Open another one with client.stream(…).")
        if not self.model:  # what the greeting names
            raise EarnestError(f"This stream is not open. Use it in a block: {opening} client.stream(…) as stream:")

    def refuse_when_ended(self) -> None:
        """Raise a `ServerError` when the server hears no more and all it said was handed on."""
        if self._prediction and not self._events:
            self._is_told = True
            raise self._ended_early(self._prediction.duration_s or 0.0)

    def refuse_lost(self) -> None:
        """Raise a `ServerError` when the server had ended before it heard all that was sent, and this was not told."""
        heard_s = (self._prediction.duration_s if self._prediction else None) or 0.0
        if not self._is_told and self._n_sent / self._sample_rate_hz - heard_s > ROUNDED_S:
            raise self._ended_early(heard_s)

    def _ended_early(self, heard_s: float) -> ServerError:
        return ServerError(
            f"This stream ended after {heard_s:g} s of sound: the server restarts, or no sound came for long. "
            "Open another one."
        )

    def prediction(self) -> Prediction:
        """Return the answer of all windows together, once the stream is finished."""
        if self._prediction is None:
            raise EarnestError("This stream is not finished. Call finish() first.")
        quality = with_notes(self._prediction.quality, notes_of(self.mixer))
        return replace(self._prediction, quality=quality)


def headers_of(api_key: str | None) -> dict[str, str]:
    """Return the headers with the API key; a key that no header can hold is an `EarnestError`."""
    if api_key is not None and not (isinstance(api_key, str) and api_key.isascii() and api_key.isprintable()):
        raise EarnestError("api_key: expected letters, digits and signs of ASCII in one line. Was it copied whole?")
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def refused(error: Exception, address: str = "") -> EarnestError:
    """Return an exception of the WebSocket library as ours. ``address``: of a stream that could not be opened."""
    from websockets.exceptions import InvalidStatus

    if isinstance(error, InvalidStatus):
        try:
            problem = json.loads(error.response.body or b"{}")
        except (ValueError, RecursionError):
            problem = {}
        problem = problem if isinstance(problem, dict) else {}
        kind = str(problem.get("type", "")).rpartition(":")[2] or "unknown"
        return error_of(kind, str(problem.get("detail", error)), error.response.status_code)
    if address:
        place = without_password(address).partition(STREAM)[0]
        return ServerError(f"{place}: no stream ({first_line(error)}). {_advice(error)}")
    return ServerError(f"The stream ended early ({error}). Open another one.")


def expected_errors() -> tuple[type[Exception], ...]:
    """Return all that the WebSocket library raises."""
    with needs_extra("the client", "client"):
        from websockets.exceptions import WebSocketException
    return WebSocketException, OSError, TimeoutError, EOFError
