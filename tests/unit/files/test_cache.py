"""The cache on disk: whole entries, noticed damage, a bound, and no work that stops because of it."""

import hashlib
import logging
import os
import sys
import threading
from pathlib import Path

import pytest

from earnest.errors import EarnestError
from earnest.files.cache import DiskCache, cache_folder, disk_cache


def key(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


def never() -> bytes:
    raise AssertionError("made again")


def test_what_was_made_is_found_again_also_by_others(tmp_path: Path) -> None:
    assert DiskCache(tmp_path, 10**6).found(key("a"), lambda: b"sound") == b"sound"
    assert DiskCache(tmp_path, 10**6).found(key("a"), never) == b"sound"
    assert DiskCache(tmp_path, 10**6).usage().entries == 1


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 37])
def test_damage_is_noticed_and_made_anew(tmp_path: Path, damage: bytes) -> None:
    cache = DiskCache(tmp_path, 10**6)
    cache.found(key("a"), lambda: b"sound")
    (path,) = tmp_path.glob("*/*")
    path.write_bytes(damage)
    assert cache.found(key("a"), lambda: b"sound") == b"sound"
    assert cache.found(key("a"), never) == b"sound"


def test_the_least_recently_used_leave_and_the_bound_holds(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 100_000)
    for number in range(60):
        cache.found(key(str(number)), lambda: bytes(4_000))
        os.utime(cache._path(key(str(number))), (number, number))
        if number:
            cache.found(key("0"), never)  # used all the time
            os.utime(cache._path(key("0")), (number, number))
    assert cache.usage().bytes <= 105_000
    assert cache.found(key("0"), never) == bytes(4_000)
    assert cache.found(key("59"), never) == bytes(4_000)
    assert not cache._path(key("1")).exists()


def test_many_writers_of_the_same_entries_leave_whole_ones(tmp_path: Path) -> None:
    wrong: list[bytes] = []

    def work(seed: int) -> None:
        cache = DiskCache(tmp_path, 10**7)  # as another process has it
        for number in range(seed, seed + 40):
            expected = bytes([number % 40]) * 20_000
            found = cache.found(key(str(number % 40)), lambda expected=expected: expected)  # type: ignore[misc]
            wrong.extend([found] if found != expected else [])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert DiskCache(tmp_path, 10**7).usage().entries == 40
    assert not list(tmp_path.glob("*/.partial-*"))


def test_where_what_is_open_cannot_be_replaced_the_entry_of_another_writer_is_as_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    replace = Path.replace

    def as_on_windows(self: Path, target: Path) -> Path:
        if target.exists():
            raise PermissionError(13, "Access is denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", as_on_windows)
    cache, other = DiskCache(tmp_path, 10**6), DiskCache(tmp_path, 10**6)
    assert cache.found(key("a"), lambda: other.found(key("a"), lambda: b"sound")) == b"sound"
    assert cache.found(key("b"), lambda: b"more") == other.found(key("b"), never) == b"more"
    assert (caplog.messages, [*tmp_path.glob("*/.partial-*")]) == ([], [])


def test_a_folder_that_cannot_be_written_is_told_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = DiskCache(tmp_path / "file", 10**6)
    with caplog.at_level(logging.WARNING):
        assert [cache.found(key(word), lambda: b"made") for word in "ab"] == [b"made"] * 2
    assert len(caplog.messages) == 1
    assert "the work goes on without" in caplog.text


def test_clearing_removes_entries_and_what_killed_writers_left(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10**6)
    cache.found(key("a"), lambda: b"sound")
    (tmp_path / key("a")[:2] / ".partial-x").write_bytes(b"half")
    (tmp_path / "mine.txt").write_text("stays")
    assert cache.clear().entries == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mine.txt"]


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_the_environment_says_where_and_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARNEST_CACHE", str(tmp_path))
    monkeypatch.setenv("EARNEST_CACHE_GB", "0.5")
    cache = disk_cache()
    assert cache is not None
    assert (cache.folder, cache.most_bytes) == (tmp_path / "features", 500_000_000)
    monkeypatch.setenv("EARNEST_CACHE", "~/cache")
    assert cache_folder() == Path("~/cache").expanduser()
    monkeypatch.setenv("EARNEST_CACHE_GB", "0")
    assert disk_cache() is None
    monkeypatch.delenv("EARNEST_CACHE")
    assert cache_folder().name in ("earnest", "cache")
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    with pytest.raises(EarnestError, match=r"no home is known\. Name one without ~: EARNEST_CACHE"):
        cache_folder()
    for wrong in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("EARNEST_CACHE_GB", wrong)
        with pytest.raises(EarnestError, match="EARNEST_CACHE_GB must be a number of gigabytes"):
            disk_cache()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
def test_its_folders_are_this_users_alone(tmp_path: Path) -> None:
    before = os.umask(0o002)  # where each user has a group, and shares a folder by another one
    try:
        DiskCache(tmp_path / "new" / "features", 10**6).found(key("a"), lambda: b"sound")
    finally:
        os.umask(before)
    made = [*tmp_path.rglob("*")]
    assert len(made) == 4
    assert {path.stat().st_mode & 0o077 for path in made} == {0}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes, and links need a right")
@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_an_entry_is_a_regular_file(what: str, tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 10**6)
    cache.found(key("a"), lambda: b"poison")
    (path,) = cache.folder.glob("*/*")
    path.rename(tmp_path / "elsewhere")
    if what == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        (os.mkfifo if what == "pipe" else os.mkdir)(path)
    assert cache.found(key("a"), lambda: b"sound") == b"sound"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to others")
@pytest.mark.parametrize(("owner", "me", "is_taken"), [(12345, 0, False), (12345, 12346, False), (0, 12345, True)])
def test_an_entry_of_another_user_is_made_anew(
    owner: int, me: int, is_taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = DiskCache(tmp_path, 10**6)
    cache.found(key("a"), lambda: b"theirs")
    (path,) = tmp_path.glob("*/*")
    os.chown(path, owner, -1)
    monkeypatch.setattr(os, "geteuid", lambda: me)
    assert cache.found(key("a"), lambda: b"sound") == (b"theirs" if is_taken else b"sound")
    assert cache.found(key("a"), never) == (b"theirs" if is_taken else b"sound")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no owners")
def test_a_file_system_without_owners_keeps_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me, fstat = os.geteuid(), os.fstat

    def squashed(descriptor: int) -> os.stat_result:
        return os.stat_result([*fstat(descriptor)[:4], 65534, *fstat(descriptor)[5:10]])

    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    monkeypatch.setattr(os, "fstat", squashed)
    DiskCache(tmp_path, 10**6).found(key("a"), lambda: b"sound")
    assert DiskCache(tmp_path, 10**6).found(key("a"), never) == b"sound"
