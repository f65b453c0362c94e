"""All folds of a protocol, or some of them: then every result says so."""

from collections.abc import Sequence
from dataclasses import dataclass

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError
from earnest.evaluation.protocol import Protocol
from earnest.evaluation.protocols import splits_of
from earnest.evaluation.splits import Split
from earnest.suggest import suggestion


@dataclass(frozen=True)
class FoldChoice:
    """The folds that are scored, and how many the protocol has."""

    splits: Sequence[Split]
    n_folds: int

    @property
    def part(self) -> str:
        """Which folds, where some are left out: "only f1 of 6 folds"; otherwise empty."""
        if len(self.splits) == self.n_folds:
            return ""
        return f"only {', '.join(split.fold for split in self.splits)} of {self.n_folds} folds"

    def title(self, protocol: Protocol) -> str:
        """Return the title of a result."""
        return f"{', '.join(filter(None, [protocol.name, self.part]))} ({protocol.kind})"


def chosen_folds(protocol: str, utterances: Sequence[Utterance], names: Sequence[str] = ()) -> FoldChoice:
    """Divide ``utterances`` by a protocol and return the folds called ``names`` in the protocol's order; without, all.

    Raises
    ------
    RecipeError
        For an unknown fold, with the nearest right one.
    """
    splits = {split.fold: split for split in splits_of(protocol, utterances)}
    for name in names:
        if name not in splits:
            raise RecipeError(f"The protocol {protocol} has no fold '{name}'.{suggestion(name, splits)}")
    return FoldChoice([split for fold, split in splits.items() if fold in names or not names], len(splits))
