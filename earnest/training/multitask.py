"""How the losses of several tasks become one, by name.

Losses come by task name: "emotion", "gender", "valence", "arousal", "dominance". A task that no clip of a batch has a
label for is absent from that batch, and nothing about it is learned there.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from earnest.errors import RecipeError
from earnest.training_settings import Task, Training

EMOTION, GENDER = "emotion", "gender"
AFFECT = ("valence", "arousal", "dominance")
LEAST_WEIGHT = 1e-3

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
    def forward(self, losses: Losses, network: nn.Module) -> Tensor:
        """Return the loss of a batch; ``network`` is what the losses' gradients flow into."""

    def after_step(self) -> None:
        """Put learned weights back to where they make sense, after each step of the optimiser."""


class Fixed(Combination):
    """Σ w·L, with weights that stay; without any, their sum."""

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float] | None = None) -> None:
        super().__init__(tasks)
        self.weights = dict(weights or {})

    def forward(self, losses: Losses, network: nn.Module) -> Tensor:
        """See the class."""
        return sum_of(self.weights.get(task, 1.0) * loss for task, loss in losses.items())


class Uncertainty(Combination):
    """Σ e^−s·L + s with a learned s a task (Kendall et al., 2018): a task of loss L ends at s = ln L."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.log_variances = nn.Parameter(torch.zeros(len(self.tasks)))

    def forward(self, losses: Losses, network: nn.Module) -> Tensor:
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

    def forward(self, losses: Losses, network: nn.Module) -> Tensor:
        """See the class."""
        weights = dict(zip(self.tasks[1:], self.values.softmax(dim=0), strict=True))
        others = ((-weights[task]).exp() * loss + weights[task] for task, loss in losses.items() if task in weights)
        return sum_of([losses[EMOTION], *others])


class GradNorm(Combination):
    """Σ w·L, with weights that bring the tasks' gradients to a common length (Chen et al., 2018).

    The gradient of each weighted loss is measured at the last weight that all of them reach. A task's goal is their
    mean length times r^alpha, r being how much of its first loss is left, relative to the mean over tasks. The
    weights follow the gradient of Σ |length − goal| and are scaled to sum to the number of tasks.
    """

    first_losses: Tensor

    def __init__(self, tasks: Sequence[str], alpha: float) -> None:
        super().__init__(tasks)
        self.alpha = alpha
        self.values = nn.Parameter(torch.ones(len(self.tasks)))
        self.register_buffer("first_losses", torch.full((len(self.tasks),), torch.nan))
        self._shared: dict[tuple[int | str, ...], int] = {}

    def forward(self, losses: Losses, network: nn.Module) -> Tensor:
        """Return a loss whose gradient is Σ w·L's in the network and Σ |length − goal|'s in the weights."""
        rows = [self.tasks.index(task) for task in losses]
        values = torch.stack(list(losses.values()))
        weighted = (self.values[rows].detach() * values).sum()
        if len(rows) < 2 or not torch.is_grad_enabled():
            return weighted
        found = values.detach().float()
        self.first_losses[rows] = torch.where(self.first_losses[rows].isnan(), found, self.first_losses[rows])
        lengths = self.values[rows] * self._gradient_lengths(losses, network)
        left = found / self.first_losses[rows].clamp(min=torch.finfo(torch.float32).tiny)
        pace = left / left.mean().clamp(min=torch.finfo(torch.float32).tiny)
        goal = (lengths.mean() * pace**self.alpha).detach()
        balance = (lengths - goal).abs().sum()
        # Its value is taken away again: what is reported is the loss, what flows back is both gradients.
        return weighted + balance - balance.detach()

    def _gradient_lengths(self, losses: Losses, network: nn.Module) -> Tensor:
        """Return the Euclidean length of each loss's gradient at the last weight matrix that all reach, (tasks,)."""
        matrices = [weight for weight in network.parameters() if weight.requires_grad and weight.ndim > 1]
        case: tuple[int | str, ...] = (len(matrices), *losses)  # what is frozen and what is labelled may change
        if case not in self._shared:
            per_task = zip(*(_gradients(loss, matrices) for loss in losses.values()), strict=True)
            reached = [place for place, rows in enumerate(per_task) if all(row is not None for row in rows)]
            if not reached:
                raise RecipeError('multitask = "gradnorm" needs a layer that all tasks share and training may change.')
            self._shared[case] = reached[-1]
        found = [_gradients(loss, [matrices[self._shared[case]]])[0] for loss in losses.values()]
        zero = self.values.new_zeros(())
        return torch.stack([zero if gradient is None else gradient.norm().float() for gradient in found])

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the weights positive and their sum the number of tasks."""
        self.values.clamp_(min=LEAST_WEIGHT)
        self.values.mul_(len(self.tasks) / self.values.sum())


def _gradients(loss: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)


def combination_of(settings: Training, tasks: Sequence[str]) -> Combination:
    """Build what ``settings.multitask`` names for these tasks."""
    if settings.multitask == "uncertainty":
        return Uncertainty(tasks)
    if settings.multitask == "weighted":
        return WeightedSoftmax(tasks)
    if settings.multitask == "gradnorm":
        return GradNorm(tasks, settings.gradnorm_alpha)
    if settings.multitask == "fixed":
        return Fixed(tasks, {GENDER: settings.gender_weight, **dict.fromkeys(AFFECT, settings.affect_weight)})
    return Fixed(tasks)


def sum_of(losses: Iterable[Tensor]) -> Tensor:
    """Add losses up."""
    return torch.stack(list(losses)).sum()
