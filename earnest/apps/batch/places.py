"""Where the files of a batch run lie: a folder, or an address of another machine, through fsspec.

Files appear whole or not at all, and servers that are busy are met with patience.
"""

import hashlib
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit
from uuid import uuid4

from earnest.errors import EarnestError, MissingExtraError, first_line, printable, told
from earnest.files.reading import opened, read_bytes
from earnest.files.writing import SUM_SUFFIX, put_in_place

T = TypeVar("T")
PROTOCOLS = ("s3", "gs", "gcs", "az", "abfs", "hdfs", "webhdfs", "https", "http")
_IN_EXTRA = frozenset({"s3", "https", "http"})
TRIES, FIRST_WAIT_S, LONGEST_WAIT_S = 6, 0.5, 20.0  # about half a minute, beyond what s3fs tries by itself
# What no second try changes.
_CERTAIN = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
_log = logging.getLogger(__name__)
_PARTIAL = ".partial-"
FORGOTTEN_S = 24 * 3600.0  # age at which the rest of a killed worker is removed
# Where an object appears when its upload ends, and not before.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs"})


def is_url(text: str) -> bool:
    """Whether a word is an address of another machine's file, and no path of this one."""
    return "://" in text


def machine_of(url: str) -> str:
    """Return the part of an address that says who is asked, such as ``s3://calls``, without a name and password."""
    protocol, _, rest = url.partition("://")
    return f"{protocol}://{rest.partition('/')[0].rpartition('@')[2]}"


def filesystem_of(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and the path in it.

    Raises `EarnestError` for other protocols than `PROTOCOLS`, for several in one address, and for passwords in it,
    which would stand in every table; `MissingExtraError` where the package is not installed that knows the protocol.
    """
    protocol, _, rest = url.partition("://")
    if protocol not in PROTOCOLS:
        raise EarnestError(f"{url}: not an address that earnest can read. Known beginnings: {', '.join(PROTOCOLS)}.")
    try:
        has_password = urlsplit(url).password is not None
    except ValueError:
        raise EarnestError(f"{url}: not a valid address. Check how it is written.") from None
    if "::" in rest or has_password:
        raise EarnestError(
            f"{protocol}://…: holds a password or a second address. Set credentials as environment variables."
        )
    try:
        from fsspec.core import url_to_fs

        with explained(url):
            system, path = url_to_fs(url)
    except ImportError as error:
        if protocol in _IN_EXTRA:
            raise MissingExtraError(f"{protocol}://", "cloud") from None
        raise EarnestError(f"{url}: needs another package. {first_line(error)}.") from None
    return system, str(path)


def url_of(system: Any, path: str) -> str:
    """Return the whole address of a path."""
    return str(system.unstrip_protocol(path))


def patiently(act: Callable[[], T], what: str) -> T:
    """Call another machine, again where it is busy or the network fails, with longer and longer waits.

    Raises `OSError` of `_CERTAIN` at once, others after `TRIES`.
    """
    wait_s = FIRST_WAIT_S
    for left in reversed(range(TRIES)):
        try:
            with _as_os_errors():
                return act()
        except OSError as error:
            if left == 0 or isinstance(error, _CERTAIN):
                raise
            _log.info("%s: %s. It is tried again.", printable(what), printable(first_line(error)))
        time.sleep(wait_s * random.uniform(0.5, 1.0))  # so that many workers don't come back at once
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
    raise AssertionError("unreachable")


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what another machine's answers mean into words."""
    try:
        with _as_os_errors():
            yield
    except FileNotFoundError:
        raise EarnestError(f"{url}: doesn't exist. Check the address.") from None
    except PermissionError as error:
        why = first_line(error)
        raise EarnestError(f"{url}: the server refuses ({why}). Check credentials and their rights.") from error
    except OSError as error:
        raise EarnestError(f"{url}: can't be reached ({first_line(error)}). Give the same command again.") from error


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Raise what the clients of clouds raise as the `OSError` that it is."""
    try:
        yield
    except _client_errors() as error:
        raise _kind_of(error)(first_line(error)) from error


def _kind_of(error: Exception) -> type[OSError]:
    status = getattr(error, "status", None)  # of HTTP
    if status in (404, 410):
        return FileNotFoundError
    return PermissionError if status in (401, 403) or "Credential" in type(error).__name__ else OSError


def _client_errors() -> tuple[type[Exception], ...]:
    """Return the errors of clients that were imported and are no `OSError`."""
    botocore, aiohttp = sys.modules.get("botocore.exceptions"), sys.modules.get("aiohttp")
    found: list[type[Exception]] = []
    if botocore:
        found += [botocore.BotoCoreError, botocore.ClientError]
    if aiohttp:
        found += [aiohttp.ClientError]
    return tuple(found)


class LocalPlace:
    """A folder; several processes and machines may write to it at once.

    Attributes
    ----------
    name : what to call it in messages; names in it may hold one ``/``
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, str(folder)

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a folder of it, "" for itself; none where that isn't there."""
        with told(self.folder), suppress(FileNotFoundError):
            return {entry.name for entry in os.scandir(self.folder / folder) if not entry.name.startswith(_PARTIAL)}
        return set()

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        return read_bytes(self.folder / name)

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading and seeking."""
        with opened(self.folder / name) as file:
            return cast(BinaryIO, os.fdopen(os.dup(file.fileno()), "rb"))

    def write(self, name: str, data: bytes) -> None:
        """Replace a file in one step, whoever else writes it; it is on the disk when this returns."""
        path = self.folder / name
        # A name of its own each time: who writes the same file at the same time puts the same rows there.
        fresh = path.with_name(f"{_PARTIAL}{uuid4().hex}-{path.name}")
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with fresh.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                put_in_place(fresh, path)
            except BaseException:
                with suppress(OSError):
                    fresh.unlink()
                raise

    def forget_rests(self) -> None:
        """Remove unfinished files that killed workers left a day ago."""
        for fresh in self.folder.glob(f"*/{_PARTIAL}*"):
            with suppress(OSError):
                if time.time() - fresh.stat().st_mtime > FORGOTTEN_S:
                    fresh.unlink()


class RemotePlace:
    """An address that fsspec knows."""

    def __init__(self, url: str) -> None:
        self.name = url.rstrip("/")
        self._system, self._root = filesystem_of(self.name)

    def names(self, folder: str) -> set[str]:
        """See `LocalPlace`."""
        with explained(self._url(folder)):
            try:
                found = patiently(lambda: self._listed(folder), self._url(folder))
            except FileNotFoundError:
                return set()
        return {path.rpartition("/")[2] for path in found}

    def read(self, name: str) -> bytes:
        """See `LocalPlace`."""
        with explained(self._url(name)):
            return cast(bytes, patiently(lambda: self._system.cat_file(self._path(name)), self._url(name)))

    def open(self, name: str) -> BinaryIO:
        """See `LocalPlace`."""
        with explained(self._url(name)):
            return cast(BinaryIO, patiently(lambda: self._system.open(self._path(name), "rb"), self._url(name)))

    def write(self, name: str, data: bytes) -> None:
        """See `LocalPlace`."""
        with explained(self._url(name)):
            patiently(lambda: self._put(name, data), self._url(name))

    def _put(self, name: str, data: bytes) -> None:
        path, protocols = self._path(name), self._system.protocol
        if _OBJECT_STORES.intersection([protocols] if isinstance(protocols, str) else protocols):
            self._system.pipe_file(path, data)
            return
        folder, _, last = path.rpartition("/")
        fresh = f"{folder}/{_PARTIAL}{uuid4().hex}-{last}"
        self._system.makedirs(folder, exist_ok=True)
        self._system.pipe_file(fresh, data)
        if self._system.exists(path):  # HDFS puts nothing over what is there; a run that is killed here writes it again
            self._system.rm_file(path)
        self._system.mv(fresh, path)

    def _listed(self, folder: str) -> list[str]:
        self._system.invalidate_cache()
        return cast(list[str], self._system.ls(self._path(folder), detail=False))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def _url(self, name: str) -> str:
        return f"{self.name}/{name}".rstrip("/")


Place: TypeAlias = LocalPlace | RemotePlace


def place_at(output: str) -> Place:
    """Return the place that a word of the command line means."""
    return RemotePlace(output) if is_url(output) else LocalPlace(Path(output))


def sum_name(name: str) -> str:
    """Return the name of a file's checksum: with a ``_`` before it, which readers of Parquet folders leave out."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}_{last}{SUM_SUFFIX}"


def write_summed(place: Place, name: str, data: bytes) -> None:
    """Write a file and then its checksum, in the form of ``sha256sum --check``."""
    place.write(name, data)
    digest = hashlib.sha256(data).hexdigest()
    place.write(sum_name(name), f"{digest}  {name.rpartition('/')[2]}\n".encode())


def is_sound(place: Place, name: str) -> bool:
    """Whether a file holds what its checksum says."""
    told_digest = place.read(sum_name(name)).partition(b" ")[0].decode("ascii", "replace")
    return hashlib.sha256(place.read(name)).hexdigest() == told_digest
