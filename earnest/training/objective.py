"""What a training minimises: the losses of all tasks on a batch, combined."""

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from earnest.errors import CorpusError, RecipeError
from earnest.models.classifier import NetworkOutput
from earnest.training.data import UNKNOWN, Example
from earnest.training.losses import (
    balanced_weights,
    ccc_loss,
    cross_entropy,
    divergence,
    gender_loss,
    squared_error,
)
from earnest.training.multitask import AFFECT, EMOTION, GENDER, combination_of, tasks_of
from earnest.training_settings import Task, Training

_log = logging.getLogger(__name__)


class Targets(NamedTuple):
    """What a batch should be answered with.

    Attributes
    ----------
    emotion : (batch,) class indices or (batch, classes) shares that sum to one
    gender : (batch, 2) shares of female and male, NaN where unknown
    affect : (batch, 3) valence, arousal and dominance from 0 to 1, NaN where unknown
    """

    emotion: Tensor
    gender: Tensor
    affect: Tensor


class Objective(nn.Module):
    """Answers and targets to one number; learned loss weights are its parameters.

    Parameters
    ----------
    train : what is trained on, for class weights, and to leave out a task that nobody labelled
    """

    class_weights: Tensor | None

    def __init__(self, settings: Training, n_classes: int, train: Sequence[Example]) -> None:
        super().__init__()
        self.settings = settings
        weights = None
        if settings.class_weights == "balanced":
            weights = balanced_weights([example.target for example in train], n_classes)
        self.register_buffer("class_weights", weights, persistent=False)
        self.auxiliary = learned_tasks(settings, train)
        self.combination = combination_of(settings, tasks_of(self.auxiliary))
        _report_missing(settings, self.auxiliary)

    def forward(self, answer: NetworkOutput, targets: Targets, noisy: NetworkOutput | None = None) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        noisy : answers to the same clips augmented; each loss is then the mean of both sides, and their emotions'
            divergence is added
        """
        losses = self.losses(answer, targets)
        if noisy is not None:
            others = self.losses(noisy, targets)
            losses = {task: 0.5 * (loss + others[task]) for task, loss in losses.items()}
            apart = divergence(answer.logits, noisy.logits)
            losses[EMOTION] = losses[EMOTION] + self.settings.stability_weight * apart
        combined: Tensor = self.combination(losses)
        return combined

    def losses(self, answer: NetworkOutput, targets: Targets) -> dict[str, Tensor]:
        """Return the loss of each task that the batch has labels for."""
        losses: dict[str, Tensor | None] = {
            EMOTION: cross_entropy(answer.logits, targets.emotion, self.settings.label_smoothing, self.class_weights)
        }
        if "gender" in self.auxiliary:
            losses[GENDER] = gender_loss(_given(answer.gender, "gender"), targets.gender)
        if "affect" in self.auxiliary:
            affect = _given(answer.affect, "affect")
            measure = ccc_loss if self.settings.affect_loss == "ccc" else squared_error
            for column, name in enumerate(AFFECT):
                losses[name] = measure(affect[:, column], targets.affect[:, column])
        return {task: loss for task, loss in losses.items() if loss is not None}


def _given(answer: Tensor | None, task: str) -> Tensor:
    if answer is None:
        raise RecipeError(f"training: this model doesn't answer '{task}'. Take it out of auxiliary.")
    return answer


def learned_tasks(settings: Training, train: Sequence[Example]) -> tuple[Task, ...]:
    """Return what training teaches beside the emotion: what the recipe asks for and some clip has a label for.

    A closed form needs clips of both genders; gradients also go without.
    """
    genders = {example.gender for example in train} - {UNKNOWN}
    known = {
        "gender": len(genders) >= (2 if settings.method == "discriminant" else 1),
        "affect": not all(math.isnan(value) for example in train for value in example.affect),
    }
    return tuple(task for task in settings.auxiliary if known[task])


def _report_missing(settings: Training, learned: Sequence[Task]) -> None:
    """Warn of tasks that nobody labelled; refuse where none is left."""
    for task in settings.auxiliary:
        if task in learned:
            continue
        hint = " If there are ratings, set affect_range." if task == "affect" else ""
        if not learned:
            raise CorpusError(f"No training clip has a label for '{task}'. Take it out of auxiliary.{hint}")
        _log.warning("No training clip has a label for '%s': the model won't answer it.%s", task, hint)
