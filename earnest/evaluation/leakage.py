"""What the sets of a split have in common: for every result to say, and where it is too much, to be refused."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.splits import SETS, KeyOf, Split, group_of, named, shared_values

Digests = Mapping[str, str]
"""Utterance key → digest of its samples, equal where the sound is equal; "" for silence."""


def _speaker(utterance: Utterance) -> str:
    return utterance.speaker


def _sentence(utterance: Utterance) -> str:
    return f"{utterance.corpus}/{utterance.text_id}" if utterance.text_id else ""


def _session(utterance: Utterance) -> str:
    return f"{utterance.corpus}/{utterance.session}" if utterance.session else ""


def _recording(utterance: Utterance) -> str:
    return utterance.path.as_posix()


_SHARED: Mapping[str, KeyOf] = {
    "speakers": _speaker,
    "sentences": _sentence,
    "groups": group_of,
    "sessions": _session,
    "recordings": _recording,
}


@dataclass(frozen=True)
class Leakage:
    """How much two sets have in common; shared sentences are no error, but matter.

    Attributes
    ----------
    speakers : None where neither set names any
    recordings : files of which both hold parts
    duplicates : clips of the second whose samples are those of a clip of the first; None where nobody compared
    """

    first: str
    second: str
    speakers: int | None
    sentences: int
    groups: int
    sessions: int
    recordings: int
    duplicates: int | None = None

    def sentence(self) -> str:
        """Return one line for logs and tables."""
        counts = ", ".join(f"{_told(getattr(self, name))} {name}" for name in _SHARED)
        return f"{self.first} and {self.second} share {counts}, {_told(self.duplicates)} identical clips"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self)
        return {"sets": [values.pop("first"), values.pop("second")], "shared": values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Leakage":
        """Read what `to_dict` wrote."""
        return cls(*values["sets"], **values["shared"])


def _told(count: int | None) -> str:
    return "unknown" if count is None else str(count)


def leakage(split: Split, digests: Digests | None = None) -> list[Leakage]:
    """Count what each two sets of a split share; identical clips only where digests are given."""
    found = []
    for first, second in combinations(SETS, 2):
        rows = split.sets[first], split.sets[second]
        counts: dict[str, Any] = {name: len(shared_values(*rows, key_of)) for name, key_of in _SHARED.items()}
        if not any(row.speaker for members in rows for row in members):
            counts["speakers"] = None
        duplicates = None if digests is None else len({other for _, other in identical(*rows, digests)})
        found.append(Leakage(first, second, **counts, duplicates=duplicates))
    return found


def identical(first: Iterable[Utterance], second: Iterable[Utterance], digests: Digests) -> list[tuple[str, str]]:
    """Return (key, key) of the clips of two sets that sound the same; silence is not compared."""
    by_digest: dict[str, list[str]] = defaultdict(list)
    for row in first:
        if digest := digests.get(row.key):
            by_digest[digest].append(row.key)
    return [(one, row.key) for row in second for one in by_digest.get(digests.get(row.key, ""), ())]


def refuse_identical(split: Split, digests: Digests) -> None:
    """Refuse a speaker-independent split that has the same sound, under whatever name, in two sets.

    Raises
    ------
    SplitError
        Naming the clips.
    """
    if not split.speaker_independent:
        return
    for first, second in combinations(SETS, 2):
        pairs = identical(split.sets[first], split.sets[second], digests)
        if pairs:
            same = named([f"{one} = {other}" for one, other in pairs])
            raise SplitError(f"{split.title}: {first} and {second} share identical audio: {same}. Keep one of each.")


def sentences_over(lines: Sequence[Leakage]) -> list[str]:
    """Return the different sentences of several folds, in order."""
    return list(dict.fromkeys(line.sentence() for line in lines))
