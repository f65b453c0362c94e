"""Typed settings, read strictly: limits that stand beside fields, and the one place that checks them.

An unknown key is an error that names the nearest right one.
``learning_rate: Annotated[float, Bounds(gt=0, lt=10)] = 1e-3`` says what a setting may be, where the setting is. A
dataclass that derives from `Validated` is checked whenever one is made, from a file or in Python.
"""

import json
import logging
import math
import re
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

from earnest.errors import EarnestError, RecipeError, printable, shown, suggestion

S = TypeVar("S")
_log = logging.getLogger(__name__)


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
SHARE = Bounds(ge=0, le=1)
Share: TypeAlias = Annotated[float, SHARE]
ShareBelowOne: TypeAlias = Annotated[float, Bounds(ge=0, lt=1)]
Seed: TypeAlias = Annotated[int, Bounds(ge=0, lt=2**31)]


class Validated:
    """Base of dataclasses whose fields have limits, as ``Annotated[type, Bounds(…)]``.

    Rules between several fields go into ``__post_init__``, which first calls ``super().__post_init__()``.

    Attributes
    ----------
    renamed : key of an earlier version → the field that it is now; `earnest.settings.limits.from_mapping` reads both
    removed : key of an earlier version → the value that is as good as none, which its run folders hold
    """

    renamed: ClassVar[Mapping[str, str]] = {}
    removed: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        """Check every field.

        Raises `RecipeError` for the first one outside its limits, with its name, the limits and the value.
        """
        kind: Any = type(self)
        for name, hint in _limited_fields(kind):
            _check(name, hint, getattr(self, name))


def require(right: bool, message: str) -> None:
    """Refuse settings that don't go together, with a sentence."""
    if not right:
        raise RecipeError(f"{message}.")


def require_seconds(**values: object) -> None:
    """Refuse what is no number of seconds above 0; infinity is one, NaN is none."""
    for name, value in values.items():
        if not isinstance(value, Real) or not float(value) > 0:
            raise EarnestError(f"{name} must be a number of seconds above 0, got {shown(value)}.")


def require_text(**values: object) -> None:
    """Refuse what is neither text nor None."""
    for name, value in values.items():
        if not isinstance(value, str | None):
            raise EarnestError(f"{name} must be text, got {shown(value)}.")


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


_TOLD: set[str] = set()  # old keys that this process has warned of
_WORDS = {"str": "text", "int": "a whole number", "float": "a number"}
HINT = "hint"  # metadata of a field that has no default: what is said where its key is missing
NONE = "none"  # TOML has no null: this word stands for it where a setting may be None


def from_mapping(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """Build the dataclass ``kind`` from plain values, nested tables included.

    Parameters
    ----------
    kind : a dataclass
    values : keys and values as TOML or JSON give them
    where : file and table, for messages
    """
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where}: expected a table, got {shown(values)}.")
    values = _of_today(kind, values, where)
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in fields(typing.cast(Any, kind))}
    for key in values:
        if key not in known:
            raise RecipeError(f"{where}: unknown key {shown(key)}.{suggestion(str(key), known)}")
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise RecipeError(f"{where}: the key '{name}' is missing.{field.metadata.get(HINT, '')}")
    built = {name: _convert(hints[name], value, f"{where}: {name}") for name, value in values.items()}
    try:
        return kind(**built)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None


def _of_today(kind: type[Any], values: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the values under their keys of today, without what is gone."""
    if not issubclass(kind, Validated):
        return values
    for old, nothing in kind.removed.items():
        if old in values and values[old] not in (nothing, None):
            raise RecipeError(f"{where}: '{old}' is gone; only {shown(nothing)} is left. Leave the key out.")
    values = {key: value for key, value in values.items() if key not in kind.removed}
    return with_new_keys(values, kind.renamed, where)


def with_new_keys(
    values: Mapping[str, Any], renamed: Mapping[str, str], where: str, is_stored: bool = False
) -> dict[str, Any]:
    """Return values with the keys of today; one warning for each key of an earlier version.

    Parameters
    ----------
    renamed : old key → new key; both together are an error
    where : file and table, for messages
    is_stored : whether a run wrote them, with every default spelled out: then nobody has to change them
    """
    for old in filter(values.__contains__, renamed):
        new = renamed[old]
        if new in values:
            raise RecipeError(f"{where}: '{old}' and '{new}' are one setting. Keep '{new}', its new name.")
        if not is_stored and old not in _TOLD:
            _TOLD.add(old)
            told = f"{where}: '{old}' is now called '{new}'. The next release won't read the old name."
            _log.warning("%s", printable(told))
    return {renamed.get(key, key): value for key, value in values.items()}


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return from_mapping(hint, value, where)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is typing.Literal:
        if not isinstance(value, str | int | float | bool) or value not in arguments:
            wrong = value if isinstance(value, str) else ""
            raise RecipeError(f"{where} is {shown(value)}.{suggestion(wrong, map(str, arguments))}")
        return value
    if origin is tuple:
        _require(isinstance(value, list | tuple), "a list", value, where)
        if arguments[-1] is not Ellipsis:
            _require(len(value) == len(arguments), f"a list of {len(arguments)}", value, where)
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin in (dict, Mapping):
        _require(isinstance(value, Mapping), "a table", value, where)
        return {key: _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        _require(abs(value) <= sys.float_info.max, "a finite number", value, where)  # NaN isn't either
        return float(value)
    if hint is not Any:
        right = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
        _require(right, _WORDS.get(hint.__name__, f"a {hint.__name__}"), value, where)
    return value


def _convert_union(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if value in (None, NONE) and type(None) in choices:
        return None
    remaining = [choice for choice in choices if choice is not type(None)]
    for choice in remaining[:-1]:
        try:
            return _convert(choice, value, where)
        except RecipeError:
            continue
    return _convert(remaining[-1], value, where)


def _require(right: bool, expected: str, value: object, where: str) -> None:
    if not right:
        raise RecipeError(f"{where} must be {expected}, got {shown(value)}.")


def to_toml(values: Mapping[str, Any]) -> str:
    """Return plain values as TOML that `read_toml` reads back; None is written as "none"."""
    return "\n".join(_toml_lines(values, "")) + "\n"


def _toml_lines(table: Mapping[str, Any], prefix: str) -> list[str]:
    plain = {key: value for key, value in table.items() if not (isinstance(value, Mapping) or _are_tables(value))}
    lines = [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in plain.items()]
    for key, value in table.items():
        name = f"{prefix}{_toml_key(key)}"
        if isinstance(value, Mapping) and value:
            lines += ["", f"[{name}]", *_toml_lines(value, f"{name}.")]
        elif _are_tables(value):
            lines += [line for item in value for line in ("", f"[[{name}]]", *_toml_lines(item, f"{name}."))]
    return lines


def _are_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if value is None:
        return f'"{NONE}"'
    if isinstance(value, str):
        # JSON's escapes are valid in TOML, which wants the delete character escaped too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
