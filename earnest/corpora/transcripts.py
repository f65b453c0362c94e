"""Transcripts in JSON: who says what when, as programs and services of speech recognition write it.

Some tell turns (`_LAYOUTS`), some words alone (`_WORDS`). Words are joined to a turn while the same speaker speaks and
no pause is longer than `PAUSE_S`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from earnest.errors import EarnestError, printable, shown
from earnest.files.reading import parsed_json

MOST_S = 1e9
PAUSE_S = 0.8  # between words of one turn: where Deepgram and IBM split by default
_SPACE, _SOUND = "spacing", "audio_event"  # ElevenLabs' types of what is not said
_UNKNOWN = "UU"  # Speechmatics' speaker where it tells none
Way = tuple[str | int, ...]


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


def one_line(text: str) -> str:
    """Return a text as one line that can be shown."""
    return printable(" ".join(text.split()))


@dataclass(frozen=True)
class _Layout:
    """Where a program's JSON holds the turns, and how it calls what they tell; a tuple is a way through objects.

    Attributes
    ----------
    lasting : its duration, where a turn tells that instead of its ``end``
    per_s : units of its times in a second
    named : how a speaker is called here, whom it gives a number or a letter
    """

    turns: Way
    start: Way = ("start",)
    end: Way = ("end",)
    lasting: Way = ()
    per_s: int = 1
    speaker: Way = ("speaker",)
    text: Way = ("text",)
    named: str = "{}"


_NUMBERED = "speaker {}"
_AMAZONS = _Layout(
    ("results", "audio_segments"), ("start_time",), ("end_time",), speaker=("speaker_label",), text=("transcript",)
)
_LAYOUTS = (
    _Layout(("segments",)),  # Whisper, faster-whisper, WhisperX, OpenAI's verbose_json
    _Layout(("transcription",), ("offsets", "from"), ("offsets", "to"), per_s=1000),  # whisper.cpp
    _Layout(("utterances",), per_s=1000, named=_NUMBERED),  # AssemblyAI
    _Layout(("results", "utterances"), text=("transcript",), named=_NUMBERED),  # Deepgram
    _AMAZONS,
    replace(_AMAZONS, turns=("results", "speaker_labels", "segments")),  # of the times before it told what is said
    _Layout(  # Azure's batch transcription, in ticks of 100 ns
        ("recognizedPhrases",),
        ("offsetInTicks",),
        lasting=("durationInTicks",),
        per_s=10_000_000,
        text=("nBest", 0, "display"),
        named=_NUMBERED,
    ),
    _Layout(  # Azure's fast transcription
        ("phrases",), ("offsetMilliseconds",), lasting=("durationMilliseconds",), per_s=1000, named=_NUMBERED
    ),
)


@dataclass(frozen=True)
class _Words:
    """How a program's JSON calls what its words tell.

    Attributes
    ----------
    mark : a key that its words have, and those of no other program here
    """

    mark: str
    start: Way
    end: Way
    text: Way
    speaker: Way
    named: str = "{}"


_GOOGLES = (
    _Words("endTime", ("startTime",), ("endTime",), ("word",), ("speakerTag",), _NUMBERED),
    _Words("endOffset", ("startOffset",), ("endOffset",), ("word",), ("speakerLabel",), _NUMBERED),  # version 2
)
_SPEECHMATICS = _Words(
    "type", ("start_time",), ("end_time",), ("alternatives", 0, "content"), ("alternatives", 0, "speaker"), _NUMBERED
)
_ELEVENLABS = _Words("type", ("start",), ("end",), ("text",), ("speaker_id",))


def turns_in_json(text: str, where: str) -> Iterator[SpeakerTurn]:
    """Yield the turns of a transcript. Raises `EarnestError` when it is none that is known."""
    values = parsed_json(text, where)
    layout = next((one for one in _LAYOUTS if isinstance(_at(values, one.turns), list)), None)
    if layout is not None:
        yield from _turns(_at(values, layout.turns), layout, where)
        return
    for words, how in _words_in(values):
        if any(isinstance(word, dict) and how.mark in word and _at(word, how.text) is not None for word in words):
            yield from _joined(words, how, where)
            return
    known = (
        "Whisper, WhisperX, whisper.cpp, AssemblyAI, Deepgram, Amazon Transcribe, Azure, Google, Speechmatics or "
        "ElevenLabs"
    )
    raise EarnestError(f"{where}: no turns in it as {known} write them ('segments', 'utterances' …).")


def _turns(turns: Sequence[Any], layout: _Layout, where: str) -> Iterator[SpeakerTurn]:
    for number, turn in enumerate(turns, 1):
        place = f"{where}: turn {number}"
        if not isinstance(turn, dict):
            raise EarnestError(f"{place} is {shown(turn)}, expected start, end and text.")
        ways = layout.start, layout.lasting or layout.end
        start_s, end_s = (_seconds(turn, way, place, layout.per_s) for way in ways)
        end_s = round(start_s + end_s, 7) if layout.lasting else end_s
        name, said = _at(turn, layout.speaker), _at(turn, layout.text)
        yield SpeakerTurn(start_s, end_s, _speaker(name, layout.named), _said(said))


def _words_in(values: Any) -> Iterator[tuple[list[Any], _Words]]:
    """Yield the words that may be in a transcript, and how they are told there."""
    for way in (("results",), ("response", "results")):  # a response is in what Google's long operations return
        results = _list_at(values, way)
        words = [word for result in results for word in _list_at(result, ("alternatives", 0, "words"))]
        for how in _GOOGLES:
            # Where speakers were told apart, the last result repeats all words with their speakers.
            yield [word for word in words if _at(word, how.speaker)] or words, how
    yield _list_at(values, ("results",)), _SPEECHMATICS
    yield _list_at(values, ("words",)), _ELEVENLABS


def _joined(words: Sequence[Any], how: _Words, where: str) -> Iterator[SpeakerTurn]:
    """Yield the turns that words make; punctuation, spaces, and words without times are added to the word before."""
    turn: SpeakerTurn | None = None
    said: list[str] = []
    has_spaces = any(isinstance(word, dict) and word.get("type") == _SPACE for word in words)
    for number, word in enumerate(words, 1):
        place = f"{where}: word {number}"
        if not isinstance(word, dict):
            raise EarnestError(f"{place} is {shown(word)}, expected start, end and text.")
        if word.get("type") == _SOUND or _at(word, how.text) is None:
            continue
        is_sign = word.get("type") in ("punctuation", _SPACE)
        text = str(_at(word, how.text))
        if not is_sign and any(_at(word, way) is not None for way in (how.start, how.end)):
            speaker = _speaker(_at(word, how.speaker), how.named)
            start_s, end_s = (_seconds(word, way, place) for way in (how.start, how.end))
            if turn and (speaker != turn.speaker or start_s - turn.end_s > PAUSE_S):
                yield replace(turn, text=_said("".join(said)))
                turn, said = None, []
            turn = replace(turn, end_s=max(turn.end_s, end_s)) if turn else SpeakerTurn(start_s, end_s, speaker)
        said.append(text if is_sign or has_spaces else f" {text}")
    if turn:
        yield replace(turn, text=_said("".join(said)))


def _speaker(name: Any, named: str) -> str:
    return "" if name in (None, "", _UNKNOWN) else one_line(named.format(name))


def _said(text: Any) -> str:
    return one_line(str(text or ""))


def _at(values: Any, way: Way) -> Any:
    for step in way:
        if isinstance(step, int):
            values = values[step] if isinstance(values, list) and len(values) > step else None
        else:
            values = values.get(step) if isinstance(values, dict) else None
    return values


def _list_at(values: Any, way: Way) -> list[Any]:
    found = _at(values, way)
    return found if isinstance(found, list) else []


def _seconds(turn: Mapping[str, Any], way: Way, where: str, per_s: int = 1) -> float:
    return seconds_in(_at(turn, way), ".".join(map(str, way)), where, per_s)


def seconds_in(value: Any, name: str, where: str, per_s: int = 1) -> float:
    """Return a time in seconds; "1.5s" is Google's.

    Raises `EarnestError` when it is none, or below 0.

    Parameters
    ----------
    name : of the time, for the message
    per_s : units of the time in a second
    """
    written = value.removesuffix("s") if isinstance(value, str) else value
    with suppress(ValueError, OverflowError):  # no number, or a whole one of more than 308 digits
        is_number = isinstance(written, str | int | float) and not isinstance(written, bool)
        if is_number and 0 <= (seconds := float(written) / per_s) <= MOST_S:
            return seconds
    raise EarnestError(f"{where}: {name} is {shown(value)}, expected a time, at least 0.")
