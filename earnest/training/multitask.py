"""How the losses of several tasks become one, by name.

Losses come by task name: "emotion", "gender", "valence", "arousal", "dominance". A task that no clip of a batch has a
label for is absent from that batch, and nothing about it is learned there.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from earnest.training_settings import Task, Training

EMOTION, GENDER = "emotion", "gender"
AFFECT = ("valence", "arousal", "dominance")

Losses = Mapping[str, Tensor]


def tasks_of(auxiliary: Collection[Task]) -> tuple[str, ...]:
    """Return the names of what is learned, the emotion first."""
    gender = (GENDER,) if "gender" in auxiliary else ()
    return (EMOTION, *gender, *(AFFECT if "affect" in auxiliary else ()))


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
