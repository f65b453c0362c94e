"""``POST /v1/predict`` and ``POST /v1/batch``: recordings in, predictions out; and what the server says about itself.

That is its models, health, statistics, and a page.
"""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, model_validator
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from earnest.apps.server import engine, formats
from earnest.apps.server.body import ONE, Body, read_body, several
from earnest.apps.server.engine import Adapt
from earnest.apps.server.formats import (
    MEDIA_TYPES,
    ROWS,
    Form,
    ProblemError,
    batch_text,
    chosen_format,
    predictions_text,
)
from earnest.apps.server.service import Service
from earnest.audio.source import MAX_CHANNELS
from earnest.errors import EarnestError, shown, suggestion
from earnest.runtime.prediction import ClassChoice, Options, Prediction
from earnest.runtime.predictor import Predictor
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing

Kind: TypeAlias = Literal["utterance", "timeline"]
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LANDING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>earnest</title></head>
<body><main><h1>earnest</h1>
<p>This server recognises emotion in speech. Send it a recording:</p>
<pre>curl --data-binary @talk.wav -H 'Content-Type: audio/wav' %(base)sv1/predict</pre>
<ul><li><a href="v1/models">Models</a></li><li><a href="openapi.json">OpenAPI</a></li>
<li><a href="readyz">Is it ready?</a></li></ul>
<p>Recordings are %(kept)s.</p>
<p>The page for microphone and files is not in this installation: with Node 20 or later <code>make web</code> builds it.
</p></main></body></html>
"""


class AnswerQuery(BaseModel):
    """Query of every request; checked as one model, which is faster than one by one."""

    model: str | None = Field(None, description="Which model answers; default: the first one.")
    classes: str | None = Field(
        None,
        max_length=500,
        description="Probabilities of these classes alone, with commas between; neutral=0.6 says how frequent one is.",
    )
    abstain_below: float | None = Field(
        None, ge=0, le=1, description='Below this confidence the answer is "unsure"; default: the model\'s.'
    )

    @model_validator(mode="before")
    @classmethod
    def _known(cls, asked: dict[str, Any]) -> dict[str, Any]:
        """Refuse what nobody would look at, so that a slip in a name is not taken for the default."""
        names = {field.alias or name for name, field in cls.model_fields.items()}
        unknown = next((name for name in asked if name not in names), None)
        if unknown is None:
            return asked
        raise ProblemError("not-valid", f"There is no parameter {shown(unknown)}.{suggestion(unknown, names)}")

    def options(self) -> Options:
        """Return the options of an answer."""
        return Options.of(self.classes, self.abstain_below)


def refuse_repeated(connection: HTTPConnection) -> None:
    """Raise `ProblemError` where a parameter is given twice: only one would be looked at."""
    names = Counter(name for name, _ in connection.query_params.multi_items())
    if twice := next((name for name, count in names.items() if count > 1), None):
        raise ProblemError("not-valid", f"The parameter {shown(twice)} is in the address more than once. Give it once.")


class RowsQuery(AnswerQuery):
    """Query of a request for rows."""

    channel: int | None = Field(
        None, ge=1, le=MAX_CHANNELS, description="One channel by itself, 1 for the left one; default: the mean of all."
    )
    form: Form | None = Field(None, alias="format", title="Format", description="Default: as the header Accept says.")


class BatchQuery(RowsQuery):
    """Query of a request about several recordings."""

    adapt: Adapt = Field("off", description="To the speaker of all the recordings, which are all heard first.")


class WindowsQuery(AnswerQuery):
    """Query of a request for answers over time."""

    adapt: Adapt = Field("off", description="To the speaker, by what was heard before.")
    window_s: float = Field(Windowing.window_s, ge=0.1, le=60, description="Seconds heard at a time.")
    hop_s: float = Field(Windowing.hop_s, ge=0.1, le=60, description="Seconds from one window to the next.")

    def windowing(self) -> Windowing:
        """Return how sound is cut, or raise a `ProblemError`."""
        try:
            return Windowing(self.window_s, self.hop_s)
        except EarnestError as error:
            raise ProblemError("not-valid", str(error)) from None


class PredictQuery(WindowsQuery, RowsQuery):
    """Query of a request about one recording."""

    kind: Kind = "utterance"


REFUSED = formats.problems(400, 401, 403, 406, 408, 413, 415, 421, 422, 429, 500, 503, 504)


def recordings_router(service: Service) -> APIRouter:
    """Return the routes that take recordings."""
    router, limits = APIRouter(), service.settings.limits
    recordings = several(limits.batch_files)
    one, many = {200: formats.PREDICT_ANSWERS, **REFUSED}, {200: formats.BATCH_ANSWERS, **REFUSED}

    @router.post("/v1/predict", responses=one, openapi_extra=formats.body(1), response_class=Response)
    async def predict(request: Request, query: Annotated[PredictQuery, Query()]) -> Response:
        """Predict the emotion of one recording, as a whole or over time.

        The body is the recording, or a form with the part `file`, and perhaps `profile`, the file of `earnest adapt`
        about its speaker. Window and hop are for timelines; so are all formats but json, jsonl and csv.
        """
        refuse_repeated(request)
        options = query.options()
        offered = list(MEDIA_TYPES) if query.kind == "timeline" else ROWS
        chosen = chosen_format(query.form, _accept(request), offered)
        task = _task(query, options, limits.timeline_s)
        client = service.client(request)
        with service.arriving(client) as share:
            predictor = service.engine.predictor(query.model)
            asked = classes_of(predictor, options)
            body = replace(await read_body(request, limits, share, ONE), channel=query.channel)
            with service.requests.inside(client):
                answer = await service.engine.run(predictor, lambda model: task(model, body), request.receive)
                text = _text(answer, chosen, asked)
                await service.keeper.keep(body.uploads, text)
        service.count("/v1/predict", [answer.prediction if isinstance(answer, Timeline) else answer])
        return Response(text, media_type=MEDIA_TYPES[chosen])

    @router.post("/v1/batch", responses=many, openapi_extra=formats.body(limits.batch_files), response_class=Response)
    async def batch(request: Request, query: Annotated[BatchQuery, Query()]) -> Response:
        """Predict the emotions of several recordings, in their order; one that can't be read is a row with its error.

        The body is a form with one part `file` a recording, and perhaps one `profile` of their speaker.
        """
        refuse_repeated(request)
        options, chosen = query.options(), chosen_format(query.form, _accept(request), ROWS)
        client = service.client(request)
        with service.arriving(client) as share:
            predictor = service.engine.predictor(query.model)
            asked = classes_of(predictor, options)
            body = replace(await read_body(request, limits, share, recordings), channel=query.channel)
            task = functools.partial(engine.batch, body=body, adapt=query.adapt, options=options)
            with service.requests.inside(client):
                rows = await service.engine.run(predictor, task, request.receive)
                text = batch_text(rows, chosen, asked)
                await service.keeper.keep(body.uploads, text)
        service.count("/v1/batch", rows)
        return Response(text, media_type=MEDIA_TYPES[chosen])

    return router


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))


def _task(query: PredictQuery, options: Options, most_s: float) -> Callable[[Predictor, Body], Prediction | Timeline]:
    windowing = query.windowing()
    if query.kind == "utterance":
        if windowing != Windowing():  # clients made from /openapi.json send the defaults
            raise ProblemError("not-valid", "window_s and hop_s are for timelines. Ask with kind=timeline.")
        return functools.partial(engine.utterance, adapt=query.adapt, options=options)
    return functools.partial(engine.timeline, adapt=query.adapt, windowing=windowing, most_s=most_s, options=options)


def classes_of(predictor: Predictor, options: Options) -> tuple[str, ...]:
    """Return the classes of the answer, or raise a `ProblemError` for names that the model doesn't have."""
    try:
        return ClassChoice(predictor.info, options).classes
    except EarnestError as error:
        raise ProblemError("not-valid", str(error)) from None


