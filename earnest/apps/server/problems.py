"""Errors as ``application/problem+json`` (RFC 9457)."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from earnest.errors import (
    AudioError,
    EarnestError,
    MissingExtraError,
    NoPicturesError,
    RecordingTooLongError,
    shown,
    suggestion,
)

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
    "too-large": (413, "The recording is too large"),
    "not-audio": (415, "This kind of content is not read"),
    "foreign-host": (421, "This server has another name"),
    "not-valid": (422, "A parameter or a part of the body is wrong"),
    "not-readable": (422, "The recording can't be read"),
    "upgrade-needed": (426, "This address is for WebSockets"),
    "too-many": (429, "Too many requests at a time from one client"),
    "failed": (500, "The server failed"),
    "ending": (503, "This process is stopping"),
    "overloaded": (503, "The server is too busy"),
    "too-long-to-answer": (503, "The answer took too long"),
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
