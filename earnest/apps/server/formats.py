"""Formats of answers: by the ``format`` parameter, else ``Accept``; errors as ``application/problem+json`` (RFC 9457).

And their description in ``/openapi.json``: FastAPI sees neither the bodies of requests nor these answers, so their
schemas and examples stand here.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from earnest.bundle import SOUNDS, BundleInfo, ProtocolResult, TrainingCorpus
from earnest.errors import (
    AudioError,
    EarnestError,
    MissingExtraError,
    NoPicturesError,
    RecordingTooLongError,
    shown,
    suggestion,
)
from earnest.runtime.formats import csv_header, csv_line, json_line
from earnest.runtime.prediction import Prediction, Segment, Span, Window
from earnest.runtime.timeline import FORMATS

_WHERE = "Recordings go to POST /v1/predict; GET /openapi.json lists what else there is."
MEDIA_TYPE = "application/problem+json"
RETRY_S = 1
KINDS: Mapping[str, tuple[int, str]] = {
    "not-understood": (400, "The request breaks the rules of HTTP or was broken off"),
    "key-needed": (401, "An API key is needed"),
    "foreign-origin": (403, "This page may not send requests here"),
    "not-found": (404, "There is nothing at this address"),
    "wrong-method": (405, "This address does not allow this method"),
    "not-acceptable": (406, "None of the wanted formats is available"),
    "body-too-slow": (408, "The body took too long to arrive"),
    "too-large": (413, "What was sent is too large"),
    "not-audio": (415, "This kind of content is not read"),
    "no-such-part": (416, "The file has no such part"),
    "foreign-host": (421, "This server has another name"),
    "not-valid": (422, "A parameter or a part of the body is wrong"),
    "not-readable": (422, "The recording can't be read"),
    "upgrade-needed": (426, "This address is for WebSockets"),
    "too-many": (429, "Too many requests at a time from one client"),
    "failed": (500, "The server failed"),
    "ending": (503, "This process is stopping"),
    "overloaded": (503, "The server is too busy"),
    "too-long-to-answer": (504, "The answer took too long"),  # not 503: clients and proxies ask again then
}
HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    426: {"Upgrade": "websocket", "Connection": "Upgrade"},
    429: {"Retry-After": str(RETRY_S)},
    503: {"Retry-After": str(RETRY_S)},
}


class ProblemError(EarnestError):
    """An answer that is no prediction."""

    def __init__(self, kind: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.more = kind, detail, more

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind][0]

    def body(self) -> dict[str, Any]:
        """Return the members of the problem."""
        status, title = KINDS[self.kind]
        kind = f"urn:earnest:problem:{self.kind}"
        return {"type": kind, "title": title, "status": status, "detail": self.detail, **self.more}

    def response(self, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """Return the response; those that pass with time say when to come again."""
        return JSONResponse(self.body(), self.status, {**(headers or {}), **HEADERS.get(self.status, {})}, MEDIA_TYPE)


def problem_of(error: Exception) -> ProblemError:
    """Return an exception as a problem; of an unforeseen one, nothing but that it happened."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, RecordingTooLongError):
        return ProblemError("too-large", str(error))
    if isinstance(error, MissingExtraError):
        return ProblemError("not-audio", f"This server can't decode it. {error}")
    if isinstance(error, NoPicturesError):
        return ProblemError(
            "not-audio", "This model answers about recordings only, not about pictures of spectrograms."
        )
    if isinstance(error, AudioError):
        return ProblemError("not-readable", str(error))
    if isinstance(error, RequestValidationError | WebSocketRequestValidationError):
        errors = [{"where": ".".join(map(str, item["loc"])), "what": _wrong(item)} for item in error.errors()]
        told = "; ".join(f"{item['where']}: {item['what']}" for item in errors)
        return ProblemError("not-valid", told, errors=jsonable_encoder(errors))
    if isinstance(error, HTTPException):
        return _of_status(error)
    return ProblemError("failed", "An unexpected error; the log of the server says more.")


