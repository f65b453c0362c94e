"""The first questions to every request: is it clear, does it mean this server, and may the page that sends it ask?

A web page can let its own name point at this machine (DNS rebinding), and can post a form anywhere, though it may not
read the answer. Browsers tell the truth in ``Host``, ``Origin`` and ``Sec-Fetch-Site``, which pages can't change.
"""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from earnest.apps.server.formats import ProblemError
from earnest.errors import EarnestError, printable

LOOPBACK = "127.0.0.1"
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
READING = ("GET", "HEAD", "OPTIONS")  # change nothing, and their answers are hidden from other pages by the browser
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{0,5})?", re.IGNORECASE)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)
_PORTS = {"http": ":80", "https": ":443"}  # which go without saying


def network_of(host: str) -> str:
    """Return what one machine has of addresses: of IPv6 a network /64, else the address itself."""
    address = _address(host)
    if not isinstance(address, ipaddress.IPv6Address) or address.is_link_local or address.is_loopback:
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))


def is_loopback(host: str) -> bool:
    """Whether an address or name is reached from this machine only."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


class HostNames:
    """The names of a server; other names in ``Host`` are a page's, or a mistake.

    Names of this machine alone are always ours. So is an address that is listened at, and any address where all are
    listened at: a page can let a name point here, but an address in ``Host`` stood in the browser's own address bar.

    Parameters
    ----------
    listening : address or name that is listened at; "0.0.0.0" and "::" are all addresses
    more : what ``--host-name`` adds
    """

    def __init__(self, listening: str = LOOPBACK, more: Sequence[str] = ()) -> None:
        own = _address(listening)
        self._any_address = own is not None and own.is_unspecified
        self._addresses = {own}
        self._names = {"localhost", listening.lower()}
        for name in more:
            match = _HOST.fullmatch(name)
            if not match or ":" in name.removeprefix(match[1]):
                told = "expected a name such as 'emotion.example.org', without http:// and port."
                raise EarnestError(f"--host-name {printable(name)}: {told}")
            self._names.add(match[1].lower())
            self._addresses.add(_address(match[1]))

    def hold(self, host: str) -> bool:
        """Whether a ``Host`` header, with or without a port, names this server."""
        name, address = _parts(host)
        if address is None:
            return name in self._names
        return address.is_loopback or self._any_address or address in self._addresses


@lru_cache(maxsize=256)  # the same few in every request
def _parts(host: str) -> tuple[str, Address | None]:
    """Return the name in a ``Host`` header, in lower case, and the address that it is; "" is no name."""
    match = _HOST.fullmatch(host)
    return (match[1].lower(), _address(match[1])) if match else ("", None)


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def origin_of(text: str) -> str:
    """Return an origin of ``--cors-origin`` in the form in which browsers send it, or raise an `EarnestError`.

    One slash at its end, as an address bar has it, is left out.
    """
    origin = text.removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        told = "expected an origin such as 'https://page.example.org', without a path."
        raise EarnestError(f"--cors-origin {printable(text)}: {told}")
    scheme, _, rest = origin.lower().partition("://")
    return f"{scheme}://{rest.removesuffix(_PORTS.get(scheme, ' '))}"


class FrontDoor:
    """Answers with a problem, before a body is read or a stream opened, what must not come in."""

    def __init__(self, app: ASGIApp, names: HostNames, origins: Sequence[str]) -> None:
        self._app, self._names, self._origins = app, names, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or stream on, or refuse it."""
        if scope["type"] in ("http", "websocket"):
            try:
                self._refuse(HTTPConnection(scope))
            except ProblemError as problem:
                unclear = problem.kind == "not-understood"  # where its body ends too: nothing after it may be read
                response = problem.response({"Connection": "close"} if unclear else None)
                if scope["type"] == "websocket":
                    await WebSocket(scope, receive, send).send_denial_response(response)
                else:
                    await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refuse(self, asked: HTTPConnection) -> None:
        _refuse_unclear(asked)
        host = asked.headers.get("host", "")
        # As load balancers ask by HTTP/1.0; every browser names a host.
        is_probe = "host" not in asked.headers and asked.scope["path"] in ("/healthz", "/readyz")
        if not is_probe and not self._names.hold(host):
            raise ProblemError(
                "foreign-host", "The header Host names another server. Start the server with --host-name NAME."
            )
        is_reading = asked.scope["type"] == "http" and asked.scope["method"] in READING
        # A browser asks with OPTIONS whether a page may send what it is about to send: the answer is the same.
        if not is_reading or "access-control-request-method" in asked.headers:
            self._refuse_foreign_page(asked, host)

    def _refuse_foreign_page(self, asked: HTTPConnection, host: str) -> None:
        """Refuse what a page elsewhere sends; who sends neither header is no browser."""
        origins = asked.headers.getlist("origin")
        if len(origins) == 1 and origins[0] in self._origins:
            return
        # "none" is somebody at the address bar; "same-site" is another origin of the same site.
        is_elsewhere = asked.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if is_elsewhere or len(origins) > 1 or (origins and not _is_origin_of(origins[0], host)):
            raise ProblemError(
                "foreign-origin", "Pages of other origins are refused. Start the server with --cors-origin ORIGIN."
            )


def _refuse_unclear(asked: HTTPConnection) -> None:
    """Refuse what this server and a proxy before it could take for different requests (RFC 9112, 3.2 and 6.1)."""
    headers = asked.headers
    if "transfer-encoding" in headers and ("content-length" in headers or asked.scope["http_version"] == "1.0"):
        raise ProblemError("not-understood", "Send Transfer-Encoding without Content-Length, and with HTTP/1.1.")
    if not asked.scope["raw_path"].startswith(b"/"):
        raise ProblemError("not-understood", "The target of a request must be a path that begins with '/'.")


def _is_origin_of(origin: str, host: str) -> bool:
    """Whether a page's origin is this host; the scheme is a proxy's matter, but for the implied port."""
    if not _ORIGIN.fullmatch(origin):
        return False
    scheme, _, rest = origin.lower().partition("://")
    implied = _PORTS.get(scheme)
    return implied is not None and rest.removesuffix(implied) == host.lower().removesuffix(implied)
