"""Requests that a web page, a stranger or a bad proxy sends to a server: bytes as they go over the wire."""

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
