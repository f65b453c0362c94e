"""Whole files, nothing overwritten, checksums that tell, words for what goes wrong with a disk."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from earnest.errors import EarnestError
from earnest.files import writing as run_files
from earnest.files.writing import (
    SUMS,
    Journal,
    cut_half_line,
    new_file,
    note_on_sum,
    refuse_changed,
    refuse_existing,
    unfollowed,
    whole_lines,
    write_atomically,
    write_sum,
    write_sums,
)


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
    with pytest.raises(EarnestError, match=r"a\.json: already exists\. Replace it with --overwrite, or choose"):
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
    with pytest.raises(EarnestError, match="already exists"):
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

    def fails(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(EarnestError, match=re.escape(words)):
        write_atomically(path, b"new and long")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


@pytest.mark.parametrize(("n_refused", "is_written"), [(3, True), (100, False)])
def test_on_windows_a_file_that_is_open_for_a_moment_is_waited_for(
    n_refused: int, is_written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path := tmp_path / "a.csv").write_text("old")
    left, replace = iter(range(n_refused)), Path.replace

    def held(self: Path, target: Path) -> Path:
        if next(left, None) is not None:
            raise PermissionError(13, "Access is denied")
        return replace(self, target)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(run_files.time, "sleep", lambda _: None)
    monkeypatch.setattr(Path, "replace", held)
    if is_written:
        write_atomically(path, b"new")
    else:
        with pytest.raises(EarnestError, match=r"not writable \(Access is denied\)\. Close it where it is open"):
            write_atomically(path, b"new")
    assert (path.read_text(), [*tmp_path.iterdir()]) == ("new" if is_written else "old", [path])


def test_checksums_are_those_of_sha256sum_and_tell_what_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.csv", "b.json"):
        (tmp_path / name).write_text(name)
    write_sums(tmp_path, ("b.json", "a.csv"))
    write_sum(tmp_path / "a.csv", "a note: what made it")
    assert (note_on_sum(tmp_path / "a.csv"), note_on_sum(tmp_path / "b.json")) == ("a note: what made it", "")
    for sums in (SUMS, "a.csv.sha256"):
        done = subprocess.run(["sha256sum", "--check", sums], cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    refuse_changed(tmp_path)
    refuse_changed(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("A.csv")
    for path in (tmp_path, tmp_path / "a.csv"):
        with pytest.raises(EarnestError, match=r"a\.csv: was changed after it was written"):
            refuse_changed(path)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(EarnestError, match=r"names 'a\.csv', which is missing"):
        refuse_changed(tmp_path)
    monkeypatch.setattr(os, "fsdecode", lambda content: content.decode("utf-8", "surrogatepass"))  # as on Windows
    for content in (b"\xff", b"no sums", b"0  ../../etc/passwd\n"):
        (tmp_path / SUMS).write_bytes(content)
        with pytest.raises(EarnestError, match=SUMS):
            refuse_changed(tmp_path)


@pytest.mark.parametrize("name", ["o\u2028x.csv", "new\nline.csv", "back\\slash\\n.csv", "no text \udcff.csv"])
def test_checksums_of_strange_names_are_those_of_sha256sum(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("a")
    write_sum(tmp_path / name)
    write_sums(tmp_path, [name])
    done = subprocess.run(["sha256sum", "--check", SUMS], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0
    refuse_changed(tmp_path)
    refuse_changed(tmp_path / name)
    (tmp_path / name).write_text("b")
    with pytest.raises(EarnestError, match="was changed after it was written"):
        refuse_changed(tmp_path / name)


def test_no_checksums_are_checked_as_none(tmp_path: Path) -> None:
    (tmp_path / SUMS).touch()
    refuse_changed(tmp_path)


def test_lines_are_found_again_and_a_half_written_one_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "rows.partial"
    journal = Journal(path)
    for text in ("one", "zwei – 二"):
        journal.append(text)
    journal.close()
    with path.open("ab") as file:
        file.write(b"a kill cu")
    assert [(number, line.decode()) for number, line in whole_lines(path)] == [(1, "one\n"), (2, "zwei – 二\n")]
    cut_half_line(path)
    again = Journal(path)
    again.append("three")
    assert path.read_text("utf-8") == "one\nzwei – 二\nthree\n"
    again.remove()
    assert not path.exists()


def test_a_line_that_cant_be_written_is_told_with_its_hint(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "rows.partial", "--resume keeps the rows so far.")
    journal._file.close()
    journal._file = (tmp_path / "rows.partial").open("rb", buffering=0)
    with pytest.raises(EarnestError, match=r"rows\.partial.*--resume keeps the rows so far\."):
        journal.append("one")
    journal.close()


def plant(path: Path, what: str, victim: Path) -> None:
    """Put what another user of a shared folder may put where a file will be written."""
    if what == "pipe":
        os.mkfifo(path)
    elif what == "second name":
        path.hardlink_to(victim)
    else:
        path.symlink_to(victim if what == "link" else victim.with_name("new"))


REFUSED = "a link or no regular file|symbolic links|No such device"  # this module's words, and those of systems
PLANTED = ["link", "dangling link", "pipe", "second name"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes, and links need a right")
@pytest.mark.parametrize("what", PLANTED)
def test_nothing_is_written_through_what_others_put_beside_a_file(what: str, tmp_path: Path) -> None:
    (victim := tmp_path / "victim").write_text("theirs")
    path, beside = tmp_path / "a.csv", tmp_path / ".partial-a.csv"
    plant(beside, what, victim)
    with new_file(path) as place:
        place.write_text("mine")
    assert (path.read_text(), path.is_symlink(), victim.read_text()) == ("mine", False, "theirs")
    plant(beside, what, victim)
    write_atomically(path, b"new")
    assert (path.read_text(), path.is_symlink(), victim.read_text()) == ("new", False, "theirs")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "victim"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes, and links need a right")
@pytest.mark.parametrize("what", PLANTED)
def test_what_is_put_there_later_is_not_opened_and_gets_no_name(what: str, tmp_path: Path) -> None:
    (victim := tmp_path / "victim").write_text("theirs")
    path = tmp_path / "a.csv"
    with pytest.raises(EarnestError, match="not writable"), new_file(path) as place:
        place.unlink()
        plant(place, what, victim)
        for mode in ("w", "a", "r+"):
            with pytest.raises(OSError, match=REFUSED), open(place, mode, opener=unfollowed):
                pass
    assert (victim.read_text(), [*tmp_path.iterdir()]) == ("theirs", [victim])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes, and links need a right")
@pytest.mark.parametrize("what", PLANTED)
def test_a_journal_is_no_link_and_no_pipe(what: str, tmp_path: Path) -> None:
    (victim := tmp_path / "victim").write_text("theirs")
    path = tmp_path / "a.csv.partial"
    plant(path, what, victim)
    with pytest.raises(EarnestError, match=r"a\.csv\.partial: a link or no regular file.*Delete it, or choose"):
        Journal(path)
    with pytest.raises(OSError, match=REFUSED):
        cut_half_line(path)
    assert (victim.read_text(), {*tmp_path.iterdir()}) == ("theirs", {victim, path})


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the system has no owners")
def test_a_journal_of_another_user_is_refused_where_files_have_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path := tmp_path / "a.csv.partial").write_text("a row\n")
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    Journal(path).close()  # all files have one owner there, new ones too
    if me == 0:
        os.chown(path, 12345, -1)
        with pytest.raises(EarnestError, match=r"belongs to another user\. Let its owner go on, or choose"):
            Journal(path)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_without_the_flag_of_the_system_links_are_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (link := tmp_path / "link").symlink_to(tmp_path / "new")
    monkeypatch.delattr(os, "O_NOFOLLOW")
    with pytest.raises(OSError, match="a link or no regular file"), open(link, "w", opener=unfollowed):
        pass
    assert [*tmp_path.iterdir()] == [link]
