"""What a web page, a stranger or a bad proxy sends over a bare connection is refused before it is read."""

import gzip
import json
import logging
import re
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from patience import PATIENCE_S, wait_for
from server_process import CLIP, connected, metrics
from serving import listening, settings_for
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from attacks import web
from earnest.apps.server import page
from earnest.apps.server.metrics import QUIET, JsonFormatter, log_config
from earnest.apps.server.service import digest_of_key
from earnest.bundle import SHIPPED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with listening(settings_for(folder, host_names=("emotion.example.org",))) as address:
        yield address


def answers_to(address: str, data: bytes) -> tuple[list[int], bytes]:
    """Return the statuses of all answers and what came, until the server closes the connection."""
    with connected(address) as connection:
        connection.settimeout(PATIENCE_S)
        connection.sendall(data)
        found = b""
        try:
            while part := connection.recv(65_536):
                found += part
        except ConnectionResetError:
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", found)], found


def status_of_stream(address: str, *headers: str, host: str = "localhost") -> int:
    with connected(address) as connection:
        connection.settimeout(PATIENCE_S)
        connection.sendall(web.upgrade(*headers, host=host))
        return int(connection.recv(12).split()[1])


@pytest.mark.parametrize("host", web.FOREIGN_HOSTS)
def test_another_name_is_refused_and_no_stream_opens(address: str, host: str) -> None:
    statuses, found = answers_to(address, web.rebound(host))
    assert statuses == [421]
    assert b"urn:earnest:problem:foreign-host" in found
    assert not host or host.encode() not in found
    assert status_of_stream(address, host=host) == 421
    for path in ("/", "/healthz", "/metrics", "/openapi.json"):
        assert answers_to(address, web.rebound(host, path))[0] == [421]


def test_a_probe_without_a_host_as_load_balancers_send_it_is_answered(address: str) -> None:
    asked = {
        path: answers_to(address, f"GET {path} HTTP/1.0\r\n\r\n".encode())[0] for path in ("/readyz", "/v1/models")
    }
    assert asked == {"/readyz": [200], "/v1/models": [421]}


@pytest.mark.parametrize("host", [*web.OWN_HOSTS, "emotion.example.org", "Emotion.example.org:8443"])
def test_its_own_names_are_answered(address: str, host: str) -> None:
    assert answers_to(address, web.rebound(host))[0] == [200]
    assert status_of_stream(address, host=host) == 101


@pytest.mark.parametrize("headers", web.FOREIGN_PAGES.values(), ids=web.FOREIGN_PAGES)
def test_a_page_elsewhere_can_t_ask(address: str, headers: tuple[str, ...]) -> None:
    statuses, found = answers_to(address, web.form(CLIP, *headers))
    assert statuses == [403]
    assert b"urn:earnest:problem:foreign-origin" in found
    assert status_of_stream(address, *headers) in (400, 403)  # two Origins are no opening at all


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Sec-Fetch-Site: none",),
        ("Origin: http://localhost", "Sec-Fetch-Site: same-origin"),
        ("Origin: http://localhost:80",),
        ("Origin: https://localhost",),  # through a proxy that does TLS
    ],
)
def test_its_own_page_and_who_is_no_browser_can_ask(address: str, headers: tuple[str, ...]) -> None:
    assert answers_to(address, web.form(CLIP, *headers))[0] == [200]
    assert status_of_stream(address, *headers) == 101


def test_a_page_elsewhere_that_was_named_can_ask(folder: Path) -> None:
    page = (f"Origin: {web.EVIL}", "Sec-Fetch-Site: cross-site")
    with listening(settings_for(folder, cors_origins=(f"{web.EVIL.upper()}:80",))) as address:
        assert answers_to(address, web.form(CLIP, *page))[0] == [200]
        assert status_of_stream(address, *page) == 101
        assert answers_to(address, web.form(CLIP, "Origin: null"))[0] == [403]


@pytest.mark.parametrize("data", web.UNCLEAR.values(), ids=web.UNCLEAR)
def test_an_unclear_request_is_refused_with_all_that_comes_after_it(address: str, data: bytes) -> None:
    assert answers_to(address, data)[0] == [400]


