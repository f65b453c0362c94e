"""Who says what when, as programs of transcription and diarisation write it beside a recording.

Subtitles (SubRip's .srt, WebVTT's .vtt), transcripts in JSON (.json, of the programs in `_LAYOUTS`), and NIST's RTTM
(.rttm).
"""

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from html import unescape
from itertools import dropwhile, pairwise, takewhile
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

from earnest.audio.source import file_and_channel
from earnest.corpora.folders import RecordingFinder, ending_of
from earnest.errors import EarnestError, named, printable, shown
from earnest.files.reading import parsed_json, read_text
from earnest.files.tables import lines_of

MOST_BYTES = 1 << 26
MOST_S = 1e9
_CLOCK = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2}(?:[.,]\d{1,6})?)"  # 01:02:03,456 or 02:03.456
_CUE = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_ARROW = re.compile(r"\s*[\d:.,]+\s*-->")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s([^<>]+)>", re.IGNORECASE)  # WebVTT's: <v Anna>
_MARKUP = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")  # <i>, <00:01.500>, and {\an8} of SubRip's
_NAMED = re.compile(r"\s*\[([^][]{1,80})\]:\s+(.*)", re.DOTALL)  # WhisperX' subtitles: [SPEAKER_00]: …
_log = logging.getLogger("earnest")


@dataclass(frozen=True, slots=True)
class SpeakerTurn:
    """A stretch of one speaker; turns of several speakers may overlap.

    Attributes
    ----------
    speaker : "" where the file names nobody
    text : what is said, in one line; "" where the file doesn't tell
    """

    start_s: float
    end_s: float
    speaker: str = ""
    text: str = ""


def are_turns(path: str) -> bool:
    """Whether a file is one of speaker turns, by the ending of its name."""
    return ending_of(path) in _READERS


def read_turns(path: str | PathLike[str], recording: str = "") -> list[SpeakerTurn]:
    """Return who says what when in a recording, in order of time, as a file beside it tells.

    It is one of subtitles (.srt, .vtt), the .json of Whisper, WhisperX, whisper.cpp, AssemblyAI, Deepgram or Amazon
    Transcribe, or RTTM (.rttm).

    Raises `EarnestError` when the file can't be read, tells no turn, or is about several recordings but not this.

    Parameters
    ----------
    recording : path of whose turns are read, where the file is about several; one alone may be called anything there
    """
    found = turns_by_recording(Path(path))
    if len(found) == 1:
        return next(iter(found.values()))
    name = name_in_rttm(file_and_channel(recording)[0])
    if name in found:
        return found[name]
    told = f"is about {len(found)} recordings, such as '{printable(min(found))}', none called '{printable(name)}'"
    raise EarnestError(f"{Path(path)}: {told}.")


def turns_by_recording(path: Path) -> dict[str, list[SpeakerTurn]]:
    """Read a file of speaker turns: the recording's name in it, "" where it tells none → turns in order of time.

    Turns that end where they start, or before, are left out, which is reported.

    Raises `EarnestError` when the file can't be read, or tells no turn.
    """
    what = "file of speaker turns"
    if not are_turns(str(path)):
        raise EarnestError(f"{path}: no {what}; these end in {', '.join(_READERS)}.")
    found, n_empty = defaultdict[str, list[SpeakerTurn]](list), 0
    for name, turn in _READERS[ending_of(path.name)](read_text(path, most=MOST_BYTES, what=what), str(path)):
        lasts = turn.end_s > turn.start_s
        found[name] += [turn] if lasts else []
        n_empty += not lasts
    if not any(found.values()):
        raise EarnestError(f"{path}: tells no turn of a speaker that lasts. Is it a {what}?")
    if n_empty:
        told = "turn that ends where it starts" if n_empty == 1 else "turns that end where they start"
        _log.warning("%s: %d %s left out.", printable(str(path)), n_empty, told)
    return {name: sorted(turns, key=lambda turn: turn.start_s) for name, turns in found.items() if turns}


def recording_of(path: Path, name: str, finder: RecordingFinder, is_one: bool) -> Path:
    """Return the recording that turns are about: it lies beside their file.

    Talk.mp3 has its subtitles in talk.srt, talk.mp3.srt or, of a language, talk.en.srt. Of talk.mp3 and talk.wav the
    first one is taken for talk.srt, which is reported.

    Raises `EarnestError` where none is called so.

    Parameters
    ----------
    name : of the recording, in the file; "" where it tells none
    is_one : whether the file is about no other; then it may be called as the file is
    """
    stem = path.stem
    candidates = [name, name.replace("_", " ")] * bool(name) + [stem, PurePath(stem).stem] * is_one
    for one in candidates:
        if found := finder.called(path.parent, one):
            if found[1:]:
                names = named([printable(recording.name) for recording in found])
                other = printable(f"{found[1].name}{path.suffix}")
                told = f"{names} lie beside it, and it is read as that of {printable(found[0].name)}"
                _log.warning("%s: %s. Call it %s for the other one.", printable(str(path)), told, other)
            return found[0]
    told = f"there is no recording called {printable(name if name and not is_one else stem)} beside it"
    raise EarnestError(f"{path}: {told} (.wav, .mp3 …). Put it into that folder, or rename one of them.")


def name_in_rttm(path: str) -> str:
    """Return what RTTM calls a recording: its file's name without the ending, in one word."""
    return "_".join(PurePath(path).stem.split()) or "recording"


_Found = Iterator[tuple[str, SpeakerTurn]]


