"""earnest batch from and to an S3-compatible server: clear errors, patience, nothing lost."""

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from batches import finished, flac, write_tar
from patience import PATIENCE_S
from stand_in import write_bundle

for package in ("pyarrow", "s3fs", "moto.server"):
    pytest.importorskip(package, reason="needs earnest[cloud] and moto[server]")
pytestmark = pytest.mark.long
N_CLIPS = 12


class Throttled(BaseHTTPRequestHandler):
    """Hands requests on to the server, and says "slow down" to every fourth one."""

    protocol_version = "HTTP/1.1"
    port = 0
    n_refused = 0
    n_seen = 0

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        kind = type(self)
        kind.n_seen += 1
        if kind.n_seen % 4 == 0:
            kind.n_refused += 1
            self.answer(503, [], b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>")
            return
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        link.request(self.command, self.path, body, headers)
        answer = link.getresponse()
        data = answer.read()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP]
        self.answer(answer.status, kept, data, answer.getheader("content-length"))
        link.close()

    def answer(self, status: int, headers: list[tuple[str, str]], data: bytes, length: str | None = None) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", length if self.command == "HEAD" and length else str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def asked(server: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let this process and those that it starts ask the server, with credentials that it takes."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server}",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("s3") / "bundle")


def filled(name: str) -> Any:
    """Return the client of a new bucket with recordings of three kinds, one of them broken."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket=name)
    for number in range(N_CLIPS):
        client.put_object(Bucket=name, Key=f"calls/{number:03d}.flac", Body=flac(number % 3))
    client.put_object(Bucket=name, Key="calls/broken.wav", Body=b"no recording")
    return client


def keys_of(client: Any, bucket: str, prefix: str) -> list[str]:
    """Return the keys of all rows in the shards of a bucket."""
    import io

    import pyarrow.parquet

    found = []
    for item in client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/shards/")["Contents"]:
        if item["Key"].endswith(".parquet"):
            data = client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            found += pyarrow.parquet.read_table(io.BytesIO(data)).column("path").to_pylist()
    return sorted(found)


PLANNED = sorted(["s3://{}/calls/broken.wav", *(f"s3://{{}}/calls/{number:03d}.flac" for number in range(N_CLIPS))])


def test_a_server_that_throttles_loses_nothing(asked: int, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = filled("slow")
    Throttled.port, Throttled.n_refused = asked, 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Throttled) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        words = ("s3://slow/calls", "--output", "s3://slow/answers", "--model", bundle, "--jobs", 1, "--shard-size", 4)
        finished(*words, exit_code=3)
        proxy.shutdown()
    assert Throttled.n_refused > 5
    assert keys_of(client, "slow", "answers") == [key.format("slow") for key in PLANNED]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{asked}")
    assert "complete: one row for each input" in said_by_summary("s3://slow/answers")
    client.delete_object(Bucket="slow", Key="answers/shards/000002.parquet")
    client.delete_object(Bucket="slow", Key="calls/000.flac")
    finished(*words, exit_code=0)
    assert keys_of(client, "slow", "answers") == [key.format("slow") for key in PLANNED]


def said_by_summary(output: str) -> str:
    from command_line import earnest_cli

    return earnest_cli("batch", "summary", output)


def test_a_key_that_is_gone_is_a_row(asked: int, bundle: Path, tmp_path: Path) -> None:
    filled("gone")
    (tmp_path / "some.txt").write_text("s3://gone/calls/000.flac\ns3://gone/calls/absent.flac\n")
    finished(
        tmp_path / "some.txt",
        "-o",
        tmp_path / "answers",
        "--model",
        bundle,
        "--jobs",
        1,
        "--shard-size",
        4,
        exit_code=3,
    )
    from batches import rows_in

    errors = {row["path"]: row["error"] for row in rows_in(tmp_path / "answers")}
    assert errors["s3://gone/calls/000.flac"] is None
    assert errors["s3://gone/calls/absent.flac"] == "s3://gone/calls/absent.flac: no such file. Check the address."


def test_tar_files_are_read_where_they_lie(asked: int, bundle: Path, tmp_path: Path) -> None:
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="tars")
    write_tar(tmp_path / "a.tar", 4)
    client.upload_file(str(tmp_path / "a.tar"), "tars", "sets/a.tar")
    finished("s3://tars/sets", "-o", tmp_path / "answers", "--model", bundle, "--jobs", 1, "--shard-size", 4)
    from batches import keys_in

    assert keys_in(tmp_path / "answers") == [f"s3://tars/sets/a.tar/{number:03d}.flac" for number in range(4)]


def test_what_is_wrong_with_an_address_is_said(
    asked: int, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = ("-o", tmp_path / "answers", "--model", bundle)
    assert "s3://nowhere/calls: doesn't exist" in finished("s3://nowhere/calls", *rest, exit_code=1)
    assert "Known beginnings: s3, gs" in finished("ftp://host/calls", *rest, exit_code=1)
    said = finished("https://me:secret@host/calls.txt", *rest, exit_code=1)
    assert "holds a password" in said
    assert "me:secret" not in said
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert "Check credentials" in finished("s3://nowhere/calls", *rest, exit_code=1)


class Refusing(Throttled):
    """Refuses all, as S3 does who comes with wrong credentials."""

    def handle_any(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.answer(403, [], b"<Error><Code>InvalidAccessKeyId</Code><Message>There is no such key.</Message></Error>")


def test_wrong_credentials_are_said_and_nothing_is_written(
    asked: int, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = filled("mine")
    words = ("s3://mine/calls", "-o", tmp_path / "answers", "--model", bundle, "--jobs", 1, "--shard-size", 4)
    finished(*words, "--plan")
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        said = finished(*words, exit_code=1)
        new = finished("s3://mine/calls", "-o", tmp_path / "new", "--model", bundle, exit_code=1)
        proxy.shutdown()
    for text in (said, new):
        assert "the server refuses" in text
        assert "Check credentials" in text
    assert not list(tmp_path.glob("*/shards/*"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{asked}")
    finished(*words, exit_code=3)
    client.delete_object(Bucket="mine", Key="calls/000.flac")
