"""The manifest: one row an utterance, the seam between corpora and everything else; and doubts about names in rows."""

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from earnest.errors import N_NAMED, CorpusError, named, printable, shown, suggestion, told
from earnest.files.reading import read_text
from earnest.files.tables import (
    RowWriter,
    finite_number,
    is_parquet,
    numbered_rows,
    opened_parquet,
    parquet_texts,
    unmarked,
    with_point,
)
from earnest.files.writing import replacing, unfollowed
from earnest.labels import AFFECT, EMOTIONS, composed

if TYPE_CHECKING:
    from earnest.audio.source import Part

Gender = Literal["female", "male"]
GENDERS: Mapping[str, Gender] = {
    "female": "female",
    "f": "female",
    "woman": "female",
    "male": "male",
    "m": "male",
    "man": "male",
}
# What a folder is searched for: what libsndfile reads and what is read through PyAV, see `earnest.audio.media_file`.
# The page has the same (web/page/src/own/found.ts).
_SOUND_FILES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64"}
# Not .ts, which in most folders is a program's text.
_MEDIA_FILES = {".m4a", ".mp4", ".mov", ".3gp", ".webm", ".mkv", ".mka", ".avi", ".aac", ".amr", ".wma", ".flv"}
_MEDIA_FILES |= {".mpg", ".mpeg", ".vob", ".mts", ".m2ts"}
AUDIO_SUFFIXES = frozenset(_SOUND_FILES | _MEDIA_FILES)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording, or a part of one, with what its corpus says about it.

    Attributes
    ----------
    utterance_id : unique within its corpus
    path : the audio file
    start_s, end_s : seconds; ``end_s`` None means to the end of the file
    speaker : unique over all corpora ("ravdess-07"); recordings of one person share it
    gender : "female", "male" or None where the corpus doesn't say
    session : recording session, batch or dialogue partners' meeting, "" if there is none
    text_id : which sentence was spoken, "" if unknown
    emotion : canonical name, see `earnest.labels.EMOTIONS`
    native_emotion : the corpus' own word
    intensity : the corpus' own word, "" if there is none
    valence, arousal, dominance : the corpus' own scale, None if not rated
    style : speech, song, improvised, scripted …
    repetition : which take of the same sentence, "" if unknown
    channel : microphone or copy ("8 kHz"), "" if there is one
    group : recordings that show the same performance (its microphones) or dialogue; they stay in one set
    """

    utterance_id: str
    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    corpus: str = ""
    speaker: str = ""
    gender: Gender | None = None
    session: str = ""
    text_id: str = ""
    emotion: str = "other"
    native_emotion: str = ""
    intensity: str = ""
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    style: str = "speech"
    repetition: str = ""
    channel: str = ""
    group: str = ""

    def __post_init__(self) -> None:
        if self.emotion not in EMOTIONS:
            hint = suggestion(self.emotion, EMOTIONS)
            raise CorpusError(f"{self.path}: {shown(self.emotion)} is not a canonical emotion.{hint}")
        if self.start_s < 0:
            raise CorpusError(f"{self.path}: a part can't begin at {self.start_s:g} s, before the recording.")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise CorpusError(f"{self.path}: the part from {self.start_s} s to {self.end_s} s is empty.")

    @property
    def key(self) -> str:
        """Unique over all corpora."""
        return f"{self.corpus}/{self.utterance_id}"

    @property
    def source(self) -> "str | Part":
        """What is decoded of it: the recording, or the part."""
        from earnest.audio.source import Part  # with numpy, which lists of corpora do without

        is_whole = not self.start_s and self.end_s is None
        return str(self.path) if is_whole else Part(str(self.path), self.start_s, self.end_s)

    @property
    def labels(self) -> tuple[str, str, str]:
        """What a label scheme goes by: the canonical emotion, the corpus, and the corpus' own word."""
        return self.emotion, self.corpus, self.native_emotion

    @property
    def native_speaker(self) -> str:
        """The corpus' own name of the speaker."""
        return self.speaker.removeprefix(f"{self.corpus}-")

    @property
    def word(self) -> str:
        """The canonical emotion, of "other" the corpus' own word."""
        return self.native_emotion if self.emotion == "other" and self.native_emotion else self.emotion


