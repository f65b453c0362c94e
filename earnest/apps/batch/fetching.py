"""Inputs → sources that a predictor takes: read ahead by some threads, in order, with bounded memory."""

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from earnest.apps.batch.inputs import Input, open_url, table_sounds
from earnest.apps.batch.places import explained, filesystem_of, is_url, patiently
from earnest.errors import AudioError, EarnestError, counted, first_line, printable
from earnest.files.reading import opened
from earnest.runtime.frames import load_pyarrow

AHEAD = 16  # inputs that are read beyond the one that is decoded
IN_MEMORY_BYTES = 8 * 2**20  # a larger one goes through a file: up to a hundred wait to be answered
MOST_BYTES = 16 * 2**30
_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class Fetched:
    """What a predictor takes for an input.

    Attributes
    ----------
    source : path or bytes, None where the input can't be read
    error : why, in a sentence
    copy : the file to remove afterwards
    """

    one: Input
    source: str | bytes | None
    error: str | None = None
    copy: Path | None = None

    def forget(self) -> None:
        """Remove the copy."""
        if self.copy:
            with suppress(OSError):
                self.copy.unlink()


class Fetcher:
    """Reads the inputs of shards, which all come from one source."""

    def __init__(self, source: str) -> None:
        self._source = source

    def fetched(self, inputs: Sequence[Input]) -> Iterator[Fetched]:
        """Yield inputs in order; what can't be read says so.

        Raises
        ------
        EarnestError
            When a server refuses or can't be reached, which says nothing about the input.
        """
        for kind, group in groupby(inputs, key=lambda one: (one.kind, one.kind == "row" and one.location)):
            if kind[0] == "row":
                yield from self._rows(list(group))
            else:
                yield from _ahead(self._fetch, group)

    def _rows(self, inputs: Sequence[Input]) -> Iterator[Fetched]:
        """Yield rows of one table."""
        location = os.fsdecode(inputs[0].location)
        with _tables_errors(location):
            sounds = table_sounds(location, [one.start for one in inputs])
            for one, data in zip(inputs, sounds, strict=True):
                yield Fetched(one, data, None) if data else Fetched(one, None, f"{one.key}: empty, no bytes at all.")

    def _fetch(self, one: Input) -> Fetched:
        location = os.fsdecode(one.location)
        if one.kind == "file" and not is_url(location):
            return Fetched(one, location)
        try:
            if is_url(location):
                return patiently(lambda: _fetched_from(one, location), location)
            with opened(Path(location)) as file:
                return _copied(one, file)
        except AudioError as error:
            return Fetched(one, None, str(error))
        except FileNotFoundError:
            return Fetched(one, None, f"{printable(one.key)}: no such file. Check the address.")
        except PermissionError as error:
            self._refuse_all_refused()
            return Fetched(one, None, f"{printable(one.key)}: the server refuses it ({printable(first_line(error))}).")
        except OSError as error:
            raise EarnestError(
                f"{location}: can't be read ({first_line(error)}). Give the same command again."
            ) from error

    def _refuse_all_refused(self) -> None:
        """Raise `EarnestError` where the server refuses the source as well, so that it isn't about one input."""
        if is_url(self._source):
            system, path = filesystem_of(self._source)
            with explained(self._source):
                patiently(lambda: system.ls(path, refresh=True), self._source)


def _fetched_from(one: Input, url: str) -> Fetched:
    with open_url(url) as file:
        return _copied(one, file)


def _copied(one: Input, file: BinaryIO) -> Fetched:
    """Read an input into memory, or a large one into a file."""
    n_bytes = one.n_bytes if one.kind == "member" else file.seek(0, os.SEEK_END)
    if n_bytes > MOST_BYTES:
        raise AudioError(f"{printable(one.key)}: larger than {MOST_BYTES >> 30} GiB. Cut it into parts.")
    file.seek(one.start)
    if n_bytes <= IN_MEMORY_BYTES:
        return Fetched(one, _exactly(file, n_bytes, one))
    with tempfile.NamedTemporaryFile(prefix="earnest-", delete=False) as copy:
        try:
            for begin in range(0, n_bytes, _PIECE_BYTES):
                copy.write(_exactly(file, min(_PIECE_BYTES, n_bytes - begin), one))
        except BaseException:
            Path(copy.name).unlink()
            raise
    return Fetched(one, copy.name, copy=Path(copy.name))


def _exactly(file: BinaryIO, n_bytes: int, one: Input) -> bytes:
    data = file.read(n_bytes)
    if len(data) < n_bytes:
        raise AudioError(f"{printable(one.key)}: {counted(n_bytes - len(data), 'byte')} missing at its end.")
    return data


def _ahead(fetch: Callable[[Input], Fetched], inputs: Iterable[Input]) -> Iterator[Fetched]:
    """Fetch in order, some ahead; files of this machine are opened by who decodes them, and need no thread."""
    waiting: deque[Future[Fetched] | Fetched] = deque()
    pool = ThreadPoolExecutor(AHEAD, "earnest-fetch")  # starts a thread when there is work for it
    try:
        for one in inputs:
            is_here = one.kind == "file" and not is_url(os.fsdecode(one.location))
            waiting.append(fetch(one) if is_here else pool.submit(fetch, one))
            if len(waiting) > AHEAD:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for left in waiting:
            if isinstance(left, Fetched) or (left.done() and not left.cancelled() and left.exception() is None):
                _result(left).forget()


def _result(fetched: Future[Fetched] | Fetched) -> Fetched:
    return fetched if isinstance(fetched, Fetched) else fetched.result()


@contextmanager
def _tables_errors(location: str) -> Iterator[None]:
    try:
        yield
    except (load_pyarrow().ArrowException, OSError) as error:
        raise EarnestError(f"{location}: can't be read ({first_line(error)}). Is it still as it was?") from error
