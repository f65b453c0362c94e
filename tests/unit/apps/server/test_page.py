"""Files for browsers: the coding that was asked for, names that never change, nothing outside of the folder."""

import asyncio
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import application, settings_for
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from earnest.apps.server import app, page
from earnest.apps.server.page import PIECE_BYTES, Files, InPieces, accepted_codings

TEXT = "const answer = 42;\n" * 200
FIXED, PLAIN = "page-B2RQ7W64.js", "model.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "inside").mkdir(parents=True)
    for name in (FIXED, PLAIN, "clip.flac", "inside/page.css"):
        (folder / name).write_text(TEXT)
    (folder / f"{FIXED}.br").write_bytes(b"brotli's bytes")
    (folder / "tiny.js").write_text("1")
    (tmp_path / "secret.js").write_text(TEXT)
    (folder / "link.js").symlink_to(tmp_path / "secret.js")
    return folder


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=[Mount("/", Files(folder))])) as client:
        client.headers["accept-encoding"] = "identity"
        yield client


def asked(client: TestClient, path: str, codings: str) -> tuple[str | None, bytes]:
    """Return the coding and the bytes as they are sent."""
    with client.stream("GET", path, headers={"Accept-Encoding": codings}) as answer:
        assert answer.status_code == 200
        sent = b"".join(answer.iter_raw())
        assert int(answer.headers["content-length"]) == len(sent)
        return answer.headers.get("content-encoding"), sent


def test_the_smallest_coding_that_is_taken_is_sent(client: TestClient) -> None:
    assert asked(client, FIXED, "gzip, deflate, br, zstd") == ("br", b"brotli's bytes")
    assert asked(client, FIXED, "identity") == (None, TEXT.encode())
    assert asked(client, FIXED, "identity;q=1, *;q=0") == (None, TEXT.encode())  # what media elements ask
    for path, codings in ((PLAIN, "gzip, br"), (FIXED, "gzip, br;q=0"), ("inside/page.css", "gzip")):
        coding, sent = asked(client, path, codings)
        assert coding == "gzip"
        assert gzip.decompress(sent).decode() == TEXT
        assert len(sent) < len(TEXT) / 10


def test_sound_and_small_files_are_sent_as_they_are(client: TestClient) -> None:
    assert asked(client, "clip.flac", "gzip, br") == (None, TEXT.encode())
    assert asked(client, "tiny.js", "gzip, br") == (None, b"1")


def test_the_kind_of_the_file_is_told_and_never_that_of_the_coding(client: TestClient) -> None:
    for codings in ("br", "gzip", "identity"):
        answer = client.head(FIXED, headers={"Accept-Encoding": codings})
        assert answer.headers["content-type"].split(";")[0] == "text/javascript"
        assert answer.headers["vary"] == "Accept-Encoding"


def test_a_name_with_a_digest_is_never_asked_for_again_and_others_always(client: TestClient) -> None:
    for codings in ("br", "gzip", "identity"):
        headers = {"Accept-Encoding": codings}
        assert client.head(FIXED, headers=headers).headers["cache-control"] == "public, max-age=31536000, immutable"
        assert client.head(PLAIN, headers=headers).headers["cache-control"] == "no-cache"


def test_each_coding_has_an_etag_of_its_own_which_is_answered_with_304(client: TestClient) -> None:
    etags = {}
    for codings in ("br", "gzip", "identity"):
        answer = client.head(FIXED, headers={"Accept-Encoding": codings})
        etags[codings] = answer.headers["etag"]
        again = client.head(FIXED, headers={"Accept-Encoding": codings, "If-None-Match": etags[codings]})
        assert again.status_code == 304
        assert again.headers["etag"] == etags[codings]
        assert again.headers["cache-control"] == answer.headers["cache-control"]
        assert again.headers["vary"] == "Accept-Encoding"
    assert len(set(etags.values())) == 3
    assert client.head(FIXED, headers={"Accept-Encoding": "gzip", "If-None-Match": etags["br"]}).status_code == 200


