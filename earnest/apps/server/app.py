"""The application: settings in, something that speaks ASGI out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketState

import earnest
from earnest.apps.server.engine import ModelThreads
from earnest.apps.server.front_door import LOOPBACK, FrontDoor, HostNames, origin_of
from earnest.apps.server.info_routes import info_router, landing_router
from earnest.apps.server.metrics import Metrics
from earnest.apps.server.middleware import Outermost
from earnest.apps.server.page import is_built, mount_page
from earnest.apps.server.problems import problem_of
from earnest.apps.server.routes import recordings_router, ticket_router
from earnest.apps.server.service import ENDING, Service
from earnest.apps.server.settings import Settings
from earnest.apps.server.streaming import stream_router
from earnest.errors import EarnestError

DESCRIPTION = """Emotion in speech, with calibrated probabilities. Recordings go in as they are, predictions come out.

Streams: `WS /v1/stream?sample_rate_hz=16000`, binary messages with samples in, events as JSON out; see docs/server.md.
Where keys are asked for, browsers open them with a ticket of `POST /v1/tickets`.
Errors are `application/problem+json` (RFC 9457)."""


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
        with service.engine.running():
            async with service.keeper.clearing():
                yield {ENDING: service.ending}

    # No pages for the documentation: they load scripts from elsewhere.
    app = FastAPI(
        title="earnest",
        version=earnest.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
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
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["*"])
    app.add_middleware(FrontDoor, names=names, origins=origins)
    app.add_middleware(Outermost, metrics=metrics)
    return app


async def _answer_with_problem(connection: HTTPConnection, error: Exception) -> JSONResponse | None:
    problem = problem_of(error)
    response = problem.response(getattr(error, "headers", None))
    if not isinstance(connection, WebSocket):
        return response
    if connection.application_state is not WebSocketState.CONNECTING:
        raise error  # too late for a status
    await connection.send_denial_response(response)
    return None
