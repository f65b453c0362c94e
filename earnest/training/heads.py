"""Heads: the answers of a network to an utterance. Each has its labels, its losses and its place in files."""

import logging
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.evaluation.answers import text_column
from earnest.evaluation.calibration import FittedCalibration
from earnest.labels import AFFECT
from earnest.models.classifier import Layer, NetworkOutput
from earnest.settings.recipe import Task, Training
from earnest.training.examples import GENDERS, UNKNOWN, Example

Losses = Mapping[str, Tensor]
_log = logging.getLogger(__name__)
SMALLEST_SPREAD = 1e-8  # keeps the concordance of constants finite


def balanced_weights(targets: Sequence[int], n_classes: int) -> Tensor:
    """Return one weight a class, inverse to its share and one on average over the examples, shape (classes,)."""
    # w_c = N/(C·n_c) over the C classes that have utterances: Σ_c n_c·w_c = N, so the mean over examples is one.
    counts = Counter(targets)
    return torch.tensor(
        [len(targets) / (len(counts) * counts[index]) if counts[index] else 0.0 for index in range(n_classes)]
    )


def divergence(clean: Tensor, noisy: Tensor) -> Tensor:
    """KL(clean‖noisy) of two answers to the same utterances, as in stability training (Zheng et al., 2016).

    Zero for equal logits and positive otherwise. The clean answer is the goal: no gradient reaches it.

    Parameters
    ----------
    clean, noisy : (batch, classes) logits

    Returns
    -------
    mean over the batch, in nats
    """
    # KL = Σ_c p_c·(log p_c − log q_c), p from the clean utterance (held fixed), q from the noisy one.
    goal_logs, answer_logs = clean.detach().log_softmax(dim=1), noisy.log_softmax(dim=1)
    return (goal_logs.exp() * (goal_logs - answer_logs)).sum(dim=1).mean()


def gender_loss(logits: Tensor, shares: Tensor) -> Tensor | None:
    """Cross-entropy over the utterances whose speaker's gender is known; None where none is.

    Parameters
    ----------
    logits : (batch, 2), female and male
    shares : (batch, 2) that sum to one, NaN where unknown
    """
    # (batch,): an utterance of unknown gender takes no part, and the mean is over the others.
    known = ~shares.isnan().any(dim=1)
    return functional.cross_entropy(logits[known], shares[known]) if known.any() else None


def ccc_loss(predicted: Tensor, rated: Tensor) -> Tensor | None:
    """One minus Lin's concordance correlation (1989) over the rated utterances of a batch; None for fewer than two.

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
    """Mean squared error over the rated utterances of a batch; None without any. Shapes as in `ccc_loss`."""
    known = ~rated.isnan()
    return functional.mse_loss(predicted[known], rated[known]) if known.any() else None


def one_hot(indices: Tensor, n_classes: int) -> Tensor:
    """Return shares (batch, classes) of class indices (batch,); a negative index is unknown, a row of NaN."""
    # (batch, classes); one_hot takes no negative number, so the unknown are class 0 until the next line.
    shares = functional.one_hot(indices.clamp(min=0), n_classes).float()
    return torch.where((indices < 0)[:, None], torch.full_like(shares, torch.nan), shares)


EMOTION, GENDER = "emotion", "gender"


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


class Targets(NamedTuple):
    """Targets of a batch.

    Attributes
    ----------
    emotion : (batch,) class indices or (batch, classes) shares that sum to one
    gender : (batch, 2) shares of female and male, NaN where unknown
    affect : (batch, 3) valence, arousal and dominance from 0 to 1, NaN where unknown
    """

    emotion: Tensor
    gender: Tensor
    affect: Tensor


class Head(ABC):
    """One answer of a network.

    Attributes
    ----------
    name : "emotion", or what ``auxiliary`` in recipes, outputs and graphs call it
    tasks : names of its losses, by which they are combined
    """

    name: str
    tasks: tuple[str, ...]

    @abstractmethod
    def answer(self, output: NetworkOutput) -> Tensor | None:
        """Return its part of an output, (batch, classes) logits or (batch, dimensions); None where there is none."""

    @abstractmethod
    def can_learn(self, train: Sequence[Example], every_class: bool = False) -> bool:
        """Whether utterances have labels for it; a closed form needs utterances of every class."""

    @abstractmethod
    def losses(
        self, answer: Tensor, targets: Targets, settings: Training, weights: Tensor | None
    ) -> dict[str, Tensor | None]:
        """Return the loss of each of its tasks; None where the batch has no label for it.

        Parameters
        ----------
        weights : (classes,), of the emotions
        """

    @abstractmethod
    def chance_losses(self, settings: Training) -> dict[str, float]:
        """Return about what each of its losses is where the answer doesn't depend on the utterance."""

    @abstractmethod
    def shares(self, answer: Tensor) -> dict[str, Tensor]:
        """Return its answers by name, each (batch, numbers from 0 to 1)."""

    def measures(self, answer: Tensor, targets: Targets) -> dict[str, float]:
        """Return scores on validation utterances by columns of ``history.csv``; nothing where none has a label."""
        return {}

    def columns(self, output: NetworkOutput) -> Mapping[str, Any]:
        """Return the head's columns of a table of predictions."""
        return {}