def test_a_file_that_changed_is_compressed_anew(client: TestClient, folder: Path) -> None:
    asked(client, PLAIN, "gzip")
    (folder / PLAIN).write_text(TEXT.replace("42", "43"))
    os.utime(folder / PLAIN, (1, 1))
    _, sent = asked(client, PLAIN, "gzip")
    assert "43" in gzip.decompress(sent).decode()


@pytest.mark.parametrize("codings", ["identity", "br"])
def test_a_part_is_sent_and_one_beyond_the_end_is_refused_with_a_problem(client: TestClient, codings: str) -> None:
    headers = {"Accept-Encoding": codings}
    part = client.get(FIXED, headers={**headers, "Range": "bytes=2-5"})
    whole = TEXT if codings == "identity" else "brotli's bytes"
    assert (part.status_code, part.headers["content-length"]) == (206, "4")
    refused = client.get(FIXED, headers={**headers, "Range": "bytes=999999-"})
    assert (refused.status_code, refused.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    assert refused.headers["content-type"] == "application/problem+json"
    told = refused.json()
    assert (told["status"], told["type"]) == (416, "urn:earnest:problem:no-such-part")
    assert told["detail"] == f"The file has {len(whole)} bytes, none in the wanted range."


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes", "bytes=", "bytes=5-2", "bytes=a-b", "\xe4"])
def test_a_range_that_names_no_bytes_is_ignored(client: TestClient, wanted: str) -> None:
    for method in ("GET", "HEAD"):
        answer = client.request(method, "clip.flac", headers={"Range": wanted.encode("latin-1")})
        assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(TEXT)))
        assert answer.text == (TEXT if method == "GET" else "")


@pytest.mark.parametrize(
    "path",
    [
        f"{FIXED}.br",
        "link.js",
        "../secret.js",
        "%2e%2e/secret.js",
        "%2e%2e%2fsecret.js",
        "inside/../../secret.js",
        "%2Fetc%2Fpasswd",
        "%00.js",
        "x" * 5000,
        "inside",
    ],
)
def test_nothing_but_files_of_the_folder_is_handed_out(client: TestClient, path: str) -> None:
    for codings in ("br", "gzip", "identity"):
        answer = client.get(f"/{path}", headers={"Accept-Encoding": codings})
        assert answer.status_code == 404, answer.text


@given(header=st.text(max_size=200))
def test_any_header_is_read(header: str) -> None:
    assert accepted_codings(header) <= {"br", "gzip"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", set()),
        ("gzip, deflate, br, zstd", {"br", "gzip"}),
        ("GZIP;q=0.5, br ; q=0", {"gzip"}),
        ("*", {"br", "gzip"}),
        ("*;q=0, gzip", {"gzip"}),
        ("identity;q=1, *;q=0.000", set()),
        ("xgzip, brx", set()),
    ],
)
def test_what_the_header_takes(header: str, expected: set[str]) -> None:
    assert accepted_codings(header) == expected


def test_a_kept_body_is_sent_in_pieces() -> None:
    body = bytes(range(256)) * 600
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(InPieces(body)({"type": "http"}, None, send))  # type: ignore[arg-type]
    pieces = [message["body"] for message in sent[1:]]
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert [message["more_body"] for message in sent[1:]] == [True, True, False]


def test_the_page_is_asked_for_by_get_and_head_alone_and_says_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "index.html").write_text("<!doctype html>")
    monkeypatch.setattr(page, "PAGE", folder)
    monkeypatch.setattr(app, "is_built", lambda: True)
    with application(settings_for(tmp_path, isolate=False)) as client:
        for path in ("/", f"/{FIXED}", "/site.json", "/models/silero_vad.onnx", "/models/small/bundle.json"):
            assert (client.head(path).status_code, client.head(path).content) == (200, b"")
            for method in ("OPTIONS", "PUT"):
                answer = client.request(method, path)
                assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
