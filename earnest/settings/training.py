"""The ``[training]`` table of a recipe: how the weights are found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from earnest.settings.config import NONE
from earnest.settings.limits import (
    Bounds,
    Count,
    NotEmpty,
    NumberFromZero,
    Positive,
    Seed,
    Share,
    ShareBelowOne,
    Validated,
    require,
)

Task: TypeAlias = Literal["gender", "affect"]
Multitask: TypeAlias = Literal["sum", "fixed", "uncertainty", "weighted"]
Oversample: TypeAlias = Literal["none", "minority", "minority-twice", "balanced"]
Rules: TypeAlias = Iterable[tuple[bool, str]]
Rate: TypeAlias = Annotated[float, Bounds(gt=0, lt=10)]
Weight: TypeAlias = Annotated[float, Bounds(ge=0, le=1_000)]


_OF_BOTH = frozenset({"method", "refit", "changes", "auxiliary", "seed"})
_OF_DISCRIMINANTS = frozenset({"shrinkage", "speaker_prior", "augmented_copies"})


@dataclass(frozen=True)
class Unfreezing(Validated):
    """What is trained from an epoch on; the first epoch is 1."""

    epoch: Annotated[int, Bounds(ge=2)]
    names: Annotated[tuple[str, ...], NotEmpty()]


@dataclass(frozen=True)
class Training(Validated):
    """How the weights are found.

    Attributes
    ----------
    method : by gradient descent over epochs, or the last layer in closed form (`earnest.training.closed_form`)
    shrinkage : of the discriminant's covariance, from 0 to 1
    speaker_prior : of a last layer ``speaker_dependent``, how many clips the usual place of an emotion counts as
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
    multitask : how losses become one, see `earnest.training.heads`
    gender_weight, affect_weight : of "fixed", where the emotion's is 1
    """

    renamed: ClassVar[Mapping[str, str]] = {"voice_prior": "speaker_prior"}
    removed: ClassVar[Mapping[str, Any]] = {
        "step_epochs": 10,
        "ema_decay": 0.0,
        "swa_from": 0,
        "precision": "32",
        "loss": "cross-entropy",
        "focal_gamma": 2.0,
        "stability_symmetric": False,
        "gradnorm_alpha": 1.5,
        "loss_learning_rate": NONE,
        "calibration": "temperature",
    }
    method: Literal["gradient", "discriminant"] = "gradient"
    shrinkage: Share = 0.6
    speaker_prior: Positive = 10.0
    augmented_copies: Annotated[int, Bounds(ge=0, le=100)] = 0
    epochs: Count = 120
    patience: Count = 120
    batch_size: Annotated[int, Bounds(ge=2)] = 32
    monitor: Literal["valid_ua", "valid_loss"] = "valid_ua"
    refit: bool = False
    optimiser: Literal["adabelief", "adam", "adamw", "sgd"] = "adabelief"
    learning_rate: Rate = 1e-3
    weight_decay: Annotated[float, Bounds(ge=0, lt=10)] = 1e-7
    momentum: ShareBelowOne = 0.9
    schedule: Literal["plateau", "multistep", "cosine", "none"] = "plateau"
    plateau_monitor: Literal["train_loss", "valid_loss"] = "train_loss"
    plateau_factor: Annotated[float, Bounds(gt=0, lt=1)] = 0.7
    plateau_patience: NumberFromZero = 2
    plateau_cooldown: NumberFromZero = 3
    plateau_threshold: ShareBelowOne = 1e-3
    step_factor: Annotated[float, Bounds(gt=0, le=1)] = 0.1
    milestones: tuple[Count, ...] = ()
    warmup_epochs: NumberFromZero = 0
    lowest_learning_rate: Annotated[float, Bounds(ge=0, lt=10)] = 1e-6
    layer_decay: Annotated[float, Bounds(gt=0, le=1)] = 1.0
    head: tuple[str, ...] = ()
    head_learning_rate: Rate | None = None
    freeze: tuple[str, ...] = ()
    unfreeze: tuple[Unfreezing, ...] = ()
    gradient_clip: Annotated[float, Bounds(ge=0)] = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    oversample: Oversample = "none"
    mixup: Literal["dominant", "plain"] = "dominant"
    mixup_alpha: Annotated[float, Bounds(ge=0, lt=100)] = 0.0
    time_mask_frames: NumberFromZero = 0
    mel_mask_bands: NumberFromZero = 0
    label_smoothing: ShareBelowOne = 0.1
    stability_weight: Weight = 0.0
    clean_share: Share = 0.0
    changes: Literal["all", "one"] = "all"
    auxiliary: tuple[Task, ...] = ()
    affect_loss: Literal["ccc", "mse"] = "ccc"
    affect_range: tuple[float, ...] = ()
    multitask: Multitask = "sum"
    gender_weight: Weight = 1.0
    affect_weight: Weight = 1.0
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for right, message in (*self._of_schedule(), *self._of_tasks()):
            require(right, message)
        require(not self.unfreeze or bool(self.freeze), "unfreeze needs freeze")
        right = not (self.stability_weight and self.mixup_alpha)
        require(right, "stability_weight and mixup_alpha can't be used together")
        right = self.class_weights == "none" or self.oversample == "none"
        require(right, "class_weights and oversample both make up for rare classes; use one of them")

    @property
    def unused(self) -> tuple[str, ...]:
        """Names of settings that were given, and of which ``method`` makes no use."""
        names = {one.name for one in fields(self)} - _OF_BOTH
        others = names - _OF_DISCRIMINANTS if self.method == "discriminant" else _OF_DISCRIMINANTS
        return tuple(one.name for one in fields(self) if one.name in others and getattr(self, one.name) != one.default)

    def _of_schedule(self) -> Rules:
        warm = self.warmup_epochs
        return (
            (self.schedule != "multistep" or bool(self.milestones), 'schedule = "multistep" needs milestones'),
            (not warm or warm < self.epochs, f"warmup_epochs must be below epochs ({self.epochs}), got {warm}"),
            (not (warm and self.schedule == "plateau"), 'warmup_epochs can\'t be used with "plateau"'),
        )

    def _of_tasks(self) -> Rules:
        limits = self.affect_range
        return (
            (len(set(self.auxiliary)) == len(self.auxiliary), "auxiliary names a task twice"),
            (
                self.method == "gradient" or "affect" not in self.auxiliary,
                'method = "discriminant" learns classes: of auxiliary tasks, "gender" alone',
            ),
            (
                not limits or (len(limits) == 2 and limits[0] < limits[1]),
                f"affect_range must be [lowest, highest], got {list(limits)}",
            ),
            (self.multitask == "sum" or bool(self.auxiliary), f'multitask = "{self.multitask}" needs auxiliary tasks'),
        )
