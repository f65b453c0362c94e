"""Own recordings as a reader finds them: rows, refused recordings, the source of labels."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from earnest.audio.source import file_and_channel, is_file, path_in
from earnest.corpora.manifest import Utterance
from earnest.corpora.tables import GENDERS, number_in, unique_speaker
from earnest.errors import CorpusError, counted, named, printable, shown
from earnest.labels import AFFECT, EMOTIONS, UNSURE, Scheme, composed

CORPUS = "own"  # of recordings whose table names no corpus
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
        return in_order({row.native_emotion for row in self.utterances})

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


def doubts_about(labels: Iterable[str], rows: Iterable[Utterance]) -> list[str]:
    """Return sentences about labels, and about speakers of one corpus, that may be one, spelled in two ways."""
    told = "Labels that differ in capitals alone are different classes"
    found = [f"{told}: {', '.join(names)}. Write them alike." for names in _alike(set(labels), str.casefold)]
    speakers = defaultdict[str, set[str]](set)
    for row in rows:
        speakers[row.corpus].add(row.native_speaker)
    return found + [told for members in speakers.values() for told in doubts_about_speakers(members)]


def doubts_about_speakers(names: Iterable[str]) -> list[str]:
    """Return sentences about speakers of one corpus that may be one, spelled in several ways."""
    told = "Speakers that may be one are taken for several"
    return [f"{told}: {', '.join(alike)}. Write them alike." for alike in _alike(names, _spoken_name)]


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


def _alike(names: Iterable[str], key: Callable[[str], str]) -> list[list[str]]:
    """Return groups of names that have one key, of two names at least."""
    groups = defaultdict[str, list[str]](list)
    for name in sorted(names):
        groups[key(name)].append(printable(name))
    return [group for group in groups.values() if len(group) > 1]


def _spoken_name(name: str) -> str:
    """Return a name without capitals, kinds of marks and zeros before a number: "S_01" and "s-1" are alike."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]+", " ", name.casefold()))


def in_order(labels: set[str]) -> tuple[str, ...]:
    """Sort labels: canonical emotions first, in their order."""
    return (*(name for name in EMOTIONS if name in labels), *sorted(labels - set(EMOTIONS)))


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
    return None if label.isprintable() else "a label that can't be printed"


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
class FoundRows:
    """Utterances, those that are none, and the sets of a split that the rows name."""

    utterances: tuple[Utterance, ...]
    refused: tuple[Refused, ...]
    splits: Mapping[str, str]


def utterances_of(found: Iterable[FoundRecording], base: Path) -> FoundRows:
    """Make utterances; what is wrong with one row refuses that row alone.

    Parameters
    ----------
    base : where relative paths start
    """
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
        gender=GENDERS.get(more.get("gender", "").lower()),  # type: ignore[arg-type]
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
