"""Splitters: ways to divide utterances into train, validation and test sets; a protocol is one with its settings.

Some follow the order in which published code met its files: a seeded draw over utterances follows from it, and from
nothing else.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.resources import files
from operator import attrgetter
from types import ModuleType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError, counted, needs_extra
from earnest.evaluation.splits import group_of
from earnest.labels import in_canonical_order

Indices = npt.NDArray[np.intp]
KeyOf = Callable[[Utterance], str]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Parts:
    """The sets of one fold, before they are checked."""

    fold: str
    train: Sequence[Utterance]
    valid: Sequence[Utterance]
    test: Sequence[Utterance]


Divide = Callable[[Sequence[Utterance], Sequence[str]], list[Parts]]
"""Divides (utterances, their classes under the protocol's scheme)."""


def in_order(utterances: Iterable[Utterance]) -> list[Utterance]:
    """Sort by file name, then by key: a split must not depend on the order of a directory listing."""
    return sorted(utterances, key=lambda utterance: (utterance.path.stem, utterance.key))


def session_of(utterance: Utterance) -> str:
    """Return the corpus and the session, which must be named."""
    if not utterance.session:
        raise SplitError(
            f"{utterance.key} has no session, and this protocol splits by session. Add it to the manifest."
        )
    return f"{utterance.corpus}-{utterance.session}"


def group_named(utterance: Utterance) -> str:
    """Return the group, which must be named."""
    if not utterance.group:
        raise SplitError(f"{utterance.key} has no group, and this protocol splits by group. Add it to the manifest.")
    return group_of(utterance)


@dataclass(frozen=True)
class NamedFolds:
    """The test speakers of each fold are given; the next fold's are for validation, cyclically."""

    folds: Mapping[str, Sequence[str]]

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        fold_of = {speaker: fold for fold, speakers in self.folds.items() for speaker in speakers}
        return cross_validated(utterances, lambda utterance: fold_of[utterance.speaker], list(self.folds))


def partners_of(utterances: Iterable[Utterance]) -> dict[str, str]:
    """Return each speaker's circle: the first, by name, of all whom shared groups tie together.

    The partners of IEMOCAP's dialogues can't be in different sets, since a dialogue is one group. Where no group has
    two speakers, each speaker is a circle.
    """
    first: dict[str, str] = {}
    named: dict[str, str] = {}  # group → one of its speakers

    def circle(speaker: str) -> str:
        while first.setdefault(speaker, speaker) != speaker:
            speaker = first[speaker]
        return speaker

    for utterance in utterances:
        own, group = circle(utterance.speaker), group_of(utterance)
        if group:
            other = circle(named.setdefault(group, utterance.speaker))
            first[max(own, other)] = min(own, other)
    return {speaker: circle(speaker) for speaker in first}


@dataclass(frozen=True)
class SpeakerFolds:
    """Folds of whole speakers, dealt out as `KeyFolds` does; partners of a dialogue stay together."""

    n: int

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        circles = partners_of(utterances)
        what = "speakers" if all(map(str.__eq__, circles, circles.values())) else "pairs of dialogue partners"
        return KeyFolds(self.n, lambda utterance: circles[utterance.speaker], what)(utterances, classes)


@dataclass(frozen=True)
class KeyFolds:
    """Values of ``key_of`` sorted, the k-th (from 0) goes to fold k mod ``n``; the next fold is for validation.

    Attributes
    ----------
    what : the values are called, in messages
    """

    n: int
    key_of: KeyOf
    what: str

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        keys = at_least(self.n, sorted({self.key_of(utterance) for utterance in utterances}), self.what)
        fold_of = {key: f"f{position % self.n + 1}" for position, key in enumerate(keys)}
        names = [f"f{number + 1}" for number in range(self.n)]
        return cross_validated(utterances, lambda utterance: fold_of[self.key_of(utterance)], names)


@dataclass(frozen=True)
class LeaveOneOut:
    """Each value of ``key_of`` is tested once; the next ``n_valid`` values are for validation, cyclically."""

    key_of: KeyOf = attrgetter("speaker")
    n_valid: int = 2

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        keys = at_least(
            self.n_valid + 2, sorted({self.key_of(utterance) for utterance in utterances}), "of what is left out"
        )
        return cross_validated(utterances, self.key_of, keys, self.n_valid)


def cross_validated(
    utterances: Sequence[Utterance], key_of: KeyOf, keys: Sequence[str], n_valid: int = 1
) -> list[Parts]:
    """Test each key once; validate on the ``n_valid`` keys after it, cyclically; train on the rest."""
    members: dict[str, list[Utterance]] = {key: [] for key in keys}
    for utterance in utterances:
        members[key_of(utterance)].append(utterance)
    parts = []
    for position, key in enumerate(keys):
        valid = [keys[(position + step) % len(keys)] for step in range(1, n_valid + 1)]
        chosen = {key, *valid}
        train = [utterance for other in keys if other not in chosen for utterance in members[other]]
        parts.append(Parts(key, train, [utterance for name in valid for utterance in members[name]], members[key]))
    return parts


@dataclass(frozen=True)
class PartnerRotation:
    """Both speakers of each session in turn: one for test, the other for validation, other sessions for training."""

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        parts = []
        for session in sorted({session_of(utterance) for utterance in utterances}):
            inside = [utterance for utterance in utterances if session_of(utterance) == session]
            train = [utterance for utterance in utterances if session_of(utterance) != session]
            speakers = sorted({utterance.speaker for utterance in inside})
            if len(speakers) != 2:
                raise SplitError(
                    f"The session {session} has {counted(len(speakers), 'speaker')}; this protocol needs two."
                )
            for tested in speakers:
                test = [utterance for utterance in inside if utterance.speaker == tested]
                valid = [utterance for utterance in inside if utterance.speaker != tested]
                parts.append(Parts(tested, train, valid, test))
        return parts


@dataclass(frozen=True)
class BatchHalves:
    """Each batch of sessions in turn: its first half for test, the others of it for validation, the rest for training.

    So does NTU's code with THAI SER, ten studio recordings a batch.
    """

    batch_of: KeyOf

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        parts = []
        for batch in at_least(2, sorted({self.batch_of(utterance) for utterance in utterances}), "batches of sessions"):
            inside = [utterance for utterance in utterances if self.batch_of(utterance) == batch]
            sessions = at_least(2, sorted({utterance.session for utterance in inside}), f"sessions in {batch}")
            first = set(sessions[: len(sessions) // 2])
            test = [utterance for utterance in inside if utterance.session in first]
            valid = [utterance for utterance in inside if utterance.session not in first]
            train = [utterance for utterance in utterances if self.batch_of(utterance) != batch]
            parts.append(Parts(batch, train, valid, test))
        return parts


@dataclass(frozen=True)
class PartHoldOut:
    """One part of a corpus for test, the last batch of the others for validation, the rest for training: one split.

    Attributes
    ----------
    fold : its name
    """

    fold: str
    is_tested: Callable[[Utterance], bool]
    batch_of: KeyOf

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        others = [utterance for utterance in utterances if not self.is_tested(utterance)]
        test = at_least(1, [row for row in utterances if self.is_tested(row)], f"recordings of {self.fold}")
        *_, held = at_least(2, sorted({self.batch_of(utterance) for utterance in others}), "batches of sessions")
        train = [utterance for utterance in others if self.batch_of(utterance) != held]
        return [Parts(self.fold, train, [row for row in others if self.batch_of(row) == held], test)]


@dataclass(frozen=True)
class StratifiedFolds:
    """scikit-learn's shuffled stratified folds over utterances; speakers are shared; a tenth of train is validation."""

    n: int
    seed: int

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        labels = _codes(classes)
        rarest, count = Counter(classes).most_common()[-1]
        if count < self.n:
            needed = f"Every class needs at least {self.n} recordings for {self.n} stratified folds"
            raise SplitError(f"{needed}, and '{rarest}' has {count}.")
        fold_of = np.empty(len(utterances), dtype=np.intp)
        splitter = _model_selection().StratifiedKFold(n_splits=self.n, shuffle=True, random_state=self.seed)
        for number, (_, test) in enumerate(splitter.split(np.zeros(len(labels)), labels)):
            fold_of[test] = number
        keep_groups_together(fold_of, utterances)
        return [
            with_validation(f"f{number + 1}", utterances, labels, fold_of == number, 0.1) for number in range(self.n)
        ]


@dataclass(frozen=True)
class StratifiedHoldOut:
    """scikit-learn's stratified random hold-out over utterances: speakers are shared.

    Attributes
    ----------
    test_share : of all utterances
    valid_share : of the utterances that are left for training
    """

    test_share: float
    seed: int
    valid_share: float = 0.1

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        labels = _codes(classes)
        tested = _drawn(labels, self.test_share, self.seed)
        keep_groups_together(tested, utterances)
        return [with_validation("holdout", utterances, labels, tested, self.valid_share)]


@dataclass(frozen=True)
class ApartFromGroups:
    """Draws utterances one by one, turns of one dialogue apart, as published random draws did: this makes them easy."""

    divide: Divide

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        """Return the `Parts` of ``divide``, whose utterances name no group any more."""
        return self.divide([replace(utterance, group="") for utterance in utterances], classes)


@dataclass(frozen=True)
class SpeakerHoldOut:
    """Every fifth speaker for test, the ones after them for validation: one split of any manifest.

    With fewer than five speakers one is for test and one for validation; three are needed. Partners of a dialogue stay
    together and count as one.
    """

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        n_speakers = len(set(partners_of(utterances).values()))
        # The first of three to five folds, which deal speakers out in turn, and validate on the next fold.
        return SpeakerFolds(min(5, max(3, n_speakers)))(utterances, classes)[:1]


def with_validation(
    fold: str, utterances: Sequence[Utterance], labels: Indices, tested: npt.NDArray[np.bool_], share: float
) -> Parts:
    """Take a stratified ``share`` of the utterances that are not ``tested`` for validation (seed 0)."""
    rest = np.flatnonzero(~tested)
    chosen = _drawn(labels[rest], share, 0)
    keep_groups_together(chosen, [utterances[int(index)] for index in rest])

    def rows(indices: Indices) -> list[Utterance]:
        return [utterances[int(index)] for index in indices]

    return Parts(fold, rows(rest[~chosen]), rows(rest[chosen]), rows(np.flatnonzero(tested)))


def keep_groups_together(assigned: npt.NDArray[np.generic], utterances: Sequence[Utterance]) -> None:
    """Move the later members of each group, in place, to where its first member was drawn.

    A seeded draw over utterances can put two utterances with identical audio (RAVDESS has one such pair) into different
    sets. Moving the later one changes the drawn sets by one utterance and leaves all others as scikit-learn drew them.
    """
    first: dict[str, int] = {}
    for index, utterance in enumerate(utterances):
        group = group_of(utterance)
        if group:
            assigned[index] = assigned[first.setdefault(group, index)]  # a group's first member maps to itself


def _drawn(labels: Indices, share: float, seed: int) -> npt.NDArray[np.bool_]:
    indices, n_classes = np.arange(len(labels)), len(set(labels.tolist()))
    # Of few utterances at least one of each class; else the share itself, which published draws depend on.
    size = share if math.ceil(share * len(labels)) >= n_classes else n_classes
    try:
        _, chosen = _model_selection().train_test_split(indices, test_size=size, random_state=seed, stratify=labels)
    except ValueError as error:
        n_least = int(np.unique(labels, return_counts=True)[1].min())
        raise SplitError(
            f"Too few recordings for a stratified draw of {share:.0%}: {len(labels)} of {n_classes} classes, the "
            f"smallest class has {n_least} ({error}). Record more of it, or leave that class out."
        ) from None
    mask = np.zeros(len(labels), dtype=np.bool_)  # (utterances,), True where drawn
    mask[chosen] = True
    return mask


def _codes(classes: Sequence[str]) -> Indices:
    """Number the classes in canonical order, as RAVDESS' own codes do: scikit-learn's hold-out depends on it."""
    code = {name: position for position, name in enumerate(in_canonical_order(classes))}
    return np.array([code[name] for name in classes], dtype=np.intp)


def at_least(n: int, found: list[Found], what: str) -> list[Found]:
    """Return ``found``, or refuse data that has too few of it."""
    if len(found) < n:
        there = "but no recording names one" if found == [""] else f"the data has {len(found)}"
        raise SplitError(f"This protocol needs at least {n} {what}, {there}.")
    return found


def _model_selection() -> ModuleType:
    with needs_extra("a speaker-dependent protocol (scikit-learn's seeded splits)", "train"):
        return import_module("sklearn.model_selection")


@dataclass(frozen=True)
class CrossCorpus:
    """Each corpus is tested once with the others for training, every fifth of their speakers for validation.

    Partners of a dialogue stay together and count as one.

    Attributes
    ----------
    shared_classes : only classes that every corpus has are used; otherwise each corpus has those of the scheme it has
    """

    shared_classes: bool = True

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        usable = _of_shared_classes(utterances, classes) if self.shared_classes else utterances
        corpora = at_least(2, sorted({row.corpus for row in usable}), "corpora")
        circles = partners_of(usable)
        held = {
            circle
            for corpus in corpora
            for circle in sorted({circles[row.speaker] for row in usable if row.corpus == corpus})[::5]  # no seed
        }
        parts = []
        for corpus in corpora:
            others = [row for row in usable if row.corpus != corpus]
            train = [row for row in others if circles[row.speaker] not in held]
            valid = [row for row in others if circles[row.speaker] in held]
            parts.append(Parts(f"to-{corpus}", train, valid, [row for row in usable if row.corpus == corpus]))
        return parts


@dataclass(frozen=True)
class CorpusMatrix:
    """Each corpus is trained on once and tested on all others and on held-out speakers of its own.

    Of each corpus, the speakers of `SpeakerHoldOut` are for test and validation. Only classes that every corpus has
    are used.
    """

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        usable = _of_shared_classes(utterances, classes)
        parts = []
        for corpus in sorted({row.corpus for row in usable}):
            (own,) = SpeakerHoldOut()([row for row in usable if row.corpus == corpus], ())
            others = [row for row in usable if row.corpus != corpus]
            parts.append(Parts(f"from-{corpus}", own.train, own.valid, [*own.test, *others]))
        return parts


def _of_shared_classes(utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Utterance]:
    """Return the utterances of the classes that every corpus has."""
    corpora = at_least(2, sorted({utterance.corpus for utterance in utterances}), "corpora")
    pairs = list(zip(utterances, classes, strict=True))
    shared = set.intersection(*({name for row, name in pairs if row.corpus == corpus} for corpus in corpora))
    if len(shared) < 2:
        raise SplitError(
            f"{', '.join(corpora)} have fewer than two classes in common. Choose other corpora or another scheme, or "
            "say what your words mean: earnest corpus manifest PATH -o mine.csv --emotion YOURS=OURS"
        )
    return [row for row, name in pairs if name in shared]


@dataclass(frozen=True)
class InPublishedOrder:
    """Divides the utterances in the order of a published list of file names instead of in that of their names.

    Attributes
    ----------
    names : file names without suffix, called when utterances are divided
    source : what published the list, for messages
    divide : draws by position
    """

    names: Callable[[], Sequence[str]]
    source: str
    divide: Divide

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        """Return the `Parts` of ``divide``."""
        position = {name: number for number, name in enumerate(self.names())}
        strange = [utterance for utterance in utterances if utterance.path.stem not in position]
        if strange:
            raise SplitError(
                f"{strange[0].path.name}: not among the files of {self.source}, whose order makes these sets. Use the "
                "published file names, or a protocol for any manifest, such as stratified-5fold."
            )
        order = sorted(range(len(utterances)), key=lambda index: position[utterances[index].path.stem])
        return self.divide([utterances[index] for index in order], [classes[index] for index in order])


def emocatcher_order() -> list[str]:
    """Return RAVDESS' 1,440 speech files in the row order of ``meta.csv`` in EmoCatcher's repository (hwang9u, 2022).

    That is how one directory listing gave them. The table has a line an actor: its number, then emotion, intensity,
    statement and repetition of each utterance, one digit each.
    """
    lines = (files("earnest.corpora") / "published" / "emocatcher.txt").read_text(encoding="utf-8").splitlines()
    return [
        f"03-01-{'-'.join(f'0{digit}' for digit in clip)}-{actor}"
        for actor, *clips in map(str.split, lines)
        for clip in clips
    ]
