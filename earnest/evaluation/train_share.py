"""Less training data: nested subsets of the training speakers, or of clips where speakers are shared anyway."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from math import ceil

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError, SplitError
from earnest.evaluation.splits import Split


def with_train_share(split: Split, share: float) -> Split:
    """Keep a share of the training data; validation and test sets stay as they are.

    Speaker-independent splits keep whole speakers, others clips of each emotion. Who stays depends on names alone, and
    who stays at a small share stays at every larger one.

    Raises
    ------
    SplitError
        When an emotion would have no training clips left.
    """
    if not 0 < share <= 1:
        raise RecipeError(f"A share of the training data must be above 0 and at most 1, got {share:g}.")
    kept = _of_speakers(split.train, share) if split.speaker_independent else _of_clips(split.train, share)
    lost = sorted({row.emotion for row in split.train} - {row.emotion for row in kept})
    if lost:
        raise SplitError(f"{split.title}: {share:g} of the training data holds no clip of {', '.join(lost)}.")
    return replace(split, train=kept)


def _of_speakers(rows: Sequence[Utterance], share: float) -> list[Utterance]:
    chosen = set(_first(sorted({row.speaker for row in rows}), share))
    return [row for row in rows if row.speaker in chosen]


def _of_clips(rows: Sequence[Utterance], share: float) -> list[Utterance]:
    by_emotion: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_emotion[row.emotion].append(row.key)
    chosen = {key for keys in by_emotion.values() for key in _first(keys, share)}
    return [row for row in rows if row.key in chosen]


def _first(names: Sequence[str], share: float) -> list[str]:
    """Return a share of the names, at least one, in an order drawn by hashing them."""
    drawn = sorted(names, key=lambda name: sha256(name.encode()).digest())
    return drawn[: ceil(round(share * len(drawn), 6))]
