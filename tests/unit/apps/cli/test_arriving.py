"""A watched folder is followed until Ctrl-C, which ends nothing half way."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from earnest.apps.cli import _recordings
from earnest.apps.cli._recordings import arriving


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
    for arrived in arriving([str(tmp_path)], set()):
        os.kill(os.getpid(), signal.SIGINT)
        worked += arrived
    assert worked == [str(tmp_path / "a.wav")]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupted_again_it_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    with pytest.raises(KeyboardInterrupt):
        for _ in arriving([str(tmp_path)], set()):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)


def test_a_copy_that_paused_is_heard_again_when_it_goes_on(tmp_path: Path) -> None:
    old, new = tmp_path / "old.wav", tmp_path / "new.wav"
    for path in (old, new):
        path.write_bytes(b"half")
    sizes = []
    for arrived in arriving([str(tmp_path)], {str(old)}):
        sizes += [(Path(path).name, Path(path).stat().st_size) for path in arrived]
        if len(sizes) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        for path in (old, new):
            os.utime(path)  # touched, and no other sound
        (old if len(sizes) == 2 else new).write_bytes(b"the whole")
    assert sizes == [("new.wav", 4), ("new.wav", 9), ("old.wav", 9)]
