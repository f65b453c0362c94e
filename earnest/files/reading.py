"""Files from outside → bytes, text, JSON and TOML: bounded, and every failure an `EarnestError` that says where.

A name may stand for anything: a device that never ends, a FIFO that nobody writes to, a circle of links. Only regular
files are read, and never more than a limit. JSON and TOML nested deeper than any of ours are refused before anything
walks through them.
"""

import errno
import json
import os
import stat
import tomllib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_LE
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from earnest.errors import EarnestError, RecipeError, printable, said_by

MOST_BYTES = 1 << 30
MOST_JSON_BYTES = 1 << 28
MOST_SETTINGS_BYTES = 1 << 20
DEEPEST = 64
_CONTROLS = frozenset(range(1, 32)) - frozenset(b"\t\n\f\r\x1a\x1b")  # in no text but UTF-16 and UTF-32
_LOOKED_AT = 4096  # bytes, to tell a binary file
MOST_DOTS = 256  # in one line of TOML: its time grows with their square

Kind = type[EarnestError]
MISSING = "no such file. Check the path."


def real_path(path: Path) -> Path:
    """Follow links; those that lead back to themselves stay, for who opens the path to tell of."""
    return Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for these


def read_bytes(path: Path, kind: Kind = EarnestError, missing: str = MISSING, most: int = MOST_BYTES) -> bytes:
    """Return all bytes of a regular file.

    Raises `EarnestError` when the file is missing, no regular file, not permitted or too large.

    Parameters
    ----------
    kind : of the error
    missing : the end of the message where there is no such file
    most : bytes; a larger file is refused
    """
    with opened(path, kind, missing) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            data = file.read(size + 1) if size <= most else None  # as much memory as is asked for is taken at once
        except (OSError, MemoryError) as error:
            _refuse(path, error, kind)
    if data is None or len(data) > most:
        raise kind(f"{_named(path)}: larger than {most >> 20} MiB. Is it the right file?")
    return data


@contextmanager
def opened(path: Path, kind: Kind = EarnestError, missing: str = MISSING) -> Iterator[BinaryIO]:
    """Open a regular file, and nothing else, for reading; see `read_bytes`."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags)  # a FIFO that nobody writes to doesn't keep it waiting
    except FileNotFoundError:
        raise kind(f"{_named(path)}: {missing}") from None
    except (OSError, ValueError) as error:
        _refuse(path, error, kind)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            _refuse(path, IsADirectoryError(errno.EISDIR, "a folder"), kind)
        raise kind(f"{_named(path)}: not a regular file. Name a file that can be read to its end.")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def read_text(
    path: Path, kind: Kind = EarnestError, missing: str = MISSING, most: int = MOST_BYTES, what: str = "text"
) -> str:
    """Return a file's text as `decoded` does. Raises `EarnestError` as `read_bytes` and `decoded` do."""
    return decoded(read_bytes(path, kind, missing, most), _named(path), kind, what)


def decoded(data: bytes, where: str, kind: Kind = EarnestError, what: str = "text") -> str:
    """Return text that is UTF-8, or UTF-16 with a mark at its start; the mark goes, line breaks stay as they are.

    Raises `EarnestError` for another encoding, with the line.

    Parameters
    ----------
    where : what holds the text, for the message
    what : it should be ("manifest"), for the message
    """
    # "Unicode text" of a spreadsheet is UTF-16.
    is_16 = data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) and not data.startswith(BOM_UTF32_LE)
    encoding = "utf-16" if is_16 else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise kind(why_no_text(error, where, data.count(b"\n", 0, error.start) + 1, what)) from None


