"""Locks: one process at a time writes a file or a folder, and another one is told which.

A lock is a file that the operating system unlocks when its owner ends, however it ends: ``NAME.lock`` beside a file,
``.lock`` in a folder. It says who holds it, and is removed when it is given back.
"""

import errno
import functools
import inspect
import json
import os
import re
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

from earnest.errors import EarnestError, printable, told

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

    Parameters
    ----------
    wait_s : how long to wait for another process that is about to end

    Raises
    ------
    EarnestError
        Who writes there, since when and with which command.
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
    words = list(getattr(sys, "orig_argv", sys.argv))
    name = Path(sys.argv[0]).name if sys.argv else ""
    if name in ("earnest", "earnest.exe", "__main__.py"):
        words = ["earnest", *sys.argv[1:]]
    text = shlex.join(words)
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
