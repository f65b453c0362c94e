"""Own recordings as a reader finds them: rows, refused recordings, the source of labels."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from earnest.audio.source import file_and_channel, is_file, path_in
from earnest.corpora.manifest import GENDERS, Utterance, unique_speaker
from earnest.errors import CorpusError, counted, is_printable, printable, shown
from earnest.files.tables import number_in
from earnest.labels import AFFECT, EMOTIONS, UNSURE, Scheme, composed, in_canonical_order

CORPUS = "own"  # of recordings whose table names no corpus
PROTOCOL = "own-recordings"  # of the scores that `earnest learn` writes
LONGEST_LABEL = 64  # letters
_NO_LABEL = "no label"
_NOTHING = frozenset({"NA", "N/A", "n/a", "NaN", "nan", "<NA>"})  # as R and pandas write a cell without a value
_LABELLED = (
    " Put the recordings of each class into a folder of its name, or give a table with a column of labels "
    "(--label-column), or --label-pattern where the names of files say it."
)
_TEXTS = ("corpus", "session", "text_id", "intensity", "style", "repetition", "channel", "group")


@dataclass(frozen=True)
class Refused:
    """A recording or a row that can't be used, and why.

    Attributes
    ----------
    where : path of the recording, or table and line
    names : the recording that the reason names: the one of the row, or another
    """

    where: str
    reason: str
    names: str = ""

    @property
    def kind(self) -> str:
        """The reason without the recording that it names."""
        return self.reason.removeprefix(f"{self.names}: ").removesuffix(f": see {self.names}")

    @classmethod
    def because(cls, where: str, problem: str, names: str = "") -> "Refused":
        """Take from a problem what it says about ``where``: it often begins with the same name."""
        name, _, rest = problem.partition(": ")
        place = printable(where)
        return cls(where, rest if rest and (place.startswith(name) or place.endswith(name)) else problem, names)

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def kinds_of(refused: Sequence[Refused]) -> list[str]:
    """Return each kind of reason with its count and the first recording or row, most frequent first."""
    counts = Counter(one.kind for one in refused)
    first = {one.kind: one for one in reversed(refused)}
    told = {kind: first[kind].reason if n == 1 else kind for kind, n in counts.items()}
    return [f"{n} × {told[kind]} ({first[kind].where})" for kind, n in counts.most_common()]


@dataclass(frozen=True)
class OwnData:
    """Own recordings with labels in the words of whoever made them.

    A row's ``native_emotion`` is its label; its ``emotion`` is the same where that is a canonical name, else "other".
    So `scheme` has the labels as classes, and a manifest that is written of the rows reads back the same.

    Attributes
    ----------
    layout : in words, "a folder for each class"
    label_from, speaker_from : in words, "column 'label'", "folder 2"; ``speaker_from`` is "" where speakers are unknown
    splits : key of an utterance → the word for its set ("train"), where the data says
    notes : what whoever made the data should know
    hints : the columns, patterns and root that `earnest.corpora.own.read_own` was given, by the names of its parameters
    """

    source: Path
    layout: str
    utterances: tuple[Utterance, ...]
    refused: tuple[Refused, ...] = ()
    label_from: str = ""
    speaker_from: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels: canonical emotions in canonical order, then the others in that of the alphabet."""
        return in_canonical_order(row.native_emotion for row in self.utterances)

    @property
    def class_counts(self) -> dict[str, int]:
        """Label → recordings."""
        counts = Counter(row.native_emotion for row in self.utterances)
        return {label: counts[label] for label in self.labels}

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names of all speakers that are known, sorted."""
        return tuple(sorted({row.speaker for row in self.utterances if row.speaker}))

    @property
    def knows_speakers(self) -> bool:
        """Whether each recording has a speaker."""
        return all(row.speaker for row in self.utterances)

    @property
    def scheme(self) -> Scheme:
        """The labels as classes, whatever words they are."""
        rules = {(row.corpus, row.native_emotion): row.native_emotion for row in self.utterances}
        return Scheme("native", self.labels, native=dict(rules))


def cleaned(text: str) -> str:
    """Return a label or name in one form: without spaces around, and as `composed` does; "NA" is none."""
    name = composed(text).strip()
    return "" if name in _NOTHING else name


def problem_with_label(label: str) -> str | None:
    """Return why a text is no name of a class, None where it is one."""
    if not label:
        return _NO_LABEL
    if label == UNSURE:  # as tables of `earnest timeline` have it; a class of this name could not be told from it
        return f"'{UNSURE}' stands for no answer. Write the emotion, or another word for a class"
    if len(label) > LONGEST_LABEL:
        return f"a label of {len(label)} letters; at most {LONGEST_LABEL} are a name"
    return None if is_printable(label) else "a label that can't be printed"


@dataclass(frozen=True)
class FoundRecording:
    """One recording, or a part of one, as a layout names it.

    Attributes
    ----------
    path : as written; "" where the row names none
    where : table and line, for messages
    more : manifest column → text
    """

    path: str
    label: str
    where: str
    speaker: str = ""
    split: str = ""
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundLayout:
    """The recordings that a layout found.

    Attributes
    ----------
    base : where relative paths start
    strangers : recordings that a table should name, and doesn't
    """

    name: str
    found: Sequence[FoundRecording]
    base: Path
    label_from: str
    speaker_from: str = ""
    notes: Sequence[str] = ()
    strangers: Sequence[Path] = ()


@dataclass(frozen=True)
class FoundRows:
    """Utterances, those that are none, and the sets of a split that the rows name."""

    utterances: tuple[Utterance, ...]
    refused: tuple[Refused, ...]
    splits: Mapping[str, str]


def utterances_of(found: Iterable[FoundRecording], base: Path) -> FoundRows:
    """Make utterances; what is wrong with one row refuses that row alone. ``base``: where relative paths start."""
    rows: list[tuple[Utterance, str]] = []
    refused: list[Refused] = []
    for one in found:
        try:
            rows.append((_utterance(one, base), one.split))
        except CorpusError as error:
            refused.append(Refused.because(one.where, str(error), printable(one.path)))
    unique = numbered(row for row, _ in rows)
    splits = {row.key: split for row, (_, split) in zip(unique, rows, strict=True) if split}
    return FoundRows(tuple(unique), tuple(refused), splits)


def _missing(path: Path, base: Path, given: str) -> str:
    with suppress(OSError, ValueError):  # what can't be a name is no link either
        if path.is_symlink():
            return "a link to a file that is not there"
    if Path(given).is_absolute():
        return "no such file"
    return (
        f"no such file. Relative paths start at {base.absolute()}; say where else with --root (earnest learn) or "
        "--audio (earnest corpus manifest)"
    )


def _utterance(found: FoundRecording, base: Path) -> Utterance:
    if not found.path:
        raise CorpusError("names no recording")
    path = path_in(base, found.path)
    if not is_file(path):
        raise CorpusError(f"{printable(found.path)}: {_missing(path, base, found.path)}")
    label = cleaned(found.label)
    if problem := problem_with_label(label):
        raise CorpusError(f"{printable(found.path)}: {problem}")
    more = {name: cleaned(text) for name, text in found.more.items() if cleaned(text)}
    values: dict[str, Any] = {name: more[name] for name in _TEXTS if name in more}
    values |= {name: number for name in AFFECT if (number := _number(more, name)) is not None}
    start_s, end_s = _number(more, "start_s") or 0.0, _number(more, "end_s")
    if end_s is None and "start_s" in more and (length_s := _number(more, "duration_s")):
        end_s = start_s + length_s
    corpus = values.setdefault("corpus", CORPUS)
    speaker = unique_speaker(cleaned(found.speaker), corpus)
    whole, channel = file_and_channel(found.path)
    is_part = channel is not None or start_s > 0 or end_s is not None
    if is_part and not speaker:  # parts of one recording stay in one set, as a speaker's would
        values.setdefault("group", whole)
    return Utterance(
        utterance_id=more.get("utterance_id") or _identity(found.path, base, start_s, end_s),
        path=path,
        start_s=start_s,
        end_s=end_s,
        speaker=speaker,
        gender=GENDERS.get(more.get("gender", "").lower()),
        emotion=label if label in EMOTIONS else "other",
        native_emotion=label,
        **values,
    )


def _number(more: Mapping[str, str], name: str) -> float | None:
    return number_in(more[name], name) if name in more else None


def _identity(path: str, base: Path, start_s: float, end_s: float | None) -> str:
    given = Path(path)
    relative = given.relative_to(base) if given.is_relative_to(base) else given
    name = relative.as_posix()
    return name if end_s is None and not start_s else f"{name}@{start_s:g}"


def typed(hints: Mapping[str, str]) -> list[str]:
    """Return hints (see `OwnData`) as the words of a command line."""
    return [word for name, hint in hints.items() for word in (f"--{name.replace('_', '-')}", hint)]


def numbered(rows: Iterable[Utterance]) -> list[Utterance]:
    """Number rows that share their name: parts with one start, recordings named twice, or of folders built alike."""
    rows = list(rows)
    given, taken, latest = {row.key for row in rows}, set[str](), Counter[str]()
    unique = []
    for row in rows:
        key, one = row.key, row
        latest[key] = latest[key] or 1
        while one.key in taken or (one is not row and one.key in given):
            latest[key] += 1
            one = replace(row, utterance_id=f"{row.utterance_id}#{latest[key]}")
        taken.add(one.key)
        unique.append(one)
    return unique


def none_usable(source: Path, refused: Sequence[Refused]) -> CorpusError:
    """The error for data of which nothing is left."""
    first = f" The first: {str(refused[0]).removesuffix('.')}." if refused else ""
    n_refused = f"{counted(len(refused), 'row')} refused" if refused else "it holds no recordings"
    lack_labels = bool(refused) and all(one.reason.endswith(_NO_LABEL) for one in refused)
    return CorpusError(
        f"{shown(str(source))[1:-1]}: {n_refused}, none is left.{first}{_LABELLED if lack_labels else ''}"
    )
