"""``deploy/nginx.conf`` in front of two replicas, as plain processes on this machine; needs nginx and openssl."""

import json
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from patience import PATIENCE_S, wait_for
from ports import free_port
from server_process import CLIP, WAV, connected, metrics, serving
from stand_in import write_bundle
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from earnest.client import Client, ServerError
from earnest.testing.sounds import voice

CONF = Path(__file__).parents[2] / "deploy/nginx.conf"
MAIN = """daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""

pytestmark = pytest.mark.skipif(
    not (shutil.which("nginx") and shutil.which("openssl")), reason="nginx or openssl is not installed"
)


@dataclass
class Site:
    """Two replicas and what stands before them."""

    plain: str
    url: str
    tls: ssl.SSLContext
    certificate: Path
    replicas: list[tuple[str, subprocess.Popen[str]]]

    def client(self, own_address: str = "127.0.0.1") -> httpx2.Client:
        transport = httpx2.HTTPTransport(verify=self.tls, local_address=own_address)
        return httpx2.Client(base_url=self.url, transport=transport, timeout=PATIENCE_S)

    def stream(self, own_address: str = "127.0.0.1", **headers: str) -> Any:
        url = f"{self.url.replace('https', 'wss')}/v1/stream?sample_rate_hz=16000"
        return connect(url, ssl=self.tls, source_address=(own_address, 0), additional_headers=headers, compression=None)


def write_site(folder: Path, ports: list[int], plain_port: int, tls_port: int) -> None:
    """Write the configuration as in ``deploy/``, with ports and certificates of this machine."""
    made = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "privkey.pem", "-days", "1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made, "-out", "fullchain.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    text = CONF.read_text(encoding="utf-8")
    for old, new in (
        ("server first:8000", f"server 127.0.0.1:{ports[0]}"),
        ("server second:8000", f"server 127.0.0.1:{ports[1]}"),
        ("listen 80;", f"listen 127.0.0.1:{plain_port};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{tls_port} ssl;"),
        ("/etc/nginx/tls/", f"{folder}/"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text, encoding="utf-8")
    (folder / "main.conf").write_text(MAIN.format(folder=folder), encoding="utf-8")


@contextmanager
def nginx(folder: Path) -> Iterator[None]:
    command = ["nginx", "-p", str(folder), "-c", str(folder / "main.conf")]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@contextmanager
def running(folder: Path) -> Iterator[Site]:
    bundle = write_bundle(folder / "bundle")
    with ExitStack() as stack:
        limits = ("--limit", "client_streams=1", "--limit", "streams=2")
        words = ("--jobs", "1", "--log-level", "warning", *limits)
        replicas = [stack.enter_context(serving(bundle, *words)) for _ in range(2)]
        plain_port, tls_port = free_port(), free_port()
        ports = [int(address.rpartition(":")[2]) for address, _ in replicas]
        write_site(folder, ports, plain_port, tls_port)
        stack.enter_context(nginx(folder))
        tls = ssl.create_default_context(cafile=folder / "fullchain.pem")
        # The streams of these tests write in one thread and read in another, which OpenSSL bears up to this version.
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        site = Site(
            f"http://127.0.0.1:{plain_port}", f"https://127.0.0.1:{tls_port}", tls, folder / "fullchain.pem", replicas
        )
        wait_for(lambda: answers(site))
        yield site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as site:
        yield site


def answers(site: Site) -> bool:
    try:
        with site.client() as client:
            return client.get("/readyz").status_code == 200
    except httpx2.HTTPError:
        return False


def ended(stream: Any, patience_s: float = PATIENCE_S) -> tuple[dict[str, Any], int]:
    """Return the last event and the code of the close."""
    last: dict[str, Any] = {}
    try:
        while True:
            last = json.loads(stream.recv(timeout=patience_s))
    except ConnectionClosed as closed:
        assert closed.rcvd
        return last, closed.rcvd.code


def status_of_stream(site: Site, own_address: str, **headers: str) -> int:
    try:
        with site.stream(own_address, **headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_two_replicas_behind_nginx(site: Site) -> None:
    redirected = httpx2.get(f"{site.plain}/v1/models?a=b")
    assert (redirected.status_code, redirected.headers["location"]) == (301, "https://127.0.0.1/v1/models?a=b")
    with site.client() as client:
        for _ in range(6):
            answer = client.post("/v1/predict", content=CLIP, headers=WAV)
            assert (answer.status_code, answer.json()["status"]) == (200, "ok")
            assert "Strict-Transport-Security" in answer.headers
        assert client.post("/v1/predict", files={"file": ("a.wav", CLIP)}).json()["path"] == "a.wav"
        assert client.get("/metrics").status_code == 404
        for origin, status in ((site.url, 200), (site.plain, 403), ("https://evil.example", 403)):
            own = client.post("/v1/predict", content=CLIP, headers=WAV | {"Origin": origin})
            assert own.status_code == status, origin
        assert client.get("/v1/models", headers={"Host": "evil.example"}).status_code == 421
        own = client.post("/v1/predict", content=bytes(2_000_000), headers=WAV)  # LIMITS of the replicas
        assert (own.status_code, own.json()["type"]) == (413, "urn:earnest:problem:too-large")
    assert all('recordings_total{status="ok"}' in metrics(address) for address, _ in site.replicas)
    giant = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: {65 * 2**20}\r\n\r\n".encode()
    bare = connected(site.url.replace("https", "http"))
    with site.tls.wrap_socket(bare, server_hostname="127.0.0.1") as connection:
        connection.sendall(giant)
        assert b"413 Request Entity Too Large" in connection.recv(4096)


def test_streams_and_their_limits_pass_through_nginx(site: Site) -> None:
    with site.stream() as stream:
        stream.send(np.round(voice(4.0) * 32767).astype("<i2").tobytes())
        stream.send('{"type": "finish"}')
        last, code = ended(stream)
        assert (last["event"], last["prediction"]["status"], code) == ("end", "ok", 1000)
    wait_for(lambda: all("streams_open 0.0" in metrics(address) for address, _ in site.replicas))
    with site.stream("127.0.0.2"), site.stream("127.0.0.2"):  # one at each replica, which know the client's address
        assert status_of_stream(site, "127.0.0.2") == 429
        assert (
            status_of_stream(site, "127.0.0.2", **{"X-Forwarded-For": "192.0.2.1"}) == 429
        )  # nobody's word but nginx's
        assert status_of_stream(site, "127.0.0.3") == 101


def test_our_own_client_opens_every_stream(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS 1.3, where about one in a hundred hung whose connection had a thread to write and one to read."""
    monkeypatch.setenv("SSL_CERT_FILE", str(site.certificate))
    with Client(site.url) as client:
        for _ in range(200):
            with client.stream(16_000) as stream:
                stream.accept_waveform(voice(0.5))
                stream.finish()
                assert stream.prediction().duration_s == 0.5
            wait_for(lambda: all("streams_open 0.0" in metrics(address) for address, _ in site.replicas))


