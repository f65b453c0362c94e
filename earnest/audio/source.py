"""Where the bytes of a recording come from, and what to call it in messages."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeAlias, cast

import numpy.typing as npt

from earnest.errors import AudioError, printable

Source: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | tuple[npt.ArrayLike, int]
"""A path, the bytes of a file, an open binary file, or (array, sample rate in Hz) with shape (samples,) or
(samples, channels); integer arrays are scaled by their type's range."""

MAX_STREAM_BYTES = 4 * 2**30


class NamedBytes(bytes):
    """The bytes of a file whose name is known."""

    name = ""

    @classmethod
    def of(cls, data: bytes, name: str) -> Self:
        """Give bytes a name; an empty one is none."""
        named = cls(data)
        named.name = name
        return named


class NamedSamples(tuple[Any, int]):
    """(array, sample rate in Hz) of a file whose name is known."""

    name = ""

    @classmethod
    def of(cls, array: npt.ArrayLike, sample_rate_hz: int, name: str) -> Self:
        """Give samples a name; an empty one is none."""
        named = cls((array, sample_rate_hz))
        named.name = name
        return named


def source_name(source: object) -> str:
    """Return what to call a source in messages and tables: printable, one line."""
    if isinstance(source, bytes) and not getattr(source, "name", ""):
        return f"recording of {len(source)} bytes"
    return printable(path_of(source))


def path_of(source: object) -> str:
    """Return what to write in the ``path`` column: the path as given, "-" for standard input, else what it is.

    A byte that is not UTF-8 becomes ``\\xff``, and a backslash before what looks so ``\\x5c``: no two files are called
    the same.
    """
    if isinstance(source, str | os.PathLike):
        raw = os.fsencode(source)
        if os.sep == "/":  # elsewhere a backslash is no letter of a name
            raw = re.sub(rb"\\(?=x[0-9a-f]{2})", rb"\\x5c", raw)
        return raw.decode("utf-8", "backslashreplace")
    if isinstance(source, bytes | tuple):
        return path_of(getattr(source, "name", "") or ("array" if isinstance(source, tuple) else "bytes"))
    if hasattr(source, "__array__"):
        return "array"
    name = getattr(source, "name", None if hasattr(source, "read") else type(source).__name__)
    return "-" if name == "<stdin>" else str(name or "stream")


class _Buffer(BytesIO):
    """Bytes as a file; libsndfile tries positions before the start and expects a failed seek, not an exception."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()


class _File(FileIO):
    """A file that tolerates wrong positions too: FFmpeg tries those that damaged headers name."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError):
            return self.tell()


@contextmanager
def opened(source: str | os.PathLike[str] | bytes | BinaryIO, name: str) -> Iterator[BinaryIO]:
    """Open the bytes of a recording for reading and seeking; a stream is read to its end first."""
    if isinstance(source, str | os.PathLike):
        with _opened_path(Path(source), name) as file:
            yield cast(BinaryIO, file)
        return
    if isinstance(source, bytes):
        data = source
    else:
        data = source.read(MAX_STREAM_BYTES + 1)
        if not isinstance(data, bytes):
            raise AudioError(f"{name}: gives text, not bytes. Open it in binary mode.")
        if len(data) > MAX_STREAM_BYTES:
            raise AudioError(f"{name}: more than {MAX_STREAM_BYTES // 2**30} GiB. Cut it into parts.")
    if not data:
        raise AudioError(f"{name}: empty, no bytes at all.")
    yield _Buffer(data)


def _opened_path(path: Path, name: str) -> FileIO:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise AudioError(f"{name}: a folder, not a recording. Name the files in it, or rename the folder.")
        if not stat.S_ISREG(mode):
            raise AudioError(f"{name}: not a regular file. Send what it holds to standard input and name the path '-'.")
        file = _File(path, "rb")  # without a buffer: libsndfile reads the descriptor itself
    except FileNotFoundError:
        raise AudioError(f"{name}: no such file. Check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(f"{name}: not readable ({reason}). Check the path and its permissions.") from error
    if os.fstat(file.fileno()).st_size == 0:
        file.close()
        raise AudioError(f"{name}: empty, no bytes at all. Record or copy it again.")
    return file
