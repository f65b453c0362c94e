"""Around every answer: a number, headers, a line in the log, a place in the statistics."""

import logging
import time
import uuid
from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earnest.apps.server.metrics import Metrics
from earnest.apps.server.problems import problem_of

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


def _completed(headers: Iterable[tuple[bytes, bytes]], number: str) -> list[tuple[bytes, bytes]]:
    """Add what every answer says to its own headers, whose names are in lower case (ASGI); ours replace theirs."""
    own = [header for header in headers if header[0] not in _NAMES]
    is_kept = any(name == b"cache-control" for name, _ in own)
    more = [] if is_kept else [(b"cache-control", b"no-store")]
    return [*own, *_ALWAYS, (b"x-request-id", number.encode()), *more]


class Outermost:
    """Sees every request first and every answer last."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what nobody handled is logged and answered as a problem."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        started, number = time.perf_counter(), uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = number
        status = 0

        async def send_more(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                message["headers"] = _completed(message.get("headers", ()), number)
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
        _log.info("answered", extra=told)
