"""``POST /v1/predict`` and ``POST /v1/batch``: recordings in, predictions out."""

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from earnest.apps.server import openapi, work
from earnest.apps.server.body import Body, read_body
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


class AnswerQuery(BaseModel):
    """What every request may ask for, in its query; checked as one model, which is faster than one by one."""

    model: str | None = Field(None, description="Which model answers; default: the first one.")
    classes: str | None = Field(
        None, max_length=500, description="Probabilities of these classes alone, with commas between them."
    )
    abstain_below: float | None = Field(
        None, ge=0, le=1, description='Below this confidence the answer is "unsure"; default: the model\'s.'
    )

    def options(self) -> Options:
        """Return what an answer is to be like."""
        return Options.of(self.classes, self.abstain_below)


class RowsQuery(AnswerQuery):
    """What a request for rows may ask for."""

    form: Form | None = Field(None, alias="format", title="Format", description="Default: as the header Accept says.")


class BatchQuery(RowsQuery):
    """What a request about several recordings may ask for."""

    adapt: Adapt = Field("off", description="To the speaker of all the recordings, which are all heard first.")


class WindowsQuery(AnswerQuery):
    """What may be asked of answers over time."""

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
    """What a request about one recording may ask for."""

    kind: Kind = "utterance"


REFUSED = openapi.problems(400, 401, 403, 406, 408, 413, 415, 421, 422, 429, 500, 503)


def recordings_router(service: Service) -> APIRouter:
    """Return the routes that take recordings."""
    router, limits = APIRouter(), service.settings.limits
    one, many = openapi.predict_answers(), openapi.batch_answers()

    @router.post("/v1/predict", responses={200: one, **REFUSED}, openapi_extra=openapi.body(1), response_class=Response)
    async def predict(request: Request, query: Annotated[PredictQuery, Query()]) -> Response:
        """Tell the emotion of one recording, as a whole or over time.

        The body is the recording, or a form with the part `file`, and perhaps `profile`, the file of `earnest adapt`
        about its speaker. Window and hop are for timelines; so are all formats but json, jsonl and csv.
        """
        options = query.options()
        offered = list(MEDIA_TYPES) if query.kind == "timeline" else ROWS
        chosen = chosen_format(query.form, _accept(request), offered)
        task = _task(query, options, limits.timeline_s)
        with service.requests.inside(service.client(request)), service.budget.share() as share:
            predictor = service.engine.predictor(query.model)
            asked = classes_of(predictor, options)
            body = await read_body(request, limits, share, 1)
            answer = await service.engine.run(predictor, lambda model: task(model, body), request.is_disconnected)
            text = _text(answer, chosen, asked)
            await service.keeper.keep(body.uploads, text)
        service.count("/v1/predict", [answer.prediction if isinstance(answer, Timeline) else answer])
        return Response(text, media_type=MEDIA_TYPES[chosen])

    @router.post(
        "/v1/batch", responses={200: many, **REFUSED}, openapi_extra=_many_files(service), response_class=Response
    )
    async def batch(request: Request, query: Annotated[BatchQuery, Query()]) -> Response:
        """Tell the emotions of several recordings, in their order; one that can't be read is a row with its error.

        The body is a form with one part `file` a recording, and perhaps one `profile` of their speaker.
        """
        options, chosen = query.options(), chosen_format(query.form, _accept(request), ROWS)
        with service.requests.inside(service.client(request)), service.budget.share() as share:
            predictor = service.engine.predictor(query.model)
            asked = classes_of(predictor, options)
            body = await read_body(request, limits, share, limits.batch_files)
            task = functools.partial(work.batch, body=body, adapt=query.adapt, options=options)
            rows = await service.engine.run(predictor, task, request.is_disconnected)
            text = batch_text(rows, chosen, asked)
            await service.keeper.keep(body.uploads, text)
        service.count("/v1/batch", rows)
        return Response(text, media_type=MEDIA_TYPES[chosen])

    return router


def _many_files(service: Service) -> dict[str, object]:
    return openapi.body(service.settings.limits.batch_files)


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))


def _task(query: PredictQuery, options: Options, most_s: float) -> Callable[[Predictor, Body], Prediction | Timeline]:
    windowing = query.windowing()
    if query.kind == "utterance":
        return functools.partial(work.utterance, adapt=query.adapt, options=options)
    return functools.partial(work.timeline, adapt=query.adapt, windowing=windowing, most_s=most_s, options=options)


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
