"""What the server says about itself: models, health, statistics, and a page."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from earnest.apps.server import openapi
from earnest.apps.server.problems import ProblemError
from earnest.apps.server.service import Service
from earnest.runtime.predictor import Predictor

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LANDING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>earnest</title></head>
<body><main><h1>earnest</h1>
<p>This server tells emotion in speech. Send it a recording:</p>
<pre>curl --data-binary @talk.wav -H 'Content-Type: audio/wav' %(base)sv1/predict</pre>
<ul><li><a href="v1/models">Models</a></li><li><a href="openapi.json">OpenAPI</a></li>
<li><a href="readyz">Is it ready?</a></li></ul>
<p>Recordings are %(kept)s.</p>
<p>The page for microphone and files is not in this installation: with Node 20 or later <code>make web</code> builds it.
</p></main></body></html>
"""


def info_router(service: Service) -> APIRouter:
    """Return the routes that take no recordings."""
    router = APIRouter()

    @router.get("/v1/models", responses={200: openapi.MODELS, **openapi.problems(401)}, response_class=JSONResponse)
    async def models(request: Request) -> JSONResponse:
        """List the models that answer here; the first one answers where a request names none."""
        service.client(request)
        return JSONResponse({"models": [_described(item) for item in service.engine.predictors.values()]})

    @router.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """Say that the process is alive."""
        return "ok"

    @router.get("/readyz", response_class=PlainTextResponse, responses=openapi.problems(503))
    async def readyz() -> str:
        """Say whether the next recording would be taken on."""
        service.refuse_when_ending()
        if service.requests.is_full:
            raise ProblemError("overloaded", "All places are taken.")
        if service.engine.is_stuck:
            raise ProblemError("overloaded", "No recording was answered for long, and all turns are taken.")
        return "ready"

    @router.get("/metrics", response_class=PlainTextResponse, responses=openapi.problems(401))
    async def metrics(request: Request) -> Response:
        """Return statistics for Prometheus."""
        service.client(request)
        return Response(service.metrics.text(), media_type=METRICS_TYPE)

    return router


def landing_router(service: Service) -> APIRouter:
    """Return the page for where no other is installed."""
    router = APIRouter()

    @router.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def landing(request: Request) -> str:
        kept = "stored, as its owner asked for" if service.settings.keep else "not stored"
        return LANDING % {"base": request.base_url, "kept": kept}

    return router


def _described(predictor: Predictor) -> dict[str, Any]:
    info = predictor.info
    told = ("name", "version", "classes", "sample_rate_hz", "licence", "network", "n_parameters", "shortest_s", "notes")
    values = info.to_dict()
    return {name: values[name] for name in (*told, "abstain_below", "sounds")} | {
        "adapts": info.adaptation is not None,
        "training_corpora": values["training_corpora"],
        "results": values["results"],
    }
