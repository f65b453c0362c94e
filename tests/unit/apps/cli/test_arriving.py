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
