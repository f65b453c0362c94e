"""What becomes of shards whose workers die or fail, and patience with other machines."""

from multiprocessing import Pipe

import pytest

from earnest.apps.batch import places
from earnest.apps.batch import run as batch_run
from earnest.apps.batch.run import MOST_DEATHS, MOST_FAILURES, Processes, Waiting
from earnest.apps.batch.shard import ShardReport


def test_a_shard_over_which_a_worker_died_is_next_and_isolated() -> None:
    waiting = Waiting([4, 5, 6])
    assert waiting.take() == (4, False)
    assert waiting.died(4, "SIGKILL") is None
    assert waiting.take() == (4, True)
    assert waiting.take() == (5, False)


def test_a_shard_that_ends_every_worker_is_given_up_and_the_others_go_on() -> None:
    waiting = Waiting([1, 2])
    for _ in range(MOST_DEATHS):
        number, _ = waiting.take()
        report = waiting.died(number, "SIGSEGV")
    assert report is not None
    assert "3 worker processes died on it (SIGSEGV)" in str(report.error)
    assert waiting.take() == (2, False)


def test_failures_one_after_the_other_end_a_run() -> None:
    waiting = Waiting(list(range(10)))
    for number in range(MOST_FAILURES - 1):
        waiting.told(ShardReport(number, error="full"))
    waiting.told(ShardReport(8, 1))
    assert waiting
    for number in range(MOST_FAILURES):
        waiting.told(ShardReport(number, error="full"))
    assert not waiting


def test_links_to_workers_may_have_the_class_that_windows_gives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Worker:
        def __init__(self, _work: object) -> None:
            self.link, self._theirs = Pipe()

        def give(self, waiting: Waiting) -> None:
            self._theirs.send(ShardReport(waiting.take()[0], 1))

        def end(self, kill: bool = False) -> str:
            return "exit code 0"

    monkeypatch.setattr(batch_run, "_Process", Worker)
    monkeypatch.setattr(batch_run, "Connection", int)
    assert [report.number for report in Processes(2).reports(None, [3, 4, 5])] == [3, 4, 5]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "n_tries"), [(OSError, 3), (TimeoutError, 3), (FileNotFoundError, 1), (PermissionError, 1)]
)
def test_only_what_may_change_is_tried_again(
    error: type[OSError], n_tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, waits = [], []
    monkeypatch.setattr(places.time, "sleep", waits.append)
    monkeypatch.setattr(places, "TRIES", 3)

    def act() -> None:
        tries.append(1)
        raise error("busy")

    with pytest.raises(error):
        places.patiently(act, "it")
    assert len(tries) == n_tries
    assert len(waits) == n_tries - 1
