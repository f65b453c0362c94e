"""RTTM files say who speaks when; each span belongs to who speaks longest in it."""

from pathlib import Path
from typing import Any

import pytest

from earnest.errors import EarnestError
from earnest.runtime.prediction import Span
from earnest.runtime.timeline import SpeakerTurn, read_rttm, speakers_of

TEXT = """;; a comment
SPEAKER talk 1 4.0 2.0 <NA> <NA> ben <NA> <NA>
SPEAKER talk 1 0.5 3.5 <NA> <NA> anna <NA> <NA>
LEXEME talk 1 0.5 0.2 hello
"""


def test_turns_are_read_in_order_and_give_spans_their_speakers(tmp_path: Path) -> None:
    (tmp_path / "a.rttm").write_text(TEXT)
    turns = read_rttm(tmp_path / "a.rttm")
    assert turns == [SpeakerTurn(0.5, 4.0, "anna"), SpeakerTurn(4.0, 6.0, "ben")]
    spans = [Span(start_s, end_s, "sad", 0.5) for start_s, end_s in ((0, 3), (3.5, 5.5), (7, 8), (0, 0.4))]
    assert speakers_of(spans, turns) == ["anna", "ben", "", ""]


def test_of_a_file_about_several_recordings_the_turns_of_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.rttm").write_text(f"{TEXT}SPEAKER my_call 1 0.0 9.0 <NA> <NA> eve <NA> <NA>\n")
    assert read_rttm(tmp_path / "a.rttm", "calls/my call.wav#2") == [SpeakerTurn(0.0, 9.0, "eve")]
    assert [turn.speaker for turn in read_rttm(tmp_path / "a.rttm", "talk.flac")] == ["anna", "ben"]
    with pytest.raises(EarnestError, match="about 2 recordings, such as 'my_call', none called 'other'"):
        read_rttm(tmp_path / "a.rttm", "other.wav")


def test_each_span_looks_at_the_turns_around_it_alone_however_long_the_recording() -> None:
    looked_at: list[float] = []

    class Turn:
        def __init__(self, start_s: float) -> None:
            self.start_s, self.end_s = start_s, start_s + 1.5

        @property
        def speaker(self) -> str:
            looked_at.append(self.start_s)
            return "anna" if self.start_s % 2 else "ben"

    turns: list[Any] = [Turn(start_s) for start_s in range(1000)]
    spans = [Span(start_s + 0.75, start_s + 1, "sad", 0.5) for start_s in range(1000)]
    spans += [Span(0, 1, "sad", 0.5), Span(2000, 2001, "sad", 0.5)]
    assert speakers_of(spans, turns) == ["ben", "anna"] * 500 + ["ben", ""]
    assert len(looked_at) <= 2 * len(spans)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no line begins with SPEAKER"),
        ("SPEAKER talk 1 0.5", "line 1: expected SPEAKER"),
        ("SPEAKER my talk 1 4.0 2.0 <NA> <NA> ben <NA> <NA>", "line 1: expected SPEAKER .* without spaces"),
        ("SPEAKER talk 1 -1 2 <NA> <NA> anna", "line 1: start and duration"),
        ("SPEAKER talk 1 nan 2 <NA> <NA> anna", "line 1: start and duration"),
        ("SPEAKER talk 1 1 inf <NA> <NA> anna", "line 1: start and duration"),
    ],
)
def test_what_is_no_rttm_is_an_error_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.rttm").write_text(text)
    with pytest.raises(EarnestError, match=message):
        read_rttm(tmp_path / "a.rttm")