def test_our_own_client_tells_how_a_certificate_is_trusted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with Client(site.url) as client:
        for ask in (client.models, client.stream(16_000).__enter__):
            with pytest.raises(ServerError, match=r"Trust its certificate: SSL_CERT_FILE=…"):
                ask()
    monkeypatch.setenv("SSL_CERT_FILE", str(site.certificate))
    with Client(site.url) as client:
        assert client.models()


def test_streams_that_find_no_place_keep_no_recording_out(site: Site) -> None:
    wait_for(lambda: all("streams_open 0.0" in metrics(address) for address, _ in site.replicas))
    with ExitStack() as open_ones:
        for number in range(2, 6):
            open_ones.enter_context(site.stream(f"127.0.0.{number}"))
        assert {status_of_stream(site, "127.0.0.6") for _ in range(4)} == {503}
        with site.client() as client:
            assert {client.post("/v1/predict", content=CLIP, headers=WAV).status_code for _ in range(4)} == {200}


def close_of(stream: Any) -> tuple[str, int] | None:
    """Return the last event and the code of the close; None when the stream goes on."""
    try:
        last, code = ended(stream, patience_s=2)
    except TimeoutError:
        return None
    return last["event"], code


def status_of(client: httpx2.Client) -> int:
    """Ask, and once more if a body was under way to a replica that was ending: nginx has nothing left to repeat."""
    answers = (client.post("/v1/predict", content=CLIP, headers=WAV).status_code for _ in range(2))
    return next((status for status in answers if status != 502), 502)


def test_a_replica_that_ends_or_is_killed_leaves_the_other(tmp_path: Path) -> None:
    with running(tmp_path) as site, site.client() as client, site.stream() as one, site.stream() as another:
        (_, first), (address, second) = site.replicas
        for stream in (one, another):
            stream.send(np.round(voice(4.0) * 32767).astype("<i2").tobytes())
        first.send_signal(signal.SIGTERM)
        assert [status_of(client) for _ in range(4)] == [200] * 4
        first.wait(PATIENCE_S)
        assert [status_of(client) for _ in range(4)] == [200] * 4
        assert sorted([close_of(one), close_of(another)], key=str) == [("end", 1012), None]
        assert "streams_open 1.0" in metrics(address)
        second.kill()
        second.wait(PATIENCE_S)
        assert client.post("/v1/predict", content=CLIP, headers=WAV).status_code == 502
