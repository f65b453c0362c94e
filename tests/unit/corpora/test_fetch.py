"""Fetching from an archive: a local server that knows ranges, breaks off, lies; archives that want out."""

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from earnest.corpora.base import Archive
from earnest.corpora.emodb import EmoDb
from earnest.corpora.fetch import download, fetch_corpus, unpack
from earnest.corpora.load import corpus_called, load_corpus
from earnest.errors import CorpusError
from earnest.testing.corpora import build_example


@dataclass
class Server:
    """What the local server holds and does, and what it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    breaks_after: int | None = None
    knows_ranges: bool = True
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = state.files.get(self.path)
            asked = self.headers.get("Range")
            state.ranges.append(asked)
            if content is None:
                self.send_error(404)
                return
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and state.knows_ranges else 0
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            stop, state.breaks_after = state.breaks_after, None
            self.wfile.write(content[start:stop])

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_port}"
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def test_a_corpus_is_downloaded_compared_unpacked_and_readable(server, tmp_path, monkeypatch):
    build_example("emodb", tmp_path / "source")
    recordings = sorted((tmp_path / "source").rglob("*.wav"))
    content = zipped({f"wav/{path.name}": path.read_bytes() for path in recordings})
    server.files["/emodb.zip"] = content
    monkeypatch.setattr(EmoDb, "archives", (Archive(f"{server.url}/emodb.zip", md5(content), len(content)),))
    seen: list[tuple[int, int, str]] = []
    fetch_corpus(
        corpus_called("emodb"), tmp_path / "here", lambda done, total, name="": seen.append((done, total, name))
    )
    assert len(load_corpus("emodb", tmp_path / "here")) == 3
    assert seen[-1] == (len(content), len(content), "emodb.zip")
    fetch_corpus(corpus_called("emodb"), tmp_path / "here")
    assert server.ranges == [None]  # what is complete isn't fetched again


@pytest.mark.parametrize("n_bytes", [100_000, 0])
def test_a_download_that_breaks_off_goes_on_where_it_stopped(server, tmp_path, n_bytes):
    content = bytes(range(250)) * 400
    server.files["/a.bin"] = content
    server.breaks_after = 30_000
    archive = Archive(f"{server.url}/a.bin", md5(content), n_bytes)
    with pytest.raises(CorpusError, match=r"30,000 bytes are kept; give the same command again to continue"):
        download(archive, tmp_path)
    assert download(archive, tmp_path).read_bytes() == content
    assert server.ranges == [None, "bytes=30000-"]


def test_a_server_without_ranges_sends_all_again_and_the_result_is_right(server, tmp_path):
    content = bytes(range(250)) * 400
    server.files["/a.bin"] = content
    server.knows_ranges = False
    (tmp_path / "a.bin.part").write_bytes(content[:777])
    assert download(Archive(f"{server.url}/a.bin", md5(content)), tmp_path).read_bytes() == content


def test_a_part_that_was_complete_already_is_taken(server, tmp_path):
    content = b"all of it"
    server.files["/a.bin"] = content
    (tmp_path / "a.bin.part").write_bytes(content)
    assert download(Archive(f"{server.url}/a.bin", md5(content)), tmp_path).read_bytes() == content


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(server, tmp_path):
    server.files["/a.zip"] = b"something else"
    with pytest.raises(CorpusError, match=r"expected md5:.*got md5:.*fetch it again"):
        download(Archive(f"{server.url}/a.zip", md5(b"the corpus")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_and_a_dead_server_are_explained(server, tmp_path):
    with pytest.raises(CorpusError, match="404"):
        download(Archive(f"{server.url}/none.zip"), tmp_path)
    with pytest.raises(CorpusError, match="0 bytes are kept"):
        download(Archive("http://127.0.0.1:9/none.zip"), tmp_path)


def test_only_web_addresses_are_fetched(tmp_path):
    (tmp_path / "secret").write_text("x")
    with pytest.raises(CorpusError, match="only http"):
        download(Archive((tmp_path / "secret").as_uri()), tmp_path / "..")


@pytest.mark.parametrize(
    "name", ["../outside.wav", "/outside.wav", "a/../../outside.wav", "..\\outside.wav", "c:/outside"]
)
def test_an_archive_that_leads_out_of_the_folder_is_refused_before_anything_is_written(tmp_path, name):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (tmp_path / "bad.zip").write_bytes(zipped({"good.wav": b"x", name: b"x"}))
    with pytest.raises(CorpusError, match="leads out of the folder"):
        unpack(tmp_path / "bad.zip", folder)
    assert list(folder.iterdir()) == []
    assert not list(tmp_path.glob("outside*"))


def test_links_in_archives_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(CorpusError, match="leads out of the folder"):
        unpack(tmp_path / "bad.zip", tmp_path)


def test_a_folder_that_is_a_link_outwards_is_not_written_through(tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "corpus/wav").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a.zip").write_bytes(zipped({"wav/a.wav": b"x"}))
    with pytest.raises(CorpusError, match="leads out of the folder"):
        unpack(tmp_path / "a.zip", tmp_path / "corpus")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_archive_that_unpacks_out_of_proportion_is_refused(tmp_path):
    (tmp_path / "bomb.zip").write_bytes(zipped({"zeros.wav": bytes(80 << 20)}))
    with pytest.raises(CorpusError, match="far more than a corpus"):
        unpack(tmp_path / "bomb.zip", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.zip"]


def test_a_damaged_archive_is_explained(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>not found</html>")
    with pytest.raises(CorpusError, match="not a ZIP archive"):
        unpack(tmp_path / "a.zip", tmp_path)


def test_an_archive_with_damaged_contents_is_explained(tmp_path):
    damaged = bytearray(zipped({"a.wav": bytes(range(256)) * 50}))
    damaged[40:60] = b"\xff" * 20
    (tmp_path / "damaged.zip").write_bytes(damaged)
    with pytest.raises(CorpusError, match="Delete it and fetch again"):
        unpack(tmp_path / "damaged.zip", tmp_path)


def test_a_closed_corpus_says_whom_to_ask(tmp_path):
    with pytest.raises(CorpusError, match=r"sail\.usc\.edu"):
        fetch_corpus(corpus_called("iemocap"), tmp_path / "x")
    assert not (tmp_path / "x").exists()
