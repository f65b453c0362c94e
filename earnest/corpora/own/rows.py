"""FoundRows of found recordings → utterances: the last step of every layout."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from earnest.corpora.manifest import Utterance
from earnest.corpora.own.data import CORPUS, Refused, cleaned, problem_with_label
from earnest.corpora.tables import number_in
from earnest.errors import CorpusError, printable, shown
from earnest.labels import EMOTIONS

_GENDERS = {"female": "female", "f": "female", "woman": "female", "male": "male", "m": "male", "man": "male"}
_TEXTS = ("corpus", "session", "text_id", "intensity", "style", "repetition", "channel", "group")
_NUMBERS = ("valence", "arousal", "dominance")


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
            refused.append(Refused(one.where, str(error)))
    unique = _unique([row for row, _ in rows])
    splits = {row.key: split for row, (_, split) in zip(unique, rows, strict=True) if split}
    return FoundRows(tuple(unique), tuple(refused), splits)


def _utterance(found: FoundRecording, base: Path) -> Utterance:
    if not found.path:
        raise CorpusError("names no recording")
    path = base / found.path
    if not _is_file(path):
        raise CorpusError(f"{printable(str(path))}: no such file")
    label = cleaned(found.label)
    if problem := problem_with_label(label):
        raise CorpusError(f"{printable(found.path)}: {problem}")
    more = {name: cleaned(text) for name, text in found.more.items() if cleaned(text)}
    values: dict[str, Any] = {name: more[name] for name in _TEXTS if name in more}
    values |= {name: number for name in _NUMBERS if (number := _number(more, name)) is not None}
    start_s, end_s = _number(more, "start_s") or 0.0, _number(more, "end_s")
    if end_s is None and start_s and (length_s := _number(more, "duration_s")):
        end_s = start_s + length_s
    corpus = values.setdefault("corpus", CORPUS)
    return Utterance(
        utterance_id=more.get("utterance_id") or _identity(found.path, base, start_s, end_s),
        path=path,
        start_s=start_s,
        end_s=end_s,
        speaker=_speaker(cleaned(found.speaker), corpus),
        gender=_GENDERS.get(more.get("gender", "").lower()),  # type: ignore[arg-type]
        emotion=label if label in EMOTIONS else "other",
        native_emotion=label,
        **values,
    )


def _number(more: Mapping[str, str], name: str) -> float | None:
    return number_in(more[name], name) if name in more else None


def _speaker(name: str, corpus: str) -> str:
    """Prefix a speaker with the corpus, so that names such as "01" stay unique over all corpora."""
    return name if not name or name.startswith(f"{corpus}-") else f"{corpus}-{name}"


def _identity(path: str, base: Path, start_s: float, end_s: float | None) -> str:
    given = Path(path)
    relative = given.relative_to(base) if given.is_relative_to(base) else given
    name = relative.as_posix()
    return name if end_s is None and not start_s else f"{name}@{start_s:g}"


def _unique(rows: Sequence[Utterance]) -> list[Utterance]:
    """Number rows that share their name: parts of a recording with one start, or a recording that is named twice."""
    counts, seen = Counter(row.key for row in rows), Counter[str]()
    unique = []
    for row in rows:
        seen[row.key] += 1
        again = counts[row.key] > 1 and seen[row.key] > 1
        unique.append(replace(row, utterance_id=f"{row.utterance_id}#{seen[row.key]}") if again else row)
    return unique


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long for the system, or holds a zero
        return False


def none_usable(source: Path, refused: Sequence[Refused]) -> CorpusError:
    """The error for data of which nothing is left."""
    first = f" The first: {refused[0].where}: {refused[0].reason}." if refused else ""
    n_refused = f"{len(refused)} rows were refused" if refused else "it holds no recordings"
    return CorpusError(f"{shown(str(source))[1:-1]}: {n_refused}, none is left.{first}")
