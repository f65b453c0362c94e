"""What a head can learn, and what nobody rated."""

import math
from pathlib import Path

import torch

from earnest.corpora.manifest import Utterance
from earnest.training.examples import Example
from earnest.training.heads import AffectHead


def rated(*affect: float) -> Example:
    utterance = Utterance("a", Path("a.wav"), corpus="made-up")
    return Example(utterance, torch.zeros(4, 2), 0, 1.0, affect=affect)  # type: ignore[arg-type]


def test_a_dimension_that_nobody_rated_is_known_beside_others() -> None:
    one, other = rated(0.5, math.nan, math.nan), rated(math.nan, 0.2, math.nan)
    assert AffectHead().can_learn([one])
    assert AffectHead.unrated([one, other]) == ("dominance",)
    assert AffectHead.unrated([one]) == ("arousal", "dominance")