@dataclass(frozen=True)
class ClassHead(Head):
    """A head for classes: its logits become probabilities, so it has a temperature.

    Attributes
    ----------
    n_classes : how many
    layer : the last layer that gives its logits
    prefix : before the names of its temperature and calibration in files
    """

    n_classes: int
    layer: ClassVar[Layer]
    prefix: ClassVar[str]

    @abstractmethod
    def relabelled(self, examples: Sequence[Example]) -> list[Example]:
        """Return the examples that have a label for it, with its class as their target."""

    def can_learn(self, train: Sequence[Example], every_class: bool = False) -> bool:
        """Whether utterances have labels for it; a closed form needs utterances of every class."""
        found = {example.target for example in self.relabelled(train)}
        return len(found) >= (self.n_classes if every_class else 1)

    def chance_losses(self, settings: Training) -> dict[str, float]:
        """Return the cross-entropy of equal probabilities."""
        return {self.name: math.log(self.n_classes)}  # −log(1/C)

    def shares(self, answer: Tensor) -> dict[str, Tensor]:
        """Return the probabilities."""
        return {self.name: answer.softmax(dim=1)}

    def entries(self, temperature: float, calibration: FittedCalibration | None) -> dict[str, Any]:
        """Return the entries about its calibration for ``run.json``."""
        return {f"{self.prefix}temperature": temperature, f"{self.prefix}calibration": calibration}


class EmotionHead(ClassHead):
    """The emotion, which every utterance has."""

    name, tasks, layer, prefix = EMOTION, (EMOTION,), "output", ""

    def answer(self, output: NetworkOutput) -> Tensor:
        """Return the logits (batch, classes)."""
        return output.logits

    def relabelled(self, examples: Sequence[Example]) -> list[Example]:
        """Return the examples as they are."""
        return list(examples)

    def losses(
        self, answer: Tensor, targets: Targets, settings: Training, weights: Tensor | None
    ) -> dict[str, Tensor | None]:
        """Return the cross-entropy, smoothed and weighted as the settings say."""
        # q = (1 − ε)·y + ε/C; L = −Σ_c q_c·log p_c, with weights w_c inside the sum (Szegedy et al., 2016, section 7).
        smoothing = settings.label_smoothing
        return {EMOTION: functional.cross_entropy(answer, targets.emotion, weights, label_smoothing=smoothing)}


class GenderHead(ClassHead):
    """The speaker's gender, over the utterances where it is known."""

    name, tasks, layer, prefix = GENDER, (GENDER,), "gender", "gender_"

    def answer(self, output: NetworkOutput) -> Tensor | None:
        """Return the logits (batch, 2)."""
        return output.gender

    def relabelled(self, examples: Sequence[Example]) -> list[Example]:
        """Return the utterances whose gender is known, with its index in `GENDERS` as their target."""
        return [replace(example, target=example.gender) for example in examples if example.gender != UNKNOWN]

    def losses(
        self, answer: Tensor, targets: Targets, settings: Training, weights: Tensor | None
    ) -> dict[str, Tensor | None]:
        """Return the cross-entropy."""
        return {GENDER: gender_loss(answer, targets.gender)}

    def measures(self, answer: Tensor, targets: Targets) -> dict[str, float]:
        """Return the share of utterances whose gender is right."""
        known = ~targets.gender.isnan().any(dim=1)
        right = answer.argmax(dim=1)[known] == targets.gender[known].argmax(dim=1)
        return {f"valid_{GENDER}_wa": float(right.float().mean())} if known.any() else {}

    def columns(self, output: NetworkOutput) -> Mapping[str, Any]:
        """Return the likelier gender of each utterance."""
        if output.gender is None:
            return {}
        return {"predicted_gender": text_column(GENDERS[index] for index in output.gender.argmax(dim=1).tolist())}