COLUMNS = tuple(field.name for field in fields(Utterance))
_FLOATS = frozenset({"start_s", "end_s", *AFFECT})
_APART = frozenset({"corpus", "speaker", "session", "group"})  # what splits keep in one set, however it is written


def names_microphones(columns: Collection[str]) -> bool:
    """Whether the column 'channel' of a table is that of `write_manifest`: a microphone, no number of a channel."""
    return "native_emotion" in columns


def unique_speaker(name: str, corpus: str) -> str:
    """Prefix a speaker with the corpus, so that names such as "01" stay unique over all corpora."""
    return name if not name or name.startswith(f"{corpus}-") else f"{corpus}-{name}"


def write_manifest(utterances: Iterable[Utterance], path: Path, root: Path | None = None) -> None:
    """Write rows as CSV; paths of audio below ``root`` (default: its folder) become relative to it, others absolute."""
    base = (root or path.parent).resolve()
    with (
        told(path),
        replacing(path) as beside,
        open(beside, "w", newline="", encoding="utf-8", opener=unfollowed) as file,
    ):
        writer = RowWriter(file)
        writer.write_rows([COLUMNS])
        writer.write_rows([_to_cell(getattr(utterance, name), base) for name in COLUMNS] for utterance in utterances)


def read_manifest(path: Path) -> list[Utterance]:
    """Read a manifest of `write_manifest`, or the same in Parquet; relative audio paths start at the file's folder."""
    base = path.parent
    if path.is_dir():
        raise CorpusError(f"{path}: a folder, not a manifest. {_another(path)}")
    if path.is_file() and is_parquet(path):
        with opened_parquet(path) as file:
            header = list(file.schema_arrow.names)
            _check_header(path, header)
            found = enumerate(parquet_texts(path, file, header), 1)
            return [_from_cells(dict(zip(header, row, strict=True)), base, f"{path}, row {n}") for n, row in found]
    text = read_text(path, CorpusError, what="manifest")
    rows, delimiter = numbered_rows(text, path)
    header = rows[0][1] if rows else []
    _check_header(path, header)
    return [_from_row(header, row, base, f"{path}:{number}", delimiter) for number, row in rows[1:]]


def _check_header(path: Path, header: Sequence[str]) -> None:
    if unknown := set(header) - set(COLUMNS):
        name = min(unknown)
        raise CorpusError(f"{path}: unknown column {shown(name)}.{suggestion(name, COLUMNS)} {_another(path)}")
    if missing := {"utterance_id", "path", "emotion"} - set(header):
        raise CorpusError(f"{path}: a manifest needs the column '{min(missing)}'. {_another(path)}")


def _another(path: Path) -> str:
    making = shlex.join(["earnest", "corpus", "manifest", str(path), "-o", "manifest.csv"])
    return f"Of another table, or of a folder, this makes a manifest: {making}"


def _to_cell(value: object, base: Path) -> object:
    if isinstance(value, Path):
        resolved = value.resolve()
        if resolved.is_relative_to(base):
            return resolved.relative_to(base).as_posix()
        # A relative path would start at the manifest's folder when it is read. Links keep their own name.
        return value.absolute().as_posix()
    return value


def _from_row(header: Sequence[str], row: Sequence[str], base: Path, where: str, delimiter: str) -> Utterance:
    if len(row) != len(header):
        raise CorpusError(f"{where}: this row has another number of cells than the header.")
    cells = dict(zip(header, row, strict=True))
    if delimiter != ",":  # a spreadsheet has saved ours
        cells = {
            name: with_point(cell, delimiter) if name in _FLOATS else unmarked(cell) for name, cell in cells.items()
        }
    return _from_cells(cells, base, where)


