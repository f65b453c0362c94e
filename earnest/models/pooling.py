"""What stands behind a deep encoder: a learned mix of its layers, and pooling over time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SMALLEST_VARIANCE = 1e-8


class LayerMix(nn.Module):
    """The mean of all layers' outputs, weighted by a softmax that is learned (Peters et al., 2018)."""

    def __init__(self, n_layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(n_layers))  # equal shares at first

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
