"""The settings that tuning tries: named in ``[tune]``, put into a recipe, and in Optuna's terms."""

import json
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any

from earnest.config import from_mapping
from earnest.errors import RecipeError
from earnest.models.classifier import MODELS
from earnest.recipe import Recipe
from earnest.suggest import suggestion
from earnest.tune import Range, Tune

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

TABLES = ("front_end", "network", "training")
_MISSING = object()
REFUSED = {
    "training.refit": "it changes nothing on validation clips",
    "training.seed": "the best of several draws is luck",
}


@dataclass(frozen=True)
class SearchSpace:
    """A recipe and what may take the place of its settings; checked as a whole before anything is trained.

    Raises
    ------
    RecipeError
        For a setting that there isn't, with the nearest one, and for ends of ranges and choices that a recipe refuses.
    """

    recipe: Recipe
    tune: Tune

    def __post_init__(self) -> None:
        if not (self.tune.ranges or self.tune.choices):
            raise RecipeError("tune: nothing to try. Add [tune.ranges] or [tune.choices] to the recipe.")
        for key in (*self.tune.ranges, *self.tune.choices):
            kind_of(self.recipe, key)
        for key, found in self.tune.ranges.items():
            _require_numbers(kind_of(self.recipe, key), found, key)
            for value in (found.low, found.high):
                self.recipe_with({key: value})
        for key, choices in self.tune.choices.items():
            for value in choices:
                self.recipe_with({key: value})

    def recipe_with(self, settings: Mapping[str, Any]) -> Recipe:
        """Return the recipe with other settings: key, such as "training.learning_rate" → value."""
        values = self.recipe.to_dict()
        for key, value in settings.items():
            *tables, name = key.split(".")
            table = values
            for word in tables:
                table = table.setdefault(word, {})
            table[name] = value
        where = ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
        recipe = from_mapping(Recipe, values, f"tune, {where}")
        _network_settings(recipe, f"tune, {where}: network")
        return recipe

    def distributions(self) -> "dict[str, BaseDistribution]":
        """Return what Optuna draws from; choices are drawn by their JSON text, so that lists can be among them."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, BaseDistribution] = {}
        for key, span in self.tune.ranges.items():
            if kind_of(self.recipe, key) is int:
                found[key] = IntDistribution(int(span.low), int(span.high), log=span.log, step=int(span.step or 1))
            else:
                found[key] = FloatDistribution(span.low, span.high, log=span.log, step=span.step)
        for key, choices in self.tune.choices.items():
            found[key] = CategoricalDistribution([json.dumps(choice) for choice in choices])
        return found

    def settings_of(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return what Optuna drew as key → value."""
        return {key: json.loads(value) if key in self.tune.choices else value for key, value in drawn.items()}

    def own(self) -> dict[str, Any] | None:
        """Return the recipe's own settings as Optuna would have drawn them, None where one lies outside."""
        found: dict[str, Any] = {}
        for key, span in self.tune.ranges.items():
            value = self._own_value(key)
            if isinstance(value, int | float) and span.holds(value):
                found[key] = value
        for key, choices in self.tune.choices.items():
            same = [choice for choice in choices if self._own_value(key, choice) == self._own_value(key)]
            if same:
                found[key] = json.dumps(same[0])
        return found if len(found) == len(self.tune.ranges) + len(self.tune.choices) else None

    def _own_value(self, key: str, instead: Any = _MISSING) -> Any:
        recipe = self.recipe if instead is _MISSING else self.recipe_with({key: instead})
        values = recipe.to_dict() | {"network": asdict(_network_settings(recipe, "network"))}
        return reduce(getitem, key.split("."), values)


def kind_of(recipe: Recipe, key: str) -> Any:
    """Return the type of a setting; another key is an error that names the nearest right one."""
    table, *words = key.split(".")
    if table not in TABLES:
        raise RecipeError(f"tune: '{key}': no table '{table}'.{suggestion(table, TABLES)}")
    if key in REFUSED:
        raise RecipeError(f"tune: '{key}' can't be tuned: {REFUSED[key]}.")
    kind = MODELS.get(recipe.model).settings_type if table == "network" else typing.get_type_hints(Recipe)[table]
    for word in words:
        known = typing.get_type_hints(kind) if is_dataclass(kind) else {}
        if word not in known:
            raise RecipeError(f"tune: '{key}': unknown setting '{word}'.{suggestion(word, known)}")
        kind = known[word]
    if is_dataclass(kind):
        raise RecipeError(f"tune: '{key}' is a table; name one of its settings, such as '{key}.{_first_of(kind)}'.")
    numbers = [choice for choice in typing.get_args(kind) if choice in (int, float)]
    return numbers[-1] if numbers else kind


def _first_of(kind: Any) -> str:
    return next(iter(typing.get_type_hints(kind)))


def _require_numbers(kind: Any, found: Range, key: str) -> None:
    if kind not in (int, float):
        raise RecipeError(f"tune: '{key}' is no number, so it has no range. List its values under [tune.choices].")
    numbers = (found.low, found.high, found.step if found.step is not None else 1)
    if kind is int and not all(isinstance(number, int) for number in numbers):
        raise RecipeError(f"tune: '{key}' takes whole numbers; low, high and step must be whole too.")


def _network_settings(recipe: Recipe, where: str) -> Any:
    """Return the settings of the recipe's network, defaults included."""
    return from_mapping(MODELS.get(recipe.model).settings_type, dict(recipe.network), where)
