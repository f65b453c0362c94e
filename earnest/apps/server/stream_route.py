"""``WS /v1/stream``: who may open one, and with which parameters."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.websockets import WebSocket, WebSocketDisconnect

from earnest.apps.server.routes import Adapting, AnswerOptions, Model, Windows, classes_of
from earnest.apps.server.service import Service
from earnest.apps.server.streaming import Conversation, Encoding
from earnest.apps.server.work import adapter_for

Rate = Annotated[int, Query(ge=4_000, le=192_000)]
Channels = Annotated[int, Query(ge=1, le=16)]


def stream_router(service: Service) -> APIRouter:
    """Return the route of streams; FastAPI leaves it out of ``/openapi.json``, docs/server.md has its words."""
    router = APIRouter()

    @router.websocket("/v1/stream")
    async def stream(
        websocket: WebSocket,
        sample_rate_hz: Rate,
        options: AnswerOptions,
        windowing: Windows,
        encoding: Encoding = "s16le",
        channels: Channels = 1,
        model: Model = None,
        adapt: Adapting = "off",
    ) -> None:
        service.refuse_when_ending()
        with service.streams.inside(service.client(websocket, websocket.query_params.get("ticket"))):
            predictor = service.engine.predictor(model)
            classes_of(predictor, options)
            adapter = adapter_for(predictor, adapt)
            listening = predictor.stream(sample_rate_hz, windowing, adapter, **options.words())
            limits = service.settings.limits
            talk = Conversation(
                websocket, listening, service.engine, limits, service.ending, sample_rate_hz, encoding, channels
            )
            await websocket.accept()
            try:
                await talk.hold({"model": predictor.info.name, "classes": list(listening.classes)})
            except WebSocketDisconnect:
                return
            finally:
                service.metrics.heard.labels("/v1/stream").inc(talk.heard_s)

    return router
