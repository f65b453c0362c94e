"""Train, validation and test sets that can't overlap; `earnest.evaluation.split_files` reads what they write."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from earnest.corpora.manifest import Utterance
from earnest.errors import SharedGroupError, SplitError

SETS = ("train", "valid", "test")
N_NAMED = 3  # how many offenders an error message names
KeyOf = Callable[[Utterance], str]


def _speaker(utterance: Utterance) -> str:
    return utterance.speaker


def group_of(utterance: Utterance) -> str:
    """Return the group, made unique over corpora; "" when the utterance stands alone."""
    return f"{utterance.corpus}/{utterance.group}" if utterance.group else ""


@dataclass(frozen=True)
class Split:
    """Three disjoint sets: ``valid`` selects epoch and settings, ``test`` is scored once.

    Attributes
    ----------
    train, valid, test : stored as tuples, in the order given; ``valid`` and ``test`` may be empty
    fold : name of this fold within its protocol
    speaker_independent : no speaker is in two sets; this is checked, and every utterance must then name its speaker
    protocol : what made the split
    dialogue_partners : ``valid`` and ``test`` may hold the two people of one conversation (NTU's rotation of IEMOCAP's
        speakers). Without it a group is never shared between any two sets; a group of ``train`` is never shared at all.

    Raises
    ------
    SplitError
        When an utterance, a group, or (if speaker-independent) a speaker is in two sets.
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
            refused.append(("speaker", _speaker))
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


def named(names: Sequence[str], most: int = N_NAMED) -> str:
    """Return the first few names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def problem_with(values: object) -> str | None:
    """Say what is wrong with the content of a split file, None for nothing."""
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
