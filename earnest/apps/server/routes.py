"""``POST /v1/predict`` and ``POST /v1/batch``: recordings in, predictions out."""

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from earnest.apps.server import openapi, work
from earnest.apps.server.body import Upload, read_uploads
from earnest.apps.server.formats import MEDIA_TYPES, ROWS, Form, batch_text, chosen_format, predictions_text
from earnest.apps.server.problems import ProblemError
from earnest.apps.server.service import Service
from earnest.apps.server.work import Adapt
from earnest.errors import EarnestError
from earnest.runtime.prediction import ClassChoice, Options, Prediction
from earnest.runtime.predictor import Predictor
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing

Kind: TypeAlias = Literal["utterance", "timeline"]
Model: TypeAlias = Annotated[str | None, Query(description="Which model answers; default: the first one.")]
Format: TypeAlias = Annotated[Form | None, Query(alias="format", description="Default: as the header Accept says.")]
Below: TypeAlias = Annotated[
    float | None, Query(ge=0, le=1, description='Below this confidence the answer is "unsure"; default: the model\'s.')
]
Classes: TypeAlias = Annotated[
    str | None, Query(max_length=500, description="Probabilities of these classes alone, with commas between them.")
]
Adapting: TypeAlias = Annotated[Adapt, Query(description="To the speaker, by what was heard before.")]
WindowS: TypeAlias = Annotated[float, Query(ge=0.1, le=60, description="Seconds heard at a time.")]
HopS: TypeAlias = Annotated[float, Query(ge=0.1, le=60, description="Seconds from one window to the next.")]


async def options_of(classes: Classes = None, abstain_below: Below = None) -> Options:
    """Read what a request asks of its answer; a coroutine, as FastAPI runs functions in threads of their own."""
    return Options.of(classes, abstain_below)


async def windowing_of(window_s: WindowS = Windowing.window_s, hop_s: HopS = Windowing.hop_s) -> Windowing:
    """Return how sound is cut, or raise a `ProblemError`."""
    try:
        return Windowing(window_s, hop_s)
    except EarnestError as error:
        raise ProblemError("not-valid", str(error)) from None


AnswerOptions: TypeAlias = Annotated[Options, Depends(options_of)]
Windows: TypeAlias = Annotated[Windowing, Depends(windowing_of)]
REFUSED = openapi.problems(400, 401, 403, 406, 408, 413, 415, 421, 422, 429, 500, 503)


def recordings_router(service: Service) -> APIRouter:
    """Return the routes that take recordings."""
    router, limits = APIRouter(), service.settings.limits
    one, many = openapi.predict_answers(), openapi.batch_answers()

    @router.post("/v1/predict", responses={200: one, **REFUSED}, openapi_extra=openapi.body(1), response_class=Response)
    async def predict(
        request: Request,
        options: AnswerOptions,
        windowing: Windows,
        kind: Kind = "utterance",
        model: Model = None,
        form: Format = None,
        adapt: Adapting = "off",
    ) -> Response:
        """Tell the emotion of one recording, as a whole or over time.

        The body is the recording, or a form with the part `file`. Window and hop are for timelines; so are all formats
        but json, jsonl and csv.
        """
        chosen = chosen_format(form, _accept(request), list(MEDIA_TYPES) if kind == "timeline" else ROWS)
        task = _task(kind, adapt, options, windowing, limits.timeline_s)
        with service.requests.inside(service.client(request)), service.budget.share() as share:
            predictor = service.engine.predictor(model)
            asked = classes_of(predictor, options)
            (upload,) = await read_uploads(request, limits, share, 1)
            answer = await service.engine.run(predictor, lambda model: task(model, upload), request.is_disconnected)
            text = _text(answer, chosen, asked)
            await service.keeper.keep([upload], text)
        service.count("/v1/predict", [answer.prediction if isinstance(answer, Timeline) else answer])
        return Response(text, media_type=MEDIA_TYPES[chosen])

    @router.post(
        "/v1/batch", responses={200: many, **REFUSED}, openapi_extra=_many_files(service), response_class=Response
    )
    async def batch(request: Request, options: AnswerOptions, model: Model = None, form: Format = None) -> Response:
        """Tell the emotions of several recordings, in their order; one that can't be read is a row with its error.

        The body is a form with one part `file` a recording.
        """
        chosen = chosen_format(form, _accept(request), ROWS)
        with service.requests.inside(service.client(request)), service.budget.share() as share:
            predictor = service.engine.predictor(model)
            asked = classes_of(predictor, options)
            uploads = await read_uploads(request, limits, share, limits.batch_files)
            task = functools.partial(work.batch, uploads=uploads, options=options)
            rows = await service.engine.run(predictor, task, request.is_disconnected)
            text = batch_text(rows, chosen, asked)
            await service.keeper.keep(uploads, text)
        service.count("/v1/batch", rows)
        return Response(text, media_type=MEDIA_TYPES[chosen])

    return router


def _many_files(service: Service) -> dict[str, object]:
    return openapi.body(service.settings.limits.batch_files)


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))


def _task(
    kind: Kind, adapt: Adapt, options: Options, windowing: Windowing, most_s: float
) -> Callable[[Predictor, Upload], Prediction | Timeline]:
    if kind == "utterance":
        return functools.partial(work.utterance, adapt=adapt, options=options)
    return functools.partial(work.timeline, adapt=adapt, windowing=windowing, most_s=most_s, options=options)


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


TICKET_REFUSED = openapi.problems(400, 401, 403, 421)


def ticket_router(service: Service) -> APIRouter:
    """Return the route that gives tickets."""
    router = APIRouter()
    answers: dict[int | str, dict[str, Any]] = {200: openapi.TICKET, **TICKET_REFUSED}

    @router.post("/v1/tickets", responses=answers, response_class=JSONResponse)
    async def tickets(request: Request) -> JSONResponse:
        """Give a ticket that opens one stream, as `WS /v1/stream?ticket=…`, in place of a key."""
        client = service.client(request)
        return JSONResponse({"ticket": service.tickets.give(client), "expires_s": service.tickets.lasts_s})

    return router
