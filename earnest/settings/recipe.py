"""A recipe: everything that decides a training, in one typed value; and the recipes that come with earnest, by name.

The tables of learning come first; those of what a network is given are in `earnest.settings.front_end`. The recipes
that come with earnest lie in the installed package, or in the checkout it runs from.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from earnest.errors import RecipeError, suggestion
from earnest.files.reading import read_toml
from earnest.labels import scheme_called
from earnest.settings.front_end import FrontEnd, Image, Segments, with_preset
from earnest.settings.limits import (
    HINT,
    NONE,
    Bounds,
    Count,
    LowHigh,
    NotEmpty,
    NumberFromZero,
    Positive,
    Seed,
    Share,
    ShareBelowOne,
    Validated,
    from_mapping,
    require,
    to_toml,
    with_new_keys,
)

Task: TypeAlias = Literal["gender", "affect"]
Multitask: TypeAlias = Literal["sum", "fixed", "uncertainty", "weighted"]
Oversample: TypeAlias = Literal["none", "minority", "minority-twice", "balanced"]
Rate: TypeAlias = Annotated[float, Bounds(gt=0, lt=10)]
Weight: TypeAlias = Annotated[float, Bounds(ge=0, le=1_000)]


_OF_BOTH = frozenset({"method", "refit", "changes", "auxiliary", "seed"})
_OF_DISCRIMINANTS = frozenset({"shrinkage", "speaker_prior", "augmented_copies"})


@dataclass(frozen=True)
class Unfreezing(Validated):
    """Layers that are unfrozen at an epoch; the first epoch is 1."""

    epoch: Annotated[int, Bounds(ge=2)]
    names: Annotated[tuple[str, ...], NotEmpty()]


@dataclass(frozen=True)
class Training(Validated):
    """Settings of training.

    Attributes
    ----------
    method : by gradient descent over epochs, or the last layer in closed form (`earnest.training.closed_form`)
    shrinkage : of the discriminant's covariance, from 0 to 1
    speaker_prior : of a last layer ``speaker_dependent``, how many utterances the usual place of an emotion counts as
    augmented_copies : of each training utterance, changed by the ``[[augment]]`` tables, that the discriminant is
        fitted on beside the utterances as they are
    epochs : the most; training ends earlier when ``patience`` epochs in a row brought no better validation ``monitor``
    monitor : what chooses the epoch, on validation data: UA (mean recall) or loss
    refit : train once more on training and validation data for the chosen number of epochs
    momentum : of "sgd"
    schedule : "plateau" multiplies the learning rate by ``plateau_factor`` when ``plateau_monitor`` has not fallen for
        so many epochs (where there are no validation utterances, the training loss); "multistep" by ``step_factor``
        after each of ``milestones``; "cosine" falls to ``lowest_learning_rate``
    warmup_epochs : over which the learning rate rises evenly, before any schedule but "plateau"
    layer_decay : the learning rate of a layer is that of the layer behind it times this
    head_learning_rate : of the layers that ``head`` names, or of the last one where it names none; None (in TOML
        "none") means ``learning_rate``
    freeze : names of modules or parameters, dots between, that training leaves as they are
    unfreeze : tables of an ``epoch`` and the ``names`` of what was frozen and is trained from then on
    gradient_clip : the longest gradient, as a Euclidean norm over all weights; 0 for any
    class_weights : "balanced" weighs a class inversely to its share
    oversample : which classes are seen more often, see `earnest.training.examples`
    mixup : "dominant" keeps the larger share with the utterance itself, "plain" doesn't care
    stability_weight : of the divergence between the answers to an utterance as it is and augmented; 0 trains on either
    clean_share : probability that a training utterance is left as it is where the recipe augments
    changes : "all" puts an utterance through the ``[[augment]]`` tables in their order, each with its ``probability``;
        "one" through one of them, drawn in proportion to their probabilities
    auxiliary : what is learned beside the emotion; a task that no training utterance has a label for is left out, of
        the model's answers too. In closed form, the gender alone
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
        self._check_schedule()
        self._check_tasks()
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

    @property
    def idle(self) -> tuple[str, ...]:
        """Names of settings that were given, and that others keep from changing anything."""
        is_plateau, has_affect = self.schedule == "plateau", "affect" in self.auxiliary
        is_fixed = self.multitask == "fixed"
        works = {
            "milestones": self.schedule == "multistep" and any(epoch < self.epochs for epoch in self.milestones),
            "step_factor": self.schedule == "multistep",
            "unfreeze": any(step.epoch <= self.epochs for step in self.unfreeze),
            **{one.name: is_plateau for one in fields(self) if one.name.startswith("plateau_")},
            "lowest_learning_rate": is_plateau or self.schedule == "cosine",
            "momentum": self.optimiser == "sgd",
            "head": self.layer_decay != 1 or self.head_learning_rate is not None,
            "mixup": self.mixup_alpha > 0,
            "affect_loss": has_affect,
            "affect_range": has_affect,
            "gender_weight": is_fixed and "gender" in self.auxiliary,
            "affect_weight": is_fixed and has_affect,
        }
        given = {one.name for one in fields(self) if getattr(self, one.name) != one.default} - {*self.unused}
        return tuple(name for name, does in works.items() if not does and name in given)

    def _check_schedule(self) -> None:
        warm = self.warmup_epochs
        require(self.schedule != "multistep" or bool(self.milestones), 'schedule = "multistep" needs milestones')
        require(not warm or warm < self.epochs, f"warmup_epochs must be below epochs ({self.epochs}), got {warm}")
        require(not (warm and self.schedule == "plateau"), 'warmup_epochs can\'t be used with "plateau"')
        low, rate = self.lowest_learning_rate, self.learning_rate
        falls = self.schedule != "cosine" or low <= rate
        require(falls, f"lowest_learning_rate must not be above learning_rate ({rate:g}), got {low:g}")

    def _check_tasks(self) -> None:
        require(len(set(self.auxiliary)) == len(self.auxiliary), "auxiliary names a task twice")
        right = self.method == "gradient" or "affect" not in self.auxiliary
        require(right, 'method = "discriminant" learns classes: of auxiliary tasks, "gender" alone')
        limits = self.affect_range
        right = not limits or (len(limits) == 2 and limits[0] < limits[1])
        require(right, f"affect_range must be [lowest, highest], got {list(limits)}")
        right = self.multitask == "sum" or bool(self.auxiliary)
        require(right, f'multitask = "{self.multitask}" needs auxiliary tasks')


