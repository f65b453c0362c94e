"""Corpora from their publishers: downloaded with checksums, and unpacked where nothing can climb out of the folder."""

import hashlib
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from http.client import HTTPException
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from earnest.corpora.base import Archive, Corpus
from earnest.errors import CorpusError, printable, shown
from earnest.files.writing import put_in_place
from earnest.labels import composed
from earnest.progress import ShowAmount

MOST_MEMBERS = 50_000  # the largest corpus that is fetched has 27,854 recordings, in ten archives
MOST_DIRECTORY = 8 << 20  # bytes of the list of members
LONGEST_NAME, MOST_FOLDERS = 255, 32  # bytes of a part of a path; parts
_MOST_UNPACKED = 100 << 30
_MOST_EXPANSION = 200  # deflate shrinks silence a thousandfold, recordings by less than ten
_SMALL = 64 << 20
_CHUNK = 1 << 20
_LOCAL_HEADER = 30  # bytes before a member's name
_END, _END_64, _LOCATOR_64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_UNTRUSTED = "Don't trust this archive."
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error)


def unpack(path: Path, folder: Path) -> None:
    """Unpack a ZIP archive into ``folder``, which may hold other files already.

    Raises `CorpusError` for what is not safe to unpack, damaged archives and full disks; the folder is then as it was
    before.
    """
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            files = _files_of(archive.infolist(), path, folder)
            with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as aside:
                for name, member in files.items():
                    target = Path(aside) / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as source, target.open("xb") as file:
                        _copy(source, file, member.file_size, path)
                # Moved only when all are whole, so that a bad archive leaves the folder as it was.
                for name in files:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    put_in_place(Path(aside) / name, folder / name)
    except _DAMAGED as error:
        told = printable(str(error)[:200])
        raise CorpusError(
            f"{path}: not a ZIP archive that can be unpacked ({told}). Delete it and fetch again."
        ) from error
    except OSError as error:
        raise CorpusError(f"{path}: can't be unpacked into {folder} ({error.strerror or error}).") from error


def _check_directory(path: Path) -> None:
    """Refuse a list of members that would take long to read, before it is read."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        # A ZIP ends with a record of 22 bytes and a comment of up to 65,535.
        start = max(size - (1 << 16) - 22, 0)
        file.seek(start)
        tail = file.read()
        place = tail.rfind(_END)
        if place < 0 or len(tail) < place + 22:
            raise zipfile.BadZipFile("it has no directory")
        # At 10 two bytes, how many members; at 12 four, how long their list is.
        n_members, n_bytes = struct.unpack("<HI", tail[place + 10 : place + 16])
        # ZIP64: the 20 bytes before say at 8 where its record is; that has the same numbers at 32, in eight bytes each.
        if tail[max(place - 20, 0) : place][:4] == _LOCATOR_64:
            (offset,) = struct.unpack("<Q", tail[place - 12 : place - 4])
            file.seek(min(offset, size))
            record = file.read(56)
            if record[:4] != _END_64 or len(record) < 56:
                raise zipfile.BadZipFile("its 64-bit directory is not where it says")
            n_members, n_bytes = struct.unpack("<QQ", record[32:48])
    if n_members > MOST_MEMBERS or n_bytes > MOST_DIRECTORY:
        told = f"{n_members:,} members in a list of {n_bytes:,} bytes"
        raise CorpusError(f"{path}: holds {told}, a corpus has at most {MOST_MEMBERS:,}. {_UNTRUSTED}")


def _files_of(members: Sequence[zipfile.ZipInfo], path: Path, folder: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the members that are files by their checked names."""
    if len(members) > MOST_MEMBERS:
        raise CorpusError(f"{path}: holds {len(members):,} members, a corpus at most {MOST_MEMBERS:,}. {_UNTRUSTED}")
    for member in members:
        if problem := _problem_with(member):
            raise CorpusError(f"{path}: its member {shown(member.filename)} {problem}. {_UNTRUSTED}")
    files = [(PurePosixPath(member.filename), member) for member in members if not member.is_dir()]
    _check_collisions([name for name, _ in files], path)
    _check_overlaps(members, path)
    _check_sizes(members, path, folder)
    _check_places([name for name, _ in files], path, folder)
    return {name.as_posix(): member for name, member in files}


def _problem_with(member: zipfile.ZipInfo) -> str | None:
    name = member.filename
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        return "leads out of the folder"
    if not parts or not name.isprintable():
        return "has a name that is none"
    if len(parts) > MOST_FOLDERS or max(len(part.encode("utf-8", "replace")) for part in parts) > LONGEST_NAME:
        return "has a name that is too long"
    # The upper half is the mode of Unix; 0 where another system made the archive.
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "leads out of the folder: it is a link" if kind == stat.S_IFLNK else "is a device or the like"
    return "is encrypted" if member.flag_bits & 1 else None


