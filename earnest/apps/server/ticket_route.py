"""``POST /v1/tickets``: a ticket for a stream, for who has a key."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse

from earnest.apps.server import openapi
from earnest.apps.server.service import Service

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