@dataclass(frozen=True)
class FrameChanges(Validated):
    """Settings of augmentation on log-mel frames.

    Attributes
    ----------
    noise : folder of recordings below ``$EARNEST_DATA``, "" for none; ``noise_names`` are the parts of paths used
    backward, spliced, crop, stretch, warped, expanded, coloured, reverberant, noisy, narrow, masked : share of
        utterances that each happens to
    stretch_range : of durations
    snr_db : range of signal-to-noise ratios
    """

    removed: ClassVar[Mapping[str, Any]] = {
        "most_pieces": 4,
        "piece_frames": [20, 90],
        "shortest_part": 0.6,
        "warp_range": [0.82, 1.22],
        "expansion_db": [25.0, 50.0],
        "colour_db": 4.0,
        "rt60_frames": [20.0, 100.0],
        "direct_db": [-6.0, 10.0],
        "lowest_band": 50,
        "highest_band": 62,
        "mask_bands": 10,
        "mask_frames": 20,
    }
    noise: str = ""
    noise_names: tuple[str, ...] = ()
    backward: Share = 0.0
    spliced: Share = 0.0
    crop: Share = 0.3
    stretch: Share = 0.5
    warped: Share = 0.0
    expanded: Share = 0.0
    coloured: Share = 0.0
    reverberant: Share = 0.0
    noisy: Share = 0.4
    narrow: Share = 0.08
    masked: Share = 0.5
    stretch_range: Annotated[tuple[float, float], LowHigh(ge=0.5, le=2)] = (0.87, 1.15)
    snr_db: Annotated[tuple[float, float], LowHigh()] = (3.0, 30.0)


@dataclass(frozen=True, kw_only=True)
class Finetune(Validated):
    """Settings of fine-tuning with two heads, see `earnest.training.finetune`.

    Attributes
    ----------
    corpus : corpora whose labels are learnt, each its own classes; in a recipe, beside its own
    epochs : 0 leaves the embedding as it is
    steps_an_epoch : batches; 0 for so many that every utterance comes about once
    speakers_a_batch, clips_a_speaker : how a batch is made up
    learning_rate : of the blocks
    """

    removed: ClassVar[Mapping[str, Any]] = {
        "convolution_share": 0.3,
        "weight_decay": 0.01,
        "dropout": 0.2,
        "label_smoothing": 0.1,
        "head_learning_rate": 3e-4,
        "average": 0.99,
    }
    corpus: tuple[str, ...] = ()
    epochs: NumberFromZero = 0
    steps_an_epoch: NumberFromZero = 0
    speakers_a_batch: Annotated[int, Bounds(ge=2)] = 4
    clips_a_speaker: Annotated[int, Bounds(ge=2)] = 12
    learning_rate: Annotated[float, Bounds(gt=0, lt=1)] = 4e-5
    warm_up_steps: Count = 60
    changes: FrameChanges = field(default_factory=FrameChanges)

    def __bool__(self) -> bool:
        """Whether anything is learnt."""
        return self.epochs > 0


