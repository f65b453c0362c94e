"""One writer at a time: a second one is told which, and a dead one's lock is taken over."""

import errno
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from earnest.errors import EarnestError
from earnest.files import writing
from earnest.files.writing import Owner, held_file, held_folder, holding, is_running

HOLDER = """
import sys
from pathlib import Path
from earnest.files.writing import held_file, held_folder
with (held_folder if sys.argv[2] == "folder" else held_file)(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(target: Path, kind: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", HOLDER, str(target), kind]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.communicate()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_second_writer_is_told_who_writes_since_when_and_how(kind: str, tmp_path: Path) -> None:
    held, target = held_folder if kind == "folder" else held_file, tmp_path / "target"
    with held_by_another(target, kind) as other, pytest.raises(EarnestError) as caught, held(target):
        pass
    assert re.search(
        rf"target: is being written by process {other.pid} on {re.escape(socket.gethostname())} since "
        r"\d{4}-\d\d-\d\d \d\d:\d\d \(.*python.*\)\. Wait, or choose another --output\.",
        str(caught.value),
    )
    with held(target):  # it ended
        pass
    assert not list(tmp_path.rglob("*.lock"))


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    with held_by_another(tmp_path / "a.csv", "file") as other:
        other.kill()
    assert (tmp_path / "a.csv.lock").exists()
    with held_file(tmp_path / "a.csv"):
        assert json.loads((tmp_path / "a.csv.lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "a.csv.lock").exists()


def test_two_names_of_one_file_have_one_lock(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    with held_by_another(tmp_path / "a.csv", "file"), pytest.raises(EarnestError, match="is being written"):
        held_file(tmp_path / "link.csv").__enter__()


def test_a_thread_may_hold_a_folder_twice_but_another_thread_waits(tmp_path: Path) -> None:
    @holding("folder")
    def write(folder: Path) -> str:
        return "written"

    refused: list[str] = []

    def other() -> None:
        try:
            write(tmp_path)
        except EarnestError as error:
            refused.append(str(error))

    with held_folder(tmp_path):
        assert write(folder=tmp_path) == "written"
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert f"process {os.getpid()}" in refused[0]
    assert write(tmp_path) == "written"


def test_waiting_ends_when_the_other_one_does(tmp_path: Path) -> None:
    with held_by_another(tmp_path, "folder") as other:
        timer = threading.Timer(0.2, other.kill)
        timer.start()
        with held_folder(tmp_path, wait_s=60):
            pass


def test_a_foreign_file_in_the_place_of_a_lock_stays(tmp_path: Path) -> None:
    (tmp_path / "a.csv.lock").write_text("my keys")
    with pytest.raises(EarnestError, match=r"a\.csv\.lock: has the name that a lock needs"):
        held_file(tmp_path / "a.csv").__enter__()
    assert (tmp_path / "a.csv.lock").read_text() == "my keys"
    (tmp_path / "b.csv.lock").symlink_to(tmp_path / "a.csv.lock")
    with pytest.raises(EarnestError, match=r"b\.csv: not writable"):
        held_file(tmp_path / "b.csv").__enter__()
    assert (tmp_path / "a.csv.lock").read_text() == "my keys"


def test_on_a_shared_disk_another_machines_lock_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = {"host": "elsewhere", "pid": 7, "since": "2026-01-02 12:03", "command": "earnest evaluate \x1b[2J a.toml"}
    (tmp_path / "a.csv.lock").write_text(json.dumps(owner))
    monkeypatch.setattr(writing, "_is_shared", lambda _: True)
    with pytest.raises(EarnestError) as caught:
        held_file(tmp_path / "a.csv").__enter__()
    assert "process 7 on elsewhere since 2026-01-02 12:03 (earnest evaluate" in str(caught.value)
    assert f"delete {tmp_path / 'a.csv.lock'} and try again" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    monkeypatch.setattr(writing, "_is_shared", lambda _: False)  # a local disk: the system knows
    with held_file(tmp_path / "a.csv"):
        pass


def test_where_the_file_system_has_no_locks_a_living_owner_is_respected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_try_lock", lambda _: "unknown")
    with held_by_another(tmp_path / "a.csv", "file") as other:
        with pytest.raises(EarnestError, match=f"is being written by process {other.pid}"):
            held_file(tmp_path / "a.csv").__enter__()
        other.kill()
    with held_file(tmp_path / "a.csv"):
        pass


def test_on_windows_asking_whether_a_process_runs_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: dict[int, int | OSError] = {4: 258, 8: 0, 12: PermissionError(), 16: OSError(22, "no such process")}

    def open_process(_rights: int, _inherits: bool, pid: int) -> int:
        if isinstance(found := opened[pid], OSError):
            raise found
        return found

    def send(pid: int, signal: int) -> None:
        raise AssertionError("signal 0 is Ctrl-C there")

    asked = {
        "OpenProcess": open_process,
        "WaitForSingleObject": lambda handle, _: handle,
        "CloseHandle": lambda _: None,
    }
    windows = SimpleNamespace(SYNCHRONIZE=0x100000, WAIT_TIMEOUT=258, **asked)
    monkeypatch.setitem(sys.modules, "_winapi", windows)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "kill", send)
    assert [is_running(pid) for pid in opened] == [True, False, True, False]


def test_on_windows_who_waits_for_a_lock_looks_again_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | None] = [PermissionError(), PermissionError(), None, PermissionError(), OSError(5, "no")]

    def locking(_descriptor: int, mode: str, _n_bytes: int) -> None:
        assert mode == "at once"
        if answer := answers.pop(0):
            raise answer

    windows = SimpleNamespace(LK_NBLCK="at once", LK_LOCK="looks once a second", locking=locking)
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    monkeypatch.setattr(sys, "platform", "win32")
    with (tmp_path / "ledger").open("w") as file:
        writing.lock_descriptor(file.fileno())
        with pytest.raises(PermissionError):
            writing.lock_descriptor(file.fileno(), waits=False)
        with pytest.raises(OSError, match="no"):
            writing.lock_descriptor(file.fileno())
    assert not answers


def test_the_folder_of_a_file_is_made(tmp_path: Path) -> None:
    with held_file(tmp_path / "new" / "folder" / "a.csv"):
        pass
    assert not list((tmp_path / "new" / "folder").iterdir())


def test_a_share_without_locks_that_macos_mounts_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errno, "ENOTSUP", 45)
    monkeypatch.setattr(errno, "EOPNOTSUPP", 102)
    spec = importlib.util.find_spec(writing.__name__)
    assert spec and spec.loader
    on_macos: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(on_macos)
    monkeypatch.setattr(on_macos, "lock_descriptor", failing_with(45))
    with on_macos.held_file(tmp_path / "a.csv"):
        assert (tmp_path / "a.csv.lock").stat().st_size
    assert not [*tmp_path.iterdir()]


def test_a_lock_that_fails_leaves_no_empty_one_behind_and_removes_no_other_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "lock_descriptor", failing_with(errno.EIO))
    target, lock = tmp_path / "a.csv", tmp_path / "a.csv.lock"
    with pytest.raises(EarnestError, match="not writable"), held_file(target):
        pass
    assert not lock.exists()
    lock.write_text(json.dumps(Owner("elsewhere", 1, "2026-01-01 00:00", "earnest")._asdict()))
    with pytest.raises(EarnestError, match="not writable"), held_file(target):
        pass
    assert lock.exists()


def failing_with(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail
