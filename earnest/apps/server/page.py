"""The page of `web/page`, with the models and clips that it answers with in the browser."""

import hashlib
import json
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

import earnest
from earnest.apps.server.files import REVALIDATED, Files
from earnest.apps.server.settings import Settings
from earnest.audio.activity import NETWORK
from earnest.bundle import DEFAULT_BUNDLE, SHIPPED, shipped_bundles

PAGE = Path(__file__).parents[1] / "web"
CLIPS = Path(earnest.__file__).parent / "demo"


def is_built() -> bool:
    """Whether this installation holds the page."""
    return (PAGE / "index.html").is_file()


def mount_page(app: FastAPI, settings: Settings) -> None:
    """Serve the page, and beside it only what the package ships: other models answer, but are not handed out."""
    app.include_router(_page_router(settings))  # before the folder of models: one of them lies elsewhere
    app.mount("/models", Files(SHIPPED))
    app.mount("/clips", Files(CLIPS))


def _page_router(settings: Settings) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    others = [name for name in shipped_bundles() if name != DEFAULT_BUNDLE]
    site = {
        "version": earnest.__version__,
        "server": True,
        "keys": bool(settings.api_keys),
        "models": [DEFAULT_BUNDLE, *others],
        "clips": sorted(path.name for path in CLIPS.glob("*.flac")),
    }
    text = json.dumps(site)
    headers = {**REVALIDATED, "ETag": f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'}

    @router.get("/site.json")
    async def described(request: Request) -> Response:
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(text, media_type="application/json", headers=headers)

    networks = Files(NETWORK.parent)

    @router.get("/models/silero_vad.onnx")
    async def voice_activity(request: Request) -> Response:
        return await networks.get_response(NETWORK.name, request.scope)

    files = Files(PAGE)

    # Not mounted at "/": that would take every wrong method at another address for a missing file.
    @router.api_route("/", methods=["GET", "HEAD"])
    @router.api_route("/{name}", methods=["GET", "HEAD"])
    async def page_file(request: Request, name: str = "index.html") -> Response:
        return await files.get_response(name, request.scope)

    return router
