"""Recordings and answers on disk, for those who ask for it with ``--keep``: so many bytes, for so many days."""

import asyncio
import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from prometheus_client import Counter

from earnest.apps.server.body import Upload
from earnest.apps.server.settings import MIB, Limits
from earnest.files.writing import lock_descriptor

_log = logging.getLogger("earnest.server")
SPARE_BYTES = 256 * MIB  # of the disk, which are left to others
CLEAR_S = 3600.0  # from one look for what is too old to the next
RECOUNT_S, COMPLAIN_S = 10.0, 60.0  # a full folder is counted anew, and complained about, no more often
DAY_S = 24 * 3600.0
LEDGER = ".bytes"  # how many are stored; who writes it holds a lock, so that workers together stay within the bound
_OURS = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{32}(-[0-9]+\.audio|\.answer)")


class Keeper:
    """Stores recordings with their answers until they are too old; what has no room is answered, and not stored.

    Nothing that is younger than ``keep_days`` is removed to make room: else anybody who may ask could push out what was
    stored before. Files that this class did not write are neither counted nor removed.
    """

    def __init__(self, folder: Path | None, limits: Limits, not_kept: Counter) -> None:
        self._folder, self._limits, self._not_kept = folder, limits, not_kept
        self._counted_at = self._complained_at = float("-inf")

    async def keep(self, uploads: Sequence[Upload], answer: str) -> None:
        """Write the recordings of one request and its answer, readable by the owner only; without a folder, nothing."""
        if self._folder is None:
            return
        why_not = await asyncio.to_thread(self._keep, self._folder, uploads, answer)
        if why_not:
            self._not_kept.inc()
            if time.monotonic() > self._complained_at + COMPLAIN_S:
                self._complained_at = time.monotonic()
                _log.warning("not kept", extra={"why": why_not})

    @asynccontextmanager
    async def clearing(self) -> AsyncIterator[None]:
        """Remove recordings kept too long, now and every hour, until the block ends."""
        if self._folder is None:
            yield
            return
        task = asyncio.create_task(self._clear_hourly(self._folder))
        try:
            yield
        finally:
            task.cancel()

    async def _clear_hourly(self, folder: Path) -> None:
        while True:
            try:
                await asyncio.to_thread(self.clear, folder)
            except OSError as error:
                _log.warning("not cleared", extra={"why": os.strerror(error.errno or 0)})
            await asyncio.sleep(CLEAR_S)

    def clear(self, folder: Path) -> None:
        """Remove recordings older than ``keep_days``, and count the rest."""
        before = time.time() - self._limits.keep_days * DAY_S
        with _ledger(folder) as ledger:
            for entry in _ours(folder):
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        Path(entry.path).unlink()
            _note(ledger, _count(folder))

    def _keep(self, folder: Path, uploads: Sequence[Upload], answer: str) -> str:
        """Return why nothing was stored, "" when all was; names are time and chance, with nothing from outside."""
        stem = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex}"
        files = {f"{stem}-{number}.audio": upload.data for number, upload in enumerate(uploads)}
        files[f"{stem}.answer"] = answer.encode()
        try:
            with _ledger(folder) as ledger:
                n_bytes = sum(map(len, files.values()))
                stored, why_not = self._room(folder, ledger, n_bytes)
                if not why_not:
                    _note(ledger, stored + n_bytes)  # before they are written: a process that dies counts too many
                    _write(folder, files)
                return why_not
        except OSError as error:  # the disk is full after all, or the folder is gone
            return os.strerror(error.errno or 0)

    def _room(self, folder: Path, ledger: TextIO, n_bytes: int) -> tuple[int, str]:
        """Return how many bytes are stored, and why so many more may not be, "" when they may."""
        most, stored = self._limits.keep_bytes, _noted(ledger)
        is_full = stored is None or stored + n_bytes > most
        # Counting reads all entries of the folder: only where it seems full, or nothing is noted.
        if stored is None or (is_full and time.monotonic() > self._counted_at + RECOUNT_S):
            stored, self._counted_at = _count(folder), time.monotonic()  # the owner may have removed some
        if stored + n_bytes > most:
            return stored, f"{n_bytes:,} bytes are needed, {stored:,} are stored, keep_bytes allows {most:,}."
        if shutil.disk_usage(folder).free < n_bytes + SPARE_BYTES:
            return stored, f"Less than {SPARE_BYTES:,} bytes of the disk would be left."
        return stored, ""


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all or none; the answer is last, so that where it is the rest is too."""
    try:
        for name, data in files.items():
            # Without O_BINARY Windows would put a byte before each that looks like a line end.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            descriptor = os.open(folder / name, flags, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
    except OSError:
        for name in files:
            (folder / name).unlink(missing_ok=True)
        raise


@contextmanager
def _ledger(folder: Path) -> Iterator[TextIO]:
    """Give the file with the number of bytes, to one process and thread at a time."""
    descriptor = os.open(folder / LEDGER, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(descriptor, "r+", encoding="ascii", errors="replace") as ledger:
        lock_descriptor(descriptor)
        yield ledger


def _noted(ledger: TextIO) -> int | None:
    """Read the number in a ledger; None where it is none."""
    text = ledger.read(30)
    return int(text) if text.isdecimal() and text.isascii() else None


def _note(ledger: TextIO, n_bytes: int) -> None:
    ledger.seek(0)
    ledger.truncate()
    ledger.write(str(n_bytes))


def _ours(folder: Path) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if _OURS.fullmatch(entry.name))


def _count(folder: Path) -> int:
    n_bytes = 0
    for entry in _ours(folder):
        with suppress(FileNotFoundError):
            n_bytes += entry.stat(follow_symlinks=False).st_size
    return n_bytes
