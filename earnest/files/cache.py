"""A cache on disk that processes share: bounded, and checked whenever it is read.

An entry's name says what it was made of, so an entry is never wrong, only missing. It appears whole, by a rename; one
that was damaged since is noticed by its checksum, removed, and made anew by whoever wanted it. The checksum has no
key, so an entry is taken only where this user or root wrote it; new folders are the user's alone.
"""

import hashlib
import logging
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from earnest.errors import EarnestError

FOLDER, LIMIT = "EARNEST_CACHE", "EARNEST_CACHE_GB"
DEFAULT_GB = 10.0
ENTRIES = "features"  # the folder in the cache's that holds all of it
_DIGEST_BYTES = hashlib.sha256().digest_size
_PARTIAL = ".partial-"
_ABANDONED_S = 3600.0  # after which a half-written entry is that of a process which was killed
_LOOKS_A_FILLING = 20  # how often whoever fills the cache looks how large it is
_FULL = 0.9  # of the limit, to which it is emptied
_log = logging.getLogger(__name__)


class CacheUsage(NamedTuple):
    """Number and size of a cache's entries."""

    entries: int
    bytes: int


class _Entry(NamedTuple):
    used_ns: int
    size: int
    path: Path


class DiskCache:
    """Bytes by key, in files; what was used least recently leaves.

    Parameters
    ----------
    most_bytes : about how many are kept; each process that writes may go beyond by a twentieth for a moment
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self._since_look, self._fails = most_bytes, False
        self._owners: frozenset[int] | None = None

    def found(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Return the entry of a key, or make and keep it.

        Parameters
        ----------
        key : hexadecimal digits, of all that the bytes depend on
        """
        data = self._read(key)
        if data is None:
            data = make()
            self._write(key, data)
        return data

    def usage(self) -> CacheUsage:
        """Count entries and bytes."""
        entries = list(self._entries())
        return CacheUsage(len(entries), sum(entry.size for entry in entries))

    def clear(self) -> CacheUsage:
        """Remove all entries; return what they were."""
        entries = list(self._entries())
        for entry in entries:
            entry.path.unlink(missing_ok=True)
        self._sweep(0.0)
        return CacheUsage(len(entries), sum(entry.size for entry in entries))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _read(self, key: str) -> bytes | None:
        path = self._path(key)
        try:
            held = self._held(path)
        except OSError:
            return None
        if held is None:
            _log.info("%s: no file of this user's; it is made anew.", path)
            return None
        data = held[_DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != held[:_DIGEST_BYTES]:
            _log.info("%s: damaged; it is made anew.", path)
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):  # another process may have removed it; a folder may be read-only
            os.utime(path)
        return data

    def _held(self, path: Path) -> bytes | None:
        """Return what a regular file of this user's or of root's holds; None of anything else that is there."""
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read() if self._is_trusted(status.st_uid) else None

    def _is_trusted(self, owner: int) -> bool:
        if sys.platform == "win32" or owner in (0, os.geteuid()):
            return True
        if self._owners is None:
            # Some file systems have no owners, and say one of all files, new ones too.
            with tempfile.TemporaryFile(dir=self.folder) as own:
                self._owners = frozenset({os.fstat(own.fileno()).st_uid})
        return owner in self._owners

    def _write(self, key: str, data: bytes) -> None:
        if self._fails or len(data) > self.most_bytes // _LOOKS_A_FILLING:
            return
        path = self._path(key)
        try:
            _make_private(path.parent)
            # A name of its own: others may write the same entry now. No fsync: the checksum tells what was lost.
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_PARTIAL, delete=False) as file:
                file.write(hashlib.sha256(data).digest() + data)
            self._put(Path(file.name), path)
        except OSError as error:
            self._fails = True
            _log.warning("%s: nothing can be kept there (%s); the work goes on without.", self.folder, error)
            return
        self._since_look += len(data)
        if self._since_look > self.most_bytes // _LOOKS_A_FILLING:
            self._since_look = 0
            self._trim()

    def _put(self, fresh: Path, path: Path) -> None:
        try:
            fresh.replace(path)
        except PermissionError:
            fresh.unlink()
            if not path.exists():  # else somebody reads the same bytes there: Windows replaces nothing that is open
                raise

    def _trim(self) -> None:
        self._sweep(_ABANDONED_S)
        entries = sorted(self._entries())
        total = sum(entry.size for entry in entries)
        if total <= self.most_bytes:
            return
        for entry in entries:
            if total <= _FULL * self.most_bytes:
                return
            with suppress(OSError):
                entry.path.unlink()
            total -= entry.size

    def _sweep(self, older_than_s: float) -> None:
        for path in self.folder.glob(f"*/{_PARTIAL}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime >= older_than_s:
                    path.unlink()

    def _entries(self) -> Iterator[_Entry]:
        for path in self.folder.glob("[0-9a-f][0-9a-f]/[0-9a-f]*"):
            with suppress(OSError):
                found = path.stat()
                yield _Entry(found.st_mtime_ns, found.st_size, path)


def _make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone; what is there stays as it is."""
    missing = takewhile(lambda place: not place.is_dir(), (folder, *folder.parents))
    for place in reversed(list(missing)):
        place.mkdir(mode=0o700, exist_ok=True)


def cache_folder() -> Path:
    """Return ``EARNEST_CACHE``, or where this system keeps caches.

    Raises `EarnestError` when neither is known, as for a user without a home.
    """
    try:
        if named := os.environ.get(FOLDER):
            return Path(named).expanduser()
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "earnest" / "cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "earnest"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earnest"
    except RuntimeError as error:
        raise EarnestError(
            f"No folder for caches: no home is known. Name one without ~: {FOLDER}, or {LIMIT}=0."
        ) from error


def disk_cache() -> DiskCache | None:
    """Return the cache of what is made of recordings and models; None where ``EARNEST_CACHE_GB`` is 0."""
    text = os.environ.get(LIMIT, "")
    try:
        gigabytes = float(text or DEFAULT_GB)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < float("inf"):
        raise EarnestError(f"{LIMIT} must be a number of gigabytes, 0 for no cache; got '{text}'.")
    return DiskCache(cache_folder() / ENTRIES, round(gigabytes * 1e9)) if gigabytes else None