@dataclass(frozen=True)
class Range(Validated):
    """Numbers from ``low`` to ``high``, both included.

    Attributes
    ----------
    log : drawn evenly over the logarithm
    step : between neighbours; whole numbers have 1, others none
    """

    low: int | float
    high: int | float
    log: bool = False
    step: Annotated[int | float, Bounds(gt=0)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.low < self.high, f"low must be below high, got {self.low} and {self.high}")
        require(not self.log or self.low > 0, "with log, low must be above 0")
        require(self.step is None or not self.log, "log and step can't be used together")
        require(self.n_steps == round(self.n_steps), "step must lead from low to high")

    @property
    def n_steps(self) -> float:
        """Steps from low to high, 1 where there are none."""
        return round((self.high - self.low) / self.step, 6) if self.step else 1

    def holds(self, value: float) -> bool:
        """Return whether the value is one that may be tried."""
        steps = round((value - self.low) / self.step, 6) if self.step else 0
        return self.low <= value <= self.high and steps == round(steps)


@dataclass(frozen=True)
class Tune(Validated):
    """Settings of the hyperparameter search, which goes by UA on validation utterances.

    A training ends early that is worse than half of the others were at the same epoch.

    Attributes
    ----------
    trials : settings to try, the recipe's own first
    ranges, choices : setting, such as "training.learning_rate" → what it may be
    """

    removed: ClassVar[Mapping[str, Any]] = {"metric": "valid_ua", "pruner": "median"}
    trials: Count = 30
    seed: Seed = 0
    ranges: Mapping[str, Range] = field(default_factory=dict)
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        twice = sorted(self.ranges.keys() & self.choices.keys())
        single = sorted(key for key, values in self.choices.items() if len(values) < 2)
        require(not twice, f"{', '.join(twice)}: in ranges and in choices; one is right")
        require(not single, f"choices: {', '.join(single)} needs two or more")


def read_tune(values: object, where: str) -> Tune:
    """Check a ``[tune]`` table; keys may be dotted in quotes or tables of their own.

    Parameters
    ----------
    values : as TOML gives them
    where : file and table, for messages
    """
    if isinstance(values, Mapping):
        values = {
            key: _flat(value, key == "ranges") if key in ("ranges", "choices") else value
            for key, value in values.items()
        }
    return from_mapping(Tune, values, where)  # type: ignore[arg-type]  # which refuses what is no table


def _flat(table: Any, are_ranges: bool) -> Any:
    """Join the keys of tables of tables by dots; a range is a table too."""
    if not isinstance(table, Mapping):
        return table
    found: dict[str, Any] = {}
    for key, value in table.items():
        is_range = are_ranges and _is_table(value) and not any(map(_is_table, value.values()))
        if _is_table(value) and not is_range:
            found |= {f"{key}.{inner}": item for inner, item in _flat(value, are_ranges).items()}
        else:
            found[key] = value
    return found


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


RENAMED_NETWORK_KEYS: Mapping[str, str] = {"steps_a_token": "tokens_per_step", "by_voice": "speaker_dependent"}
"""Keys of ``[network]`` in earlier versions → what they are called now."""

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "recipes", _PACKAGE.parent / "recipes")  # setup.py puts them into the wheel


@dataclass(frozen=True)
class Recipe(Validated):
    """One training: data, labels, front end, network and how it learns.

    Attributes
    ----------
    protocol : which utterances are for training, validation and test, unless a command names another protocol
    authors_protocol : the one of the published number, where it is another; "" where it is not known
    finetune : what a pre-trained embedding learns from the training utterances before the last layer is fitted
    augment : settings of each augmentation of training utterances, in their order; read by `earnest.augment.base`
    """

    corpus: str | tuple[str, ...] = field(metadata={HINT: " 'earnest corpus list' names the corpora."})
    model: str = field(metadata={HINT: " 'earnest models' names the networks."})
    scheme: str = "native"
    protocol: str = "speaker-holdout"
    authors_protocol: str = ""
    description: str = ""
    front_end: FrontEnd = field(default_factory=FrontEnd)
    segments: Segments = field(default_factory=Segments)
    image: Image = field(default_factory=Image)
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    finetune: Finetune = field(default_factory=Finetune)
    augment: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.corpora), "corpus must name at least one corpus")
        scheme_called(self.scheme)
        is_closed, copies = self.training.method == "discriminant", self.training.augmented_copies
        right = not is_closed or self.segments.mode != "blocks"
        require(right, 'method = "discriminant" scores one embedding per recording: [segments] can\'t be "blocks"')
        require(
            not is_closed or (self.image.scaling != "per-bin" and self.image.normalise != "statistics"),
            'method = "discriminant" embeds a recording once for all folds: [image] can\'t learn scaling = '
            '"per-bin" or normalise = "statistics" from the training recordings of each',
        )
        right = not (self.augment and is_closed) or copies > 0
        require(right, '[[augment]] with method = "discriminant", which has no epochs, needs augmented_copies')
        right = not copies or (bool(self.augment) and is_closed)
        require(right, 'augmented_copies needs method = "discriminant" and [[augment]] tables')
        right = not self.training.stability_weight or bool(self.augment)
        require(right, "stability_weight compares recordings with their augmented copies: add [[augment]] tables")
        require(not self.finetune or is_closed, '[finetune] needs method = "discriminant"')
        n_bands, masked = self.front_end.n_bands, self.training.mel_mask_bands
        told = f"mel_mask_bands must be at most {n_bands}, the bands of [front_end], got {masked}"
        require(masked <= n_bands, told)

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora to train on; one or several may be named."""
        return (self.corpus,) if isinstance(self.corpus, str) else self.corpus

    @property
    def idle(self) -> tuple[str, ...]:
        """Names of settings of ``training`` that were given, and that others keep from changing anything."""
        given = {"clean_share": self.training.clean_share > 0, "changes": self.training.changes != "all"}
        in_vain = [name for name, is_given in given.items() if is_given and not self.augment]
        return (*self.training.idle, *(name for name in in_vain if name not in self.training.unused))

    def trains_as(self, other: "Recipe") -> bool:
        """Whether two recipes train the same weights, given the same utterances."""
        return replace(other, protocol=self.protocol, authors_protocol=self.authors_protocol) == self

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, every default spelled out."""
        return asdict(self)


