"""Writing of files and run folders: by one process at a time, whole or not at all, with checksums; journals.

A lock is a file that the operating system unlocks when its owner ends, however it ends: ``NAME.lock`` beside a file,
``.lock`` in a folder. It says who holds it, and is removed when it is given back.

`SUMS` in a finished folder, and ``NAME.sha256`` beside a finished file, are what ``sha256sum --check`` reads.

A journal is a file of lines that survives a kill: each line is there or it isn't, and a half-written last one is cut
off.

Others may write in a shared folder too, and may put a link or a pipe where a file is about to be written: nothing is
written through these.
"""

import errno
import functools
import hashlib
import inspect
import json
import os
import re
import shlex
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from io import RawIOBase
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

from earnest.errors import EarnestError, printable, told, unwritable

P = ParamSpec("P")
T = TypeVar("T")
OTHERWISE = "Wait, or choose another --output."
_LOCK = ".lock"
_LOOK_S = 0.01
_MOST_OWNER_BYTES = 4096
_MOST_PID = 2**31
# macOS says ENOTSUP of a share, which is another number there than EOPNOTSUPP.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})
_SHARED_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs"})
_mine: dict[str, int] = {}  # lock → the thread that holds it


class Owner(NamedTuple):
    """Who holds a lock; ``since`` is the local time, to be read by people."""

    host: str
    pid: int
    since: str
    command: str


def lock_of(path: Path) -> Path:
    """Return the lock of a file: it is there while somebody writes the file, and after a kill."""
    real = Path(os.path.realpath(path))  # two names of one file have one lock
    return real.with_name(real.name + _LOCK)


def has_lock(folder: Path) -> bool:
    """Return whether somebody writes into a folder, or was killed before giving it back."""
    return (folder / _LOCK).exists()


@contextmanager
def held_file(path: Path) -> Iterator[None]:
    """Be the only process that writes a file; its folder is made."""
    lock = lock_of(path)
    with told(path):
        lock.parent.mkdir(parents=True, exist_ok=True)
    with _held(lock, path, 0.0):
        yield


@contextmanager
def held_folder(folder: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Be the only process that writes into a folder, which is made; a thread may hold it several times.

    Raises `EarnestError` that says who writes there, since when and with which command.

    Parameters
    ----------
    wait_s : how long to wait for another process that is about to end
    """
    is_new = not folder.exists()
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with _held(Path(os.path.realpath(folder)) / _LOCK, folder, wait_s):
            yield
    except BaseException:
        if is_new:
            with suppress(OSError):  # what was refused leaves no folder behind; one that holds something stays
                folder.rmdir()
        raise


def holding(parameter: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function that writes into the folder of this parameter: it holds the folder, see `held_folder`."""

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        bind = inspect.signature(function).bind

        @functools.wraps(function)
        def call(*arguments: P.args, **named: P.kwargs) -> T:
            with held_folder(bind(*arguments, **named).arguments[parameter]):
                return function(*arguments, **named)

        return call

    return decorated


@contextmanager
def _held(lock: Path, target: Path, wait_s: float) -> Iterator[None]:
    key, thread = str(lock), threading.get_ident()
    if _mine.get(key) == thread:
        yield
        return
    with told(target):
        descriptor = _acquired(lock, target, wait_s)
    _mine[key] = thread
    try:
        yield
    finally:
        del _mine[key]
        _give_back(descriptor, lock)


def _acquired(lock: Path, target: Path, wait_s: float) -> int:
    end = time.monotonic() + wait_s
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            # Read before this process writes itself into it: the last owner may be on another machine.
            before = _owner_in(descriptor, lock)
            state = _try_lock(descriptor)
            if state == "taken" and time.monotonic() >= end:
                raise EarnestError(f"{target}: is being written by {_told(before)}. {OTHERWISE}")
            if state != "taken" and _is_at(lock, descriptor):
                _refuse_doubtful(before, state, lock, target)
                _write_owner(descriptor)
                return descriptor
        except BaseException as error:
            if isinstance(error, OSError) and not os.fstat(descriptor).st_size:  # nobody's: what failed leaves none
                _give_back(descriptor, lock)
            else:
                os.close(descriptor)
            raise
        os.close(descriptor)
        if state == "taken":
            time.sleep(0.05)


def _refuse_doubtful(before: Owner | None, state: str, lock: Path, target: Path) -> None:
    """Refuse where the system's word is not enough: it can't lock here, or only between processes of one machine."""
    if before is None or (state == "locked" and not _is_shared(lock)):
        return
    if before.host != socket.gethostname():
        raise EarnestError(
            f"{target}: is locked by {_told(before)}; this machine can't see whether that still runs. "
            f"If it has ended, delete {lock} and try again."
        )
    if state == "unknown" and before.pid != os.getpid() and is_running(before.pid):
        raise EarnestError(f"{target}: is being written by {_told(before)}. {OTHERWISE}")


def lock_descriptor(descriptor: int, waits: bool = True) -> None:
    """Lock an open file for this descriptor alone, until it is closed or its process dies.

    Raises `OSError` when another one has it and this one doesn't wait, or the file system has no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, 2**30, os.SEEK_SET)  # far behind all words: others may not read what is locked
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                break
            except PermissionError:  # another one has it
                if not waits:
                    raise
            time.sleep(_LOOK_S)  # LK_LOCK would look once a second, ten times
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _try_lock(descriptor: int) -> str:
    """Return "locked", "taken" by another one, or "unknown" where the file system has no locks."""
    try:
        lock_descriptor(descriptor, waits=False)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return "unknown"
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return "taken"
        raise
    return "locked"


def _is_at(lock: Path, descriptor: int) -> bool:
    """Whether the file is still the one that others will find: whoever held it before may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except FileNotFoundError:
        return False


def _give_back(descriptor: int, lock: Path) -> None:
    if sys.platform == "win32":  # can't remove what is open; who opens it in between keeps it
        os.close(descriptor)
        with suppress(OSError):
            lock.unlink()
        return
    with suppress(OSError):
        # Removed while it is still locked: who opened it before sees by `_is_at` that the name is gone.
        lock.unlink()
    os.close(descriptor)


def _write_owner(descriptor: int) -> None:
    now = datetime.now().astimezone()
    owner = Owner(socket.gethostname(), os.getpid(), f"{now:%Y-%m-%d %H:%M}", _command())
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(owner._asdict()).encode())


