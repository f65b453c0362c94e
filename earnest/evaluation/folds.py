"""Choice of a protocol for recordings, of its folds, and of repeats."""

from collections import defaultdict
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError, SplitError, counted, named, suggestion
from earnest.evaluation.confusion import HEADLINES
from earnest.evaluation.intervals import Spread, spread
from earnest.evaluation.metrics import Scores
from earnest.evaluation.protocols import FEWEST_FOLDS, Protocol, splits_of
from earnest.evaluation.splits import Split
from earnest.evaluation.splitters import partners_of

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


def training_seeds(protocol: Protocol, own: int, repeats: int | None) -> tuple[int, ...]:
    """Return the seed of each repeat.

    Parameters
    ----------
    own : the recipe's seed; a protocol without seeds of its own counts on from it
    repeats : None for as many as the protocol has

    Raises
    ------
    RecipeError
        When the protocol has fewer seeds.
    """
    seeds = protocol.training_seeds
    if not seeds:
        return tuple(range(own, own + (repeats or 1)))
    if repeats and repeats > len(seeds):
        raise RecipeError(
            f"{protocol.name} has {counted(len(seeds), 'seed')}, so at most {counted(len(seeds), 'repeat')}; "
            f"got {repeats}."
        )
    return seeds[:repeats]


def seeds_apart(scores: Scores) -> tuple[Scores, dict[str, Spread]]:
    """Separate the spread over folds from the spread over repeats.

    Returns
    -------
    scores whose ``over_folds`` are of each fold's mean over its repeats; headline → spread over repeats of their means
    over folds, empty where each fold was trained once
    """
    if not any(fold_and_repeat(fold, scores.folds)[1] > 1 for fold in scores.folds):
        return scores, {}
    return replace(scores, over_folds=_spreads(scores.folds, 0)), _spreads(scores.folds, 1)


def _spreads(folds: Mapping[str, Mapping[str, float]], along: int) -> dict[str, Spread]:
    found = {}
    for headline in HEADLINES:
        values = defaultdict(list)
        for name, scores in folds.items():
            values[fold_and_repeat(name, folds)[along]].append(scores[headline])
        found[headline] = spread([spread(several).mean for several in values.values()])
    return found


@dataclass(frozen=True)
class FoldChoice:
    """The folds that are scored, and how many the protocol has.

    Attributes
    ----------
    splits : one a fold and repeat
    note : what else sets the result apart from the protocol's, such as less training data
    """

    splits: Sequence[Split]
    n_folds: int
    note: str = ""

    @property
    def folds(self) -> list[str]:
        """Names of the folds, without their repeats."""
        return without_repeats([split.fold for split in self.splits])

    @property
    def some_folds(self) -> str:
        """Names of the chosen folds: "only f1 of 6 folds"; empty for all."""
        return "" if len(self.folds) == self.n_folds else f"only {', '.join(self.folds)} of {self.n_folds} folds"

    @property
    def part(self) -> str:
        """Difference from a result of the whole protocol; empty for none."""
        return ", ".join(filter(None, [self.some_folds, self.note]))

    def title(self, protocol: Protocol) -> str:
        """Return the title of a result."""
        return f"{', '.join(filter(None, [protocol.name, self.part]))} ({protocol.kind})"


def chosen_folds(
    protocol: Protocol, utterances: Sequence[Utterance], names: Sequence[str] = (), repeats: int = 1
) -> FoldChoice:
    """Divide ``utterances`` by a protocol and return the folds called ``names`` in the protocol's order; without, all.

    Parameters
    ----------
    repeats : how often each fold is trained

    Raises
    ------
    RecipeError
        For an unknown fold, with the nearest right one.
    SplitError
        When a fold's name reads as a repeat of another fold.
    """
    splits = {split.fold: split for split in splits_of(protocol, utterances)}
    if taken := [fold for fold in splits if fold_and_repeat(fold, splits)[1] > 1]:
        raise SplitError(f"The fold '{taken[0]}' would be read as a repeat of another one. Call it without {MARK}.")
    for name in names:
        if name not in splits:
            raise RecipeError(f"The protocol {protocol.name} has no fold '{name}'.{suggestion(name, splits)}")
    wanted = [split for fold, split in splits.items() if fold in names or not names]
    return FoldChoice(repeated(wanted, repeats), len(splits))


FEW_SPEAKERS, FOLDS = 10, 5
SPEAKER_DEPENDENT = "stratified-5fold"
_WITHOUT = (
    f"Without speakers a result says nothing about new speakers; --protocol {SPEAKER_DEPENDENT} splits single "
    "recordings, and its titles say speaker-dependent"
)


def suitable_protocol(rows: Sequence[Utterance], one_split: bool = False) -> str:
    """Name the protocol that keeps speakers apart: leave one out of up to ten, five folds of more.

    Speakers whom a dialogue or another group ties count as one.

    Parameters
    ----------
    one_split : for one training: every fifth speaker is tested

    Raises
    ------
    SplitError
        When there are no speakers, or fewer than three; it says what to do and what to type.
    """
    silent = [row.key for row in rows if not row.speaker]
    if len(silent) == len(rows):
        raise SplitError(
            f"{counted(len(rows), 'recording')}, no speaker named. Name speakers: earnest corpus manifest PATH "
            "-o mine.csv --speaker-column NAME (of a table; of folders 'folder 1', 'folder 2') or --speaker-pattern "
            f"REGEX, then --corpus mine.csv. {_WITHOUT}."
        )
    if silent:
        raise SplitError(
            f"{len(silent)} of {len(rows)} recordings name no speaker: {named(silent)}. Name theirs too, or leave "
            f"these recordings out. {_WITHOUT}."
        )
    n_speakers = len({row.speaker for row in rows})
    partners = partners_of(rows)
    n_apart = len(set(partners.values()))
    if n_apart < FEWEST_FOLDS:
        tied = " of different groups" if n_apart < n_speakers else ""
        raise SplitError(
            f"Three speakers{tied} are needed: for training, validation and test. There are {n_apart}. Record "
            f"more, or say --protocol {SPEAKER_DEPENDENT}, whose titles say speaker-dependent."
        )
    if one_split:
        return "speaker-holdout"
    if n_apart < FOLDS:
        return f"speaker-{FEWEST_FOLDS}fold"
    is_few = n_apart == n_speakers <= FEW_SPEAKERS and all(Path(one).name == one for one in partners)
    return "loso" if is_few else f"speaker-{FOLDS}fold"  # folds of "loso" are folders with speakers' names
