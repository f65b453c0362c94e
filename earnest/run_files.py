"""How files and run folders are written: by one process at a time, whole or not at all, over nothing that was there.

A lock is a file that the operating system unlocks when its owner ends, however it ends: ``NAME.lock`` beside a file,
``.lock`` in a folder. It says who holds it, so that another process can tell. `SUMS` in a finished folder, and
``NAME.sha256`` beside a finished file, are what ``sha256sum --check`` reads.
"""

import ctypes
import errno
import functools
import hashlib
import inspect
import json
import multiprocessing
import os
import pickle
import re
import shlex
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

from earnest.errors import EarnestError

P = ParamSpec("P")
T = TypeVar("T")
SUMS = "SHA256SUMS"
OTHERWISE = "Wait, or choose another --output."
_LOCK, _PARTIAL = ".lock", ".partial-"
_MOST_OWNER_BYTES = 4096
_PR_SET_PDEATHSIG = 1
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
_SHARED_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs"})
_mine: dict[str, int] = {}  # lock → the thread that holds it


class Owner(NamedTuple):
    """Who holds a lock; ``since`` is the local time, to be read by people."""

    host: str
    pid: int
    since: str
    command: str

    def sentence(self) -> str:
        """Say it in words that can go to a terminal."""
        told = f"process {self.pid} on {self.host} since {self.since} ({self.command})"
        return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in told)


# --- words ------------------------------------------------------------------------------------------------------------


def unwritable(path: Path, error: OSError) -> EarnestError:
    """Return what to tell a person whose file can't be written."""
    if error.errno in _FULL:
        return EarnestError(f"{path}: the disk is full, or a quota. Free some space and give the same command again.")
    return EarnestError(f"{path}: not writable ({error.strerror or error}). Choose another place, or allow it.")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file into words."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


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
        raise EarnestError(f"{path}: is there already. {otherwise}, or choose another --output.")


def refuse_foreign(folder: Path, claimed_by: str, names: Iterable[str]) -> None:
    """Raise `EarnestError` for a folder that holds files of these names, but not the one with which a run begins."""
    if (folder / claimed_by).exists():
        return
    for name in names:
        if (folder / name).exists():
            raise EarnestError(
                f"{folder}: holds {name} of something else, without {claimed_by}. Choose another --output."
            )


# --- whole files ------------------------------------------------------------------------------------------------------


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file at ``path`` in one step; its folder is made."""
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            beside.write_bytes(data)


def write_json(path: Path, value: object) -> None:
    """Write one JSON value, indented, as `write_atomically` does; NaN is never written."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place to write to; when the block ends well, what is there becomes the file at ``path``, in one step."""
    beside = path.with_name(_PARTIAL + path.name)  # one name, so that a killed run leaves one file, which the next uses
    try:
        yield beside
        _to_disk(beside)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


@contextmanager
def new_file(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Claim the name of a file, and give a place to write it to; it appears when the block ends well.

    Raises
    ------
    EarnestError
        When it is there already (unless ``overwrite``), when another process writes it, when it can't be written.
    """
    real = Path(os.path.realpath(path))
    refuse_existing(path, overwrite)
    with told(path):
        real.parent.mkdir(parents=True, exist_ok=True)
    with held_file(path):
        refuse_existing(path, overwrite)  # another one may have finished it just now
        with told(path), replacing(real) as beside:
            yield beside


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


# --- checksums --------------------------------------------------------------------------------------------------------


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of files of a folder that are finished."""
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in sorted(names)]
    write_atomically(folder / SUMS, "".join(lines).encode())


def write_sum(path: Path) -> None:
    """Write the checksum of a finished file beside it."""
    write_atomically(_sum_of(path), f"{sha256_of(path)}  {path.name}\n".encode())


def forget_sum(path: Path) -> None:
    """Remove the checksum of a file that is about to change."""
    _sum_of(path).unlink(missing_ok=True)


