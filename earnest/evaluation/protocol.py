"""What a protocol is: which clips, which folds, which speakers apart."""

from collections.abc import Callable
from dataclasses import dataclass, field

from earnest.corpora.manifest import Utterance
from earnest.evaluation.dividing import Divide


@dataclass(frozen=True)
class Protocol:
    """One way to divide one set of corpora.

    Attributes
    ----------
    corpora : what it is defined on; empty for any manifest
    scheme : label scheme that chooses (and for stratified draws, groups) the clips
    speaker_independent : no speaker in two sets
    divide : makes the sets
    n_utterances : usable clips on complete corpora, 0 if that isn't fixed
    speakers : the speakers it has on complete corpora, empty if that isn't fixed; each of them must be there
    exact : refuse an incomplete corpus instead of warning
    optional_corpora : any of ``corpora`` may be absent, as long as one is there
    belongs : which utterances of the corpora are part of it, None for all
    training_seeds : seeds with which the published protocol repeats each fold
    dialogue_partners : see `Split`
    is_matrix : each fold trains on one corpus and tests on several, see `earnest.evaluation.matrix`
    stamp : words that must stand beside every result, where test data chose something
    """

    name: str
    description: str
    corpora: tuple[str, ...]
    scheme: str
    divide: Divide
    speaker_independent: bool = True
    n_utterances: int = 0
    speakers: tuple[str, ...] = ()
    exact: bool = False
    optional_corpora: bool = False
    belongs: Callable[[Utterance], bool] | None = None
    training_seeds: tuple[int, ...] = ()
    dialogue_partners: bool = False
    is_matrix: bool = False
    stamp: str = ""

    @property
    def kind(self) -> str:
        """The words that belong into the title of every result."""
        return "; ".join(filter(None, [kind_words(self.speaker_independent), self.stamp]))


def kind_words(speaker_independent: bool) -> str:
    """Return "speaker-independent" or "speaker-dependent"."""
    return "speaker-independent" if speaker_independent else "speaker-dependent"


@dataclass(frozen=True)
class Coverage:
    """How much of what a protocol is defined on is there."""

    protocol: str
    found: int
    expected: int
    missing_speakers: tuple[str, ...] = field(default=())

    @property
    def complete(self) -> bool:
        """Whether all clips are there, or their number isn't fixed."""
        return not self.missing_speakers and self.expected in (0, self.found)

    def sentence(self) -> str:
        """Return one line for logs and tables."""
        of_all = f" of {self.expected}" if self.expected else ""
        missing = f"; without {', '.join(self.missing_speakers)}" if self.missing_speakers else ""
        return f"{self.protocol}: {self.found}{of_all} clips{missing}"