def _owner_in(descriptor: int, lock: Path) -> Owner | None:
    """Return whose lock it is or was, None where nobody is told."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    data = os.read(descriptor, _MOST_OWNER_BYTES)
    if not data.strip(b"\0"):  # new, or its owner was killed or lost power just then
        return None
    try:
        values: dict[str, Any] = json.loads(data)
        pid = int(values["pid"])
        if not 0 < pid < _MOST_PID:
            raise ValueError("no number of a process")
        return Owner(str(values["host"]), pid, str(values["since"]), str(values["command"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise EarnestError(f"{lock}: has the name that a lock needs. Move it away, or name another file.") from None


def _told(owner: Owner | None) -> str:
    """Describe an owner in words that can go to a terminal."""
    if owner is None:
        return "another process"
    return printable(f"process {owner.pid} on {owner.host} since {owner.since} ({owner.command})")


def _command() -> str:
    is_ours = Path("".join(sys.argv[:1])).name in ("earnest", "earnest.exe", "__main__.py")
    text = shlex.join(["earnest", *sys.argv[1:]] if is_ours else sys.orig_argv)
    return text if len(text) <= 300 else text[:299] + "…"


def is_running(pid: int) -> bool:
    """Whether a process of this machine has not ended, whoever started it."""
    if sys.platform == "win32":  # where signal 0 is Ctrl-C, and would be sent
        import _winapi

        try:
            handle = _winapi.OpenProcess(_winapi.SYNCHRONIZE, False, pid)
        except OSError as error:
            return isinstance(error, PermissionError)
        try:
            return _winapi.WaitForSingleObject(handle, 0) == _winapi.WAIT_TIMEOUT
        finally:
            _winapi.CloseHandle(handle)
    try:
        os.kill(pid, 0)  # signal 0 asks, and sends nothing
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


def _is_shared(path: Path) -> bool:
    """Whether other machines may write there too; Linux tells, elsewhere the system's locks are believed."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    nearest, kind = "", ""
    for line in lines:
        place, _, rest = line.partition(" - ")
        # Before " - " the fifth field is the place, its spaces written as \040; behind it the first one is the kind.
        mount = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place.split()[4])
        if len(mount) >= len(nearest) and path.is_relative_to(mount):
            nearest, kind = mount, rest.split()[0]
    return kind in _SHARED_SYSTEMS or kind.startswith("fuse.")


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
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file to write; when the block ends well, it becomes the file at ``path``, in one step."""
    beside = path.with_name(PARTIAL + path.name)  # one name: what a killed run left there goes when the next begins
    _make_anew(beside)
    try:
        yield beside
        # First the bytes, then the name: after a loss of power no name stands for half a file.
        with open(beside, "rb+", opener=unfollowed) as file:
            os.fsync(file.fileno())
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
    for left in reversed(range(_TRIES)):
        try:
            fresh.replace(path)
            return
        except PermissionError:
            if not left or sys.platform != "win32":
                raise
            time.sleep(_WAIT_S)


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