def _text(answer: Prediction | Timeline, form: Form, classes: Sequence[str]) -> str:
    if isinstance(answer, Timeline):
        return answer.to(form)
    return predictions_text([answer], form, classes)


TICKET_REFUSED = formats.problems(400, 401, 403, 421)


def ticket_router(service: Service) -> APIRouter:
    """Return the route that gives tickets."""
    router = APIRouter()
    answers: dict[int | str, dict[str, Any]] = {200: formats.TICKET, **TICKET_REFUSED}

    @router.post("/v1/tickets", responses=answers, response_class=JSONResponse)
    async def tickets(request: Request) -> JSONResponse:
        """Give a ticket that opens one stream, as `WS /v1/stream?ticket=…`, in place of a key."""
        client = service.client(request)
        return JSONResponse({"ticket": service.tickets.give(client), "expires_s": service.tickets.lasts_s})

    return router


def info_router(service: Service) -> APIRouter:
    """Return the routes that take no recordings."""
    router = APIRouter(default_response_class=PlainTextResponse)  # of GET and HEAD alike

    @router.head("/v1/models", include_in_schema=False)
    @router.get(
        "/v1/models", responses={200: formats.MODELS, **formats.problems(401, 421)}, response_class=JSONResponse
    )
    async def models(request: Request) -> JSONResponse:
        """List the models that answer here; the first one answers where a request names none."""
        service.client(request)
        described = [asdict(formats.Model.of(predictor.info)) for predictor in service.engine.predictors.values()]
        return JSONResponse({"models": described})

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", responses=formats.problems(421))
    async def healthz() -> str:
        """Liveness: the process runs."""
        return "ok"

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", responses=formats.problems(421, 503))
    async def readyz() -> str:
        """Readiness: the next recording would be taken on."""
        service.refuse_when_ending()
        if service.requests.is_full:
            raise ProblemError("overloaded", "The most requests that may run are running. Try again soon.")
        if service.engine.is_stuck:
            raise ProblemError("overloaded", "All worker threads are busy, and for a long time none has answered.")
        return "ready"

    @router.head("/metrics", include_in_schema=False)
    @router.get("/metrics", responses=formats.problems(401, 421))
    async def metrics(request: Request) -> Response:
        """Return statistics for Prometheus."""
        service.client(request)
        return Response(service.metrics.text(), media_type=METRICS_TYPE)

    return router


def landing_router(service: Service) -> APIRouter:
    """Return the page for where no other is installed."""
    router = APIRouter(default_response_class=HTMLResponse)

    @router.head("/", include_in_schema=False)
    @router.get("/", include_in_schema=False)
    async def landing(request: Request) -> str:
        kept = "stored, as its owner asked for" if service.settings.keep else "not stored"
        return LANDING % {"base": request.base_url, "kept": kept}

    return router