class AffectHead(Head):
    """Valence, arousal and dominance, each from 0 to 1, over the utterances that somebody rated."""

    name, tasks = "affect", AFFECT

    def answer(self, output: NetworkOutput) -> Tensor | None:
        """Return the values (batch, 3)."""
        return output.affect

    def can_learn(self, train: Sequence[Example], every_class: bool = False) -> bool:
        """Whether an utterance has a rating."""
        return len(self.unrated(train)) < len(AFFECT)

    @staticmethod
    def unrated(train: Sequence[Example]) -> tuple[str, ...]:
        """Return the dimensions that nobody rated."""
        rated = [not all(math.isnan(example.affect[column]) for example in train) for column in range(len(AFFECT))]
        return tuple(name for name, is_rated in zip(AFFECT, rated, strict=True) if not is_rated)

    def losses(
        self, answer: Tensor, targets: Targets, settings: Training, weights: Tensor | None
    ) -> dict[str, Tensor | None]:
        """Return the loss of each dimension, as ``affect_loss`` says."""
        measure = ccc_loss if settings.affect_loss == "ccc" else squared_error
        return {name: measure(answer[:, column], targets.affect[:, column]) for column, name in enumerate(AFFECT)}

    def chance_losses(self, settings: Training) -> dict[str, float]:
        """Return the largest that the best constant can have: of ratings half of which are 0 and half 1."""
        # 1 − ρ = 1, since a constant has no covariance; (½ − 0)² = (½ − 1)² = ¼.
        return dict.fromkeys(AFFECT, 1.0 if settings.affect_loss == "ccc" else 0.25)

    def shares(self, answer: Tensor) -> dict[str, Tensor]:
        """Return the three dimensions."""
        return {name: answer[:, column : column + 1] for column, name in enumerate(AFFECT)}

    def measures(self, answer: Tensor, targets: Targets) -> dict[str, float]:
        """Return the concordance of each dimension that has two ratings."""
        lost = {name: ccc_loss(answer[:, column], targets.affect[:, column]) for column, name in enumerate(AFFECT)}
        return {f"valid_{name}_ccc": 1 - float(loss) for name, loss in lost.items() if loss is not None}

    def columns(self, output: NetworkOutput) -> Mapping[str, Any]:
        """Return the values of each utterance, (utterances, 3)."""
        return {} if output.affect is None else {"predicted_affect": output.affect.numpy()}


def heads_of(n_classes: int, auxiliary: Collection[Task]) -> tuple[Head, ...]:
    """Return the heads for so many emotions and what is learnt beside them, the emotion's first."""
    beside = (GenderHead(len(GENDERS)), AffectHead())
    return (EmotionHead(n_classes), *(head for head in beside if head.name in auxiliary))


def class_heads(heads: Sequence[Head]) -> list[ClassHead]:
    """Return the heads that answer classes."""
    return [head for head in heads if isinstance(head, ClassHead)]


def learned_tasks(settings: Training, train: Sequence[Example], every_class: bool = False) -> tuple[Task, ...]:
    """Return the tasks beside the emotion: those that the recipe asks for and some utterance has a label for.

    Parameters
    ----------
    every_class : whether it takes utterances of both genders, as a closed form does; gradients also go without
    """
    able = {head.name for head in heads_of(0, settings.auxiliary) if head.can_learn(train, every_class)}
    return tuple(task for task in settings.auxiliary if task in able)


def tasks_of(heads: Sequence[Head]) -> tuple[str, ...]:
    """Return the names of all losses, the emotion's first."""
    return tuple(task for head in heads for task in head.tasks)
