"""The server leans on methods of uvicorn that nobody promised; here they are as they were when they were read.

When a test fails, uvicorn changed a method that `earnest.apps.server.protocols` overrides, calls or relies on. Read it,
mend the subclass, run tests/integration/test_server_*.py, write the new digest here, and move the bounds of uvicorn in
pyproject.toml to the versions that have it.
"""

import hashlib
import inspect
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from uvicorn.middleware.proxy_headers import _TrustedHosts
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import Server as PlainServer
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from earnest.apps.server.protocols import GuardedStream, Server, Supervisor, TimedProtocol

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SUBCLASSES: Mapping[type, type] = {
    TimedProtocol: H11Protocol,
    GuardedStream: WebSocketsSansIOProtocol,
    Server: PlainServer,
    Supervisor: Multiprocess,
}
# SHA-256 of the source without white space, its first twelve digits: uvicorn 0.53 and 0.54.
READ: Mapping[type, Mapping[str, str]] = {
    H11Protocol: {
        "connection_made": "c8b2230c91b4",
        "on_response_complete": "9cf99b16494d",
        "data_received": "451973e755ad",
        "handle_events": "6eb3e68cf3bd",
        "send_400_response": "1e1ffd817fc1",
        "shutdown": "710460996525",
        "connection_lost": "9a376c9a75b7",
        "pause_writing": "942adeb76e2e",
        "resume_writing": "5211cfcc7289",
        "handle_websocket_upgrade": "00e68856a4b0",
    },
    RequestResponseCycle: {
        "__init__": "622bd6ccdb6a",
        "send": "40aa4441f75c",
    },
    WebSocketsSansIOProtocol: {
        "connection_made": "0c2167e3a06f",
        "data_received": "9c7fd5fc30fd",
        "handle_connect": "9ed337a10dd4",
        "handle_ping": "f1c52319c847",
        "handle_cont": "2b42372447d8",
        "handle_parser_exception": "604f5a7a2d5c",
        "keepalive_timeout": "8bb5001e0b27",
        "run_asgi": "9e503eb7c050",
        "send": "0f5eebb35c44",
        "send_receive_event_to_app": "6e70462ac67d",
        "shutdown": "ba98819a4e60",
    },
    _TrustedHosts: {
        "__init__": "3c9277ec5e75",
        "__contains__": "a61ae01fe077",
    },
    PlainServer: {
        "startup": "b912bccc00bb",
        "capture_signals": "90b741862efc",
    },
    Multiprocess: {
        "handle_int": "4471c0859d4d",
        "handle_hup": "63ccb003c078",
        "keep_subprocess_alive": "e48b901f6a4e",
        "terminate_all": "0e478ff9f2a3",
        "run": "3152c8f3e607",
    },
    Process: {
        "ping": "11e83b54dde8",
        "is_ready": "789ed9040d13",
        "kill": "7fd2e0568566",
    },
}


def digest_of(owner: type, method: str) -> str:
    source = inspect.getsource(getattr(owner, method)) if hasattr(owner, method) else ""
    return hashlib.sha256("".join(source.split()).encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("owner", "method"), [(owner, method) for owner, methods in READ.items() for method in methods]
)
def test_a_method_of_uvicorn_is_the_one_that_was_read(owner: type, method: str) -> None:
    found = digest_of(owner, method)
    assert found == READ[owner][method], (
        f"uvicorn {version('uvicorn')} has another {owner.__name__}.{method} ({found}) than the one that"
        f" earnest/apps/server/protocols.py was written for. What to do: the docstring of {__file__}"
    )


@pytest.mark.parametrize("own", SUBCLASSES, ids=lambda own: own.__name__)
def test_every_method_that_is_overridden_was_read_and_takes_the_same(own: type) -> None:
    parent = SUBCLASSES[own]
    overridden = {name for name, value in vars(own).items() if inspect.isfunction(value) and hasattr(parent, name)}
    assert overridden <= READ[parent].keys()
    for name in overridden:
        mine, theirs = (inspect.signature(getattr(owner, name)).parameters for owner in (own, parent))
        assert list(mine) == list(theirs), name


def test_the_version_is_bounded_to_those_that_were_read() -> None:
    (needed,) = [Requirement(text) for text in PROJECT["optional-dependencies"]["server"] if text.startswith("uvicorn")]
    assert {clause.operator for clause in needed.specifier} == {">=", "<"}
    assert version("uvicorn") in needed.specifier
