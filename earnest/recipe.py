"""A recipe: everything that decides a training, in one typed value."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from earnest.config import NONE, from_mapping, read_toml
from earnest.errors import RecipeError
from earnest.front_end import FrontEnd, with_preset
from earnest.labels import scheme_called
from earnest.training_settings import Training

__all__ = ["Recipe", "Training", "read_recipe", "recipe_to_toml"]


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
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    augment: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if not self.corpora:
            raise RecipeError("corpus must name at least one corpus.")
        scheme_called(self.scheme)
        if self.augment and self.training.method == "discriminant":
            raise RecipeError('[[augment]] changes clips from epoch to epoch; method = "discriminant" has none.')
        if self.training.stability_weight and not self.augment:
            raise RecipeError("stability_weight compares clips with their augmented selves: add [[augment]] tables.")

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora to train on; one or several may be named."""
        return (self.corpus,) if isinstance(self.corpus, str) else self.corpus

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, every default spelled out."""
        return asdict(self)


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe file; a run folder may stand for its ``recipe.toml``."""
    values = read_toml(path / "recipe.toml" if path.is_dir() else path)
    if isinstance(values.get("front_end"), dict):
        values["front_end"] = with_preset(values["front_end"], f"{path}: front_end")
    return from_mapping(Recipe, values, str(path))


def recipe_to_toml(recipe: Recipe) -> str:
    """Return the resolved recipe as TOML, every default spelled out; None is written as "none"."""
    return "\n".join(_toml_lines(recipe.to_dict(), "")) + "\n"


def _toml_lines(table: Mapping[str, Any], prefix: str) -> list[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"{key} = {_toml_value(value)}" for key, value in plain.items()]
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            lines += ["", f"[{prefix}{key}]", *_toml_lines(value, f"{prefix}{key}.")]
    return lines


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml_value(item)}" for key, item in value.items()) + "}"
    if value is None:
        return f'"{NONE}"'
    if isinstance(value, str):
        # JSON's escapes are valid in TOML, which wants the delete character escaped too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
