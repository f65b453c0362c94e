"""``--keep`` stays within its bytes and days, whoever writes at the same time, and costs no answer."""

import asyncio
import errno
import logging
import multiprocessing
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import earnest_cli
from patience import wait_for
from prometheus_client import CollectorRegistry, Counter
from serving import application, settings_for

from earnest.apps.server import keeping
from earnest.apps.server.body import Upload
from earnest.apps.server.keeping import DAY_S, LEDGER, Keeper
from earnest.apps.server.settings import Limits
from earnest.testing.sounds import write_voice

pytestmark = pytest.mark.long

WAV = {"Content-Type": "audio/wav"}


def keeper(folder: Path, **limits: Any) -> Keeper:
    return Keeper(folder, Limits(**limits), Counter("not_kept", "", registry=CollectorRegistry()))


def keep(one: Keeper, sizes: Sequence[int]) -> None:
    for n_bytes in sizes:
        asyncio.run(one.keep([Upload("a.wav", bytes(n_bytes - 10))], 10 * "a"))


def stored(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("[!.]*"))


def keep_in_a_process(folder: Path) -> None:
    keep(keeper(folder, keep_bytes=100_000), 60 * [1000])


def test_workers_together_stay_within_the_bytes(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for task in [pool.submit(keep_in_a_process, tmp_path) for _ in range(2)]:
            task.result()
    assert stored(tmp_path) == 100_000  # of 120,000
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: keep(keeper(tmp_path, keep_bytes=130_000), 20 * [1000]), range(4)))
    assert stored(tmp_path) == 130_000


def test_what_has_no_room_pushes_nothing_out_and_room_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = keeper(tmp_path, keep_bytes=5000)
    keep(one, [4000, 2000, 500])
    before = {path.name for path in tmp_path.iterdir()}
    assert stored(tmp_path) == 4500
    monkeypatch.setattr(keeping, "RECOUNT_S", -1.0)
    for path in tmp_path.glob("*.audio"):
        path.unlink()  # by the owner
    keep(one, [4000])
    assert stored(tmp_path) == 4020  # two answers of before
    assert {path.name for path in tmp_path.iterdir()} - before


def test_what_has_no_room_is_told_with_what_it_needs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "earnest.server"):
        keep(keeper(tmp_path, keep_bytes=5000), [4000, 1500])
    told = "1,500 bytes are needed, 4,000 are stored, keep_bytes allows 5,000."
    assert [vars(record)["why"] for record in caplog.records] == [told]


def test_what_is_too_old_goes_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    one = keeper(tmp_path, keep_days=2)
    (tmp_path / "notes.txt").write_text("mine")
    keep(one, [1000, 2000])
    oldest = min(tmp_path.glob("*.audio"), key=lambda path: path.stat().st_size)
    for path in (oldest, tmp_path / "notes.txt"):
        os.utime(path, (time.time() - 3 * DAY_S,) * 2)
    one.clear(tmp_path)
    assert not oldest.exists()
    assert (tmp_path / "notes.txt").exists()
    assert (tmp_path / LEDGER).read_text() == str(990 + 1000 + 20)  # less the recording of 990 bytes
    assert stored(tmp_path) == 1990 + 20 + 4


def test_a_server_clears_when_it_starts(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    keep(keeper(kept), [1000])
    for path in kept.iterdir():
        os.utime(path, (time.time() - 40 * DAY_S,) * 2)
    with application(settings_for(tmp_path, keep=kept)):
        wait_for(lambda: not list(kept.glob("*.audio")))


@pytest.mark.parametrize("text", ["", "-5", "many", "٣", "9" * 40])
def test_a_damaged_count_is_made_anew(tmp_path: Path, text: str) -> None:
    keep(keeper(tmp_path), [4000])
    (tmp_path / LEDGER).write_text(text, encoding="utf-8")
    keep(keeper(tmp_path, keep_bytes=5000), [800])
    assert stored(tmp_path) == 4800
    assert (tmp_path / LEDGER).read_text() == "4800"


def test_a_disk_that_is_full_costs_no_answer_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    sound = write_voice(tmp_path / "clip.wav").read_bytes()
    with application(settings_for(tmp_path, keep=kept)) as client:
        usage = SimpleNamespace(free=keeping.SPARE_BYTES)
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "disk_usage", lambda _: usage)
            assert client.post("/v1/predict", content=sound, headers=WAV).status_code == 200
        original = os.open

        def no_space(path: Any, *more: Any, **options: Any) -> int:
            if str(path).endswith(".answer"):
                raise OSError(errno.ENOSPC, "No space left on device")
            return original(path, *more, **options)

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", no_space)
            assert client.post("/v1/predict", content=sound, headers=WAV).status_code == 200
        assert not list(kept.glob("[!.]*"))
        assert "earnest_answers_not_kept_total 2.0" in client.get("/metrics").text
        assert client.post("/v1/predict", content=sound, headers=WAV).status_code == 200
        assert len(list(kept.glob("[!.]*"))) == 2


def test_on_windows_recordings_are_kept_byte_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary, original = 1 << 40, os.open

    def as_on_windows(path: Any, flags: int, *more: Any) -> int:
        assert flags & binary or not str(path).endswith(".audio"), "text: line ends would be changed"
        return original(path, flags & ~binary, *more)

    monkeypatch.setattr(os, "O_BINARY", binary, raising=False)
    monkeypatch.setattr(os, "open", as_on_windows)
    keep(keeper(tmp_path), [100])
    assert stored(tmp_path) == 100


def test_the_bounds_are_among_the_limits() -> None:
    listed = earnest_cli("serve", "--show-limits", "--json", "--limit", "keep_days=7")
    assert '"keep_bytes": 1073741824' in listed
    assert '"keep_days": 7' in listed
