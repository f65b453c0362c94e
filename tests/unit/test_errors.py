"""Errors reach the command line from worker processes too, and suggest only what is near."""

import pickle

import pytest

import earnest
from earnest.errors import EarnestError, MissingExtraError, counted, in_percent, suggestion


@pytest.mark.parametrize("name", [name for name in earnest.__all__ if name.endswith("Error")])
def test_an_error_is_the_same_behind_a_process_boundary(name: str) -> None:
    kind = getattr(earnest, name)
    error: EarnestError = kind("Drawing", "report") if kind is MissingExtraError else kind("a.wav: it is empty.")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, str(error))


@pytest.mark.parametrize(
    ("wrong", "right", "near"),
    [
        ("happiness", ("angry", "happy", "sad"), "happy"),
        ("sadness", ("angry", "happy", "sad"), "sad"),
        ("pred", ("path", "predicted", "truth"), "predicted"),
        ("version", ("predict", "train", "tune"), None),
        ("emotion", ("predict", "train", "tune"), None),
        ("filename", ("path", "predicted", "valence"), None),
        ("output", ("corpus", "emotion", "predicted"), None),
    ],
)
def test_a_name_is_suggested_where_it_is_near_and_else_all_are_listed(
    wrong: str, right: tuple[str, ...], near: str | None
) -> None:
    expected = f" Did you mean '{near}'?" if near else f" Choose one of: {', '.join(right)}."
    assert suggestion(wrong, right) == expected


def test_a_count_of_one_has_no_plural() -> None:
    told = [counted(1, "recording"), counted(0, "recording"), counted(1, "process"), counted(2, "process")]
    assert told == ["1 recording", "0 recordings", "1 process", "2 processes"]


def test_a_share_is_written_as_0_only_where_it_is_0() -> None:
    assert [in_percent(share) for share in (0.0, 1e-9, 0.005, 0.0051, 0.734, 1.0)] == [
        "0",
        "< 1",
        "< 1",
        "1",
        "73",
        "100",
    ]
    assert [in_percent(share, 1) for share in (0.0, 0.0004, 0.0006, 0.7345)] == ["0.0", "< 0.1", "0.1", "73.5"]
