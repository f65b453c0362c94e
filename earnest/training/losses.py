"""Losses of one answer: emotion, gender, affect, and how far two answers to one clip are apart."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST_SPREAD = 1e-8  # keeps the concordance of constants finite


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


def divergence(clean: Tensor, noisy: Tensor) -> Tensor:
    """KL(clean‖noisy) of two answers to the same clips, as in stability training (Zheng et al., 2016).

    Zero for equal logits and positive otherwise. The clean answer is the goal: no gradient reaches it.

    Parameters
    ----------
    clean, noisy : (batch, classes) logits

    Returns
    -------
    mean over the batch, in nats
    """
    goal_logs, answer_logs = clean.detach().log_softmax(dim=1), noisy.log_softmax(dim=1)
    return (goal_logs.exp() * (goal_logs - answer_logs)).sum(dim=1).mean()


def gender_loss(logits: Tensor, shares: Tensor) -> Tensor | None:
    """Cross-entropy over the clips whose speaker's gender is known; None where none is.

    Parameters
    ----------
    logits : (batch, 2), female and male
    shares : (batch, 2) that sum to one, NaN where unknown
    """
    known = ~shares.isnan().any(dim=1)
    return functional.cross_entropy(logits[known], shares[known]) if known.any() else None


def ccc_loss(predicted: Tensor, rated: Tensor) -> Tensor | None:
    """One minus Lin's concordance correlation (1989) over the rated clips of a batch; None for fewer than two.

    Parameters
    ----------
    predicted, rated : (batch,); ``rated`` is NaN where unknown

    Returns
    -------
    from 0, where all agree, to 2
    """
    known = ~rated.isnan()
    if known.sum() < 2:
        return None
    predicted, rated = predicted[known], rated[known]
    found, wanted = predicted - predicted.mean(), rated - rated.mean()
    covariance = (found * wanted).mean()
    bias = (predicted.mean() - rated.mean()).square()
    spread = found.square().mean() + wanted.square().mean() + bias
    return 1 - (2 * covariance + SMALLEST_SPREAD) / (spread + SMALLEST_SPREAD)


def squared_error(predicted: Tensor, rated: Tensor) -> Tensor | None:
    """Mean squared error over the rated clips of a batch; None without any. Shapes as in `ccc_loss`."""
    known = ~rated.isnan()
    return functional.mse_loss(predicted[known], rated[known]) if known.any() else None


def one_hot(indices: Tensor, n_classes: int) -> Tensor:
    """Return shares (batch, classes) of class indices (batch,); a negative index is unknown, a row of NaN."""
    shares = functional.one_hot(indices.clamp(min=0), n_classes).float()
    return torch.where((indices < 0)[:, None], torch.full_like(shares, torch.nan), shares)
