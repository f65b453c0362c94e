"""A recipe: everything that decides a training, in one typed value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from earnest.config import from_mapping, read_toml, to_toml
from earnest.errors import RecipeError
from earnest.front_end import FrontEnd, with_preset
from earnest.image import Image
from earnest.labels import scheme_called
from earnest.segments import Segments
from earnest.tune import Tune, read_tune


@dataclass(frozen=True)
class Training:
    """How the weights are found.

    Attributes
    ----------
    method : by gradient descent over epochs, or the last layer in closed form (`earnest.training.discriminant`)
    shrinkage : of the discriminant's covariance, from 0 to 1
    epochs : the most; training ends earlier when ``patience`` epochs in a row brought no better validation ``monitor``
    monitor : what chooses the epoch, on validation data: UA (mean recall) or loss
    refit : train once more on training and validation data for the chosen number of epochs
    ema_decay : the weights scored and kept are a moving average over steps; 0 switches it off
    plateau_* : the learning rate is multiplied by the factor when the training loss has not fallen for so many epochs
    """

    method: Literal["gradient", "discriminant"] = "gradient"
    shrinkage: float = 0.6
    epochs: int = 120
    patience: int = 120
    batch_size: int = 32
    monitor: Literal["valid_ua", "valid_loss"] = "valid_ua"
    refit: bool = False
    optimiser: Literal["adabelief", "adamw", "sgd"] = "adabelief"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-7
    schedule: Literal["plateau", "cosine", "none"] = "plateau"
    plateau_factor: float = 0.7
    plateau_patience: int = 2
    plateau_cooldown: int = 3
    plateau_threshold: float = 1e-3
    lowest_learning_rate: float = 1e-6
    label_smoothing: float = 0.1
    class_weights: Literal["none", "balanced"] = "none"
    ema_decay: float = 0.0
    mixup_alpha: float = 0.0
    time_mask_frames: int = 0
    mel_mask_bands: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        checks = (
            (0 <= self.shrinkage <= 1, "shrinkage must be from 0 to 1"),
            (self.epochs >= 1, "epochs must be at least 1"),
            (self.patience >= 1, "patience must be at least 1"),
            (self.batch_size >= 2, "batch_size must be at least 2"),
            (0 < self.learning_rate < 10, "learning_rate must be above 0 and below 10"),
            (0 <= self.weight_decay < 10, "weight_decay must be from 0 to below 10"),
            (0 < self.plateau_factor < 1, "plateau_factor must be above 0 and below 1"),
            (self.plateau_patience >= 0, "plateau_patience must not be negative"),
            (self.plateau_cooldown >= 0, "plateau_cooldown must not be negative"),
            (0 <= self.plateau_threshold < 1, "plateau_threshold must be from 0 to below 1"),
            (0 <= self.lowest_learning_rate < 10, "lowest_learning_rate must be from 0 to below 10"),
            (0 <= self.label_smoothing < 1, "label_smoothing must be from 0 to below 1"),
            (0 <= self.ema_decay < 1, "ema_decay must be from 0 to below 1"),
            (0 <= self.mixup_alpha < 100, "mixup_alpha must be from 0 to below 100"),
            (self.time_mask_frames >= 0, "time_mask_frames must not be negative"),
            (self.mel_mask_bands >= 0, "mel_mask_bands must not be negative"),
            (0 <= self.seed < 2**31, "seed must be from 0 to below 2147483648"),
        )
        for right, message in checks:
            if not right:
                raise RecipeError(f"{message}.")


@dataclass(frozen=True)
class Recipe:
    """One training: data, labels, front end, network and how it learns.

    Attributes
    ----------
    augment : settings of each augmentation of training clips, in their order; read by `earnest.augment.chain`
    """

    corpus: str | tuple[str, ...]
    model: str
    scheme: str = "native"
    description: str = ""
    front_end: FrontEnd = field(default_factory=FrontEnd)
    segments: Segments = field(default_factory=Segments)
    image: Image = field(default_factory=Image)
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    augment: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if not self.corpora:
            raise RecipeError("corpus must name at least one corpus.")
        scheme_called(self.scheme)
        if self.training.method == "discriminant" and self.segments.mode == "blocks":
            raise RecipeError('method = "discriminant" scores one embedding a clip: [segments] can\'t be "blocks".')

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora to train on; one or several may be named."""
        return (self.corpus,) if isinstance(self.corpus, str) else self.corpus

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, every default spelled out."""
        return asdict(self)


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe file; a run folder may stand for its ``recipe.toml``."""
    return read_recipe_and_tune(path)[0]


def read_recipe_and_tune(path: Path) -> tuple[Recipe, Tune | None]:
    """Read a recipe file with its ``[tune]`` table, which is no part of a training."""
    values = read_toml(path / "recipe.toml" if path.is_dir() else path)
    if isinstance(values.get("front_end"), dict):
        values["front_end"] = with_preset(values["front_end"], f"{path}: front_end")
    tune = read_tune(values.pop("tune"), f"{path}: tune") if "tune" in values else None
    return from_mapping(Recipe, values, str(path)), tune


def recipe_to_toml(recipe: Recipe) -> str:
    """Return the resolved recipe as TOML, every default spelled out; None is written as "none"."""
    return to_toml(recipe.to_dict())