def why_no_text(error: UnicodeDecodeError, where: str, line: int, what: str) -> str:
    """Explain bytes that are no text, and what to do; see `decoded`.

    Spreadsheets that save plain "CSV" write another encoding.
    """
    name = "UTF-16" if error.encoding.startswith("utf-16") else "UTF-8"
    if name == "UTF-8" and not _CONTROLS.isdisjoint(error.object[:_LOOKED_AT]):
        return f"{where}: a binary file, not a {what}. Name a {what}, which is text in UTF-8."
    how = ' (in Excel as "CSV UTF-8", not as "CSV")' if where.lower().endswith(".csv") else ""
    return f"{where}:{line}: not a readable {what} (not {name}: {error.reason}). Save it as UTF-8{how}."


def read_json(path: Path, kind: Kind = EarnestError, missing: str = MISSING, hint: str = "") -> Any:
    """Read a JSON file; ``hint`` ends the message about a file that is none."""
    return parsed_json(read_text(path, kind, missing, MOST_JSON_BYTES, "JSON file"), str(path), kind, hint)


def parsed_json(
    text: str, where: str, kind: Kind = EarnestError, hint: str = "", constants: Callable[[str], Any] | None = None
) -> Any:
    """Parse a JSON text.

    Raises `EarnestError` when it is no JSON, or nested deeper than `DEEPEST`.

    Parameters
    ----------
    where : what the text is, for messages
    constants : called with "NaN", "Infinity" and "-Infinity", which are no JSON; default: they are numbers
    """
    end = f" {hint}" if hint else ""
    try:
        values = json.loads(text, parse_constant=constants)
    except RecursionError:
        raise kind(f"{printable(where)}: not valid JSON (nested too deeply).{end}") from None
    except (ValueError, MemoryError) as error:
        raise kind(f"{printable(where)}: not valid JSON ({said_by(error)}).{end}") from None
    # Counting is quick, and enough for nearly every file.
    if text.count("[") + text.count("{") > DEEPEST and is_deep(values):
        raise kind(f"{printable(where)}: not valid JSON (nested too deeply).{end}")
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises `RecipeError` when the file is missing, no text, no TOML (with line and column), or nested deeper than
    `DEEPEST`.
    """
    if path.is_dir():
        raise RecipeError(f"{_named(path)}: a folder, not a settings file.")
    return parsed_toml(read_text(path, RecipeError, most=MOST_SETTINGS_BYTES, what="TOML file"), str(path))


def parsed_toml(text: str, where: str) -> dict[str, Any]:
    """Parse a TOML text; see `read_toml`."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MOST_DOTS or line.count("[") > MOST_DOTS or line.count("{") > MOST_DOTS:
            raise RecipeError(
                f"{printable(where)}:{number}: not valid TOML (more dots or brackets than settings need)."
            )
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise RecipeError(f"{printable(where)}: not valid TOML (nested too deeply).") from None
    except (ValueError, MemoryError) as error:  # TOMLDecodeError, and numbers and dates that are none
        raise RecipeError(f"{printable(where)}: not valid TOML: {said_by(error)}.") from None
    if is_deep(values):
        raise RecipeError(f"{printable(where)}: not valid TOML (nested too deeply).")
    return values


def is_deep(value: Any) -> bool:
    """Whether tables and lists lie in each other more than `DEEPEST` times."""
    # Level by level: recursion is what such a value would break.
    level = [value]
    for _ in range(DEEPEST + 1):
        within = (one.values() if isinstance(one, Mapping) else one for one in level if isinstance(one, Mapping | list))
        level = [item for items in within for item in items if isinstance(item, Mapping | list)]
        if not level:
            return False
    return True


def _refuse(path: Path, error: Exception, kind: Kind) -> NoReturn:
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        raise kind(f"{_named(path)}: its links lead back to themselves. Name the file itself.") from error
    is_denied = isinstance(error, PermissionError)  # as Windows refuses to open a folder
    if (isinstance(error, OSError) and error.errno == errno.EISDIR) or (is_denied and path.is_dir()):
        raise kind(f"{_named(path)}: a folder, not a file.") from error
    raise kind(f"{_named(path)}: not readable ({said_by(error)}).") from error


def _named(path: Path) -> str:
    return printable(str(path))
