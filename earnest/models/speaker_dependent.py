"""A last layer for enrolled speakers, who are known in advance: each has class means of its own."""

from typing import Any

import torch
from torch import Tensor, nn


class SpeakerDependentHead(nn.Linear):
    """A linear layer with rows for every pair of a speaker and a class; a class scores as the log of its pairs' sum.

    With scores that are logarithms of chances, the speaker is thereby made out from the clip itself, and what a class
    sounds like in that speaker decides (mixture discriminant analysis; Hastie and Tibshirani, 1996, speakers being the
    subclasses). There is one speaker until `take` or a checkpoint brings more.
    """

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__(width, n_classes)
        self.n_classes = n_classes

    def forward(self, embedding: Tensor) -> Tensor:
        """Map (batch, width) to logits (batch, classes)."""
        pairs = super().forward(embedding)
        # log Σ_v exp(s_vc), of (batch, speakers, classes): p(c | x) ∝ Σ_v p(v, c | x).
        return pairs.view(-1, self.out_features // self.n_classes, self.n_classes).logsumexp(dim=1)

    @torch.no_grad()
    def take(self, weights: Tensor, bias: Tensor) -> None:
        """Take weights (speakers · classes, width) and bias (speakers · classes,), a speaker's classes side by side."""
        self.weight = nn.Parameter(weights.to(self.weight).contiguous())
        self.bias = nn.Parameter(bias.to(self.bias))
        self.out_features = len(bias)  # `forward` tells by it how many speakers there are

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Make room for as many speakers as a checkpoint has."""
        weights, bias = (state_dict.get(prefix + name) for name in ("weight", "bias"))
        if weights is not None and bias is not None and self._fits(weights, bias):
            # Room alone: torch copies the checkpoint into what it finds.
            self.take(torch.zeros_like(weights), torch.zeros_like(bias))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _fits(self, weights: Tensor, bias: Tensor) -> bool:
        return bias.ndim == 1 and len(bias) % self.n_classes == 0 and weights.shape == (len(bias), self.in_features)


def last_layer_for(width: int, n_classes: int, speaker_dependent: bool) -> nn.Linear:
    """Return a linear layer to logits of the classes, from one mean a class or from one a speaker and class."""
    return SpeakerDependentHead(width, n_classes) if speaker_dependent else nn.Linear(width, n_classes)
