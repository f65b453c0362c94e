"""Downloads a corpus from its public archive: resumed after a break, compared with its checksum, unpacked safely."""

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from earnest.corpora.base import Archive, Corpus
from earnest.errors import CorpusError

Progress = Callable[[str, int, int], None]
_CHUNK = 1 << 20
_TIMEOUT_S = 60.0
_MOST_UNPACKED = 100 << 30
_MOST_EXPANSION = 200  # deflate shrinks silence a thousandfold, recordings by less than ten
_SMALL = 64 << 20


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


def unpack(path: Path, folder: Path) -> None:
    """Unpack a ZIP archive, after checking that every member stays inside ``folder`` and that it is no bomb.

    Raises
    ------
    CorpusError
        For absolute paths, "..", links, damaged archives, or contents out of proportion; nothing is written then.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members, path, folder)
            for member in members:
                target = folder / member.filename
                if member.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("wb") as file:
                    _copy(source, file, member.file_size, path)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise CorpusError(
            f"{path}: not a ZIP archive that can be unpacked ({error}). Delete it and fetch again."
        ) from error


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
        total = archive.n_bytes or resumed + int(answer.headers.get("Content-Length") or 0)
        with part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
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


def _check_members(members: list[zipfile.ZipInfo], path: Path, folder: Path) -> None:
    inside = folder.resolve()
    for member in members:
        name = member.filename
        is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
        escapes = PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name or ":" in name
        if is_link or escapes or not (folder / name).resolve().is_relative_to(inside):
            raise CorpusError(f"{path}: its member '{name}' leads out of the folder. Don't trust this archive.")
    unpacked = sum(member.file_size for member in members)
    most = min(_MOST_UNPACKED, max(_SMALL, _MOST_EXPANSION * path.stat().st_size))
    free = shutil.disk_usage(folder).free
    if unpacked > most:
        raise CorpusError(f"{path}: would unpack to {unpacked:,} bytes, far more than a corpus. Don't trust it.")
    if unpacked > free:
        raise CorpusError(f"{path}: needs {unpacked:,} bytes, {folder} has {free:,} free.")


def _copy(source: Any, target: Any, n_bytes: int, path: Path) -> None:
    """Copy at most what the directory of the archive promised."""
    copied = 0
    while chunk := source.read(_CHUNK):
        copied += len(chunk)
        if copied > n_bytes:
            raise CorpusError(f"{path}: a member holds more than its header says. Don't trust this archive.")
        target.write(chunk)
