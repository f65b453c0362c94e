"""A ticket stands for a key, once and for a while."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from patience import PATIENCE_S

from earnest.apps.server import service as tickets
from earnest.apps.server.formats import ProblemError
from earnest.apps.server.service import Tickets, digest_of_key

KEYS = [digest_of_key(word) for word in ("one", "two", "three")]


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1.8e9

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tickets, "time", clock)
    return clock


def is_taken(office: Tickets, ticket: str) -> bool:
    try:
        office.take(ticket)
    except ProblemError as refused:
        assert refused.status == 401
        return False
    return True


def test_a_ticket_is_for_its_key_and_the_order_of_keys_doesn_t_matter(tmp_path: Path) -> None:
    one, other = Tickets(KEYS, 30.0), Tickets(KEYS[::-1], 30.0, tmp_path / "tickets")
    for key in KEYS:
        assert one.take(other.give(key)) == key
        assert other.take(one.give(key)) == key


def test_a_ticket_that_was_taken_stays_so_when_keys_are_read_again() -> None:
    office = Tickets(KEYS, 30.0)
    used, kept = (office.give(KEYS[0]) for _ in range(2))
    assert is_taken(office, used)
    office.sign_with(KEYS[::-1])
    assert not is_taken(office, used)
    assert is_taken(office, kept)
    office.sign_with(KEYS[1:])
    assert not is_taken(office, kept)


def test_a_ticket_is_taken_once_by_workers_that_share_a_folder(tmp_path: Path) -> None:
    workers = [Tickets(KEYS, 30.0, tmp_path / "tickets") for _ in range(8)]
    for _ in range(20):
        ticket = workers[0].give(KEYS[0])
        together = threading.Barrier(8)

        def take(worker: Tickets, ticket: str = ticket, together: threading.Barrier = together) -> bool:
            together.wait(PATIENCE_S)
            return is_taken(worker, ticket)

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take, workers)) == 1


def test_a_ticket_is_good_for_a_while_and_then_forgotten(clock: Clock, tmp_path: Path) -> None:
    office = Tickets(KEYS, 30.0, tmp_path / "tickets")
    early, late = office.give(KEYS[0]), office.give(KEYS[0])
    clock.now += 29.9
    assert is_taken(office, early)
    clock.now += 0.2
    assert not is_taken(office, late)
    assert len(list((tmp_path / "tickets").iterdir())) == 1
    clock.now += 60
    assert not is_taken(office, early)
    assert is_taken(office, office.give(KEYS[0]))
    assert len(list((tmp_path / "tickets").iterdir())) == 1  # the first is forgotten
    clock.now -= 3600  # a clock that is set back makes nothing valid again
    assert not is_taken(office, early)


def test_a_replica_whose_clock_is_behind_takes_a_ticket_at_once(clock: Clock) -> None:
    ticket = Tickets(KEYS, 30.0).give(KEYS[0])
    clock.now -= 1.0
    assert is_taken(Tickets(KEYS, 30.0), ticket)


@pytest.mark.parametrize("ticket", ["", "a", "ü", "A" * 57, "A" * 56, "A" * 5000, "\0", "====", "+/+/"])
def test_what_is_no_ticket_is_refused(ticket: str) -> None:
    assert not is_taken(Tickets(KEYS, 30.0), ticket)


def test_a_changed_ticket_and_one_of_other_keys_are_refused() -> None:
    office = Tickets(KEYS, 30.0)
    ticket = office.give(KEYS[1])
    for place in range(len(ticket) - 1):  # the last letter holds bits that say nothing
        letter = "A" if ticket[place] != "A" else "B"
        assert not is_taken(office, ticket[:place] + letter + ticket[place + 1 :])
    assert not is_taken(Tickets(KEYS[:2], 30.0), ticket)
    assert not is_taken(Tickets(KEYS, 10.0), office.give(KEYS[1]))  # it may not last longer than a ticket does here
    assert is_taken(office, ticket)
