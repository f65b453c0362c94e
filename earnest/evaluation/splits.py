"""Train, validation and test sets that can't overlap, and what they share: for every result to say, or to be refused.

`earnest.evaluation.split_files` reads what splits write.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

from earnest.corpora.manifest import Utterance
from earnest.errors import SharedGroupError, SplitError, named

SETS = ("train", "valid", "test")
KeyOf = Callable[[Utterance], str]


def group_of(utterance: Utterance) -> str:
    """Return the group, made unique over corpora; "" when the utterance stands alone."""
    return f"{utterance.corpus}/{utterance.group}" if utterance.group else ""


@dataclass(frozen=True)
class Split:
    """Three disjoint sets: ``valid`` selects epoch and settings, ``test`` is scored once.

    Raises `SplitError` when an utterance, a group, or (if speaker-independent) a speaker is in two sets.

    Attributes
    ----------
    train, valid, test : stored as tuples, in the order given; ``valid`` and ``test`` may be empty
    fold : name of this fold within its protocol
    speaker_independent : no speaker is in two sets; this is checked, and every utterance must then name its speaker
    protocol : what made the split
    dialogue_partners : ``valid`` and ``test`` may hold the two people of one conversation (NTU's rotation of IEMOCAP's
        speakers). Without it a group is never shared between any two sets; a group of ``train`` is never shared at all.
    """

    train: Sequence[Utterance]
    valid: Sequence[Utterance]
    test: Sequence[Utterance]
    fold: str = ""
    speaker_independent: bool = True
    protocol: str = ""
    dialogue_partners: bool = False

    def __post_init__(self) -> None:
        for name in SETS:
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.train:
            raise SplitError(f"{self.title}: the training set is empty.")
        for name in SETS:
            self._refuse_repeats(name)
        for first, second in combinations(SETS, 2):
            self._refuse_shared(first, second)

    @property
    def title(self) -> str:
        """Protocol and fold, for messages."""
        return " ".join(word for word in (self.protocol or "split", self.fold) if word)

    @property
    def sets(self) -> Mapping[str, Sequence[Utterance]]:
        """The three sets by name."""
        return {name: getattr(self, name) for name in SETS}

    def _refuse_repeats(self, name: str) -> None:
        utterances = self.sets[name]
        seen: set[str] = set()
        for utterance in utterances:
            if utterance.key in seen:
                raise SplitError(f"{self.title}: the utterance {utterance.key} is twice in {name}.")
            seen.add(utterance.key)
        silent = [utterance.key for utterance in utterances if not utterance.speaker]
        if self.speaker_independent and silent:
            raise SplitError(
                f"{self.title}: speaker-independent, but {named(silent)} in {name} have no speaker. Add it "
                "to the manifest."
            )

    def _refuse_shared(self, first: str, second: str) -> None:
        refused: list[tuple[str, KeyOf]] = [("utterance", lambda utterance: utterance.key)]
        if self.speaker_independent:
            refused.append(("speaker", lambda utterance: utterance.speaker))
        if not (self.dialogue_partners and (first, second) == ("valid", "test")):
            refused.append(("group", group_of))
        for what, key_of in refused:
            shared = shared_values(self.sets[first], self.sets[second], key_of)
            if shared:
                kind = SharedGroupError if what == "group" else SplitError
                raise kind(f"{self.title}: {first} and {second} share the {what} {named(shared)}.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values with utterance keys only: what may be published beside a result."""
        return {
            "protocol": self.protocol,
            "fold": self.fold,
            "speaker_independent": self.speaker_independent,
            "dialogue_partners": self.dialogue_partners,
            **{name: [utterance.key for utterance in utterances] for name, utterances in self.sets.items()},
        }

    def to_json(self) -> str:
        """Return the text of ``split.json``."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"


def shared_values(first: Iterable[Utterance], second: Iterable[Utterance], key_of: KeyOf) -> list[str]:
    """Return the values of ``key_of`` that occur in both, sorted; "" is none."""
    return sorted(({key_of(utterance) for utterance in first} & {key_of(utterance) for utterance in second}) - {""})


def problem_with(values: object) -> str | None:
    """Explain a wrong content of a split file, None for a right one."""
    if not isinstance(values, dict):
        return "it must hold one JSON object."
    kinds = {"protocol": str, "fold": str, "speaker_independent": bool, "dialogue_partners": bool}
    if set(values) != {*kinds, *SETS}:
        return f"its keys must be {', '.join([*kinds, *SETS])}."
    for name, kind in kinds.items():
        if not isinstance(values[name], kind):
            return f"'{name}' must be a {kind.__name__}."
    for name in SETS:
        if not isinstance(values[name], list) or not all(isinstance(key, str) for key in values[name]):
            return f"'{name}' must be a list of utterance keys."
    return None


Digests = Mapping[str, str]
"""Utterance key → digest of its samples, equal where the sound is equal; "" for silence."""


_SHARED: Mapping[str, KeyOf] = {
    "speakers": lambda row: row.speaker,
    "sentences": lambda row: f"{row.corpus}/{row.text_id}" if row.text_id else "",
    "groups": group_of,
    "sessions": lambda row: f"{row.corpus}/{row.session}" if row.session else "",
    "recordings": lambda row: row.path.as_posix(),
}


@dataclass(frozen=True)
class Leakage:
    """Leakage between two sets; shared sentences are no error, but matter.

    Attributes
    ----------
    speakers, sentences : None where no set names any
    recordings : files of which both hold parts
    duplicates : utterances of the second whose samples are those of an utterance of the first; None where nobody
        compared
    """

    first: str
    second: str
    speakers: int | None
    sentences: int | None
    groups: int
    sessions: int
    recordings: int
    duplicates: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self)
        return {"sets": [values.pop("first"), values.pop("second")], "shared": values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Leakage":
        """Read the leakage from the values of `to_dict`."""
        return cls(*values["sets"], **values["shared"])


def _told(counts: Iterable[int | None]) -> str:
    """Write fewest to most, and "unknown" where a fold doesn't say it."""
    found = set(counts)
    known = sorted(count for count in found if count is not None)
    texts = [" to ".join(map(str, dict.fromkeys((known[0], known[-1]))))] if known else []
    return " or ".join([*texts, *(["unknown"] if None in found else [])])


