"""Errors reach the command line from worker processes too."""

import pickle

import pytest

import earnest
from earnest.errors import EarnestError, MissingExtraError


@pytest.mark.parametrize("name", [name for name in earnest.__all__ if name.endswith("Error")])
def test_an_error_is_the_same_behind_a_process_boundary(name: str) -> None:
    kind = getattr(earnest, name)
    error: EarnestError = kind("Drawing", "report") if kind is MissingExtraError else kind("a.wav: it is empty.")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, str(error))
