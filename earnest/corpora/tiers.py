"""Tiers as annotation programs write them: ELAN (.eaf), Praat (.TextGrid), Audacity (.txt).

A tier holds entries with a start, an end and a text. A tier "emotion@Anna" is Anna's, as ELAN's users call them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from earnest.corpora.folders import ANNOTATED, ending_of
from earnest.errors import CorpusError, printable, shown
from earnest.files.reading import read_text

MOST_BYTES = 1 << 28
TRACK = "label"  # what the one tier of a label track is called
_TRACK_LINE = re.compile(r"(\d+(?:\.\d+)?)\t(\d+(?:\.\d+)?)\t?(.*)")
_FREQUENCIES = "\\"  # at the start of a line of Audacity's: of the entry in the line before
# Of Praat's text files its programs read strings, numbers and flags that stand alone, and nothing else.
_PRAATS = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|<(exists|absent)>|!.*')


@dataclass(frozen=True)
class TierEntry:
    """A text about a part of a recording."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Tier:
    """Entries of one kind, of one ``speaker`` where that is known, else "".

    Attributes
    ----------
    depends : on another tier, as a translation does in ELAN
    """

    name: str
    speaker: str
    entries: tuple[TierEntry, ...]
    depends: bool = False

    @property
    def is_used(self) -> bool:
        """Whether any entry has a text."""
        return any(entry.text for entry in self.entries)


@dataclass(frozen=True)
class AnnotationFile:
    """What an annotation program wrote about one recording.

    Attributes
    ----------
    media : names of the recording that the file tells, the likeliest first
    """

    path: Path
    tiers: tuple[Tier, ...]
    media: tuple[str, ...] = ()


def is_annotation(path: Path) -> bool:
    """Whether a file is one of ELAN's, Praat's or Audacity's, by the ending of its name, or its first line."""
    if ending_of(path.name) in ANNOTATED:
        return True
    if ending_of(path.name) != ".txt":
        return False
    first = read_text(path, CorpusError, most=MOST_BYTES, what="list of files").partition("\n")[0]
    return _TRACK_LINE.fullmatch(first.rstrip("\r")) is not None


def read_annotation(path: Path) -> AnnotationFile:
    """Read a file's tiers. Raises `CorpusError` when it can't be read."""
    return annotation_in(read_text(path, CorpusError, most=MOST_BYTES, what="annotation"), path)


def annotation_in(text: str, path: Path) -> AnnotationFile:
    """Return the tiers in the text of a file. Raises `CorpusError` when it is none that is known."""
    reader = {".eaf": _elan, ".textgrid": _praat}.get(ending_of(path.name), _audacity)
    try:
        return reader(path, text)
    except (ValueError, OverflowError, StopIteration) as error:
        why = printable(str(error))[:100] or "it ends too early"
        raise CorpusError(f"{path}: damaged, or no annotation that is known ({why}).") from None


def _tier(name: str, speaker: str, entries: Iterable[TierEntry], depends: bool = False) -> Tier:
    of_whom = name.partition("@")
    ordered = tuple(sorted(entries, key=lambda entry: (entry.start_s, entry.end_s)))
    return Tier(of_whom[0].strip(), speaker.strip() or of_whom[2].strip(), ordered, depends)


def _elan(path: Path, text: str) -> AnnotationFile:
    """Read ELAN's XML; an entry that refers to another one has its times."""
    from xml.etree import ElementTree  # not for those who only predict

    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("a document of ELAN's declares no entities")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from None
    slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    times: dict[str, tuple[float, float]] = {}
    parents: dict[str, str] = {}
    texts: list[tuple[ElementTree.Element, list[tuple[str, str]]]] = []
    for tier in root.iter("TIER"):
        inside: list[tuple[str, str]] = []
        for one in (*tier.iter("ALIGNABLE_ANNOTATION"), *tier.iter("REF_ANNOTATION")):
            identity = one.get("ANNOTATION_ID", "")
            start, end = (slots.get(one.get(f"TIME_SLOT_REF{number}", "")) for number in (1, 2))
            if start is not None and end is not None:
                times[identity] = int(start) / 1000, int(end) / 1000
            parents[identity] = one.get("ANNOTATION_REF", "")
            inside.append((identity, (one.findtext("ANNOTATION_VALUE") or "").strip()))
        texts.append((tier, inside))
    tiers = []
    for tier, inside in texts:
        spans = ((_times_of(identity, times, parents), said) for identity, said in inside)
        entries = (TierEntry(*span, said) for span, said in spans if span is not None)
        tiers.append(_tier(tier.get("TIER_ID", ""), tier.get("PARTICIPANT", ""), entries, "PARENT_REF" in tier.attrib))
    urls = [one.get(name, "") for one in root.iter("MEDIA_DESCRIPTOR") for name in ("RELATIVE_MEDIA_URL", "MEDIA_URL")]
    return AnnotationFile(path, tuple(tiers), tuple(name for url in urls if (name := _of_url(url))))


def _times_of(
    identity: str, times: dict[str, tuple[float, float]], parents: dict[str, str]
) -> tuple[float, float] | None:
    """Return when an entry is, or the one that it refers to, or that one …; None where nothing says it."""
    referring = []
    while identity not in times and identity in parents:
        referring.append(identity)
        identity = parents.pop(identity)  # gone: so circles end
    found = times.get(identity)
    times.update(dict.fromkeys(referring, found) if found else {})
    return found


def _of_url(url: str) -> str:
    """Return the path of an address of a file; "./talk%20one.wav" is one, too."""
    path = unquote(urlsplit(url).path if url.startswith("file:") else url)
    return "" if "\0" in path else path


def _praat(path: Path, text: str) -> AnnotationFile:
    """Read Praat's long or short text format: strings and numbers in the same order in both."""
    tokens = iter(_praats_tokens(text))
    if (next(tokens, ""), next(tokens, "")) != ("ooTextFile", "TextGrid"):
        raise ValueError("save it in Praat as a text file")
    _ = [next(tokens) for _ in range(3)]  # start, end, <exists>
    tiers = []
    for _ in range(_whole(next(tokens))):
        kind, name, _start, _end, count = [next(tokens) for _ in range(5)]
        width = 3 if kind == "IntervalTier" else 2  # a point has one time
        cells = [[next(tokens) for _ in range(width)] for _ in range(_whole(count))]
        tiers.append(_tier(str(name), "", (_interval(cell) for cell in cells if width == 3)))
    return AnnotationFile(path, tuple(tiers))


def _praats_tokens(text: str) -> Iterator[str | float]:
    for match in _PRAATS.finditer(text):
        string, number, flag = match.groups()
        if string is not None:
            yield string.replace('""', '"').strip()
        elif number or flag:
            yield float(number) if number else flag


def _whole(token: str | float) -> int:
    if isinstance(token, str):
        raise ValueError(f"{shown(token)} where a number should be")
    return int(token)


def _interval(cells: Sequence[str | float]) -> TierEntry:
    start, end, text = cells
    if isinstance(start, str) or isinstance(end, str) or not isinstance(text, str):
        raise ValueError("an interval is two numbers and a text")
    return TierEntry(start, end, text)


def _audacity(path: Path, text: str) -> AnnotationFile:
    """Read a label track: start, end and label between tabs."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith(_FREQUENCIES):
            continue
        match = _TRACK_LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number} has no start, end and label between tabs")
        entries.append(TierEntry(float(match[1]), float(match[2]), match[3].strip()))
    return AnnotationFile(path, (_tier(TRACK, "", entries),))