def leakage(split: Split, digests: Digests | None = None) -> list[Leakage]:
    """Count the leakage between each two sets of a split; identical utterances only where digests are given."""
    found = []
    for first, second in combinations(SETS, 2):
        rows = split.sets[first], split.sets[second]
        counts: dict[str, Any] = {name: len(shared_values(*rows, key_of)) for name, key_of in _SHARED.items()}
        for name in ("speakers", "sentences"):  # who has no group or session stands alone; these two all have
            if not any(_SHARED[name](row) for members in rows for row in members):
                counts[name] = None
        duplicates = None if digests is None else len({other for _, other in identical(*rows, digests)})
        found.append(Leakage(first, second, **counts, duplicates=duplicates))
    return found


def identical(first: Iterable[Utterance], second: Iterable[Utterance], digests: Digests) -> list[tuple[str, str]]:
    """Return (key, key) of the utterances of two sets that sound the same; silence is not compared."""
    by_digest: dict[str, list[str]] = defaultdict(list)
    for row in first:
        if digest := digests.get(row.key):
            by_digest[digest].append(row.key)
    return [(one, row.key) for row in second for one in by_digest.get(digests.get(row.key, ""), ())]


def refuse_identical(split: Split, digests: Digests) -> None:
    """Refuse a speaker-independent split that has the same sound, under whatever name, in two sets.

    Raises `SplitError`, naming the utterances.
    """
    if not split.speaker_independent:
        return
    for first, second in combinations(SETS, 2):
        pairs = identical(split.sets[first], split.sets[second], digests)
        if pairs:
            same = named([f"{one} = {other}" for one, other in pairs])
            raise SplitError(f"{split.title}: {first} and {second} share identical audio: {same}. Keep one of each.")


def sentences_over(lines: Sequence[Leakage]) -> list[str]:
    """Return a sentence for each two sets, with the fewest and the most that they share in a fold."""
    folds: dict[tuple[str, str], list[Leakage]] = {}
    for line in lines:
        folds.setdefault((line.first, line.second), []).append(line)
    told = {**{name: name for name in _SHARED}, "duplicates": "identical utterances"}
    return [
        f"{first} and {second} share "
        + ", ".join(f"{_told(getattr(line, name) for line in found)} {word}" for name, word in told.items())
        for (first, second), found in folds.items()
    ]


MARK = "#"


def repeated(splits: Sequence[Split], n: int) -> list[Split]:
    """Return the splits ``n`` times, from the second time on under the names of repeats."""
    if n > 1 and (strange := [split.fold for split in splits if MARK in split.fold]):
        raise SplitError(f"'{strange[0]}': the name of a fold can't hold {MARK} where folds are repeated.")
    numbers = range(1, n + 1)
    return [replace(split, fold=repeat_name(split.fold, number)) for number in numbers for split in splits]


def repeat_name(fold: str, number: int) -> str:
    """Return the name of a fold's repeat; the first has the fold's own."""
    return fold if number == 1 else f"{fold}{MARK}{number}"


def fold_and_repeat(name: str, folds: Container[str] | None = None) -> tuple[str, int]:
    """Return the fold and which repeat of it, from 1.

    Parameters
    ----------
    folds : names beside it; a repeat stands beside its fold, so that a speaker called "P#2" is not one of "P". None: a
        name that looks like a repeat is one
    """
    fold, mark, number = name.rpartition(MARK)
    is_repeat = bool(mark) and number.isdecimal() and int(number) > 1 and (folds is None or fold in folds)
    return (fold, int(number)) if is_repeat else (name, 1)


def without_repeats(names: Collection[str]) -> list[str]:
    """Return the folds once each, whatever repeats of them are there."""
    return list(dict.fromkeys(fold_and_repeat(name, names)[0] for name in names))