def read_recipe(path: Path, changes: Mapping[str, Any] = MappingProxyType({})) -> Recipe:
    """Read and check a recipe file; a run folder may stand for its ``recipe.toml``.

    Parameters
    ----------
    changes : settings to take instead of the file's, such as "training.epochs" → 20
    """
    return read_recipe_and_tune(path, changes)[0]


def read_recipe_and_tune(path: Path, changes: Mapping[str, Any] = MappingProxyType({})) -> tuple[Recipe, Tune | None]:
    """Read a recipe file with its ``[tune]`` table, which is no part of a training."""
    values = read_toml(path / "recipe.toml" if path.is_dir() else path)
    if "corpus" in changes:  # the file's protocols are of its own corpus
        values = {key: value for key, value in values.items() if key not in ("protocol", "authors_protocol")}
    for key, value in changes.items():
        _put(values, key, value)
    if isinstance(values.get("front_end"), dict):
        values["front_end"] = with_preset(values["front_end"], f"{path}: front_end")
    is_stored = path.is_dir() or (path.name == "recipe.toml" and (path.parent / "run.json").is_file())
    for table, renamed in (("network", RENAMED_NETWORK_KEYS), ("training", Training.renamed)):
        if isinstance(values.get(table), dict):
            values[table] = with_new_keys(values[table], renamed, f"{path}: {table}", is_stored)
    tune = read_tune(values.pop("tune"), f"{path}: tune") if "tune" in values else None
    return from_mapping(Recipe, values, str(path)), tune


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *tables, name = key.split(".")
    table: Any = values
    for word in tables:
        table = table.setdefault(word, {})
        if not isinstance(table, dict):
            raise RecipeError(f"'{key}': {word} is no table.")
    table[name] = value


def recipe_to_toml(recipe: Recipe) -> str:
    """Return the resolved recipe as TOML, every default spelled out; None is written as "none"."""
    return to_toml(recipe.to_dict())


def shipped_recipes() -> dict[str, Path]:
    """Return name → file of the recipes that come with earnest; none where somebody installed the package alone."""
    folder = next((place for place in _PLACES if place.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.toml"))} if folder else {}


def recipe_word(path: Path) -> str:
    """Return a recipe's word on a command line: its name if it ships with earnest and was found so, else its path."""
    return path.stem if path in shipped_recipes().values() else str(path)


def recipe_file(text: str) -> Path:
    """Return the file that a person means by a path, or by the name of a recipe that comes with earnest.

    Raises `RecipeError` when there is neither.
    """
    path, shipped = Path(text).expanduser(), shipped_recipes()
    if path.is_file() or (path / "recipe.toml").is_file():
        return path
    if text in shipped:
        return shipped[text]
    if path.suffix == ".toml" and path.stem in shipped:
        raise RecipeError(f"{text}: no such file. The recipe that comes with earnest is called {path.stem} alone.")
    if path.suffix == ".toml" and not get_close_matches(path.stem, shipped, cutoff=0.8):  # meant as a file
        raise RecipeError(f"{text}: no such file. Check the path.")
    named = suggestion(path.stem, shipped) if shipped else ""
    raise RecipeError(f"{text}: no such file, and earnest has no recipe of this name.{named}")
