"""The application: settings in, something that speaks ASGI out; and what stands around every answer.

That is a number, headers, a line in the log, a place in the statistics.
"""

import asyncio
import logging
import signal
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState

import earnest
from earnest.apps.server.engine import ModelThreads
from earnest.apps.server.formats import complete, problem_of
from earnest.apps.server.front_door import LOOPBACK, FrontDoor, HostNames, origin_of
from earnest.apps.server.metrics import Metrics
from earnest.apps.server.page import is_built, mount_page
from earnest.apps.server.routes import info_router, landing_router, recordings_router, ticket_router
from earnest.apps.server.service import ENDING, Service
from earnest.apps.server.settings import Settings
from earnest.apps.server.streaming import stream_router
from earnest.errors import EarnestError

_log = logging.getLogger("earnest.server")
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "worker-src": "'self' blob:",
    "connect-src": "'self'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
SECURITY: Mapping[str, str] = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
_ALWAYS = [(name.lower().encode(), value.encode()) for name, value in SECURITY.items()]
_NAMES = frozenset(name for name, _ in _ALWAYS)
_TOLD = ("Retry-After", "X-Request-ID")  # which a page elsewhere can't read unless it is named
DESCRIPTION = """Emotion in speech, with calibrated probabilities. Recordings go in as they are, predictions come out.

Streams: `WS /v1/stream?sample_rate_hz=16000`, binary messages with samples in, events as JSON out; see docs/server.md.
Where keys are asked for, browsers open them with a ticket of `POST /v1/tickets`.
Errors are `application/problem+json` (RFC 9457)."""


def _completed(headers: Iterable[tuple[bytes, bytes]], number: str, origin: bytes | None) -> list[tuple[bytes, bytes]]:
    """Add the headers of every answer to its own, whose names are in lower case (ASGI); ours replace theirs.

    Parameters
    ----------
    origin : that of a page which may read it, a refusal or failure too; None for no such page
    """
    own = [header for header in headers if header[0] not in _NAMES]
    names = {name for name, _ in own}
    more = [] if b"cache-control" in names else [(b"cache-control", b"no-store")]
    if origin is not None and b"access-control-allow-origin" not in names:
        told = ", ".join(_TOLD).encode()
        more += [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", told),
            (b"vary", b"Origin"),
        ]
    return [*own, *_ALWAYS, (b"x-request-id", number.encode()), *more]


class Outermost:
    """Sees every request first and every answer last."""

    def __init__(self, app: ASGIApp, metrics: Metrics, origins: Iterable[str]) -> None:
        self._app, self._metrics = app, metrics
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what nobody handled is logged and answered as a problem."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        started, number = time.perf_counter(), uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = number
        status = 0
        origin = next((value for name, value in scope["headers"] if name == b"origin" and value in self._origins), None)

        async def send_more(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                message["headers"] = _completed(message.get("headers", ()), number, origin)
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            await self._app(scope, receive, send_more)
        except Exception as error:
            _log.exception("failed", extra={"request": number})
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1011})
            elif status == 0:
                await problem_of(error).response()(scope, receive, send_more)
        finally:
            self._tell(scope, number, status, time.perf_counter() - started)

    def _tell(self, scope: Scope, number: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["type"] == "http" else "WEBSOCKET"
        known = method if method in ("GET", "HEAD", "POST", "OPTIONS", "WEBSOCKET") else "OTHER"
        self._metrics.requests.labels(route, known, str(status)).inc()
        if scope["type"] == "http":
            self._metrics.seconds.labels(route).observe(seconds)
        told = {"request": number, "route": route, "method": known, "status": status, "ms": round(1000 * seconds, 1)}
        _log.info("answered", extra=told | scope["state"].get("end", {}))  # of a stream that was open


@contextmanager
def _at_hangup(service: Service) -> Iterator[None]:
    """Pass SIGHUP to the service until the block ends; Windows has none, and only the main thread hears signals."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN and service.settings.keys_file is None:
        yield  # `nohup` says that it shall not end
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, service.hang_up)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


class _Application(FastAPI):
    """FastAPI, which tells of the answers' schemas, and of the keys that are asked for."""

    has_keys = False

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            complete(super().openapi(), self.has_keys)
        return super().openapi()


def create_app(settings: Settings, listening: str = LOOPBACK) -> FastAPI:
    """Load the models and return the application.

    Parameters
    ----------
    listening : address that the process listens at, which clients may call it by
    """
    names = HostNames(listening, settings.host_names)
    origins = [origin_of(text) for text in settings.cors_origins]
    metrics = Metrics()
    service = Service(settings, ModelThreads.load(settings, metrics.waiting), metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        with service.engine.running(), _at_hangup(service):
            async with service.keeper.clearing():
                yield {ENDING: service.ending}

    # No pages for the documentation: they load scripts from elsewhere.
    app = _Application(
        title="earnest",
        version=earnest.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # behind a proxy's path prefix they would lead out of it
    )
    app.has_keys = bool(settings.api_keys)
    answer: Any = _answer_with_problem  # Starlette's types know handlers of requests or of streams, not of both
    for kind in (EarnestError, RequestValidationError, WebSocketRequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
    for router in (recordings_router(service), stream_router(service), ticket_router(service), info_router(service)):
        app.include_router(router)
    if is_built():
        mount_page(app, settings)
    else:
        app.include_router(landing_router(service))
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],
            expose_headers=_TOLD,
            allow_private_network=True,  # asked by Chrome where a page of the web calls this machine or its network
        )
    app.add_middleware(FrontDoor, names=names, origins=origins)
    app.add_middleware(Outermost, metrics=metrics, origins=origins)
    return app


def _headers_of(error: Exception) -> Mapping[str, str] | None:
    """Return the headers of an error, with all methods that are answered there where its method is not.

    Starlette tells those of one route; HEAD, which has a route of its own, is answered wherever GET is. Of files it
    tells none.
    """
    headers: Mapping[str, str] | None = getattr(error, "headers", None)
    if getattr(error, "status_code", None) != HTTPStatus.METHOD_NOT_ALLOWED:
        return headers
    allowed = (headers or {}).get("Allow", "GET")
    return {**(headers or {}), "Allow": "GET, HEAD" if "GET" in allowed else allowed}


async def _answer_with_problem(connection: HTTPConnection, error: Exception) -> JSONResponse | None:
    problem = problem_of(error)
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("failed", extra={"path": connection.url.path}, exc_info=error)
    response = problem.response(_headers_of(error))
    if not isinstance(connection, WebSocket):
        return response
    if connection.application_state is not WebSocketState.CONNECTING:
        raise error  # too late for a status
    await connection.send_denial_response(response)
    return None
