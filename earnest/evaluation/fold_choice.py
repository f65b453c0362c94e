"""All folds of a protocol, or some of them: then every result says so."""

from collections.abc import Sequence
from dataclasses import dataclass

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError
from earnest.evaluation.protocol import Protocol
from earnest.evaluation.protocols import splits_of
from earnest.evaluation.repeats import fold_and_repeat, repeated
from earnest.evaluation.splits import Split
from earnest.suggest import suggestion


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
        return list(dict.fromkeys(fold_and_repeat(split.fold)[0] for split in self.splits))

    @property
    def some_folds(self) -> str:
        """Which folds, where some are left out: "only f1 of 6 folds"; otherwise empty."""
        return "" if len(self.folds) == self.n_folds else f"only {', '.join(self.folds)} of {self.n_folds} folds"

    @property
    def part(self) -> str:
        """What sets the result apart from the whole protocol's; otherwise empty."""
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
    """
    splits = {split.fold: split for split in splits_of(protocol, utterances)}
    for name in names:
        if name not in splits:
            raise RecipeError(f"The protocol {protocol.name} has no fold '{name}'.{suggestion(name, splits)}")
    wanted = [split for fold, split in splits.items() if fold in names or not names]
    return FoldChoice(repeated(wanted, repeats), len(splits))
