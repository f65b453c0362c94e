"""A watched folder is followed until Ctrl-C, which ends nothing half way."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from earnest.apps.cli import _recordings
from earnest.apps.cli._recordings import NamedRecordings, arriving
from earnest.audio.source import Source


def readable(_: Source) -> int | None:
    return 1


def cut(_: Source) -> int | None:
    return None


@pytest.fixture(autouse=True)
def default_handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_recordings, "POLL_S", 0.01)
    monkeypatch.setattr(_recordings, "LOOK_S", 0.001)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_interrupted_at_work_it_ends_when_the_work_is_done(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    worked = []
    for arrived in arriving([str(tmp_path)], set(), readable):
        os.kill(os.getpid(), signal.SIGINT)
        worked += arrived
    assert worked == [str(tmp_path / "a.wav")]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupted_again_it_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    with pytest.raises(KeyboardInterrupt):
        for _ in arriving([str(tmp_path)], set(), readable):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)


def test_a_copy_that_paused_is_heard_again_when_it_goes_on(tmp_path: Path) -> None:
    old, new = tmp_path / "old.wav", tmp_path / "new.wav"
    for path in (old, new):
        path.write_bytes(b"half")
    sizes = []
    for arrived in arriving([str(tmp_path)], {str(old)}, readable):
        sizes += [(Path(path).name, Path(path).stat().st_size) for path in arrived]
        if len(sizes) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        for path in (old, new):
            os.utime(path)  # touched, and no other sound
        (old if len(sizes) == 2 else new).write_bytes(b"the whole")
    assert sizes == [("new.wav", 4), ("new.wav", 9), ("old.wav", 9)]


def test_a_recording_that_cannot_be_opened_waits_for_its_rest(tmp_path: Path) -> None:
    slow, looks = tmp_path / "slow.wav", list[int]()
    slow.write_bytes(b"half")

    def count(_: Source) -> int | None:
        looks.append(slow.stat().st_size)
        if len(looks) == 5:
            slow.write_bytes(b"the whole")
        return 1 if looks[-1] == 9 else None

    for arrived in arriving([str(tmp_path)], set(), count):
        os.kill(os.getpid(), signal.SIGINT)
        assert (arrived, looks) == ([str(slow)], [4] * 5 + [9])


def test_a_recording_that_stays_cut_is_told_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_recordings, "STALLED_S", 0.1)
    (tmp_path / "cut.wav").write_bytes(b"half")
    begun = time.monotonic()
    for arrived in arriving([str(tmp_path)], set(), cut):
        os.kill(os.getpid(), signal.SIGINT)
        assert arrived == [str(tmp_path / "cut.wav")]
        assert time.monotonic() - begun >= 0.1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who writes")
def test_a_recording_that_is_open_for_writing_is_not_whole(tmp_path: Path) -> None:
    arrived: list[str] = []
    with (tmp_path / "slow.wav").open("wb") as file:
        file.write(b"half")
        file.flush()
        (tmp_path / "b.wav").write_bytes(b"whole")
        for some in arriving([str(tmp_path)], set(), readable):
            arrived += some
            file.close()
            if len(arrived) == 2:
                os.kill(os.getpid(), signal.SIGINT)
    assert arrived == [str(tmp_path / "b.wav"), str(tmp_path / "slow.wav")]


def test_what_was_written_just_now_is_left_to_the_watching(tmp_path: Path) -> None:
    old, new = tmp_path / "old.wav", tmp_path / "new.wav"
    for path in (old, new):
        path.write_bytes(b"sound")
    os.utime(old, (0, time.time() - 3600))
    assert NamedRecordings([str(tmp_path)]).sources(waits=True) == [str(old)]
    assert NamedRecordings([str(tmp_path)]).sources() == [str(new), str(old)]
    assert NamedRecordings([str(new)]).sources(waits=True) == [str(new)]  # named: nobody watches it
