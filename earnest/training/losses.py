"""What is minimised."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def balanced_weights(targets: Sequence[int], n_classes: int) -> Tensor:
    """Return one weight a class, inverse to its share and one on average over the examples, shape (classes,)."""
    counts = Counter(targets)
    return torch.tensor(
        [len(targets) / (len(counts) * counts[index]) if counts[index] else 0.0 for index in range(n_classes)]
    )


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy with label smoothing (Szegedy et al., 2016).

    Parameters
    ----------
    logits : (batch, classes)
    targets : (batch,) class indices or (batch, classes) shares that sum to one
    """
    return functional.cross_entropy(logits, targets, weight=weights, label_smoothing=label_smoothing)
