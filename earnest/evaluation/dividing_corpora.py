"""Ways to divide several corpora so that some are trained on and others tested."""

from collections.abc import Sequence
from dataclasses import dataclass

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.dividing import Parts, SpeakerHoldOut, at_least


@dataclass(frozen=True)
class CrossCorpus:
    """Each corpus is tested once with the others for training, every fifth of their speakers for validation.

    Only classes that every corpus has are used.
    """

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        """Return one `Parts` a corpus."""
        usable = _of_shared_classes(utterances, classes)
        corpora = sorted({row.corpus for row in usable})
        held = {
            speaker
            for corpus in corpora
            for speaker in sorted({row.speaker for row in usable if row.corpus == corpus})[::5]
        }
        parts = []
        for corpus in corpora:
            others = [row for row in usable if row.corpus != corpus]
            train = [row for row in others if row.speaker not in held]
            valid = [row for row in others if row.speaker in held]
            parts.append(Parts(f"to-{corpus}", train, valid, [row for row in usable if row.corpus == corpus]))
        return parts


@dataclass(frozen=True)
class CorpusMatrix:
    """Each corpus is trained on once and tested on all others and on held-out speakers of its own.

    Of each corpus, the speakers of `SpeakerHoldOut` are for test and validation. Only classes that every corpus has
    are used.
    """

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        """Return one `Parts` a corpus, whose test set is all that its training clips aren't from, and the held-out."""
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
        raise SplitError(f"{', '.join(corpora)} share fewer than two classes.")
    return [row for row, name in pairs if name in shared]
