"""One client has a share of the server: of memory for bodies, of places, of connections; the others have theirs."""

import pytest

from earnest.apps.server.body import BodyBudget
from earnest.apps.server.problems import ProblemError
from earnest.apps.server.settings import Limits


def test_one_client_holds_half_of_the_memory_for_bodies_at_most() -> None:
    budget = BodyBudget(Limits(held_bytes=100, body_bytes=40))
    with budget.share("anna") as first, budget.share("anna") as second, budget.share("ben") as other:
        first.take(40)
        second.take(10)
        with pytest.raises(ProblemError, match="of one client") as refused:
            second.take(1)
        assert refused.value.kind == "too-many"
        other.take(40)
        with budget.share("cleo") as last, pytest.raises(ProblemError, match="Other requests") as refused:
            last.take(11)
        assert refused.value.kind == "overloaded"
    assert (budget.n_left, budget.by_client) == (100, {})


def test_one_client_may_send_one_whole_body_whatever_the_memory_is() -> None:
    with BodyBudget(Limits(held_bytes=100, body_bytes=100)).share("anna") as share:
        share.take(100)
