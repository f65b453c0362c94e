"""Who says what when, as programs of transcription and diarisation write it beside a recording.

Subtitles (SubRip's .srt, WebVTT's .vtt), transcripts in JSON (.json, of the programs in `earnest.corpora.transcripts`),
Whisper's table (.tsv), NIST's RTTM (.rttm), and the tiers of Praat (.TextGrid) and ELAN (.eaf).
"""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from html import unescape
from itertools import dropwhile, pairwise, takewhile
from os import PathLike
from pathlib import Path, PurePath

from earnest.audio.source import file_and_channel
from earnest.corpora.folders import RecordingFinder, ending_of
from earnest.corpora.tiers import annotation_in
from earnest.corpora.transcripts import MOST_S, SpeakerTurn, one_line, seconds_in, turns_in_json
from earnest.errors import EarnestError, counted, named, printable, shown
from earnest.files.reading import opened, read_text
from earnest.files.tables import lines_of

MOST_BYTES = 1 << 26
_CLOCK = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2}(?:[.,]\d{1,6})?)"  # 01:02:03,456 or 02:03.456
_CUE = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_ARROW = re.compile(r"\s*[\d:.,]+\s*-->")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s([^<>]+)>", re.IGNORECASE)  # WebVTT's: <v Anna>
_MARKUP = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")  # <i>, <00:01.500>, and {\an8} of SubRip's
_NAMED = re.compile(r"\s*\[([^][]{1,80})\]:\s+(.*)", re.DOTALL)  # WhisperX' subtitles: [SPEAKER_00]: …
# "Anna Lee: what she says": a letter, and up to 39 more signs without a stop inside a sentence.
_SAYS = re.compile(r"([^\W\d_][^:：,;!?]{0,39})(?::\s+|：\s*)(\S.*)", re.DOTALL)
_WHISPERS = "start\tend\ttext"  # the first line of its table; other tables are lists of recordings
_log = logging.getLogger("earnest")


def are_turns(path: str) -> bool:
    """Whether a file is one of speaker turns, by the ending of its name, and a table (.tsv) by its first line."""
    ending = ending_of(path)
    return ending in _READERS and (ending != ".tsv" or _is_whispers(Path(path)))


def _is_whispers(path: Path) -> bool:
    with suppress(EarnestError, OSError), opened(path) as file:
        return file.read(len(_WHISPERS) + 2).decode("utf-8", "replace").splitlines()[:1] == [_WHISPERS]
    return False


def read_turns(path: str | PathLike[str], recording: str = "") -> list[SpeakerTurn]:
    """Return who says what when in a recording, in order of time, as a file beside it tells.

    It is one of subtitles (.srt, .vtt), the .json of Whisper and other programs, Whisper's .tsv, RTTM (.rttm), or an
    annotation of Praat's (.TextGrid) or ELAN's (.eaf).

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
        raise EarnestError(f"{path}: no {what}; these end in {', '.join(ENDINGS)} (of Whisper).")
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
    turns = []
    for start, end in pairwise([*starts, len(lines)]):
        times = _CUE.fullmatch(lines[start])
        assert times is not None
        said = " ".join(_said(lines[start + 1 : end]))
        voice = _VOICE.search(said)
        said = unescape(_MARKUP.sub("", said))
        named = _NAMED.fullmatch(said)
        speaker = unescape(voice[1]) if voice else named[1] if named else ""
        start_s, end_s = (_seconds(times.groups()[first : first + 3]) for first in (0, 3))
        turns.append(SpeakerTurn(start_s, end_s, one_line(speaker), one_line(named[2] if named else said)))
    yield from (("", turn) for turn in _with_names(turns))


def _with_names(turns: Sequence[SpeakerTurn]) -> Iterator[SpeakerTurn]:
    """Take the names out of cues such as "Anna: hello", where they surely are names.

    That is where no cue names a speaker otherwise, and more than half of those with a text begin with a name that
    begins several.
    """
    found = [_SAYS.fullmatch(turn.text) for turn in turns]
    counts = Counter(one[1].strip() for one in found if one)
    sure = [one if one and counts[one[1].strip()] > 1 else None for one in found]
    if any(turn.speaker for turn in turns) or 2 * sum(map(bool, sure)) <= sum(bool(turn.text) for turn in turns):
        yield from turns
        return
    for turn, one in zip(turns, sure, strict=True):
        yield replace(turn, speaker=one[1].strip(), text=one[2]) if one else turn


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


def _transcript(text: str, where: str) -> _Found:
    yield from (("", turn) for turn in turns_in_json(text, where))


def _table(text: str, where: str) -> _Found:
    """Yield the rows of Whisper's table: start and end in milliseconds, and the text."""
    lines = lines_of(text)
    if lines[:1] != [_WHISPERS]:
        raise EarnestError(f"{where}: no table of Whisper's. Its first line is start, end, text with tabs between.")
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = line.split("\t", 2)
        if len(cells) < 2:
            raise EarnestError(f"{where}, line {number}: expected start, end and text with tabs between.")
        times = zip(cells, ("start", "end"), strict=False)
        start_s, end_s = (seconds_in(cell, name, f"{where}, line {number}", per_s=1000) for cell, name in times)
        yield "", SpeakerTurn(start_s, end_s, "", one_line("".join(cells[2:])))


def _tiers(text: str, where: str) -> _Found:
    """Yield the intervals with a text of Praat's or ELAN's tiers; a tier is a speaker.

    A tier that depends on another one in ELAN has no turns, as a translation or a gloss has none. Nor has an interval
    that a tier above has, too: Praat knows no dependent tiers.
    """
    annotation = annotation_in(text, Path(where))
    name = PurePath(annotation.media[0]).name if annotation.media else ""
    tiers = [tier for tier in annotation.tiers if tier.is_used and not tier.depends]
    if not tiers:
        raise EarnestError(f"{where}: no tier of intervals with a text that depends on no other tier.")
    seen, n_left_out = set[tuple[float, float]](), 0
    for tier in tiers:
        spans = set[tuple[float, float]]()
        for entry in (entry for entry in tier.entries if entry.text):
            if not (0 <= entry.start_s <= MOST_S and 0 <= entry.end_s <= MOST_S):
                place = f"{where}: tier {shown(tier.name)}"
                raise EarnestError(f"{place}: {entry.start_s:g} to {entry.end_s:g} are no times, at least 0.")
            span = entry.start_s, entry.end_s
            spans.add(span)
            n_left_out += span in seen
            if span not in seen:
                yield name, SpeakerTurn(*span, one_line(tier.speaker or tier.name), one_line(entry.text))
        seen |= spans
    if n_left_out:
        told = counted(n_left_out, "interval")
        _log.warning("%s: %s that a tier above has, too, left out.", printable(where), told)


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
    ".textgrid": _tiers,
    ".eaf": _tiers,
    ".tsv": _table,
}
ENDINGS = (".srt", ".vtt", ".json", ".rttm", ".TextGrid", ".eaf", ".tsv")  # as programs write them