def refuse_changed(path: Path) -> None:
    """Raise `EarnestError` where a finished folder or file is not what was written; one without checksums passes."""
    sums = path / SUMS if path.is_dir() else _sum_of(path)
    try:
        lines = sums.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise EarnestError(f"{sums}: not readable ({error}). Delete it to go on without a check.") from error
    for line in lines:
        digest, _, name = line.partition("  ")
        file = sums.parent / name
        if Path(name).name != name or not file.is_file():
            raise EarnestError(f"{sums}: names '{name}', which isn't there. {_restore(sums)}")
        if sha256_of(file) != digest:
            raise EarnestError(f"{file}: was changed since it was written; {sums.name} tells. {_restore(sums)}")


def _restore(sums: Path) -> str:
    return f"Restore it, or delete {sums} to go on with what is there."


def _sum_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


# --- locks ------------------------------------------------------------------------------------------------------------


@contextmanager
def held_file(path: Path) -> Iterator[None]:
    """Be the only process that writes a file; its folder must be there."""
    real = Path(os.path.realpath(path))  # two names of one file have one lock
    with _held(real.with_name(real.name + _LOCK), path, 0.0):
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
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _held(Path(os.path.realpath(folder)) / _LOCK, folder, wait_s):
        yield


def holding(parameter: str, wait_s: float = 0.0) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function that writes into the folder of this parameter: it holds the folder, see `held_folder`."""

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        bind = inspect.signature(function).bind

        @functools.wraps(function)
        def call(*arguments: P.args, **named: P.kwargs) -> T:
            with held_folder(bind(*arguments, **named).arguments[parameter], wait_s):
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
            before = _owner_in(descriptor, lock)
            state = _try_lock(descriptor)
            if state == "taken" and time.monotonic() >= end:
                raise EarnestError(f"{target}: is being written by {_told(before)}. {OTHERWISE}")
            if state != "taken" and _is_at(lock, descriptor):
                _refuse_doubtful(before, state, lock, target)
                _write_owner(descriptor)
                return descriptor
        except BaseException:
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
            f"{target}: its lock is that of {_told(before)}; whether that goes on can't be seen from this machine. "
            f"If it has ended, delete {lock} and try again."
        )
    if state == "unknown" and before.pid != os.getpid() and _lives(before.pid):
        raise EarnestError(f"{target}: is being written by {_told(before)}. {OTHERWISE}")


def _try_lock(descriptor: int) -> str:
    """Return "locked", "taken" by another one, or "unknown" where the file system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 2**30, os.SEEK_SET)  # far behind the owner's words: others may not read what is locked
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
        return Owner(str(values["host"]), int(values["pid"]), str(values["since"]), str(values["command"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EarnestError(
            f"{lock}: is in the way of a lock of that name. Move it away, or name another file."
        ) from None


def _told(owner: Owner | None) -> str:
    return "another process" if owner is None else owner.sentence()


def _command() -> str:
    words = list(getattr(sys, "orig_argv", sys.argv))
    name = Path(sys.argv[0]).name if sys.argv else ""
    if name in ("earnest", "earnest.exe", "__main__.py"):
        words = ["earnest", *sys.argv[1:]]
    text = shlex.join(words)
    return text if len(text) <= 300 else text[:299] + "…"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
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
        mount = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place.split()[4])
        if len(mount) >= len(nearest) and path.is_relative_to(mount):
            nearest, kind = mount, rest.split()[0]
    return kind in _SHARED_SYSTEMS or kind.startswith("fuse.")


# --- workers ----------------------------------------------------------------------------------------------------------


def packed_call(function: Callable[..., object], *arguments: object) -> bytes:
    """Return a call for `enter_worker`."""
    return pickle.dumps((function, arguments))


def enter_worker(call: bytes) -> None:
    """Begin a worker process: end it with its parent, and only then load what ``call`` needs."""
    end_with_parent()
    function, arguments = pickle.loads(call)
    function(*arguments)


def end_with_parent() -> None:
    """Let this worker process not outlive its parent, which may be killed at any moment, also before this."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent.pid:  # it ended before it could be watched
            os._exit(1)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)