def _wrong(item: Mapping[str, Any]) -> str:
    """Explain an invalid value; of one of several words which there are, or which is near."""
    if item["type"] != "literal_error":
        return str(item["msg"])
    known = re.findall(r"'([^']*)'", item["ctx"]["expected"])  # pydantic tells them as "'auto' or 'off'"
    return f"there is no {shown(item['input'])}.{suggestion(str(item['input']), known)}"


def _of_status(error: HTTPException) -> ProblemError:
    kinds = {404: "not-found", 405: "wrong-method"}
    kind = kinds.get(error.status_code, "failed" if error.status_code >= 500 else "not-understood")
    return ProblemError(kind, f"{HTTPStatus(error.status_code).phrase}. {_WHERE}")


Form: TypeAlias = Literal["json", "jsonl", "csv", "srt", "vtt", "textgrid", "eaf", "rttm", "audacity"]
MEDIA_TYPES: Mapping[Form, str] = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "textgrid": "text/praat-textgrid",
    "eaf": "text/x-eaf+xml",
    "rttm": "text/x-rttm",
    "audacity": "text/x-audacity-labels",
}
_TEXT: Mapping[str, Any] = {"type": "string"}
ROWS: tuple[Form, ...] = ("json", "jsonl", "csv")
assert MEDIA_TYPES.keys() == FORMATS.keys()
PREDICTION: Mapping[str, Any] = {
    "path": "talk.wav",
    "status": "ok",
    "duration_s": 3.2,
    "speech_s": 2.4,
    "emotion": "happy",
    "confidence": 0.71,
    "probabilities": {"neutral": 0.1, "happy": 0.71, "sad": 0.02, "angry": 0.12, "fearful": 0.03, "disgust": 0.02},
    "polarity": 0.52,
    "gender": {"female": 0.97, "male": 0.03},
    "affect": {"valence": 0.63, "arousal": 0.6, "dominance": None},
    "affect_derived": True,
    "intensity": 0.42,
    "quality": [],
    "adapted": False,
    "adaptation_weight": 0.0,
    "shares": None,
    "vocal_bursts": [],
    "model": "base",
    "error": None,
}
UNSURE: Mapping[str, Any] = {
    **PREDICTION,
    "status": "unsure",
    "emotion": None,
    "confidence": 0.41,
    "probabilities": {"neutral": 0.3, "happy": 0.41, "sad": 0.1, "angry": 0.1, "fearful": 0.05, "disgust": 0.04},
    "polarity": 0.12,
}
BURST: Mapping[str, Any] = {
    **PREDICTION,
    **dict.fromkeys(("emotion", "confidence", "polarity", "gender", "affect", "intensity")),
    "affect_derived": False,
    "status": "vocal-burst",
    "speech_s": 0.0,
    "probabilities": {},
    "vocal_bursts": [{"start_s": 0.2, "end_s": 1.4, "kind": "laughter", "confidence": 0.93}],
}
TIMELINE: Mapping[str, Any] = {
    **PREDICTION,
    **dict.fromkeys(("emotion", "confidence")),
    "status": "mixed",
    "duration_s": 9.0,
    "speech_s": 6.0,
    "shares": {"happy": 0.5, "neutral": 0.333333, "unsure": 0.166667},
    "vocal_bursts": [{"start_s": 4.0, "end_s": 5.2, "kind": "laughter", "confidence": 0.93}],
    "activity": "silero",
    "segments": [{"start_s": 0.2, "end_s": 3.2}, {"start_s": 5.2, "end_s": 8.2}],
    "spans": [
        {"start_s": 0.2, "end_s": 3.2, "emotion": "happy", "confidence": 0.71},
        {"start_s": 5.2, "end_s": 7.2, "emotion": "neutral", "confidence": 0.6},
        {"start_s": 7.2, "end_s": 8.2, "emotion": "unsure", "confidence": 0.39},
    ],
    "windows": [{"start_s": 0.2, "end_s": 3.2, "probabilities": PREDICTION["probabilities"]}],
}


