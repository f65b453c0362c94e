"""Emotion over time: what `Predictor.timeline` returns, timelines as files, and who speaks in their spans.

Of files there are nine formats, each read back by an independent reader in the tests. Times are whole milliseconds.
Labels may hold anything; what a format has no way to write is documented at its writer. A span that is unsure has the
label "unsure". Formats that people look at (subtitles, Praat, ELAN, Audacity) hold vocal bursts too, as "(laughter)";
rows of spans (jsonl, csv, rttm) are speech alone, and json has ``vocal_bursts``. Words of ``quality`` are in json and,
in brackets, below the first subtitle.
"""

import json
import os
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import accumulate
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from earnest.audio.source import NOT_FILES, file_and_channel
from earnest.corpora.transcripts import SpeakerTurn
from earnest.corpora.turns import name_in_rttm
from earnest.errors import REPLACEMENT, EarnestError, printable, shown, suggestion
from earnest.files.tables import csv_row
from earnest.runtime.formats import Frame, FrameColumn, Framed
from earnest.runtime.prediction import (
    Envelope,
    Event,
    Prediction,
    Segment,
    Span,
    Status,
    VocalBurst,
    Window,
    burst_span,
    percent,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:  # where it is not installed, or not wanted yet, the annotation still says something
    Figure = Any

Value = TypeVar("Value")
_SPAN_COLUMNS = ("path", "start_s", "end_s", "emotion", "confidence")


class _Whole(Generic[Value]):
    """A field of `Timeline.prediction`, read under the same name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, timeline: "Timeline", owner: type) -> Value:
        value: Value = getattr(timeline.prediction, self._name)
        return value


@dataclass(frozen=True)
class Timeline(Framed):
    """Emotion over time in one recording; as a data frame one span a row, as in `to_csv`.

    What `prediction` says has its names here too: ``timeline.emotion``, ``timeline.confidence``, and so on.

    Attributes
    ----------
    prediction : the recording as a whole, vocal bursts included
    spans, windows, segments : in order of time; spans, vocal bursts and segments don't overlap, windows do
    activity : what told speech from the rest, "silero" or "energy"
    speakers : of each entry, "" where unknown; empty where nobody said who speaks. TextGrid and ELAN have them
    """

    prediction: Prediction
    spans: tuple[Span, ...] = ()
    windows: tuple[Window, ...] = ()
    segments: tuple[Segment, ...] = ()
    activity: str = ""
    classes: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    envelope: Envelope | None = field(default=None, compare=False, repr=False)

    path = _Whole[str]()
    status = _Whole[Status]()
    emotion = _Whole[str | None]()
    confidence = _Whole[float | None]()
    probabilities = _Whole[Mapping[str, float]]()
    polarity = _Whole[float | None]()
    gender = _Whole[Mapping[str, float] | None]()
    affect = _Whole[Mapping[str, float | None] | None]()
    affect_derived = _Whole[bool]()
    intensity = _Whole[float | None]()
    quality = _Whole[tuple[str, ...]]()
    adapted = _Whole[bool]()
    adaptation_weight = _Whole[float]()
    shares = _Whole[Mapping[str, float] | None]()
    vocal_bursts = _Whole[tuple[VocalBurst, ...]]()
    model = _Whole[str]()
    error = _Whole[str | None]()
    speaker = _Whole[str | None]()
    text = _Whole[str | None]()

    @classmethod
    def of(
        cls,
        prediction: Prediction,
        events: Iterable[Event],
        activity: str,
        classes: Sequence[str],
        envelope: Envelope | None = None,
    ) -> "Timeline":
        """Sort a stream's events."""
        kinds: dict[type, list[Any]] = {Span: [], Window: [], Segment: []}
        for event in events:
            kinds.setdefault(type(event), []).append(event)
        spans, windows, segments = (tuple(kinds[kind]) for kind in (Span, Window, Segment))
        return cls(prediction, spans, windows, segments, activity, tuple(classes), envelope=envelope)

    @property
    def duration_s(self) -> float:
        """Seconds of the recording."""
        return self.prediction.duration_s or 0.0

    @property
    def speech_s(self) -> float:
        """Seconds of speech in it."""
        return self.prediction.speech_s or 0.0

    def entries(self) -> list[Span]:
        """Return spans and vocal bursts in order of time; a burst is labelled with its kind, as in "(laughter)"."""
        return sorted([*self.spans, *map(burst_span, self.prediction.vocal_bursts)], key=lambda entry: entry.start_s)

    def tiers(self) -> dict[str, tuple[str, ...]]:
        """Return the tiers of Praat and ELAN: emotion, confidence and, where it is known, speaker."""
        entries = self.entries()
        said = {
            "emotion": tuple(entry.emotion for entry in entries),
            "confidence": tuple(f"{entry.confidence:.3f}" for entry in entries),
        }
        return said | {"speaker": self.speakers} if len(self.speakers) == len(entries) > 0 else said

    def seconds_by_emotion(self) -> dict[str, float]:
        """Return emotion → seconds of speech, the longest first; "unsure" is among them."""
        seconds: dict[str, float] = {}
        for span in self.spans:
            seconds[span.emotion] = seconds.get(span.emotion, 0.0) + span.end_s - span.start_s
        return dict(sorted(seconds.items(), key=lambda item: -item[1]))

    def head_dict(self) -> dict[str, Any]:
        """Return the values of `to_dict`, without spans and windows."""
        segments = [segment.values() for segment in self.segments]
        return self.prediction.to_dict() | {"activity": self.activity, "segments": segments}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: the prediction's, and ``activity``, ``segments``, ``spans``, ``windows``."""
        return self.head_dict() | {
            "spans": [span.values() for span in self.spans],
            "windows": [window.values() for window in self.windows],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Timeline":
        """Return the timeline that `to_dict` was made from, but for rounding and the envelope."""
        spans = tuple(Span(**item) for item in values["spans"])
        windows = tuple(Window(**item) for item in values["windows"])
        segments = tuple(Segment(**item) for item in values["segments"])
        own = {"spans", "windows", "segments", "activity"}
        prediction = Prediction.from_dict({name: value for name, value in values.items() if name not in own})
        return cls(prediction, spans, windows, segments, values["activity"], tuple(prediction.probabilities))

    def to(self, form: str) -> str:
        """Return the timeline as a file's text; ``form`` is one of the nine of `earnest.runtime.timeline`."""
        return "".join(written(self, form))

    def to_json(self) -> str:
        """Return all that is known, as JSON."""
        return self.to("json")

    def to_jsonl(self) -> str:
        """Return one span a line, as JSON."""
        return self.to("jsonl")

    def to_csv(self) -> str:
        """Return one span a row."""
        return self.to("csv")

    def to_srt(self) -> str:
        """Return SubRip subtitles."""
        return self.to("srt")

    def to_vtt(self) -> str:
        """Return WebVTT subtitles."""
        return self.to("vtt")

    def to_textgrid(self) -> str:
        """Return a Praat TextGrid with the tiers "emotion" and "confidence"."""
        return self.to("textgrid")

    def to_eaf(self) -> str:
        """Return an ELAN annotation document with the tiers "emotion" and "confidence"."""
        return self.to("eaf")

    def to_rttm(self) -> str:
        """Return Rich Transcription Time Marked lines, the emotion in the speaker's place."""
        return self.to("rttm")

    def to_audacity(self) -> str:
        """Return an Audacity label track."""
        return self.to("audacity")

    def columns(self) -> Mapping[str, FrameColumn]:
        """Return the spans: path, start_s, end_s, emotion, confidence; see `earnest.runtime.formats.Framed`."""
        names = ("start_s", "end_s", "emotion", "confidence")
        columns = {name: [getattr(span, name) for span in self.spans] for name in names}
        return {
            "path": FrameColumn("text", [self.path] * len(self.spans)),
            **{name: FrameColumn("text" if name == "emotion" else "number", columns[name]) for name in names},
        }

    def window_rows(self) -> Frame:
        """Return the windows as what gives data frames: path, start_s, end_s, and ``p_<class>`` for each class."""
        numbers = {
            "start_s": [window.start_s for window in self.windows],
            "end_s": [window.end_s for window in self.windows],
            **{f"p_{name}": [window.probabilities[name] for window in self.windows] for name in self.classes},
        }
        path = FrameColumn("text", [self.path] * len(self.windows))
        return Frame({"path": path, **{name: FrameColumn("number", values) for name, values in numbers.items()}})

    def plot(self, path: str | Path | None = None, title: str | None = None) -> Figure:
        """Draw waveform, probabilities over time and spans, and return matplotlib's figure, which a notebook shows.

        Raises `MissingExtraError` where matplotlib is not installed.

        Parameters
        ----------
        path : file to write, too; its suffix (.png, .svg, .pdf) chooses the kind
        """
        from earnest.runtime.timeline_plot import plot_timeline

        return plot_timeline(self, None if path is None else Path(path), title)

    def _repr_html_(self) -> str:
        head = escape(f"{self.path}: {self.duration_s:.1f} s, {self.speech_s:.1f} s of speech")
        rows = "".join(
            f"<tr><td>{span.start_s:.1f}–{span.end_s:.1f} s</td><td>{escape(span.emotion)}</td>"
            f"<td>{escape(percent(span.confidence))}</td></tr>"
            for span in self.entries()
        )
        return f"<p><b>{head}</b></p><table>{rows}</table>"


def written(timeline: Timeline, form: str, folder: Path | None = None) -> Iterator[str]:
    """Yield the text of a file piece by piece, so that a long timeline is never one string.

    Raises `EarnestError` for an unknown format.

    Parameters
    ----------
    folder : where the file will lie, from which ELAN finds the recording; None for beside the recording
    """
    if not isinstance(form, str) or form not in FORMATS:
        raise EarnestError(f"There is no timeline format {shown(form)}.{suggestion(str(form), FORMATS)}")
    return FORMATS[form](timeline, folder)


def _json(timeline: Timeline, _: Path | None = None) -> Iterator[str]:
    """One object; spans and windows one a line, so that it is readable and differences show."""
    head = timeline.head_dict()
    yield "{\n"
    for name, value in head.items():
        yield f" {_compact(name)}: {_compact(value)},\n"
    yield ' "spans": ['
    yield from _lines(map(Span.values, timeline.spans))
    yield '],\n "windows": ['
    yield from _lines(map(Window.values, timeline.windows))
    yield "]\n}\n"


def _lines(values: Iterator[object]) -> Iterator[str]:
    between = "\n  "
    for value in values:
        yield between + _compact(value)
        between = ",\n  "


def written_spans(timelines: Iterable[Timeline], form: str, has_speakers: bool = False) -> Iterator[str]:
    """Yield the spans of several recordings as one file, "csv" or "jsonl"; the first column is the path.

    Parameters
    ----------
    has_speakers : whether CSV has a last column ``speaker``, as where somebody named one; JSON has those that are named
    """
    if form == "csv":
        yield _csv_header(has_speakers)
    for timeline in timelines:
        yield from _csv_rows(timeline, has_speakers) if form == "csv" else _jsonl(timeline)


def _jsonl(timeline: Timeline, _: Path | None = None) -> Iterator[str]:
    """One span a line."""
    named = {} if timeline.speaker is None else {"speaker": timeline.speaker}
    for span in timeline.spans:
        yield _compact({"path": timeline.path} | span.values() | named) + "\n"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _csv(timeline: Timeline, _: Path | None = None) -> Iterator[str]:
    """One span a row."""
    yield _csv_header()
    yield from _csv_rows(timeline)


def _csv_header(has_speakers: bool = False) -> str:
    return csv_row((*_SPAN_COLUMNS, *(["speaker"] if has_speakers else []))) + "\n"


def _csv_rows(timeline: Timeline, has_speakers: bool = False) -> Iterator[str]:
    named = (timeline.speaker,) if has_speakers else ()
    for span in timeline.spans:
        cells = (timeline.path, _s(span.start_s), _s(span.end_s), span.emotion, f"{span.confidence:.6f}")
        yield csv_row((*cells, *named)) + "\n"


def _srt(timeline: Timeline, _: Path | None = None) -> Iterator[str]:
    """SubRip. Empty lines would end the subtitle and are left out; without any subtitle the file is empty."""
    for number, span in enumerate(timeline.entries(), 1):
        times = f"{_clock(span.start_s, ',')} --> {_clock(span.end_s, ',')}"
        below = _quality_line(timeline) if number == 1 else ""
        yield f"{number}\n{times}\n{_no_empty_lines(span.emotion)}{below}\n\n"


def _vtt(timeline: Timeline, _: Path | None = None) -> Iterator[str]:
    """WebVTT. ``&``, ``<`` and ``>`` are written as entities; empty lines are left out."""
    yield "WEBVTT\n\n"
    for number, span in enumerate(timeline.entries(), 1):
        text = _no_empty_lines(escape(span.emotion, quote=False)) + (_quality_line(timeline) if number == 1 else "")
        yield f"{_clock(span.start_s, '.')} --> {_clock(span.end_s, '.')}\n{text}\n\n"


def _quality_line(timeline: Timeline) -> str:
    """Return the line below the first subtitle: "[noisy, not-adapted]"; nothing without such words."""
    return f"\n[{', '.join(timeline.quality)}]" if timeline.quality else ""


def _no_empty_lines(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line for line in lines if line.strip()) or "–"


def _clock(seconds: float, point: str) -> str:
    whole, thousandths = divmod(_ms(seconds), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{thousandths:03d}"


def _textgrid(timeline: Timeline, _: Path | None = None) -> Iterator[str]:
    """Praat's long text format; time without speech is an interval without text, quotes are doubled."""
    entries = timeline.entries()
    # At least a millisecond: a tier of Praat's must not be empty.
    end = _s(max(timeline.duration_s, *(span.end_s for span in entries), 0.001))
    intervals, tiers = list(_filled(entries, float(end))), timeline.tiers()
    yield f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {end}\n'
    yield f"tiers? <exists>\nsize = {len(tiers)}\nitem []:\n"
    for number, (tier, texts) in enumerate(tiers.items(), 1):
        yield f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{tier}"\n'
        yield f"        xmin = 0\n        xmax = {end}\n        intervals: size = {len(intervals)}\n"
        for position, (start_s, end_s, place) in enumerate(intervals, 1):
            quoted = "" if place is None else texts[place].replace('"', '""')
            yield f"        intervals [{position}]:\n            xmin = {_s(start_s)}\n            xmax = {_s(end_s)}\n"
            yield f'            text = "{quoted}"\n'


def _filled(spans: Iterable[Span], end_s: float) -> Iterator[tuple[float, float, int | None]]:
    """Yield start, end and place of the spans, and the time between them."""
    position = 0.0
    for place, span in enumerate(spans):
        if span.start_s > position:
            yield position, span.start_s, None
        yield span.start_s, span.end_s, place
        position = span.end_s
    if position < end_s:
        yield position, end_s, None


def _eaf(timeline: Timeline, folder: Path | None) -> Iterator[str]:
    """ELAN 2.8. A recording that is a file is linked from the document; what XML can't hold is replaced."""
    from xml.sax.saxutils import quoteattr  # it imports the whole of http

    entries = timeline.entries()
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT AUTHOR="earnest"'
    # A fixed date: the same timeline is the same bytes.
    yield ' DATE="1970-01-01T00:00:00+00:00" FORMAT="2.8" VERSION="2.8"'
    yield ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    yield ' xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv2.8.xsd">\n'
    yield ' <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">\n'
    path, _ = file_and_channel(timeline.path)
    if path not in NOT_FILES:
        link, kind = quoteattr(_link(path, folder)), _MEDIA_TYPES.get(PurePath(path).suffix.lower(), "audio/*")
        yield f'  <MEDIA_DESCRIPTOR MEDIA_URL={link} RELATIVE_MEDIA_URL={link} MIME_TYPE="{kind}"/>\n'
    yield " </HEADER>\n"
    yield " <TIME_ORDER>\n"
    for number, span in enumerate(entries, 1):
        yield f'  <TIME_SLOT TIME_SLOT_ID="ts{2 * number - 1}" TIME_VALUE="{_ms(span.start_s)}"/>\n'
        yield f'  <TIME_SLOT TIME_SLOT_ID="ts{2 * number}" TIME_VALUE="{_ms(span.end_s)}"/>\n'
    yield " </TIME_ORDER>\n"
    for tier, (name, texts) in enumerate(timeline.tiers().items()):
        yield f' <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="{name}">\n'
        for number, text in enumerate(map(_xml_text, texts), 1):
            slots = f'TIME_SLOT_REF1="ts{2 * number - 1}" TIME_SLOT_REF2="ts{2 * number}"'
            identity = f'ANNOTATION_ID="a{tier * len(entries) + number}"'  # numbered on through all tiers
            yield f"  <ANNOTATION><ALIGNABLE_ANNOTATION {identity} {slots}>"
            yield f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>\n"
        yield " </TIER>\n"
    yield ' <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>\n'
    yield "</ANNOTATION_DOCUMENT>\n"


def _link(path: str, folder: Path | None) -> str:
    if folder is None:
        return f"./{printable(PurePath(path).name)}"
    try:
        # Of the real places: ".." of a link to a folder is not where the link lies.
        link = PurePath(os.path.relpath(os.path.realpath(path), os.path.realpath(folder))).as_posix()
    except ValueError:  # on another drive of Windows
        return printable(Path(path).absolute().as_uri())
    return printable(link if link.startswith("../") else f"./{link}")


def _xml_text(text: str) -> str:
    return escape(_NOT_IN_XML.sub(REPLACEMENT, text), quote=False)


# Characters that XML 1.0 has no way to write, not even as a reference (section 2.2).
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# The table of the standard library depends on the version of Python.
_MEDIA_TYPES = {
    **{".wav": "audio/x-wav", ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".flac": "audio/flac", ".ogg": "audio/ogg"},
    **{".opus": "audio/ogg", ".wma": "audio/x-ms-wma", ".wmv": "video/x-ms-wmv", ".mp4": "video/mp4"},
    **{".mov": "video/quicktime", ".mpg": "video/mpeg", ".avi": "video/x-msvideo", ".webm": "video/webm"},
    ".mkv": "video/x-matroska",
}


def _rttm(timeline: Timeline, _: Path | None = None) -> Iterator[str]:
    """NIST's Rich Transcription Time Marked, the emotion in the speaker's place; "_" for the spaces of a field."""
    path, channel = file_and_channel(timeline.path)
    name = name_in_rttm(path)
    for span in timeline.spans:
        # The difference of rounded times, so that start and duration add up to the end that other formats write.
        lasting = _s(_ms(span.end_s) / 1000 - _ms(span.start_s) / 1000)
        label = _one_word(span.emotion)
        times = f"{_s(span.start_s)} {lasting}"
        yield f"SPEAKER {name} {channel or 1} {times} <NA> <NA> {label} {span.confidence:.3f} <NA>\n"


def _one_word(text: str) -> str:
    return "_".join(text.split())


def _audacity(timeline: Timeline, _: Path | None = None) -> Iterator[str]:
    """Audacity's label track: start, end and label between tabs; tabs and new lines in a label become spaces."""
    for span in timeline.entries():
        yield f"{_s(span.start_s)}\t{_s(span.end_s)}\t{' '.join(span.emotion.split())}\n"


def _ms(seconds: float) -> int:
    return round(1000 * seconds)


def _s(seconds: float) -> str:
    return f"{seconds:.3f}"


FORMATS: Mapping[str, Callable[[Timeline, Path | None], Iterator[str]]] = {
    "json": _json,
    "jsonl": _jsonl,
    "csv": _csv,
    "srt": _srt,
    "vtt": _vtt,
    "textgrid": _textgrid,
    "eaf": _eaf,
    "rttm": _rttm,
    "audacity": _audacity,
}
SUFFIXES: Mapping[str, str] = {".txt" if form == "audacity" else f".{form}": form for form in FORMATS}


def speakers_of(spans: Sequence[Span], turns: Sequence[SpeakerTurn]) -> list[str]:
    """Return for each span who speaks longest in it, "" where nobody does; the turns are in order of time."""
    starts_s = [turn.start_s for turn in turns]
    reached_s = list(accumulate((turn.end_s for turn in turns), max))  # of turns so far; it never falls
    among = ((bisect_right(reached_s, span.start_s), bisect_left(starts_s, span.end_s)) for span in spans)
    return [_speaker_of(span, turns[first:last]) for span, (first, last) in zip(spans, among, strict=True)]


def _speaker_of(span: Span, turns: Sequence[SpeakerTurn]) -> str:
    seconds = defaultdict[str, float](float)
    for turn in turns:
        seconds[turn.speaker] += max(min(turn.end_s, span.end_s) - max(turn.start_s, span.start_s), 0.0)
    speaker, most = max(seconds.items(), key=lambda item: item[1], default=("", 0.0))
    return speaker if most > 0 else ""
