"""Requests that a web page, a stranger or a bad proxy sends to a server: bytes as they go over the wire."""

from attacks import Attack

EVIL = "http://evil.example"
STREAM = "/v1/stream?sample_rate_hz=16000"
BOUNDARY = "xyz"

FOREIGN_HOSTS = (
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example:80@localhost",
    "192.0.2.1",
    "[2001:db8::1]",
    "localhost, evil.example",
    "",
)
OWN_HOSTS = ("localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:65535", "127.1.2.3", "[::1]", "[::1]:8000")

FOREIGN_PAGES: dict[str, tuple[str, ...]] = {
    "another site": (f"Origin: {EVIL}", "Sec-Fetch-Site: cross-site"),
    "another port of this machine": ("Origin: http://localhost:9999", "Sec-Fetch-Site: same-site"),
    "a sandboxed frame, or a file": ("Origin: null", "Sec-Fetch-Site: cross-site"),
    "without Origin": ("Sec-Fetch-Site: cross-site",),
    "without Origin, of the same site": ("Sec-Fetch-Site: same-site",),
    "two Origins": ("Origin: http://localhost", f"Origin: {EVIL}"),
}


def request(line: str, *headers: str, body: bytes = b"", host: str = "localhost") -> bytes:
    """Return a request as it goes over the wire, with whatever headers."""
    lines = (f"{line} HTTP/1.1", f"Host: {host}", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def rebound(host: str, path: str = "/v1/models") -> bytes:
    """Return what a page of ``host`` asks once its name points at this machine (DNS rebinding)."""
    return request(f"GET {path}", "Connection: close", host=host)


def upgrade(*headers: str, host: str = "localhost", path: str = STREAM) -> bytes:
    """Return the opening of a stream."""
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return request(
        f"GET {path}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        key,
        *headers,
        host=host,
    )


def form(sound: bytes, *headers: str) -> bytes:
    """Return what a form of some web page posts: no preflight asks before."""
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode()
        + sound
        + f"\r\n--{BOUNDARY}--\r\n".encode()
    )
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    return request("POST /v1/predict", kind, f"Content-Length: {len(body)}", "Connection: close", *headers, body=body)