def chosen_format(form: Form | None, accept: str, offered: Sequence[Form]) -> Form:
    """Return the format of an answer. Raises `ProblemError` when none that is offered is wanted."""
    if form is not None:
        if form not in offered:
            raise ProblemError("not-acceptable", f"format={form} is for timelines. Ask for {', '.join(offered)}.")
        return form
    ranges = _ranges(accept)
    best = max(offered, key=lambda name: _quality(MEDIA_TYPES[name], ranges))  # the first of equals
    if _quality(MEDIA_TYPES[best], ranges) <= 0:
        raise ProblemError(
            "not-acceptable", f"The answer can be {', '.join(MEDIA_TYPES[name] for name in offered)}. Ask for one."
        )
    return best


def _ranges(accept: str) -> dict[str, float]:
    """Return media range → quality (RFC 9110, 12.5.1); what can't be understood is left out."""
    ranges: dict[str, float] = {}
    for item in accept.lower().split(","):
        name, *parameters = (word.strip() for word in item.split(";"))
        weights = [word.removeprefix("q=") for word in parameters if word.startswith("q=")]
        try:
            ranges[name] = float(weights[0]) if weights else 1.0
        except ValueError:
            continue
    ranges.pop("", None)
    return ranges or {"*/*": 1.0}


def _quality(media_type: str, ranges: Mapping[str, float]) -> float:
    for pattern in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        if pattern in ranges:
            return ranges[pattern]
    return 0.0


def predictions_text(predictions: Sequence[Prediction], form: Form, classes: Sequence[str]) -> str:
    """Return rows as CSV or as JSON, one object a line."""
    if form == "csv":
        return "\n".join([csv_header(classes), *(csv_line(row, classes) for row in predictions)]) + "\n"
    return "".join(json_line(row) + "\n" for row in predictions)


def batch_text(predictions: Sequence[Prediction], form: Form, classes: Sequence[str]) -> str:
    """Return the rows of a batch; in JSON they are the list ``predictions`` of one object."""
    if form != "json":
        return predictions_text(predictions, form, classes)
    rows = [row.to_dict() for row in predictions]
    return json.dumps({"predictions": rows}, ensure_ascii=False, allow_nan=False) + "\n"


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answers(schema: str, examples: Mapping[str, Any], formats: Iterable[Form]) -> dict[str, Any]:
    named = {name: {"value": value} for name, value in examples.items()}
    texts = {MEDIA_TYPES[name]: {"schema": {"type": "string"}} for name in formats if name != "json"}
    return {
        "description": "The answer",
        "content": {"application/json": {"schema": _schema(schema), "examples": named}, **texts},
    }


EXAMPLES = {"utterance": PREDICTION, "unsure": UNSURE, "vocal burst": BURST, "timeline": TIMELINE}
PREDICT_ANSWERS = _answers("Prediction", EXAMPLES, MEDIA_TYPES)
BATCH_ANSWERS = _answers("Batch", {"batch": {"predictions": [PREDICTION, UNSURE, BURST]}}, ROWS)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the answers that are problems."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        kinds = [kind for kind, (number, _) in KINDS.items() if number == status]
        titles = "; ".join(f"{kind}: {KINDS[kind][1]}" for kind in kinds)
        headers = {name: {"schema": _TEXT} for name in HEADERS.get(status, ())}
        found[status] = {
            "description": titles,
            "headers": headers,
            "content": {MEDIA_TYPE: {"schema": _schema("Problem")}},
        }
    return found


def body(most_files: int) -> dict[str, Any]:
    """Return the body of a recording, raw where there is one only, or of a form with files and perhaps a profile."""
    binary = {"type": "string", "format": "binary"}
    many = {"type": "array", "items": binary, "minItems": 1, "maxItems": most_files}
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": binary if most_files == 1 else many, "profile": binary},
    }
    kinds = ("audio/wav", "image/png", "application/octet-stream") if most_files == 1 else ()
    raw = {name: {"schema": binary} for name in kinds}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}, **raw}}}


