"""Timelines as files: nine formats, each read back by an independent reader in the tests.

Times are whole milliseconds. Labels may hold anything; what a format has no way to write is documented at its writer.
A span that is unsure has the label "unsure". Formats that people look at (subtitles, Praat, ELAN, Audacity) hold vocal
bursts too, as "(laughter)"; rows of spans (jsonl, csv, rttm) are speech alone, and json has ``vocal_bursts``.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from xml.sax.saxutils import escape, quoteattr

from earnest.errors import EarnestError, printable, suggestion
from earnest.files.csv_cells import csv_row
from earnest.runtime.events import Recorded, Span, span_dict, window_dict


def written(timeline: Recorded, form: str) -> Iterator[str]:
    """Yield the text of a file piece by piece, so that a long timeline is never one string.

    Raises
    ------
    EarnestError
        For an unknown format.
    """
    if form not in FORMATS:
        raise EarnestError(f"There is no timeline format '{form}'.{suggestion(form, FORMATS)}")
    return FORMATS[form](timeline)


def _json(timeline: Recorded) -> Iterator[str]:
    """One object; spans and windows one a line, so that it is readable and differences show."""
    head = timeline.head_dict()
    yield "{\n"
    for name, value in head.items():
        yield f" {_compact(name)}: {_compact(value)},\n"
    yield ' "spans": ['
    yield from _lines(map(span_dict, timeline.spans))
    yield '],\n "windows": ['
    yield from _lines(map(window_dict, timeline.windows))
    yield "]\n}\n"


def _lines(values: Iterator[object]) -> Iterator[str]:
    between = "\n  "
    for value in values:
        yield between + _compact(value)
        between = ",\n  "


def _jsonl(timeline: Recorded) -> Iterator[str]:
    """One span a line."""
    for span in timeline.spans:
        yield _compact({"path": timeline.path} | span_dict(span)) + "\n"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _csv(timeline: Recorded) -> Iterator[str]:
    """One span a row."""
    yield csv_row(("path", "start_s", "end_s", "emotion", "confidence")) + "\n"
    for span in timeline.spans:
        cells = (timeline.path, _s(span.start_s), _s(span.end_s), span.emotion, f"{span.confidence:.6f}")
        yield csv_row(cells) + "\n"


def _srt(timeline: Recorded) -> Iterator[str]:
    """SubRip. Empty lines would end the subtitle and are left out."""
    for number, span in enumerate(timeline.entries(), 1):
        times = f"{_clock(span.start_s, ',')} --> {_clock(span.end_s, ',')}"
        yield f"{number}\n{times}\n{_no_empty_lines(span.emotion)}\n\n"


def _vtt(timeline: Recorded) -> Iterator[str]:
    """WebVTT. ``&``, ``<`` and ``>`` are written as entities; empty lines are left out."""
    yield "WEBVTT\n\n"
    for span in timeline.entries():
        text = _no_empty_lines(escape(span.emotion))
        yield f"{_clock(span.start_s, '.')} --> {_clock(span.end_s, '.')}\n{text}\n\n"


def _no_empty_lines(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line for line in lines if line.strip()) or "–"


def _clock(seconds: float, point: str) -> str:
    whole, thousandths = divmod(_ms(seconds), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{thousandths:03d}"


def _textgrid(timeline: Recorded) -> Iterator[str]:
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


def _eaf(timeline: Recorded) -> Iterator[str]:
    """ELAN 2.8. The recording is linked by its name, beside the document."""
    media, entries = printable(PurePath(timeline.path).name), timeline.entries()
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT AUTHOR="earnest"'
    # A fixed date: the same timeline is the same bytes.
    yield ' DATE="1970-01-01T00:00:00+00:00" FORMAT="2.8" VERSION="2.8"'
    yield ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    yield ' xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv2.8.xsd">\n'
    yield ' <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">\n'
    link, kind = quoteattr(f"./{media}"), quoteattr(_MEDIA_TYPES.get(PurePath(media).suffix.lower(), "audio/*"))
    yield f"  <MEDIA_DESCRIPTOR MEDIA_URL={link} RELATIVE_MEDIA_URL={link} MIME_TYPE={kind}/>\n </HEADER>\n"
    yield " <TIME_ORDER>\n"
    for number, span in enumerate(entries, 1):
        yield f'  <TIME_SLOT TIME_SLOT_ID="ts{2 * number - 1}" TIME_VALUE="{_ms(span.start_s)}"/>\n'
        yield f'  <TIME_SLOT TIME_SLOT_ID="ts{2 * number}" TIME_VALUE="{_ms(span.end_s)}"/>\n'
    yield " </TIME_ORDER>\n"
    for tier, (name, texts) in enumerate(timeline.tiers().items()):
        yield f' <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="{name}">\n'
        for number, text in enumerate(map(escape, texts), 1):
            slots = f'TIME_SLOT_REF1="ts{2 * number - 1}" TIME_SLOT_REF2="ts{2 * number}"'
            identity = f'ANNOTATION_ID="a{tier * len(entries) + number}"'  # numbered on through all tiers
            yield f"  <ANNOTATION><ALIGNABLE_ANNOTATION {identity} {slots}>"
            yield f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>\n"
        yield " </TIER>\n"
    yield ' <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>\n'
    yield "</ANNOTATION_DOCUMENT>\n"


_MEDIA_TYPES = {".wav": "audio/x-wav", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".m4a": "audio/mp4"}


def _rttm(timeline: Recorded) -> Iterator[str]:
    """NIST's Rich Transcription Time Marked, the emotion in the speaker's place; "_" for the spaces of a field."""
    name = _one_word(PurePath(timeline.path).stem) or "recording"
    for span in timeline.spans:
        # The difference of rounded times, so that start and duration add up to the end that other formats write.
        lasting = _s(_ms(span.end_s) / 1000 - _ms(span.start_s) / 1000)
        label = _one_word(span.emotion)
        yield f"SPEAKER {name} 1 {_s(span.start_s)} {lasting} <NA> <NA> {label} {span.confidence:.3f} <NA>\n"


def _one_word(text: str) -> str:
    return "_".join(text.split())


def _audacity(timeline: Recorded) -> Iterator[str]:
    """Audacity's label track: start, end and label between tabs; tabs and new lines in a label become spaces."""
    for span in timeline.entries():
        yield f"{_s(span.start_s)}\t{_s(span.end_s)}\t{' '.join(span.emotion.split())}\n"


def _ms(seconds: float) -> int:
    return round(1000 * seconds)


def _s(seconds: float) -> str:
    return f"{seconds:.3f}"


FORMATS: Mapping[str, Callable[[Recorded], Iterator[str]]] = {
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
SUFFIXES: Mapping[str, str] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".srt": "srt",
    ".vtt": "vtt",
    ".textgrid": "textgrid",
    ".eaf": "eaf",
    ".rttm": "rttm",
    ".txt": "audacity",
}
