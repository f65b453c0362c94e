"""What a network gives."""

from typing import NamedTuple

from torch import Tensor


class NetworkOutput(NamedTuple):
    """What a network gives for a batch.

    Attributes
    ----------
    logits : (batch, classes)
    embedding : (batch, width), what the last linear layer sees
    attention : (batch, steps) weights over time that sum to one, or None
    gender : (batch, 2) logits of female and male, or None
    affect : (batch, 3) valence, arousal and dominance, 0 to 1 over the scale of the training labels, or None
    """

    logits: Tensor
    embedding: Tensor
    attention: Tensor | None = None
    gender: Tensor | None = None
    affect: Tensor | None = None
