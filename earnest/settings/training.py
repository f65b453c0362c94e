"""The ``[training]`` table of a recipe: how the weights are found."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from earnest.errors import RecipeError

Task: TypeAlias = Literal["gender", "affect"]
Multitask: TypeAlias = Literal["sum", "fixed", "uncertainty", "weighted"]
Oversample: TypeAlias = Literal["none", "minority", "minority-twice", "balanced"]
Checks: TypeAlias = Iterable[tuple[bool, str]]


@dataclass(frozen=True)
class Unfreezing:
    """What is trained from an epoch on; the first epoch is 1."""

    epoch: int
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.epoch < 2:
            raise RecipeError(
                f"epoch must be at least 2, got {self.epoch}. What is trained from the first isn't frozen."
            )
        if not self.names:
            raise RecipeError("names must say what to train.")


@dataclass(frozen=True)
class Training:
    """How the weights are found.

    Attributes
    ----------
    method : by gradient descent over epochs, or the last layer in closed form (`earnest.training.closed_form`)
    shrinkage : of the discriminant's covariance, from 0 to 1
    voice_prior : of a last layer ``by_voice``, how many clips the usual place of an emotion counts as
    augmented_copies : of each training clip, changed by the ``[[augment]]`` tables, that the discriminant is fitted on
        beside the clips as they are
    epochs : the most; training ends earlier when ``patience`` epochs in a row brought no better validation ``monitor``
    monitor : what chooses the epoch, on validation data: UA (mean recall) or loss
    refit : train once more on training and validation data for the chosen number of epochs
    momentum : of "sgd"
    schedule : "plateau" multiplies the learning rate by ``plateau_factor`` when ``plateau_monitor`` has not fallen for
        so many epochs (where there are no validation clips, the training loss); "multistep" by ``step_factor`` after
        each of ``milestones``; "cosine" falls to ``lowest_learning_rate``
    warmup_epochs : over which the learning rate rises evenly, before any schedule but "plateau"
    layer_decay : the learning rate of a layer is that of the layer behind it times this
    head_learning_rate : of the layers that ``head`` names, or of the last one where it names none; None (in TOML
        "none") means ``learning_rate``
    freeze : names of modules or parameters, dots between, that training leaves as they are
    unfreeze : tables of an ``epoch`` and the ``names`` of what was frozen and is trained from then on
    gradient_clip : the longest gradient, as a Euclidean norm over all weights; 0 for any
    class_weights : "balanced" weighs a class inversely to its share
    oversample : which classes are seen more often, see `earnest.training.examples`
    mixup : "dominant" keeps the larger share with the clip itself, "plain" doesn't care
    stability_weight : of the divergence between the answers to a clip as it is and augmented; 0 trains on either
    clean_share : probability that a training clip is left as it is where the recipe augments
    changes : "all" puts a clip through the ``[[augment]]`` tables in their order, each with its ``probability``; "one"
        through one of them, drawn in proportion to their probabilities
    auxiliary : what is learned beside the emotion; a task that no training clip has a label for is left out, of the
        model's answers too. In closed form, the gender alone
    affect_loss : one minus Lin's concordance over the batch, or the mean squared error
    affect_range : lowest and highest rating of the corpus; where it is empty, as the corpus reader says
    multitask : how losses become one, see `earnest.training.losses`
    gender_weight, affect_weight : of "fixed", where the emotion's is 1
    """

    method: Literal["gradient", "discriminant"] = "gradient"
    shrinkage: float = 0.6
    voice_prior: float = 10.0
    augmented_copies: int = 0
    epochs: int = 120
    patience: int = 120
    batch_size: int = 32
    monitor: Literal["valid_ua", "valid_loss"] = "valid_ua"
    refit: bool = False
    optimiser: Literal["adabelief", "adam", "adamw", "sgd"] = "adabelief"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-7
    momentum: float = 0.9
    schedule: Literal["plateau", "multistep", "cosine", "none"] = "plateau"
    plateau_monitor: Literal["train_loss", "valid_loss"] = "train_loss"
    plateau_factor: float = 0.7
    plateau_patience: int = 2
    plateau_cooldown: int = 3
    plateau_threshold: float = 1e-3
    step_factor: float = 0.1
    milestones: tuple[int, ...] = ()
    warmup_epochs: int = 0
    lowest_learning_rate: float = 1e-6
    layer_decay: float = 1.0
    head: tuple[str, ...] = ()
    head_learning_rate: float | None = None
    freeze: tuple[str, ...] = ()
    unfreeze: tuple[Unfreezing, ...] = ()
    gradient_clip: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    oversample: Oversample = "none"
    mixup: Literal["dominant", "plain"] = "dominant"
    mixup_alpha: float = 0.0
    time_mask_frames: int = 0
    mel_mask_bands: int = 0
    label_smoothing: float = 0.1
    stability_weight: float = 0.0
    clean_share: float = 0.0
    changes: Literal["all", "one"] = "all"
    auxiliary: tuple[Task, ...] = ()
    affect_loss: Literal["ccc", "mse"] = "ccc"
    affect_range: tuple[float, ...] = ()
    multitask: Multitask = "sum"
    gender_weight: float = 1.0
    affect_weight: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for checks in (self._of_time(), self._of_steps(), self._of_clips(), self._of_losses()):
            for right, message in checks:
                if not right:
                    raise RecipeError(f"{message}.")

    def _of_time(self) -> Checks:
        return (
            (0 <= self.shrinkage <= 1, "shrinkage must be from 0 to 1"),
            (0 < self.voice_prior < math.inf, "voice_prior must be above 0"),
            (0 <= self.augmented_copies <= 100, "augmented_copies must be from 0 to 100"),
            (self.epochs >= 1, "epochs must be at least 1"),
            (self.patience >= 1, "patience must be at least 1"),
            (self.batch_size >= 2, "batch_size must be at least 2"),
            (0 < self.plateau_factor < 1, "plateau_factor must be above 0 and below 1"),
            (self.plateau_patience >= 0, "plateau_patience must not be negative"),
            (self.plateau_cooldown >= 0, "plateau_cooldown must not be negative"),
            (0 <= self.plateau_threshold < 1, "plateau_threshold must be from 0 to below 1"),
            (0 < self.step_factor <= 1, "step_factor must be above 0 and at most 1"),
            (all(epoch >= 1 for epoch in self.milestones), "milestones must be epochs from 1"),
            (self.schedule != "multistep" or bool(self.milestones), 'schedule = "multistep" needs milestones'),
            (0 <= self.warmup_epochs < self.epochs or not self.warmup_epochs, "warmup_epochs must be below epochs"),
            (not (self.warmup_epochs and self.schedule == "plateau"), 'warmup_epochs doesn\'t go with "plateau"'),
            (0 <= self.seed < 2**31, "seed must be from 0 to below 2147483648"),
        )

    def _of_steps(self) -> Checks:
        head_rate = self.head_learning_rate
        return (
            (0 < self.learning_rate < 10, "learning_rate must be above 0 and below 10"),
            (0 <= self.weight_decay < 10, "weight_decay must be from 0 to below 10"),
            (0 <= self.momentum < 1, "momentum must be from 0 to below 1"),
            (0 <= self.lowest_learning_rate < 10, "lowest_learning_rate must be from 0 to below 10"),
            (0 < self.layer_decay <= 1, "layer_decay must be above 0 and at most 1"),
            (head_rate is None or 0 < head_rate < 10, "head_learning_rate must be above 0 and below 10"),
            (self.gradient_clip >= 0, "gradient_clip must not be negative"),
            (not self.unfreeze or bool(self.freeze), "unfreeze needs freeze"),
        )

    def _of_clips(self) -> Checks:
        return (
            (0 <= self.mixup_alpha < 100, "mixup_alpha must be from 0 to below 100"),
            (self.time_mask_frames >= 0, "time_mask_frames must not be negative"),
            (self.mel_mask_bands >= 0, "mel_mask_bands must not be negative"),
            (0 <= self.clean_share <= 1, "clean_share must be from 0 to 1"),
            (0 <= self.stability_weight <= 1_000, "stability_weight must be from 0 to 1000"),
            (not (self.stability_weight and self.mixup_alpha), "stability_weight doesn't go with mixup_alpha"),
        )

    def _of_losses(self) -> Checks:
        limits = self.affect_range
        return (
            (0 <= self.label_smoothing < 1, "label_smoothing must be from 0 to below 1"),
            (len(set(self.auxiliary)) == len(self.auxiliary), "auxiliary names a task twice"),
            (
                self.method == "gradient" or "affect" not in self.auxiliary,
                'method = "discriminant" learns classes: of auxiliary tasks, "gender" alone',
            ),
            (not limits or (len(limits) == 2 and limits[0] < limits[1]), "affect_range must be [lowest, highest]"),
            (0 <= self.gender_weight <= 1_000, "gender_weight must be from 0 to 1000"),
            (0 <= self.affect_weight <= 1_000, "affect_weight must be from 0 to 1000"),
            (self.multitask == "sum" or bool(self.auxiliary), f'multitask = "{self.multitask}" needs auxiliary tasks'),
        )