def _cues(text: str, where: str) -> _Found:
    """Yield the cues of subtitles; numbers, names, notes and styles of WebVTT stand outside them."""
    lines = lines_of(text)
    starts = [place for place, line in enumerate(lines) if _is_cue(line, f"{where}, line {place + 1}")]
    for start, end in pairwise([*starts, len(lines)]):
        times = _CUE.fullmatch(lines[start])
        assert times is not None
        said = " ".join(_said(lines[start + 1 : end]))
        voice = _VOICE.search(said)
        said = unescape(_MARKUP.sub("", said))
        named = _NAMED.fullmatch(said)
        speaker = unescape(voice[1]) if voice else named[1] if named else ""
        start_s, end_s = (_seconds(times.groups()[first : first + 3]) for first in (0, 3))
        yield "", SpeakerTurn(start_s, end_s, _line(speaker), _line(named[2] if named else said))


def _is_cue(line: str, where: str) -> bool:
    if _CUE.fullmatch(line):
        return True
    if _ARROW.match(line):
        raise EarnestError(f"{where}: {shown(line.strip())} are no times; expected 00:01:02,345 --> 00:01:04,000.")
    return False


def _said(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a cue's text: it ends at an empty line, and may begin with one of spaces."""
    own = takewhile(lambda line: line != "", lines)
    return takewhile(str.strip, dropwhile(lambda line: not line.strip(), own))


def _seconds(clock: Sequence[str | None]) -> float:
    hours, minutes, seconds = (float((text or "0").replace(",", ".")) for text in clock)
    return round(3600 * hours + 60 * minutes + seconds, 6)


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


@dataclass(frozen=True)
class _Layout:
    """Where a program's JSON holds the turns, and how it calls what they tell; a tuple is a way through objects.

    Attributes
    ----------
    per_s : units of its times in a second
    named : how a speaker is called here, whom it gives a number or a letter
    """

    turns: tuple[str, ...]
    start: tuple[str, ...] = ("start",)
    end: tuple[str, ...] = ("end",)
    per_s: int = 1
    speaker: str = "speaker"
    text: str = "text"
    named: str = "{}"


_AMAZONS = _Layout(("results", "audio_segments"), ("start_time",), ("end_time",), 1, "speaker_label", "transcript")
_LAYOUTS = (
    _Layout(("segments",)),  # Whisper, faster-whisper, WhisperX, OpenAI's verbose_json
    _Layout(("transcription",), ("offsets", "from"), ("offsets", "to"), per_s=1000),  # whisper.cpp
    _Layout(("utterances",), per_s=1000, named="speaker {}"),  # AssemblyAI
    _Layout(("results", "utterances"), text="transcript", named="speaker {}"),  # Deepgram
    _AMAZONS,
    replace(_AMAZONS, turns=("results", "speaker_labels", "segments")),  # of the times before it told what is said
)


def _transcript(text: str, where: str) -> _Found:
    """Yield the turns of a transcript in JSON."""
    values = parsed_json(text, where)
    layout = next((one for one in _LAYOUTS if isinstance(_at(values, one.turns), list)), None)
    if layout is None:
        known = "Whisper, WhisperX, whisper.cpp, AssemblyAI, Deepgram or Amazon Transcribe"
        raise EarnestError(f"{where}: no turns in it as {known} write them ('segments', 'utterances' …).")
    for number, turn in enumerate(_at(values, layout.turns), 1):
        place = f"{where}: turn {number}"
        if not isinstance(turn, dict):
            raise EarnestError(f"{place} is {shown(turn)}, expected start, end and text.")
        start_s, end_s = (_time(turn, way, place) / layout.per_s for way in (layout.start, layout.end))
        name, said = turn.get(layout.speaker), turn.get(layout.text)
        speaker = "" if name in (None, "") else layout.named.format(name)
        yield "", SpeakerTurn(start_s, end_s, _line(speaker), _line(str(said or "")))


def _at(values: Any, way: Sequence[str]) -> Any:
    for name in way:
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _time(turn: Mapping[str, Any], way: Sequence[str], where: str) -> float:
    value = _at(turn, way)
    with suppress(ValueError, OverflowError):  # no number, or a whole one of more than 308 digits
        if isinstance(value, str | int | float) and not isinstance(value, bool) and 0 <= float(value) <= MOST_S:
            return float(value)
    raise EarnestError(f"{where}: {'.'.join(way)} is {shown(value)}, expected a time, at least 0.")


def _rttm(text: str, where: str) -> _Found:
    """Yield the lines SPEAKER of NIST's Rich Transcription Time Marked."""
    is_one = False
    for number, line in enumerate(lines_of(text), 1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        is_one = True
        try:
            start_s, lasting_s, speaker = float(fields[3]), float(fields[4]), printable(fields[7])
        except (ValueError, IndexError):
            speaker = ""
        if speaker in ("", "<NA>"):  # a space in the file's name moves all fields
            expected = "SPEAKER file 1 start duration <NA> <NA> speaker …, without spaces in the names"
            raise EarnestError(f"{where}, line {number}: expected {expected}.")
        if not (0 <= start_s <= MOST_S and 0 <= lasting_s <= MOST_S):
            raise EarnestError(f"{where}, line {number}: start and duration must be seconds, at least 0.")
        yield fields[1], SpeakerTurn(start_s, round(start_s + lasting_s, 6), speaker)
    if not is_one:
        raise EarnestError(f"{where}: no line begins with SPEAKER. Is it an RTTM file?")


_READERS: Mapping[str, Callable[[str, str], _Found]] = {
    ".srt": _cues,
    ".vtt": _cues,
    ".json": _transcript,
    ".rttm": _rttm,
}
ENDINGS = tuple(_READERS)
