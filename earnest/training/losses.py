"""What a training minimises: losses of emotion, gender and affect, combined by name."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.labels import AFFECT
from earnest.settings.training import Training

SMALLEST_SPREAD = 1e-8  # keeps the concordance of constants finite


def balanced_weights(targets: Sequence[int], n_classes: int) -> Tensor:
    """Return one weight a class, inverse to its share and one on average over the examples, shape (classes,)."""
    # w_c = N/(C·n_c) over the C classes that have clips: Σ_c n_c·w_c = N, so the mean over examples is one.
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
    # q = (1 − ε)·y + ε/C; L = −Σ_c q_c·log p_c, with weights w_c inside the sum (Szegedy et al., 2016, section 7).
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
    # KL = Σ_c p_c·(log p_c − log q_c), p from the clean clip (held fixed), q from the noisy one.
    goal_logs, answer_logs = clean.detach().log_softmax(dim=1), noisy.log_softmax(dim=1)
    return (goal_logs.exp() * (goal_logs - answer_logs)).sum(dim=1).mean()


def gender_loss(logits: Tensor, shares: Tensor) -> Tensor | None:
    """Cross-entropy over the clips whose speaker's gender is known; None where none is.

    Parameters
    ----------
    logits : (batch, 2), female and male
    shares : (batch, 2) that sum to one, NaN where unknown
    """
    # (batch,): a clip of unknown gender takes no part, and the mean is over the others.
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
    # ρ = 2·s_xy / (s_x² + s_y² + (x̄ − ȳ)²): correlation, less for another mean or spread. Moments are divided by n, as
    # in Lin's paper; a small constant above and below makes two equal constants agree (ρ = 1).
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
    # (batch, classes); one_hot takes no negative number, so the unknown are class 0 until the next line.
    shares = functional.one_hot(indices.clamp(min=0), n_classes).float()
    return torch.where((indices < 0)[:, None], torch.full_like(shares, torch.nan), shares)


EMOTION, GENDER = "emotion", "gender"

Losses = Mapping[str, Tensor]


class Combination(nn.Module, ABC):
    """Several losses to one; what it learns are parameters of the training, not of the network."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)

    @abstractmethod
    def forward(self, losses: Losses) -> Tensor:
        """Return the loss of a batch."""


class Fixed(Combination):
    """Σ w·L, with weights that stay; without any, their sum."""

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float] | None = None) -> None:
        super().__init__(tasks)
        self.weights = dict(weights or {})

    def forward(self, losses: Losses) -> Tensor:
        """See the class."""
        return sum_of(self.weights.get(task, 1.0) * loss for task, loss in losses.items())


class Uncertainty(Combination):
    """Σ e^−s·L + s with a learned s a task (Kendall et al., 2018): a task of loss L ends at s = ln L."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.log_variances = nn.Parameter(torch.zeros(len(self.tasks)))

    def forward(self, losses: Losses) -> Tensor:
        """See the class."""
        # s = log σ², learned as a logarithm so that σ² stays positive; Σ s keeps it from growing (Kendall et al.,
        # 2018, without the factor ½ of a regression's likelihood). dL/ds = 0 at e^−s·L = 1.
        shares = dict(zip(self.tasks, self.log_variances, strict=True))
        return sum_of((-shares[task]).exp() * loss + shares[task] for task, loss in losses.items())


class WeightedSoftmax(Combination):
    """L_emotion + Σ e^−w·L + w over the other tasks, w the softmax of learned values (MohammadUmarAsif's own method).

    As published, and of little use: the values of a softmax sum to one, so Σ w is a constant and regularises nothing.
    What is left pushes w towards the task with the largest loss, whose factor e^−w stays between e^−1 and 1. With
    one task beside the emotion, w is 1 and nothing is learned. For all tasks the values are four: those that the
    published 126,041,745 parameters count beside the network's own.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.values = nn.Parameter(torch.zeros(len(self.tasks) - 1))

    def forward(self, losses: Losses) -> Tensor:
        """See the class."""
        # Σ w = 1 over the tasks beside the emotion, whose own loss has no weight.
        weights = dict(zip(self.tasks[1:], self.values.softmax(dim=0), strict=True))
        others = ((-weights[task]).exp() * loss + weights[task] for task, loss in losses.items() if task in weights)
        return sum_of([losses[EMOTION], *others])


def combination_of(settings: Training, tasks: Sequence[str]) -> Combination:
    """Build what ``settings.multitask`` names for these tasks."""
    if settings.multitask == "uncertainty":
        return Uncertainty(tasks)
    if settings.multitask == "weighted":
        return WeightedSoftmax(tasks)
    if settings.multitask == "fixed":
        return Fixed(tasks, {GENDER: settings.gender_weight, **dict.fromkeys(AFFECT, settings.affect_weight)})
    return Fixed(tasks)


def sum_of(losses: Iterable[Tensor]) -> Tensor:
    """Add losses up."""
    return torch.stack(list(losses)).sum()
