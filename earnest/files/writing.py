"""Writing of files and run folders: whole or not at all, over nothing that was there, with checksums; journals.

`SUMS` in a finished folder, and ``NAME.sha256`` beside a finished file, are what ``sha256sum --check`` reads.

A journal is a file of lines that survives a kill: each line is there or it isn't, and a half-written last one is cut
off.

Others may write in a shared folder too, and may put a link or a pipe where a file is about to be written: nothing is
written through these.
"""

import errno
import hashlib
import json
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path

from earnest.errors import EarnestError, told, unwritable
from earnest.files.locks import held_file

SUMS = "SHA256SUMS"
COMMENT = "# "  # begins a line of a file of checksums that is none
SUM_SUFFIX = ".sha256"
PARTIAL = ".partial-"
_PLANTED = "a link or no regular file, where a file is about to be written"
_TRIES, _WAIT_S = 20, 0.1  # on Windows, where a virus scanner or an index may hold a new file for a moment


def refuse_existing(path: Path, overwrite: bool, otherwise: str = "Replace it with --overwrite") -> None:
    """Raise `EarnestError` for a file that is there already, and for what is no file at all."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(path, error) from error
    if not stat.S_ISREG(mode):
        raise EarnestError(f"{path}: not a regular file. Name a file, or leave --output out and use a pipe.")
    if not overwrite:
        raise EarnestError(f"{path}: already exists. {otherwise}, or choose another --output.")


def refuse_foreign(folder: Path, claimed_by: str, names: Iterable[str]) -> None:
    """Raise `EarnestError` for a folder that holds files of these names, but not the one with which a run begins."""
    if (folder / claimed_by).exists():
        return
    for name in names:
        if (folder / name).exists():
            raise EarnestError(
                f"{folder}: holds {name} of something else, without {claimed_by}. Choose another --output."
            )


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file at ``path`` in one step; its folder is made."""
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside, open(beside, "wb", opener=unfollowed) as file:
            file.write(data)


