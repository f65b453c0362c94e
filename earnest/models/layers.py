"""Behind a deep encoder: a learned mix of its layers, pooling over time, a last layer for enrolled speakers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

SMALLEST_VARIANCE = 1e-8


class LayerMix(nn.Module):
    """The mean of all layers' outputs, weighted by a softmax that is learned (Peters et al., 2018)."""

    def __init__(self, n_layers: int) -> None:
        super().__init__()
        # Equal shares at first; one layer has the whole, whatever its score is.
        self.scores = nn.Parameter(torch.zeros(n_layers), requires_grad=n_layers > 1)

    def forward(self, outputs: Sequence[Tensor]) -> Tensor:
        """Mix tensors of one shape."""
        shares = self.scores.softmax(dim=0)
        # Σ_l s_l·h_l over the layers l.
        return sum((share * output for share, output in zip(shares, outputs, strict=True)), torch.zeros(()))


class AttentiveStatistics(nn.Module):
    """Mean and deviation over time, weighted by a learned score (Okabe et al., 2018)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, hidden)
        # No bias on the score: softmax over time would cancel it.
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, steps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Pool (batch, steps, width) over the steps of ``mask`` (batch, steps).

        Returns
        -------
        (batch, 2·width) and the weights (batch, steps)
        """
        scores = self.score(torch.tanh(self.hidden(steps)))[..., 0]  # e_t = vᵀ·tanh(W·h_t + b); (batch, steps)
        # Not −∞: where no step is heard, softmax would give NaN.
        weights = scores.masked_fill(~mask, -1e9).softmax(dim=1)
        return weighted_statistics(steps, weights), weights


def weighted_statistics(steps: Tensor, weights: Tensor) -> Tensor:
    """Return mean and deviation (batch, 2·width) of (batch, steps, width) under weights (batch, steps) of sum one."""
    weights = weights[:, :, None]  # (batch, steps, 1)
    mean = (steps * weights).sum(dim=1)
    variance = ((steps - mean[:, None]).square() * weights).sum(dim=1)  # no difference of squares: it rounds badly
    return torch.cat([mean, deviation(variance)], dim=1)


def deviation(variance: Tensor) -> Tensor:
    """Square root with a floor, so that steps which are all the same have a finite gradient."""
    # Not a sum with so small a number: the exporter takes a scalar up to 1e-8 for zero and leaves the sum out.
    return variance.clamp(min=SMALLEST_VARIANCE).sqrt()


def masked_mean(steps: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (batch, width) of (batch, steps, width) over the steps of ``mask`` (batch, steps)."""
    weights = mask[:, :, None].to(steps.dtype)
    # Σ_t m_t·x_t / Σ_t m_t
    return (steps * weights).sum(dim=1) / weights.sum(dim=1)


class SpeakerDependentHead(nn.Linear):
    """A linear layer with rows for every pair of a speaker and a class; a class scores as the log of its pairs' sum.

    With scores that are logarithms of chances, the speaker is thereby made out from the utterance itself, and what a
    class sounds like in that speaker decides (mixture discriminant analysis; Hastie and Tibshirani, 1996, speakers
    being the subclasses). There is one speaker until `take` or a checkpoint brings more.
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
