"""The page of `web/page`, with the models and clips that it answers with in the browser."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

import earnest
from earnest.apps.server.problems import ProblemError
from earnest.apps.server.settings import Settings
from earnest.audio.silero import network_path
from earnest.bundle import DEFAULT_BUNDLE, SHIPPED, shipped_bundles

PAGE = Path(__file__).parents[1] / "web"
CLIPS = Path(earnest.__file__).parent / "demo"
REVALIDATED = {"Cache-Control": "no-cache"}  # browsers keep the files, and ask whether they changed


def is_built() -> bool:
    """Whether this installation holds the page."""
    return (PAGE / "index.html").is_file()


def mount_page(app: FastAPI, settings: Settings) -> None:
    """Serve the page, and beside it only what the package ships: other models answer, but are not handed out."""
    app.include_router(_page_router(settings))  # before the folder of models: one of them lies elsewhere
    app.mount("/models", _Files(directory=SHIPPED))
    app.mount("/clips", _Files(directory=CLIPS))


def _page_router(settings: Settings) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    network = network_path()
    others = [name for name in shipped_bundles() if name != DEFAULT_BUNDLE]
    site = {
        "version": earnest.__version__,
        "server": not settings.api_keys,  # a page can't send keys with a stream
        "voiceActivity": network is not None,
        "models": [DEFAULT_BUNDLE, *others],
        "clips": sorted(path.name for path in CLIPS.glob("*.flac")),
    }

    @router.get("/site.json")
    async def described() -> JSONResponse:
        return JSONResponse(site, headers=REVALIDATED)

    @router.get("/models/silero_vad.onnx")
    async def voice_activity() -> FileResponse:
        if network is None:
            raise ProblemError("not-found", "Voice activity detection is not installed here.")
        return FileResponse(network, headers=REVALIDATED)

    files = _Files(directory=PAGE)

    # Not mounted at "/": that would take every wrong method at another address for a missing file.
    @router.api_route("/", methods=["GET", "HEAD"])
    @router.api_route("/{name}", methods=["GET", "HEAD"])
    async def page_file(request: Request, name: str = "index.html") -> Response:
        return await files.get_response(name, request.scope)

    return router


class _Files(StaticFiles):
    """Files that browsers keep as long as they are the same."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # a stream at an unknown address
            raise HTTPException(404)
        await super().__call__(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(REVALIDATED)
        return response
