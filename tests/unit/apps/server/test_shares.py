"""One client has a share of the server: of memory for bodies, of places, of connections; the others have theirs."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from patience import PATIENCE_S, wait_for
from server_process import WAV, ask, connected, head, metrics, said
from serving import listening, settings_for
from starlette.requests import Request

from earnest.apps.server import engine
from earnest.apps.server.body import ONE, BodyBudget, read_body
from earnest.apps.server.formats import ProblemError
from earnest.apps.server.front_door import network_of
from earnest.apps.server.service import digest_of_key
from earnest.apps.server.settings import Limits


def test_one_client_holds_half_of_the_memory_for_bodies_at_most() -> None:
    budget = BodyBudget(Limits(held_bytes=100, body_bytes=40))
    with budget.share("anna") as first, budget.share("anna") as second, budget.share("ben") as other:
        first.take(40)
        second.take(10)
        with pytest.raises(ProblemError, match="of one client") as refused:
            second.take(1)
        assert refused.value.kind == "too-many"
        other.take(40)
        with budget.share("cleo") as last, pytest.raises(ProblemError, match="Other requests") as refused:
            last.take(11)
        assert refused.value.kind == "overloaded"
    assert (budget.n_left, budget.by_client) == (100, {})


def test_one_client_may_send_one_whole_body_whatever_the_memory_is() -> None:
    with BodyBudget(Limits(held_bytes=100, body_bytes=100)).share("anna") as share:
        share.take(100)


def read(chunks: Sequence[bytes], limits: Limits) -> bytes:
    """Return a body that comes in these chunks, after which the client says nothing more."""
    left = iter(chunks)

    async def receive() -> dict[str, Any]:
        chunk = next(left, None)
        if chunk is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": chunk, "more_body": chunk != b""}

    async def body() -> bytes:
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"audio/wav")]}
        with BodyBudget(limits).share("") as share:
            return (await read_body(Request(scope, receive), limits, share, ONE)).uploads[0].data

    return asyncio.run(asyncio.wait_for(body(), PATIENCE_S))


def test_a_body_that_does_not_come_is_given_up_long_before_the_time_for_bodies() -> None:
    limits = Limits(body_s=2 * PATIENCE_S, body_start_s=0.01, body_rate=1000.0)
    for chunks in ([], [b"x"], [b"x"] * 10):
        with pytest.raises(ProblemError, match="1000 bytes a second at least") as refused:
            read(chunks, limits)
        assert refused.value.kind == "body-too-slow"
    assert read([b"x", b"yz", b""], Limits(body_s=2 * PATIENCE_S, body_start_s=PATIENCE_S)) == b"xyz"


@pytest.mark.long
def test_bodies_that_come_slowly_keep_nobody_from_the_server(folder: Path, sound: bytes) -> None:
    anna, ben, cleo = keys = [f"the key of {name}".replace(" ", "-") for name in ("anna", "ben", "cleo")]
    limits = {"requests": 4, "client_requests": 2}
    settings = settings_for(folder, limits, api_keys=tuple(map(digest_of_key, keys)))
    with listening(settings) as address, ExitStack() as connections:
        for key in (anna, ben) * 2:
            connection = connections.enter_context(connected(address))
            connection.sendall(head("/v1/predict", f"Content-Length: {len(sound)}", f"X-API-Key: {key}") + sound[:1])
        told = "earnest_requests_under_way 4.0"
        wait_for(lambda: told in httpx2.get(f"{address}/metrics", headers={"X-API-Key": cleo}).text)
        assert httpx2.get(f"{address}/readyz").text == "ready"
        assert ask(address, sound, {**WAV, "X-API-Key": cleo}).status_code == 200
        refused = ask(address, sound, {**WAV, "X-API-Key": anna})
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:earnest:problem:too-many")


@pytest.mark.long
def test_a_body_that_has_come_is_refused_where_others_took_the_last_place(
    folder: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun, original = threading.Event(), threading.Event(), engine.utterance

    def held(*arguments: Any, **more: Any) -> Any:
        begun.set()
        assert go.wait(PATIENCE_S)
        return original(*arguments, **more)

    monkeypatch.setattr(engine, "utterance", held)
    with listening(settings_for(folder, {"requests": 1})) as address, ThreadPoolExecutor() as threads:
        with connected(address) as connection:
            connection.sendall(head("/v1/predict", f"Content-Length: {len(sound)}", "Connection: close") + sound[:-1])
            wait_for(lambda: "earnest_requests_under_way 1.0" in metrics(address))
            waiting = threads.submit(ask, address, sound)
            assert begun.wait(PATIENCE_S)
            connection.sendall(sound[-1:])
            assert b"urn:earnest:problem:overloaded" in said(connection)
        go.set()
        assert waiting.result().status_code == 200


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),  # every neighbour of a network has one of these
        ("testclient", "testclient"),
    ],
)
def test_one_machine_s_addresses_are_one_client(host: str, network: str) -> None:
    assert network_of(host) == network
