"""One writer at a time, whole files, nothing overwritten, checksums that tell."""

import errno
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from earnest import run_files
from earnest.errors import EarnestError
from earnest.run_files import (
    SUMS,
    held_file,
    held_folder,
    holding,
    new_file,
    refuse_changed,
    refuse_existing,
    write_atomically,
    write_sum,
    write_sums,
)

HOLDER = """
import sys
from pathlib import Path
from earnest.run_files import held_file, held_folder
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
    with pytest.raises(EarnestError, match=r"a\.csv\.lock: is in the way of a lock"):
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
    monkeypatch.setattr(run_files, "_is_shared", lambda _: True)
    with pytest.raises(EarnestError) as caught:
        held_file(tmp_path / "a.csv").__enter__()
    assert "process 7 on elsewhere since 2026-01-02 12:03 (earnest evaluate" in str(caught.value)
    assert f"delete {tmp_path / 'a.csv.lock'} and try again" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    monkeypatch.setattr(run_files, "_is_shared", lambda _: False)  # a local disk: the system knows
    with held_file(tmp_path / "a.csv"):
        pass


def test_where_the_file_system_has_no_locks_a_living_owner_is_respected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_files, "_try_lock", lambda _: "unknown")
    with held_by_another(tmp_path / "a.csv", "file") as other:
        with pytest.raises(EarnestError, match=f"is being written by process {other.pid}"):
            held_file(tmp_path / "a.csv").__enter__()
        other.kill()
    with held_file(tmp_path / "a.csv"):
        pass


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    with pytest.raises(RuntimeError), new_file(path) as place:
        place.write_text("half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    with new_file(path) as place:
        place.write_text("whole")
        assert not path.exists()
    assert (path.read_text(), list(path.parent.iterdir())) == ("whole", [path])


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("mine")
    with pytest.raises(EarnestError, match=r"a\.json: is there already\. Replace it with --overwrite, or choose"):
        new_file(path).__enter__()
    assert path.read_text() == "mine"
    with new_file(path, overwrite=True) as place:
        place.write_text("new")
    assert path.read_text() == "new"
    with pytest.raises(EarnestError, match="/dev/null: not a regular file"):
        refuse_existing(Path("/dev/null"), overwrite=True)


def test_a_file_that_another_one_finished_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    held = run_files.held_file

    @contextmanager
    def late(target: Path) -> Iterator[None]:
        path.write_text("theirs")
        with held(target):
            yield

    monkeypatch.setattr(run_files, "held_file", late)
    with pytest.raises(EarnestError, match="is there already"):
        new_file(path).__enter__()
    assert path.read_text() == "theirs"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full, or a quota. Free some space and give the same command again."),
        (errno.EROFS, "not writable (Read-only file system)"),
        (errno.EACCES, "not writable (Permission denied)"),
        (errno.EIO, "not writable (Input/output error)"),
    ],
)
def test_what_goes_wrong_with_a_disk_is_told_and_leaves_the_old_file(
    number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fails(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:2])
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", fails)
    with pytest.raises(EarnestError, match=re.escape(words)):
        write_atomically(path, b"new and long")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


def test_checksums_are_those_of_sha256sum_and_tell_what_was_changed(tmp_path: Path) -> None:
    for name in ("a.csv", "b.json"):
        (tmp_path / name).write_text(name)
    write_sums(tmp_path, ("b.json", "a.csv"))
    write_sum(tmp_path / "a.csv")
    for sums in (SUMS, "a.csv.sha256"):
        done = subprocess.run(["sha256sum", "--check", sums], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0
    refuse_changed(tmp_path)
    refuse_changed(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("A.csv")
    for path in (tmp_path, tmp_path / "a.csv"):
        with pytest.raises(EarnestError, match=r"a\.csv: was changed since it was written"):
            refuse_changed(path)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(EarnestError, match=r"names 'a\.csv', which isn't there"):
        refuse_changed(tmp_path)
    for content in (b"\xff", b"no sums", b"0  ../../etc/passwd\n"):
        (tmp_path / SUMS).write_bytes(content)
        with pytest.raises(EarnestError, match=SUMS):
            refuse_changed(tmp_path)
