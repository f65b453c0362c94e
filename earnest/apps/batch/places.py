"""Where the files of a batch run lie: a folder, or an address of another machine. Files appear whole or not at all."""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from uuid import uuid4

from earnest.apps.batch.remote import explained, filesystem_of, is_url, patiently
from earnest.errors import told
from earnest.files.reading import opened, read_bytes
from earnest.files.writing import SUM_SUFFIX

_PARTIAL = ".partial-"
FORGOTTEN_S = 24 * 3600.0  # age at which the rest of a killed worker is removed
# Where an object appears when its upload ends, and not before.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs"})


class Place(Protocol):
    """A folder, here or elsewhere; names may hold one ``/``.

    Attributes
    ----------
    name : what to call it in messages
    """

    name: str

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a folder of it, "" for itself; none where that isn't there."""

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading and seeking."""

    def write(self, name: str, data: bytes) -> None:
        """Replace a file in one step, whoever else writes it."""


def place_at(output: str) -> Place:
    """Return the place that a word of the command line means."""
    return RemotePlace(output) if is_url(output) else LocalPlace(Path(output))


class LocalPlace:
    """A folder; several processes and machines may write to it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, str(folder)

    def names(self, folder: str) -> set[str]:
        """See `Place`."""
        with told(self.folder), suppress(FileNotFoundError):
            return {entry.name for entry in os.scandir(self.folder / folder) if not entry.name.startswith(_PARTIAL)}
        return set()

    def read(self, name: str) -> bytes:
        """See `Place`."""
        return read_bytes(self.folder / name)

    def open(self, name: str) -> BinaryIO:
        """See `Place`."""
        with opened(self.folder / name) as file:
            return cast(BinaryIO, os.fdopen(os.dup(file.fileno()), "rb"))

    def write(self, name: str, data: bytes) -> None:
        """See `Place`; on the disk when this returns."""
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
                fresh.replace(path)
            except BaseException:
                with suppress(OSError):
                    fresh.unlink()
                raise

    def forget_rests(self) -> None:
        """Remove what killed workers were writing a day ago."""
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
        """See `Place`."""
        with explained(self._url(folder)):
            try:
                found = patiently(lambda: self._listed(folder), self._url(folder))
            except FileNotFoundError:
                return set()
        return {path.rpartition("/")[2] for path in found}

    def read(self, name: str) -> bytes:
        """See `Place`."""
        with explained(self._url(name)):
            return cast(bytes, patiently(lambda: self._system.cat_file(self._path(name)), self._url(name)))

    def open(self, name: str) -> BinaryIO:
        """See `Place`."""
        with explained(self._url(name)):
            return cast(BinaryIO, patiently(lambda: self._system.open(self._path(name), "rb"), self._url(name)))

    def write(self, name: str, data: bytes) -> None:
        """See `Place`."""
        with explained(self._url(name)):
            patiently(lambda: self._put(name, data), self._url(name))

    def _put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        if _protocols(self._system) & _OBJECT_STORES:
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


def _protocols(system: Any) -> set[str]:
    return {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)


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