def _from_cells(row: Mapping[str, str], base: Path, where: str) -> Utterance:
    from earnest.audio.source import path_in  # with numpy, which a list of corpora does without

    values: dict[str, Any] = dict(row)
    for name in _FLOATS & values.keys():
        expected = f"{where}: '{name}' must be a number"
        values[name] = finite_number(values[name], expected) if values[name] else None
    values["start_s"] = values.get("start_s") or 0.0
    if values.get("gender", "") not in ("", "female", "male"):
        raise CorpusError(f"{where}: 'gender' must be female, male or empty, got {shown(values['gender'])}.")
    values["gender"] = values.get("gender") or None
    values["path"] = path_in(base, values["path"])
    values |= {name: composed(values[name]) for name in _APART & values.keys()}
    values["native_emotion"] = composed(values.get("native_emotion", "").strip())
    return Utterance(**values)


def doubts_about(labels: Mapping[str, int], rows: Iterable[Utterance]) -> list[str]:
    """Return sentences about labels, and about speakers of one corpus, that may be one, spelled in two ways.

    Parameters
    ----------
    labels : label → recordings
    """
    said = "Labels that differ in capitals alone are different classes"
    found = [f"{said}: {', '.join(names)}. Write them alike." for names in _alike(labels, str.casefold)]
    found += [
        f"Is the label {shown(slip)} ({labels[slip]}) a slip of the pen for {shown(meant)} ({labels[meant]})?"
        for slip, meant in _slips(labels)
    ]
    speakers = defaultdict[str, set[str]](set)
    for row in rows:
        speakers[row.corpus].add(row.native_speaker)
    return found + [said for members in speakers.values() for said in doubts_about_speakers(members)]


def doubts_about_speakers(names: Iterable[str]) -> list[str]:
    """Return sentences about speakers of one corpus that may be one, spelled in several ways."""
    said = "Speakers that may be one are taken for several"
    return [f"{said}: {', '.join(alike)}. Write them alike." for alike in _alike(names, _spoken_name)]


def some_doubts(doubts: Iterable[str]) -> list[str]:
    """Return the first sentences about speakers, each once, and how many there are beside these."""
    told = list(dict.fromkeys(doubts))
    rest = len(told) - N_NAMED
    return [*told[:N_NAMED], *([f"And so are the names of {rest} more."] if rest > 0 else [])]


AS_TWO = "two people. If it is one, put both into one table, as one corpus"
AS_ONE = "one person. If these are two, write the corpus before the name"  # in manifests, whose names stay as they are


def doubts_about_shared_names(own: Mapping[str, Sequence[Utterance]]) -> Iterator[str]:
    """Yield which names of speakers two corpora of own recordings both have, and for how many people that is taken."""
    names = {corpus: {row.native_speaker: row.speaker for row in rows if row.speaker} for corpus, rows in own.items()}
    for one, other in combinations(names, 2):
        shared: dict[str, list[str]] = {AS_TWO: [], AS_ONE: []}
        for name in sorted(names[one].keys() & names[other].keys()):
            shared[AS_ONE if names[one][name] == names[other][name] else AS_TWO].append(name)
        for people, alike in shared.items():
            if alike:
                yield f"{one} and {other} both have the speaker {named([*map(printable, alike)])}, taken for {people}."


SLIP_FROM, TIMES = 0.85, 10  # letters in common ("angy", "angry": 0.89), and how much rarer a slip is


def _slips(labels: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Yield labels that are nearly written as one that is far more frequent; "class_2", and "unhappy", are no slips."""
    for slip, n in labels.items():
        frequent = {label.casefold(): label for label in labels if labels[label] >= TIMES * max(n, 1)}
        (near,) = get_close_matches(slip.casefold(), frequent, 1, SLIP_FROM) or (slip.casefold(),)
        has_number = re.search(r"\d", near + slip)
        if not (has_number or near.endswith(slip.casefold()) or slip.casefold().endswith(near)):
            yield slip, frequent[near]


def _alike(names: Iterable[str], key: Callable[[str], str]) -> list[list[str]]:
    """Return groups of names that have one key, of two names at least."""
    groups = defaultdict[str, list[str]](list)
    for name in sorted(names):
        groups[key(name)].append(printable(name))
    return [group for group in groups.values() if len(group) > 1]


def _spoken_name(name: str) -> str:
    """Return a name without capitals, kinds of marks and zeros before a number: "S_01" and "s-1" are alike."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]+", " ", name.casefold()))