@pytest.mark.parametrize("data", web.TOLERATED.values(), ids=web.TOLERATED)
def test_what_is_read_although_it_is_odd_is_one_request(address: str, data: bytes) -> None:
    end = web.request("GET /nothing", "Connection: close")
    assert answers_to(address, data + end)[0] == [200, 404]


@pytest.mark.parametrize("data", web.STRANGE_UPGRADES.values(), ids=web.STRANGE_UPGRADES)
def test_what_is_no_opening_of_a_stream_is_answered_and_closed(address: str, data: bytes) -> None:
    statuses, _ = answers_to(address, data)
    assert len(statuses) == 1
    assert 400 <= statuses[0] < 500


@pytest.fixture
def shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve models to browsers, as where the page is built."""
    (folder / "index.html").write_text("the page", encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", folder)


@contextmanager
def unread(address: str, coding: str) -> Iterator[tuple[socket.socket, select.poll]]:
    """Ask for a model and read none of it; the connection, and what tells that it ended."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE_S)
        connection.connect(("127.0.0.1", int(address.rpartition(":")[2])))
        connection.sendall(web.unread(coding=coding))
        ended = select.poll()
        ended.register(connection, select.POLLERR | select.POLLHUP)
        yield connection, ended


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_who_reads_nothing_of_an_answer_is_let_go(folder: Path, coding: str) -> None:
    with listening(settings_for(folder, {"read_s": 0.5})) as address, unread(address, coding) as (_, ended):
        assert ended.poll(1000 * PATIENCE_S)


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_who_reads_slowly_gets_all(folder: Path, coding: str) -> None:
    with listening(settings_for(folder, {"header_s": 1.0})) as address, unread(address, coding) as (connection, ended):
        assert not ended.poll(2500)
        found = bytearray(connection.recv(4096))
        n_bytes = found.index(b"\r\n\r\n") + 4 + int(re.findall(rb"content-length: (\d+)", found)[0])
        while len(found) < n_bytes and (part := connection.recv(65_536)):
            found += part
        assert len(found) == n_bytes
        body = found.partition(b"\r\n\r\n")[2]
        assert (gzip.decompress(body) if coding == "gzip" else body) == (SHIPPED / "base/model.onnx").read_bytes()


