"""Downloads a corpus from its public archive: resumed after a break, compared with its checksum, unpacked safely."""

import hashlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from earnest.corpora.archives import unpack
from earnest.corpora.base import Archive, Corpus
from earnest.errors import CorpusError

Progress = Callable[[str, int, int], None]
_CHUNK = 1 << 20
_TIMEOUT_S = 60.0
_MOST_DOWNLOADED = 100 << 30


def fetch_corpus(corpus: Corpus, folder: Path, on_progress: Progress | None = None) -> list[Path]:
    """Download and unpack all archives of a corpus into ``folder``; what is complete already isn't fetched again.

    Parameters
    ----------
    on_progress : called with the file's name, the bytes that are there and the bytes in all (0: unknown)

    Returns
    -------
    the downloaded files, which stay beside what was unpacked until they are deleted

    Raises
    ------
    CorpusError
        When the corpus has no public archive (the message says how to get it), the download breaks off (say the
        command again to resume), the checksum differs or the archive is not safe to unpack.
    """
    if not corpus.archives:
        raise CorpusError(f"{corpus.title} has no archive that can be fetched by a program. {corpus.access}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [download(archive, folder, on_progress) for archive in corpus.archives]
    for path in paths:
        if path.suffix == ".zip":
            unpack(path, folder)
    return paths


def download(archive: Archive, folder: Path, on_progress: Progress | None = None) -> Path:
    """Download one file; a part that an earlier try left behind is continued."""
    path = folder / PurePosixPath(urlsplit(archive.url).path).name
    part = path.with_name(path.name + ".part")
    if path.is_file() and _is_right(path, archive):
        return path
    try:
        _receive(archive, part, on_progress)
    except HTTPError as error:
        raise CorpusError(f"{archive.url}: the server answers {error.code} {error.reason}. Try later.") from error
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        there = part.stat().st_size if part.is_file() else 0
        reason = getattr(error, "reason", error)
        advice = f"{there:,} bytes are kept; the same command goes on there"
        raise CorpusError(f"{archive.url}: {reason}. {advice}.") from error
    if not _is_right(part, archive):
        found = _digest(part, archive) if archive.checksum else f"{part.stat().st_size} bytes"
        part.unlink()
        expected = archive.checksum or f"{archive.n_bytes} bytes"
        raise CorpusError(f"{archive.url}: expected {expected}, got {found}. The file was deleted; fetch it again.")
    part.replace(path)
    return path


def _receive(archive: Archive, part: Path, on_progress: Progress | None) -> None:
    there = part.stat().st_size if part.is_file() else 0
    if archive.n_bytes and there >= archive.n_bytes:
        return
    headers = {"User-Agent": "earnest"} | ({"Range": f"bytes={there}-"} if there else {})
    request = Request(archive.url, headers=headers)
    if request.type not in ("http", "https"):
        raise CorpusError(f"{archive.url}: only http and https addresses are fetched.")
    try:
        answer = urlopen(request, timeout=_TIMEOUT_S)
    except HTTPError as error:
        if error.code == 416 and there:  # nothing lies beyond what is there: the part is the whole file
            return
        raise
    with answer:
        resumed = there if answer.status == 206 else 0  # a server without ranges sends all of it again
        told = answer.headers.get("Content-Length") or ""
        total = archive.n_bytes or (resumed + int(told) if told.isdecimal() and told.isascii() else 0)
        with part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                if file.tell() > (total or _MOST_DOWNLOADED):
                    raise CorpusError(f"{archive.url}: sends more than {total or _MOST_DOWNLOADED:,} bytes. Try later.")
                if on_progress:
                    on_progress(part.stem, file.tell(), total)
            received = file.tell()
    if total and received < total:
        raise ConnectionError(f"the connection broke off at {received:,} of {total:,} bytes")


def _is_right(path: Path, archive: Archive) -> bool:
    if archive.n_bytes and path.stat().st_size != archive.n_bytes:
        return False
    return not archive.checksum or _digest(path, archive) == archive.checksum


def _digest(path: Path, archive: Archive) -> str:
    kind = archive.checksum.partition(":")[0]
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"