SECOND = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"
POST = "POST /v1/predict"
KIND = "Content-Type: audio/wav"
UNCLEAR: dict[str, bytes] = {
    "Content-Length and Transfer-Encoding": request(
        POST, KIND, "Content-Length: 4", CHUNKED, body=b"0\r\n\r\n" + SECOND
    ),
    "Transfer-Encoding and Content-Length": request(
        POST, KIND, CHUNKED, f"Content-Length: {5 + len(SECOND)}", body=b"0\r\n\r\n" + SECOND
    ),
    "both, one of them folded": request(
        POST, KIND, "Content-Length: 4", "Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n" + SECOND
    ),
    "both, in a stream's opening": upgrade("Content-Length: 4", CHUNKED) + b"0\r\n\r\n" + SECOND,
    "two Content-Lengths that differ": request(POST, KIND, "Content-Length: 4", "Content-Length: 5", body=b"abcde"),
    "a list of Content-Lengths that differ": request(POST, KIND, "Content-Length: 4, 5", body=b"abcde"),
    "a Content-Length with a sign": request(POST, KIND, "Content-Length: +5", body=b"abcde"),
    "a Content-Length in hexadecimal": request(POST, KIND, "Content-Length: 0x5", body=b"abcde"),
    "a Content-Length with a space inside": request(POST, KIND, "Content-Length: 5 5", body=b"abcde"),
    "a space before the colon": request(POST, KIND, "Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SECOND),
    "an unknown Transfer-Encoding": request(POST, KIND, "Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "two Transfer-Encodings": request(POST, KIND, CHUNKED, "Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "a list of Transfer-Encodings": request(POST, KIND, "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "Transfer-Encoding in HTTP/1.0": request(POST, KIND, CHUNKED, body=b"0\r\n\r\n" + SECOND).replace(
        b"HTTP/1.1", b"HTTP/1.0", 1
    ),
    "a chunk's size with a sign": request(POST, KIND, CHUNKED, body=b"+5\r\nabcde\r\n0\r\n\r\n"),
    "a chunk's size in 0x": request(POST, KIND, CHUNKED, body=b"0x5\r\nabcde\r\n0\r\n\r\n"),
    "a chunk that ends elsewhere": request(POST, KIND, CHUNKED, body=b"5\r\nabcdeXX0\r\n\r\n" + SECOND),
    "two Hosts": request("GET /v1/models", f"Host: {EVIL.removeprefix('http://')}"),
    "no Host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "a whole address as target": request(f"GET {EVIL}/v1/models"),
    "a whole address of ours as target": request("GET http://localhost/v1/models"),
    "an address without a slash": request("GET v1/models"),
    "a header without a colon": request("GET /v1/models", "nothing"),
    "a NUL in a header": request("GET /v1/models", "X-A: a\0b"),
    "a bare CR in a header": request("GET /v1/models", "X-A: a\rX-B: b"),
    "a header that begins with LF alone": request("GET /v1/models", f"X-A: a\nHost: {EVIL.removeprefix('http://')}"),
}
# RFC 9112 lets a server read these (2.2, 5.2), and h11 does: as one request, with the meaning that they seem to have.
TOLERATED: dict[str, bytes] = {
    "a folded header": request("GET /v1/models", "X-A: a\r\n b"),
    "lines that end with LF alone": request("GET /v1/models").replace(b"\r\n", b"\n"),
}
STRANGE_UPGRADES: dict[str, bytes] = {
    "by POST": upgrade().replace(b"GET", b"POST", 1),
    "with a body": upgrade("Content-Length: 4") + b"abcd",
    "in chunks": upgrade(CHUNKED) + b"0\r\n\r\n",
    "without a key": upgrade().replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "of an old version": upgrade().replace(b"Version: 13", b"Version: 8"),
    "with a long header": upgrade("X-Long: " + 20_000 * "x"),
    "with 300 headers": upgrade(*(f"X-{number}: x" for number in range(300))),
}


def evil_page(address: str) -> str:
    """Return a page that asks a server in all the ways that need no permission; with "#form" it leaves by a form."""
    stream = address.replace("http", "ws") + STREAM
    return f"""<!doctype html><meta charset="utf-8"><body>
<form method="post" enctype="multipart/form-data" action="{address}/v1/predict"><input type="file" name="file"></form>
<script>
const sound = new Uint8Array(1000);
async function all() {{
  const body = new FormData();
  body.append("file", new Blob([sound]), "a.wav");
  await fetch("{address}/v1/predict", {{ method: "POST", mode: "no-cors", body }}).catch(() => 0);
  navigator.sendBeacon("{address}/v1/predict", body);
  await new Promise((resolve) => {{ new WebSocket("{stream}").onclose = resolve; }});
  document.title = "done";
}}
function leave() {{
  const files = new DataTransfer();
  files.items.add(new File([sound], "a.wav"));
  document.querySelector("input").files = files.files;
  document.querySelector("form").submit();
}}
location.hash === "#form" ? leave() : all();
</script>"""


def unread(path: str = "/models/base/model.onnx", coding: str = "gzip") -> bytes:
    """Return a question whose answer has megabytes, for a client that reads none of them."""
    return request(f"GET {path}", f"Accept-Encoding: {coding}")


DOOR = "tests/integration/test_server_front_door.py::"
PAGE = "tests/integration/test_page_trust.py::"
SERVER = "tests/unit/apps/server/"
ATTACKS = (
    Attack(
        "A name that a page lets point here (DNS rebinding), over HTTP",
        "9 of 9 strange `Host` answered with 200",
        "9 of 9: 421",
        f"{DOOR}test_another_name_is_refused_and_no_stream_opens",
    ),
    Attack(
        "The same, in Chromium, with a page that asks from there",
        "the page and all its addresses given to the stranger's origin",
        "421 for both",
        f"{PAGE}test_a_name_that_points_here_opens_nothing",
    ),
    Attack(
        "A stream through such a name",
        "9 of 9 opened (101)",
        "9 of 9: 421 before the handshake",
        f"{DOOR}test_another_name_is_refused_and_no_stream_opens",
    ),
    Attack(
        "A form of another page posts a recording (`Origin` elsewhere, `null`, twice; `Sec-Fetch-Site` alone)",
        "6 of 6 answered with 200, and stored with `--keep`",
        "6 of 6: 403, nothing stored",
        f"{DOOR}test_a_page_elsewhere_can_t_ask",
    ),
    Attack(
        "A page in Chromium: form, `fetch`, `sendBeacon`, `WebSocket`, from another site and another port",
        "form, `fetch` and `sendBeacon` reach the decoder (422 for 1,000 zeros)",
        "all 403",
        f"{PAGE}test_a_page_of_a_stranger_can_post_nothing_and_open_no_stream",
    ),
    Attack(
        "A stream opened by a page, `Sec-Fetch-Site` without `Origin`",
        "101",
        "403 before the handshake",
        f"{DOOR}test_a_page_elsewhere_can_t_ask",
    ),
    Attack(
        "Who may ask without limit fills the disk of `--keep`",
        "20 clips of 3 s: 1.93 MB, and so on until the disk is full",
        "with `keep_bytes=1000000`: 0.96 MB, the rest answered and not stored, one warning a minute",
        f"{SERVER}test_keeping.py::test_what_has_no_room_pushes_nothing_out_and_room_is_found_again",
    ),
    Attack(
        "Two workers store at the same time into a nearly full folder",
        "no bound",
        "100,000 of 100,000 bytes, not one more, of 120,000 from two processes",
        f"{SERVER}test_keeping.py::test_workers_together_stay_within_the_bytes",
    ),
    Attack(
        "A disk that is full in the middle of a recording",
        "500, and a part of the recording stays",
        "200, nothing stays, counted",
        f"{SERVER}test_keeping.py::test_a_disk_that_is_full_costs_no_answer_and_leaves_no_part",
    ),
    Attack(
        "`--host 0.0.0.0` in a hotel's network",
        "anybody may ask",
        "a token of 192 bits, behind `#` in the printed address",
        "tests/unit/apps/cli/test_serve.py::test_beyond_this_machine_a_token_is_asked_for_and_printed_behind_a_hash",
    ),
    Attack(
        "A ticket for a stream used again, six times at once, at two workers",
        "no tickets: browsers could not stream where keys were asked for",
        "10 of 10 tickets: one 101, five 401",
        "tests/integration/test_server_process.py::test_workers_take_each_others_tickets_and_each_ticket_once",
    ),
    Attack(
        "A second request hidden by `Transfer-Encoding` beside `Content-Length`",
        "422 and 404: both answered, connection kept",
        "400, connection closed, the second unread",
        f"{DOOR}test_an_unclear_request_is_refused_with_all_that_comes_after_it",
    ),
    Attack(
        "22 more ambiguous requests (lengths, chunks, `Host`, targets, control characters)",
        "18 refused with 400 by h11; 3 strange targets 404, `Transfer-Encoding` in HTTP/1.0 422",
        "all 400, connection closed",
        f"{DOOR}test_an_unclear_request_is_refused_with_all_that_comes_after_it",
    ),
    Attack(
        "The opening of a stream that has a body, is no GET, or has a header of 20,000 letters",
        "no answer, and the connection stays: 310 of them at a server for 300, and nobody was answered 20 s later",
        "400 in 1 ms, closed; others are answered",
        f"{DOOR}test_what_is_no_opening_of_a_stream_is_answered_and_closed",
    ),
    Attack(
        "40 clients ask for a model compressed, and read nothing",
        "88 MB; uncompressed, they stay for ever; who reads slowly loses the end of it (4,803,345 of 4,913,424 bytes)",
        "8 MB; let go after `read_s`; who reads slowly gets all",
        f"{DOOR}test_who_reads_nothing_of_an_answer_is_let_go",
    ),
    Attack(
        "A stream that is refused, over and over",
        "four lines each, one an error, one with the client's address and query",
        "one info line, without them",
        f"{DOOR}test_a_refused_stream_is_one_line_and_no_line_tells_an_address_or_a_query",
    ),
    Attack(
        "A flood of requests above `connections`, or of requests that are none",
        "a line of the log each (200 of 200)",
        "one line a minute of each kind, with the number of those left out (1 of 200)",
        "tests/integration/test_server_process.py::test_a_flood_above_the_connections_is_one_line_of_the_log",
    ),
    Attack(
        "Control and bidi characters on their way into the log",
        "C1, bidi and line separators as they are",
        "ASCII, escaped",
        f"{DOOR}test_a_log_line_is_ascii_whatever_is_in_it",
    ),
    Attack(
        "Another uvicorn than the one that was tried: 0.50 with `--workers 2`, as `uvicorn>=0.50` allowed",
        "TypeError when it starts, and other methods under the subclasses",
        "`uvicorn>=0.53,<0.55`, each method that earnest relies on is compared with the one that was read",
        "tests/contracts/test_uvicorn.py::test_a_method_of_uvicorn_is_the_one_that_was_read",
    ),
    Attack(
        "A form whose `profile` is 62 MiB of `[],[],…`",
        "503 after 61 s, others waited up to 31 s, +1.8 GB",
        "413 after 4 MiB of it; `[` are counted before JSON is read",
        f"{SERVER}test_routes.py::test_a_profile_beyond_what_one_may_have_is_refused_while_it_arrives",
    ),
    Attack(
        "Forms that name charsets which don't exist, 2,500 of 28 KB each; file names too",
        "Python keeps each name: +65 MiB for ever",
        "422, nothing more is held; only UTF-8, ASCII and Latin-1 are looked up",
        f"{SERVER}test_refusing.py::test_no_charset_that_a_client_names_is_looked_up",
    ),
    Attack(
        "A body of 6 MB in chunks of one byte",
        "6.3 s of CPU in the event loop; `/healthz` took 9.8 s",
        "400 after 4,097 of them, less than 0.1 s of CPU; `/healthz` 0.04 s",
        "tests/integration/test_server_hostile.py::test_a_body_in_crumbs_is_refused_before_it_is_whole",
    ),
    Attack(
        "Eight bodies of 64 MiB from one client, whose last bytes never come",
        "no other client's body was taken for 52 s (503)",
        "half of `held_bytes` is the most of one client (429); others are answered",
        f"{SERVER}test_shares.py::test_one_client_holds_half_of_the_memory_for_bodies_at_most",
    ),
    Attack(
        "64 bodies from two clients, of which the first byte alone comes",
        "all places for requests were taken for 60 s",
        "none: a body that is coming takes no place. It is given up after 10 s (`body_start_s`) unless it goes on with "
        "512 bytes a second (`body_rate`)",
        f"{SERVER}test_shares.py::test_bodies_that_come_slowly_keep_nobody_from_the_server",
    ),
    Attack(
        "2,100 connections from one address, with half a header",
        "503 for everybody, of `/healthz` too",
        "512 are open (`client_connections`), the others get 429 at once; other addresses are answered",
        f"{DOOR}test_one_address_has_its_share_of_connections_and_others_have_theirs",
    ),
)
