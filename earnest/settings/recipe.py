"""A recipe: everything that decides a training, in one typed value; and the recipes that come with earnest, by name.

These lie in the installed package, or in the checkout it runs from.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from earnest.errors import RecipeError, suggestion
from earnest.files.reading import read_toml
from earnest.labels import scheme_called
from earnest.settings.config import HINT, from_mapping, to_toml, with_new_keys
from earnest.settings.front_end import FrontEnd, Image, Segments, with_preset
from earnest.settings.limits import Validated, require
from earnest.settings.training import Finetune, Training, Tune, read_tune

RENAMED_NETWORK_KEYS: Mapping[str, str] = {"steps_a_token": "tokens_per_step", "by_voice": "speaker_dependent"}
"""Keys of ``[network]`` in earlier versions → what they are called now."""

__all__ = ["Recipe", "Training", "read_recipe", "recipe_to_toml"]
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
        for right, message in (
            (
                not is_closed or self.segments.mode != "blocks",
                'method = "discriminant" scores one embedding per recording: [segments] can\'t be "blocks"',
            ),
            (
                not is_closed or (self.image.scaling != "per-bin" and self.image.normalise != "statistics"),
                'method = "discriminant" embeds a recording once for all folds: [image] can\'t learn scaling = '
                '"per-bin" or normalise = "statistics" from the training recordings of each',
            ),
            (
                not (self.augment and is_closed) or copies > 0,
                '[[augment]] with method = "discriminant", which has no epochs, needs augmented_copies',
            ),
            (
                not copies or (bool(self.augment) and is_closed),
                'augmented_copies needs method = "discriminant" and [[augment]] tables',
            ),
            (
                not self.training.stability_weight or bool(self.augment),
                "stability_weight compares recordings with their augmented copies: add [[augment]] tables",
            ),
            (not self.finetune or is_closed, '[finetune] needs method = "discriminant"'),
            (
                self.training.mel_mask_bands <= self.front_end.n_bands,
                f"mel_mask_bands must be at most {self.front_end.n_bands}, the bands of [front_end], "
                f"got {self.training.mel_mask_bands}",
            ),
        ):
            require(right, message)

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora to train on; one or several may be named."""
        return (self.corpus,) if isinstance(self.corpus, str) else self.corpus

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

    Raises
    ------
    RecipeError
        When there is neither.
    """
    path, shipped = Path(text).expanduser(), shipped_recipes()
    if path.is_file() or (path / "recipe.toml").is_file():
        return path
    if text in shipped:
        return shipped[text]
    if path.parent.name == "recipes" and path.stem in shipped:
        raise RecipeError(f"{text}: no such file. The recipe that comes with earnest is called {path.stem} alone.")
    named = suggestion(path.stem, shipped) if shipped else ""
    raise RecipeError(f"{text}: no such file, and earnest has no recipe of this name.{named}")