@dataclass(frozen=True)
class Model:
    """The server's description of a model."""

    name: str
    version: str
    classes: tuple[str, ...]
    sample_rate_hz: int
    licence: str
    network: str
    n_parameters: int
    shortest_s: float
    notes: str
    abstain_below: float
    sounds: tuple[str, ...]
    training_corpora: tuple[TrainingCorpus, ...]
    results: tuple[ProtocolResult, ...]
    adapts: bool

    @classmethod
    def of(cls, info: BundleInfo) -> "Model":
        """Return it from a bundle."""
        told = {name: getattr(info, name) for name in cls.__annotations__ if name not in ("adapts", "licence")}
        return cls(**told, licence=info.licence_in_words, adapts=info.adaptation is not None)


MODEL = Model(
    name="base",
    version="1",
    classes=("neutral", "happy"),
    sample_rate_hz=16_000,
    licence="Apache-2.0",
    network="whisper-statistics",
    n_parameters=5_000_000,
    shortest_s=0.1,
    notes="",
    abstain_below=0.5,
    sounds=SOUNDS,
    training_corpora=(TrainingCorpus("emodb", "CC0-1.0", n_utterances=440, n_speakers=10, hours=0.336),),
    results=(ProtocolResult("emodb-loso", True, 0.91, 0.04, 0.89, 0.07, 521, "earnest evaluate recipes/base.toml"),),
    adapts=True,
)
MODELS: dict[str, Any] = {
    "description": "The models",
    "content": {"application/json": {"schema": _schema("Models"), "example": {"models": [asdict(MODEL)]}}},
}
TICKET: dict[str, Any] = {
    "description": "A ticket, and for how many seconds it can be used",
    "content": {
        "application/json": {"schema": _schema("Ticket"), "example": {"ticket": "AAAAAAGdJ1mS2Q", "expires_s": 30.0}}
    },
}
_KEYS: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def complete(described: dict[str, Any], has_keys: bool) -> None:
    """Add schemas to ``/openapi.json``, and how keys are sent with the requests that may be answered with 401."""
    components = described.setdefault("components", {})
    components["schemas"] = _schemas()
    if not has_keys:
        return
    components["securitySchemes"] = _KEYS
    for operations in described["paths"].values():
        for operation in operations.values():
            if "401" in operation["responses"]:
                operation["security"] = [{name: []} for name in _KEYS]  # any of them


def _schemas() -> dict[str, Any]:
    """Return the schemas of JSON by name; those of predictions and models come from the dataclasses.

    A timeline is a prediction with further members, which are not required: of two schemas side by side (``anyOf``)
    generated clients make one, and expect of each answer what either requires.
    """
    kinds: tuple[Any, ...] = Prediction, Segment, Span, Window, Model
    found: dict[str, Any] = TypeAdapter.json_schemas(
        [(kind.__name__, "serialization", TypeAdapter(kind)) for kind in kinds], ref_template=_schema("{model}")["$ref"]
    )[1]["$defs"]
    lists = {name: _list_of(kind) for name, kind in (("segments", "Segment"), ("spans", "Span"), ("windows", "Window"))}
    found["Prediction"]["properties"] |= {
        name: {**kind, "description": "With kind=timeline."} for name, kind in {"activity": _TEXT, **lists}.items()
    }
    return {
        **found,
        "Batch": _object(predictions=_list_of("Prediction")),
        "Models": _object(models=_list_of("Model")),
        "Ticket": _object(ticket=_TEXT, expires_s={"type": "number"}),
        "Problem": _object(type=_TEXT, title=_TEXT, status={"type": "integer"}, detail=_TEXT),
    }


def _object(**members: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [*members], "properties": members}


def _list_of(schema: str) -> dict[str, Any]:
    return {"type": "array", "items": _schema(schema)}
