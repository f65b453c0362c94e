"""The page of `web/page`, with models and recordings that it answers with in the browser; files are sent compressed."""

import gzip
import hashlib
import json
import os
import re
from http import HTTPStatus
from pathlib import Path

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Message, Receive, Scope, Send

import earnest
from earnest.apps.server.formats import ProblemError
from earnest.apps.server.settings import Settings
from earnest.audio.activity import NETWORK
from earnest.bundle import DEFAULT_BUNDLE, SHIPPED, shipped_bundles

REVALIDATED = {"Cache-Control": "no-cache"}  # browsers keep the file, and ask whether it changed
IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
_DIGEST_IN_NAME = re.compile(r"-[0-9A-Z]{8}\.\w+$")
_COMPRESSIBLE = {".css", ".html", ".js", ".json", ".mjs", ".onnx", ".svg", ".txt", ".wasm"}  # as in build.mjs
_LEAST_BYTES = 1000
PIECE_BYTES = 64 * 1024
_MEDIA_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}  # systems differ


class InPieces(Response):
    """A body that is kept once, and handed on no faster than the client reads."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; each piece waits until the one before is nearly gone."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for start in range(0, len(self.body), PIECE_BYTES):
            piece, end = bytes(self.body[start : start + PIECE_BYTES]), start + PIECE_BYTES
            await send({"type": "http.response.body", "body": piece, "more_body": end < len(self.body)})


class WholeOrPart(FileResponse):
    """A file, or the bytes of it that a header Range names; a header that names none is ignored (RFC 9110, 14.2)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; where the file ends before those bytes begin, with a problem, as everywhere."""
        refused: Message | None = None

        async def pass_on(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
                refused = message
            if refused is None:
                await send(message)

        await super().__call__(scope, receive, pass_on)
        if refused is None:
            return
        if refused["status"] == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            size = self.headers["content-length"]
            problem = ProblemError("no-such-part", f"The file has {size} bytes, none in the wanted range.")
            await problem.response({"Content-Range": f"bytes */{size}"})(scope, receive, send)
            return
        whole = [header for header in scope["headers"] if header[0] != b"range"]
        await super().__call__({**scope, "headers": whole}, receive, send)


class Files(StaticFiles):
    """A folder; what lies beside a file as ``.br`` is sent in its place, gzip is made when first asked for and kept."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)
        self._gzipped: dict[Path, tuple[float, bytes]] = {}  # when the file was changed, and its bytes
        self._turn = anyio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; a stream at such an address is refused."""
        if scope["type"] != "http":
            raise HTTPException(404)
        await super().__call__(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Find a file, and answer in the best coding that is taken, or that it is the same as before."""
        if path.endswith(".br"):
            raise HTTPException(404)  # nobody could read it without the header that names the coding
        found = await super().get_response(path, scope)  # refuses wrong methods, and places outside of the folder
        if not isinstance(found, FileResponse):
            return found
        headers = Headers(scope=scope)
        response = await self._coded(found, accepted_codings(headers.get("accept-encoding", "")))
        if self.is_not_modified(response.headers, headers):
            return NotModifiedResponse(response.headers)
        return response

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return the file as it is, with what is the same in every coding."""
        path = Path(full_path)
        headers = IMMUTABLE if _DIGEST_IN_NAME.search(path.name) else REVALIDATED
        vary = {"Vary": "Accept-Encoding"} if _is_compressible(path, stat_result) else {}
        media_type = _MEDIA_TYPES.get(path.suffix)
        return WholeOrPart(path, headers={**headers, **vary}, media_type=media_type, stat_result=stat_result)

    async def _coded(self, plain: FileResponse, codings: frozenset[str]) -> Response:
        path, stat = Path(plain.path), plain.stat_result
        if stat is None or not _is_compressible(path, stat):
            return plain
        if "br" in codings and (brotli := path.with_name(f"{path.name}.br")).is_file():
            headers = {**_shared(plain), "Content-Encoding": "br"}
            return WholeOrPart(brotli, headers=headers, media_type=plain.media_type, stat_result=brotli.stat())
        if "gzip" in codings:
            headers = {**_shared(plain), "Content-Encoding": "gzip", "ETag": f'{plain.headers["etag"][:-1]}-gzip"'}
            return InPieces(await self._gzip(path, stat.st_mtime), headers=headers, media_type=plain.media_type)
        return plain

    async def _gzip(self, path: Path, modified: float) -> bytes:
        """Compress one file at a time, on a thread: a model takes 0.2 s, once."""
        async with self._turn:
            kept = self._gzipped.get(path)
            if kept is None or kept[0] != modified:
                kept = (modified, await run_sync(lambda: gzip.compress(path.read_bytes(), mtime=0)))
                self._gzipped[path] = kept
            return kept[1]


def accepted_codings(header: str) -> frozenset[str]:
    """Return the codings, of "br" and "gzip", that a header Accept-Encoding takes (RFC 9110, 12.5.3)."""
    weights = {}
    for item in header.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        weights[coding] = all(not re.fullmatch(r"q\s*=\s*0(\.0*)?", parameter) for parameter in parameters)
    return frozenset(coding for coding in ("br", "gzip") if weights.get(coding, weights.get("*", False)))


def _is_compressible(path: Path, stat: os.stat_result) -> bool:
    return path.suffix in _COMPRESSIBLE and stat.st_size >= _LEAST_BYTES


def _shared(response: Response) -> dict[str, str]:
    return {name: response.headers[name] for name in ("cache-control", "vary")}


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
        "keeps": settings.keep is not None,
        "limits": {"timeline_s": settings.limits.timeline_s, "body_bytes": settings.limits.body_bytes},
        "models": [DEFAULT_BUNDLE, *others],
        "clips": sorted(path.name for path in CLIPS.glob("*.flac")),
    }
    text = json.dumps(site)
    headers = {**REVALIDATED, "ETag": f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'}

    @router.api_route("/site.json", methods=["GET", "HEAD"])
    async def described(request: Request) -> Response:
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(text, media_type="application/json", headers=headers)

    networks = Files(NETWORK.parent)

    @router.api_route("/models/silero_vad.onnx", methods=["GET", "HEAD"])
    async def voice_activity(request: Request) -> Response:
        return await networks.get_response(NETWORK.name, request.scope)

    files = Files(PAGE)

    # Not mounted at "/": that would take every wrong method at another address for a missing file.
    @router.api_route("/", methods=["GET", "HEAD"])
    @router.api_route("/{name}", methods=["GET", "HEAD"])
    async def page_file(request: Request, name: str = "index.html") -> Response:
        return await files.get_response(name, request.scope)

    return router