def _check_collisions(names: Sequence[PurePosixPath], path: Path) -> None:
    """Refuse two members that some file system takes for one, and files that are folders of others."""
    seen: dict[str, PurePosixPath] = {}
    for name in names:
        other = seen.setdefault(_folded(name), name)
        if other is not name:
            raise CorpusError(f"{path}: its members '{other}' and '{name}' are one file. {_UNTRUSTED}")
    for name in names:
        for parent in name.parents:
            if other_file := seen.get(_folded(parent)):
                raise CorpusError(
                    f"{path}: its member '{other_file}' is a file and the folder of '{name}'. {_UNTRUSTED}"
                )


def _folded(name: PurePosixPath) -> str:
    return composed(name.as_posix()).casefold()


def _check_overlaps(members: Sequence[zipfile.ZipInfo], path: Path) -> None:
    # At least so long: names and extras of local headers come on top.
    spans = sorted((one.header_offset, one.header_offset + _LOCAL_HEADER + one.compress_size) for one in members)
    if any(end > start for (_, end), (start, _) in pairwise(spans)):
        raise CorpusError(f"{path}: members overlap: it would unpack the same bytes again and again. {_UNTRUSTED}")


def _check_sizes(members: Sequence[zipfile.ZipInfo], path: Path, folder: Path) -> None:
    unpacked = sum(member.file_size for member in members)
    most = min(_MOST_UNPACKED, max(_SMALL, _MOST_EXPANSION * path.stat().st_size))
    free = shutil.disk_usage(folder).free
    if unpacked > most:
        raise CorpusError(f"{path}: would unpack to {unpacked:,} bytes, far more than a corpus. Don't trust it.")
    if unpacked > free:
        raise CorpusError(f"{path}: needs {unpacked:,} bytes, {folder} has {free:,} free.")


def _check_places(names: Sequence[PurePosixPath], path: Path, folder: Path) -> None:
    """Refuse what would be written through a link that lies in the folder, or over a folder or file of another kind."""
    inside = folder.resolve()
    for parent in {parent for name in names for parent in name.parents}:
        place = folder / parent
        if not place.resolve().is_relative_to(inside):
            raise CorpusError(f"{path}: its member '{parent}' leads out of the folder. {_UNTRUSTED}")
        if place.exists() and not place.is_dir():
            raise CorpusError(f"{path}: {place} is a file where a folder is needed. Unpack into an empty folder.")
    for name in names:
        if (folder / name).is_dir():
            raise CorpusError(
                f"{path}: {folder / name} is a folder where a file is needed. Unpack into an empty folder."
            )


def _copy(source: Any, target: Any, n_bytes: int, path: Path) -> None:
    """Copy at most what the directory of the archive promised."""
    copied = 0
    while chunk := source.read(_CHUNK):
        copied += len(chunk)
        if copied > n_bytes:
            raise CorpusError(f"{path}: a member holds more than its header says. {_UNTRUSTED}")
        target.write(chunk)


_TIMEOUT_S = 60.0
_MOST_DOWNLOADED = 100 << 30


def fetch_corpus(corpus: Corpus, folder: Path, on_progress: ShowAmount | None = None) -> list[Path]:
    """Download and unpack all archives of a corpus into ``folder``; what is complete already isn't fetched again.

    Raises `CorpusError` when the corpus has no public archive (the message says how to get it), the download breaks off
    (say the command again to resume), the checksum differs or the archive is not safe to unpack.

    Parameters
    ----------
    on_progress : called with the bytes that are there, the bytes in all (0: unknown) and the file's name

    Returns
    -------
    the downloaded files, which stay beside what was unpacked until they are deleted
    """
    if not corpus.archives:
        raise CorpusError(f"{corpus.title} has no archive that can be fetched by a program. {corpus.access}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [download(archive, folder, on_progress) for archive in corpus.archives]
    for path in paths:
        if path.suffix == ".zip":
            unpack(path, folder)
    return paths


def download(archive: Archive, folder: Path, on_progress: ShowAmount | None = None) -> Path:
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
        advice = f"{there:,} bytes are kept; give the same command again to continue"
        raise CorpusError(f"{archive.url}: {reason}. {advice}.") from error
    if not _is_right(part, archive):
        found = _digest(part, archive) if archive.checksum else f"{part.stat().st_size} bytes"
        part.unlink()
        expected = archive.checksum or f"{archive.n_bytes} bytes"
        raise CorpusError(f"{archive.url}: expected {expected}, got {found}. The file was deleted; fetch it again.")
    put_in_place(part, path)
    return path


def _receive(archive: Archive, part: Path, on_progress: ShowAmount | None) -> None:
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
        error.close()
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
                    on_progress(file.tell(), total, part.stem)
            received = file.tell()
    if total and received < total:
        raise ConnectionError(f"the connection ended at {received:,} of {total:,} bytes")


def _is_right(path: Path, archive: Archive) -> bool:
    if archive.n_bytes and path.stat().st_size != archive.n_bytes:
        return False
    return not archive.checksum or _digest(path, archive) == archive.checksum


def _digest(path: Path, archive: Archive) -> str:
    kind = archive.checksum.partition(":")[0]
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"
