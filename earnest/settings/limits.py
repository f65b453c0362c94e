"""Limits that stand beside the fields of a dataclass, and the one place that checks them.

``learning_rate: Annotated[float, Bounds(gt=0, lt=10)] = 1e-3`` says what a setting may be, where the setting is. A
dataclass that derives from `Validated` is checked whenever one is made, from a file or in Python.
"""

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar, TypeAlias

from earnest.errors import RecipeError, shown


@dataclass(frozen=True)
class Bounds:
    """Between which numbers a number lies; it is always finite.

    Attributes
    ----------
    gt, ge : it is greater than this, or greater or equal
    lt, le : it is less than this, or less or equal
    """

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def holds(self, value: Any) -> bool:
        """Whether the value is a finite number between the bounds."""
        if not isinstance(value, Real) or isinstance(value, bool):
            return False
        number: Any = value  # a Real of numpy too, which types don't let compare with float
        return bool(
            abs(number) < math.inf  # NaN is not below either
            and (self.gt is None or number > self.gt)
            and (self.ge is None or number >= self.ge)
            and (self.lt is None or number < self.lt)
            and (self.le is None or number <= self.le)
        )

    def __str__(self) -> str:
        """Format the bounds as messages do: "from 0 to below 1"."""
        low = f"above {_number(self.gt)}" if self.gt is not None else ""
        high = f"below {_number(self.lt)}" if self.lt is not None else ""
        if self.ge is not None:
            if self.le is not None or high:
                return f"from {_number(self.ge)} to {high or _number(self.le)}"
            low = f"at least {_number(self.ge)}"
        if self.le is not None:
            high = f"at most {_number(self.le)}"
        return " and ".join(word for word in (low, high) if word) or "a finite number"


@dataclass(frozen=True)
class LowHigh(Bounds):
    """Two numbers between the bounds, of which the second is not less than the first: what a draw is made from."""

    def holds(self, value: Any) -> bool:
        """Whether the value is such a pair."""
        return len(value) == 2 and all(map(super().holds, value)) and bool(value[0] <= value[1])

    def __str__(self) -> str:
        """Format the range as messages do: "[low, high] from 0 to 1"."""
        return "[low, high]" if self == LowHigh() else f"[low, high] {super().__str__()}"


@dataclass(frozen=True)
class NotEmpty:
    """A tuple or a table with at least one entry."""

    def holds(self, value: Any) -> bool:
        """Whether there is one."""
        return len(value) > 0

    def __str__(self) -> str:
        """Format the condition as messages do."""
        return "a list of at least one"


Positive: TypeAlias = Annotated[float, Bounds(gt=0)]
Count: TypeAlias = Annotated[int, Bounds(ge=1)]
NumberFromZero: TypeAlias = Annotated[int, Bounds(ge=0)]
Share: TypeAlias = Annotated[float, Bounds(ge=0, le=1)]
ShareBelowOne: TypeAlias = Annotated[float, Bounds(ge=0, lt=1)]
Seed: TypeAlias = Annotated[int, Bounds(ge=0, lt=2**31)]


class Validated:
    """Base of dataclasses whose fields have limits, as ``Annotated[type, Bounds(…)]``.

    Rules between several fields go into ``__post_init__``, which first calls ``super().__post_init__()``.

    Attributes
    ----------
    renamed : key of an earlier version → the field that it is now; `earnest.settings.config.from_mapping` reads both
    removed : key of an earlier version → the value that is as good as none, which its run folders hold
    """

    renamed: ClassVar[Mapping[str, str]] = {}
    removed: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        """Check every field.

        Raises
        ------
        RecipeError
            For the first one outside its limits, with its name, the limits and the value.
        """
        kind: Any = type(self)
        for name, hint in _limited_fields(kind):
            _check(name, hint, getattr(self, name))


def require(right: bool, message: str) -> None:
    """Refuse settings that don't go together, with a sentence."""
    if not right:
        raise RecipeError(f"{message}.")


@cache
def _limited_fields(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Return the names and types of the fields that have limits; found once, so that making one costs little."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return tuple((field.name, hints[field.name]) for field in fields(kind) if _has_limits(hints[field.name]))


def _has_limits(hint: Any) -> bool:
    return typing.get_origin(hint) is Annotated or any(map(_has_limits, typing.get_args(hint)))


def _check(name: str, hint: Any, value: Any, each: str = "") -> None:
    """Check one value against its type's limits; ``each`` is the word before them inside a list."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for choice in () if value is None else arguments:
            _check(name, choice, value, each)
    elif origin is Annotated:
        _check_limits(name, arguments[0], arguments[1:], value, each)
        _check(name, arguments[0], value, each)
    elif origin is tuple:
        for item in value:
            _check(name, arguments[0], item, "each ")
    elif isinstance(value, Mapping) and arguments:
        for key, item in value.items():
            _check(f"{name}.{key}", arguments[1], item)


def _check_limits(name: str, kind: Any, limits: tuple[Any, ...], value: Any, each: str) -> None:
    for limit in limits:
        if not limit.holds(value):
            told = list(value) if isinstance(value, tuple) else value
            raise RecipeError(f"{name} must {each}be {limit}, got {shown(told)}.")
    if kind is int and not isinstance(value, Integral):
        raise RecipeError(f"{name} must {each}be a whole number, got {shown(value)}.")


def _number(value: float | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