class Lines(logging.Handler):
    """What goes into the log, as it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def lines(address: str) -> Iterator[list[str]]:
    """Log as `earnest serve` does."""
    kept = {name: logging.getLogger(name).level for name in ("earnest", "uvicorn", QUIET)}
    handler = Lines()
    for name in kept:
        logging.getLogger(name).setLevel(log_config("info")["loggers"][name]["level"])
    logging.getLogger().addHandler(handler)
    yield handler.lines
    logging.getLogger().removeHandler(handler)
    for name, level in kept.items():
        logging.getLogger(name).setLevel(level)


def told(lines: list[str]) -> list[tuple[str, str, int]]:
    found = [json.loads(line) for line in lines]
    return [(line["level"], line["message"], line.get("status", 0)) for line in found]


def test_a_refused_stream_is_one_line_and_no_line_tells_an_address_or_a_query(address: str, lines: list[str]) -> None:
    assert status_of_stream(address, *web.FOREIGN_PAGES["another site"]) == 403
    url = f"{address.replace('http', 'ws')}{web.STREAM}&ticket=secret"
    with pytest.raises(InvalidStatus):
        connect(f"{url}&model=none")
    with connect(url) as stream:
        stream.recv()
    wait_for(lambda: len(lines) >= 3)
    assert told(lines) == [("info", "answered", status) for status in (403, 422, 101)]
    assert "secret" not in "".join(lines)
    assert "127.0.0.1" not in "".join(lines)


def test_a_log_line_is_ascii_whatever_is_in_it() -> None:
    record = logging.makeLogRecord({"msg": "a\x1b[2J\x9b\u202e\u2028b", "name": "earnest.server", "levelno": 30})
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == "a\x1b[2J\x9b\u202e\u2028b"


def test_statistics_stay_few_whatever_is_asked(folder: Path) -> None:
    with listening(settings_for(folder)) as address:
        for number in range(40):
            answers_to(address, web.request(f"M{number} /v1/a{number}", "Connection: close"))
            answers_to(address, web.rebound(f"name-{number}", f"/{number}"))
            answers_to(address, web.request(f"GET /v1/models?q={number}", "Connection: close", f"X-{number}: x"))
        text = metrics(address)
    series = {line for line in text.splitlines() if line.startswith("earnest_requests_total{")}
    assert len(series) <= 5


def test_a_ticket_stands_for_a_key_once(folder: Path) -> None:
    key = {"Authorization": "Bearer first"}
    settings = settings_for(folder, {"client_streams": 1}, api_keys=(digest_of_key("second"), digest_of_key("first")))
    with listening(settings) as address:
        ticket = ticket_of(address, "Authorization: Bearer first")
        assert web_status(address, ticket) == (101, 401)  # the second time it is used
        assert web_status(address, ticket + "A")[0] == 401
        assert answers_to(address, web.request("POST /v1/tickets", "Connection: close"))[0] == [401]
        url = f"{address.replace('http', 'ws')}{web.STREAM}"
        with connect(url, additional_headers=key) as stream:
            stream.recv()
            assert web_status(address, ticket_of(address, "X-API-Key: first"))[0] == 429  # the same client
            assert web_status(address, ticket_of(address, "X-API-Key: second"))[0] == 101


def ticket_of(address: str, header: str) -> str:
    asked = web.request("POST /v1/tickets", header, "Content-Length: 0", "Connection: close")
    _, found = answers_to(address, asked)
    answer = json.loads(found.partition(b"\r\n\r\n")[2])
    assert answer["expires_s"] == 30.0
    return str(answer["ticket"])


def web_status(address: str, ticket: str) -> tuple[int, int]:
    """Open a stream twice with one ticket."""
    found = []
    for _ in range(2):
        with connected(address) as connection:
            connection.sendall(web.upgrade(path=f"{web.STREAM}&ticket={ticket}"))
            found.append(int(connection.recv(12).split()[1]))
    return found[0], found[1]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one address of this machine, not a whole net")
def test_one_address_has_its_share_of_connections_and_others_have_theirs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "127.0.0.3")  # the proxy
    limits = {"client_connections": 3, "header_s": 2 * PATIENCE_S}
    with listening(settings_for(folder, limits)) as address, ExitStack() as stack:
        port = int(address.rpartition(":")[2])

        def health(host: str) -> bytes:
            connection = socket.create_connection(("127.0.0.1", port), PATIENCE_S, (host, 0))
            with connection, suppress(OSError):  # closed before it was asked
                connection.sendall(web.request("GET /healthz", "Connection: close"))
                return connection.recv(12)
            return b""

        for host in ("127.0.0.1", "127.0.0.3"):
            many = [socket.create_connection(("127.0.0.1", port), PATIENCE_S, (host, 0)) for _ in range(3)]
            for connection in many:
                stack.enter_context(connection)
        stack.enter_context(refused := socket.create_connection(("127.0.0.1", port), PATIENCE_S, ("127.0.0.1", 0)))
        assert refused.recv(12) == b"HTTP/1.1 429"
        assert health("127.0.0.1") != b"HTTP/1.1 200"
        assert health("127.0.0.2") == health("127.0.0.3") == b"HTTP/1.1 200"
        stack.close()  # also the places of who left are free
        wait_for(lambda: health("127.0.0.1") == b"HTTP/1.1 200")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one address of this machine, not a whole net")
def test_streams_count_among_the_connections_of_an_address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "127.0.0.3")
    with listening(settings_for(folder, {"client_connections": 2})) as address, ExitStack() as stack:
        for _ in range(2):
            stream = stack.enter_context(connected(address))
            stream.sendall(web.upgrade())
            assert stream.recv(12) == b"HTTP/1.1 101"
        for _ in range(2):
            stack.enter_context(opened := connected(address))
            assert opened.recv(12) == b"HTTP/1.1 429"