def write_json(path: Path, value: object) -> None:
    """Write one JSON value, indented, as `write_atomically` does; NaN is never written."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file to write; when the block ends well, it becomes the file at ``path``, in one step."""
    beside = path.with_name(PARTIAL + path.name)  # one name: what a killed run left there goes when the next begins
    _make_anew(beside)
    try:
        yield beside
        # First the bytes, then the name: after a loss of power no name stands for half a file.
        _to_disk(beside)
        put_in_place(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def _make_anew(path: Path) -> None:
    """Make an empty file of this process: a link or a pipe that has its name goes, unopened."""
    for left in reversed(range(_TRIES)):
        try:
            path.unlink(missing_ok=True)
            path.touch(exist_ok=False)
        except (FileExistsError, PermissionError) as error:  # another one put something there just then
            if not left or (isinstance(error, PermissionError) and sys.platform != "win32"):
                raise
            if sys.platform == "win32":
                time.sleep(_WAIT_S)
        else:
            return


def unfollowed(path: str, flags: int) -> int:
    """Open a regular file as an ``opener`` of `open` does; no link, pipe or second name of a file is opened.

    Raises `OSError` when something else is there.
    """
    no_follow = getattr(os, "O_NOFOLLOW", 0)
    if not no_follow and os.path.islink(path):  # noqa: PTH114 # Windows, where making a link needs a right
        raise OSError(errno.ELOOP, _PLANTED, path)
    flags |= no_follow | getattr(os, "O_NONBLOCK", 0)  # a pipe that nobody reads doesn't keep it waiting
    descriptor = os.open(path, flags & ~os.O_TRUNC, 0o666)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise OSError(errno.ELOOP, _PLANTED, path)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def refuse_planted(path: Path) -> None:
    """Raise `EarnestError` where a journal would be, for what no run of this user left there.

    A link, a dangling one too, a pipe, a second name of a file, another user's file.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(path, error) from error
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise EarnestError(f"{path}: {_PLANTED}. Delete it, or choose another --output.")
    if _is_foreign(status, path.parent):
        raise EarnestError(f"{path}: belongs to another user. Let its owner go on, or choose another --output.")


def _is_foreign(status: os.stat_result, folder: Path) -> bool:
    """Whether another user owns a file; a file system without owners says one and the same of all files."""
    if sys.platform == "win32" or status.st_uid == os.geteuid():
        return False
    with tempfile.TemporaryFile(dir=folder) as own:
        return os.fstat(own.fileno()).st_uid != status.st_uid


def put_in_place(fresh: Path, path: Path) -> None:
    """Give a finished file its name, over what is there, in one step; Windows is asked again while somebody reads."""
    for _ in range(_TRIES - 1 if sys.platform == "win32" else 0):
        try:
            fresh.replace(path)
        except PermissionError:
            time.sleep(_WAIT_S)
        else:
            return
    fresh.replace(path)


@contextmanager
def new_file(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Claim the name of a file, and give a place to write it to; it appears when the block ends well.

    Raises `EarnestError` when it is there already (unless ``overwrite``), when another process writes it, when it can't
    be written.
    """
    real = Path(os.path.realpath(path))
    refuse_existing(path, overwrite)
    with held_file(path):
        refuse_existing(path, overwrite)  # another one may have finished it just now
        with told(path), replacing(real) as beside:
            yield beside


def _to_disk(path: Path) -> None:
    with open(path, "rb+", opener=unfollowed) as file:
        os.fsync(file.fileno())


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of files of a folder that are finished."""
    lines = [_sum_line(folder / name) for name in sorted(names)]
    write_atomically(folder / SUMS, os.fsencode("".join(lines)))


def write_sum(path: Path, note: str = "") -> None:
    """Write the checksum of a finished file beside it, and a line that sha256sum takes for a comment."""
    write_atomically(_sum_of(path), os.fsencode(f"{_sum_line(path)}{COMMENT}{note}\n" if note else _sum_line(path)))


def note_on_sum(path: Path) -> str:
    """Return the note that stands beside the checksum of a finished file; "" without one."""
    comments = (line for line in _sum_lines(_sum_of(path)) if line.startswith(COMMENT))
    return next(comments, "").removeprefix(COMMENT)


def _sum_line(path: Path) -> str:
    """Return the line of a file as sha256sum writes it: a backslash before it tells that it has some in its name."""
    name = path.name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "" if name == path.name else "\\"
    return f"{mark}{sha256_of_file(path)}  {name}\n"


def _from_sum_line(line: str) -> tuple[str, str]:
    digest, _, name = line.partition("  ")
    if digest.startswith("\\"):
        name = re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), name)
    return name, digest.removeprefix("\\")


def summed_in(sums: Path) -> list[tuple[str, str]]:
    """Return the names and checksums that a file of checksums holds, none where it is not there."""
    return [_from_sum_line(line) for line in _sum_lines(sums) if line and not line.startswith(COMMENT)]


def _sum_lines(sums: Path) -> list[str]:
    try:
        return os.fsdecode(sums.read_bytes()).replace("\r\n", "\n").split("\n")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:  # Windows decodes no byte that is not of UTF-8
        raise EarnestError(f"{sums}: not readable ({error}). Delete it to continue without a check.") from error


def refuse_changed(path: Path) -> None:
    """Raise `EarnestError` where a finished folder or file is not what was written; one without checksums passes."""
    sums = path / SUMS if path.is_dir() else _sum_of(path)
    for name, digest in summed_in(sums):
        file = sums.parent / name
        # A name that leads out of the folder is none that was written here.
        if Path(name).name != name or not file.is_file():
            raise EarnestError(f"{sums}: names '{name}', which is missing. {_restore(sums)}")
        if sha256_of_file(file) != digest:
            raise EarnestError(
                f"{file}: was changed after it was written ({sums.name} has another checksum). {_restore(sums)}"
            )


def _restore(sums: Path) -> str:
    return f"Restore it, or delete {sums} to continue with the files as they are."


def _sum_of(path: Path) -> Path:
    return path.with_name(f"{path.name}{SUM_SUFFIX}")


@contextmanager
def undone(path: Path) -> Iterator[None]:
    """Delete a file that was made inside the block where the block fails: what was refused leaves nothing behind."""
    is_new = not path.exists()
    try:
        yield
    except BaseException:
        if is_new:
            path.unlink(missing_ok=True)
        raise


def add_whole(file: RawIOBase, data: bytes, size: int) -> None:
    """Write behind the ``size`` bytes of an unbuffered file: all, or nothing where this raises `OSError`."""
    left = memoryview(data)
    try:
        while left:
            left = left[file.write(left) or 0 :]  # a disk that fills takes a part first
    except OSError:
        with suppress(OSError):
            file.truncate(size)
        raise


class Journal:
    """Lines that are added to a file one by one.

    Attributes
    ----------
    path : of the file
    hint : ends the message when a line can't be written
    """

    def __init__(self, path: Path, hint: str = "") -> None:
        """Open the file to go on behind its last line; it is made where there is none."""
        self.path, self.hint = path, hint
        refuse_planted(path)
        self._file = open(path, "ab", buffering=0, opener=unfollowed)  # noqa: SIM115 # a line is one write
        self._size = os.fstat(self._file.fileno()).st_size

    @property
    def is_empty(self) -> bool:
        """Whether it has no line yet."""
        return not self._size

    def append(self, text: str) -> None:
        """Add a line; it is safe when this returns, and not there at all when this raises."""
        line = text.encode() + b"\n"
        with told(self.path, self.hint):
            add_whole(self._file, line, self._size)
        self._size += len(line)

    def close(self) -> None:
        """Let go of the file; what it holds stays."""
        self._file.close()

    def remove(self) -> None:
        """Close the file and delete it."""
        self.close()
        self.path.unlink()


def whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number of each line, from one, and the line; a last one without an end was just being written."""
    with open(path, "rb", opener=unfollowed) as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                yield number, line


def cut_half_line(path: Path) -> None:
    """Cut off a last line without an end."""
    end = sum(len(line) for _, line in whole_lines(path))
    with open(path, "r+b", opener=unfollowed) as file:
        file.truncate(end)
