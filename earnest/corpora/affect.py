"""Ratings of valence, arousal and dominance on a scale that corpora share."""

import math
from collections.abc import Sequence
from typing import TypeAlias

from earnest.corpora.base import CORPORA
from earnest.corpora.manifest import Utterance

Affect: TypeAlias = tuple[float, float, float]


def affect_of(utterance: Utterance, limits: Sequence[float] = ()) -> Affect:
    """Return valence, arousal and dominance on a scale from 0 to 1, NaN where unknown.

    Parameters
    ----------
    limits : lowest and highest rating; where it is empty, those of the corpus. Without either all is unknown
    """
    if not limits and utterance.corpus in CORPORA.names():
        limits = CORPORA.get(utterance.corpus).affect_range
    if not limits:
        return math.nan, math.nan, math.nan
    low, high = limits

    def scaled(rating: float | None) -> float:
        return math.nan if rating is None else min(max((rating - low) / (high - low), 0.0), 1.0)

    return scaled(utterance.valence), scaled(utterance.arousal), scaled(utterance.dominance)
