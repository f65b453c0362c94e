"""Who speaks when, from a diarisation file (NIST's RTTM): whose a span of a timeline is."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from earnest.errors import EarnestError, printable
from earnest.files.reading import read_text
from earnest.runtime.events import Span

MOST_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class SpeakerTurn:
    """A stretch of one speaker; turns of several speakers may overlap."""

    start_s: float
    end_s: float
    speaker: str


def read_rttm(path: Path) -> list[SpeakerTurn]:
    """Read the lines SPEAKER of an RTTM file, in order of time.

    Raises
    ------
    EarnestError
        When a line has too few fields or impossible times, or no line names a speaker.
    """
    turns = []
    for number, line in enumerate(read_text(path, most=MOST_BYTES, what="RTTM file").splitlines(), 1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            start_s, lasting_s, speaker = float(fields[3]), float(fields[4]), printable(fields[7])
        except (ValueError, IndexError):
            raise EarnestError(
                f"{path}, line {number}: expected SPEAKER file 1 start duration <NA> <NA> speaker …"
            ) from None
        if not (0 <= start_s < math.inf and 0 <= lasting_s < math.inf):
            raise EarnestError(f"{path}, line {number}: start and duration must be seconds, at least 0.")
        turns.append(SpeakerTurn(start_s, start_s + lasting_s, speaker))
    if not turns:
        raise EarnestError(f"{path}: no line begins with SPEAKER. Is it an RTTM file?")
    return sorted(turns, key=lambda turn: turn.start_s)


def speakers_of(spans: Sequence[Span], turns: Sequence[SpeakerTurn]) -> list[str]:
    """Return for each span who speaks longest in it, "" where nobody does."""
    return [_speaker_of(span, turns) for span in spans]


def _speaker_of(span: Span, turns: Sequence[SpeakerTurn]) -> str:
    seconds = defaultdict[str, float](float)
    for turn in turns:
        if turn.start_s >= span.end_s:
            break  # in order of time
        seconds[turn.speaker] += max(min(turn.end_s, span.end_s) - max(turn.start_s, span.start_s), 0.0)
    speaker, most = max(seconds.items(), key=lambda item: item[1], default=("", 0.0))
    return speaker if most > 0 else ""
