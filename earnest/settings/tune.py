"""The ``[tune]`` table of a recipe: which settings `earnest tune` tries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from earnest.settings.config import from_mapping
from earnest.settings.limits import Bounds, Count, Seed, Validated, require


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
        checks = (
            (self.low < self.high, f"low must be below high, got {self.low} and {self.high}"),
            (not self.log or self.low > 0, "with log, low must be above 0"),
            (self.step is None or not self.log, "log and step can't be used together"),
            (self.n_steps == round(self.n_steps), "step must lead from low to high"),
        )
        for right, message in checks:
            require(right, message)

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
    """What is tried, how often, and what counts.

    Attributes
    ----------
    trials : settings to try, the recipe's own first
    metric : on the validation clips, the higher the better
    pruner : "median" ends a training early that is worse than half of the others were at the same epoch
    ranges, choices : setting, such as "training.learning_rate" → what it may be
    """

    trials: Count = 30
    metric: Literal["valid_ua", "valid_wa"] = "valid_ua"
    pruner: Literal["median", "none"] = "median"
    seed: Seed = 0
    ranges: Mapping[str, Range] = field(default_factory=dict)
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        twice = sorted(self.ranges.keys() & self.choices.keys())
        single = sorted(key for key, values in self.choices.items() if len(values) < 2)
        checks = (
            (not twice, f"{', '.join(twice)}: in ranges and in choices; one is right"),
            (not single, f"choices: {', '.join(single)} needs two or more"),
        )
        for right, message in checks:
            require(right, message)


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
