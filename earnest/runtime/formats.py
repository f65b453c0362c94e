"""Predictions as text: JSON lines and CSV, and back."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, get_args

from earnest.errors import printable_json
from earnest.files.tables import csv_row
from earnest.labels import AFFECT
from earnest.runtime.prediction import Prediction, Status, VocalBurst

_BEFORE = ("path", "status", "duration_s", "speech_s", "emotion", "confidence")
_AFTER = ("polarity", "gender_female", "gender_male", *AFFECT, "affect_derived", "intensity")
_LAST = ("quality", "adapted", "adaptation_weight", "shares", "vocal_bursts", "model", "error")
_PREFIX = "p_"
_GENDERS = ("female", "male")
FLAGS = ("affect_derived", "adapted")
_SECONDS, _SHARE = (0.0, math.inf), (0.0, 1.0)
_LIMITS = {
    **dict.fromkeys(("duration_s", "speech_s"), _SECONDS),
    **dict.fromkeys(("confidence", "intensity", "adaptation_weight"), _SHARE),
    "polarity": (-1.0, 1.0),
}
_FLAG_VALUES = {"true": True, "false": False, True: True, False: False}


class _HasValues(Protocol):
    def to_dict(self) -> Mapping[str, Any]: ...


def json_line(row: _HasValues) -> str:
    """Return a row or an event as one JSON object without line breaks, whatever a file is called; NaN is refused."""
    return printable_json(json.dumps(row.to_dict(), ensure_ascii=False, allow_nan=False))


def csv_header(classes: Sequence[str]) -> str:
    """Return the line of column names; probabilities are called ``p_<class>``."""
    return csv_row(_columns(classes))


def csv_line(prediction: Prediction, classes: Sequence[str]) -> str:
    """Return one row of CSV, see `earnest.files.tables`; what there is no value for is empty.

    Quality words are joined by spaces, ``shares`` and ``vocal_bursts`` are JSON.
    """
    values = flat_values(prediction, classes)
    values |= {name: "true" if values[name] else "false" for name in FLAGS}
    return csv_row(values.values())


def flat_values(prediction: Prediction, classes: Sequence[str]) -> dict[str, Any]:
    """Return column → value, in the order of `csv_header`."""
    values = prediction.to_dict()
    for name in _GENDERS:
        values[f"gender_{name}"] = (values["gender"] or {}).get(name)
    values |= values["affect"] or {}
    values["quality"] = " ".join(prediction.quality)
    values["shares"] = json.dumps(values["shares"]) if values["shares"] else None
    values["vocal_bursts"] = json.dumps(values["vocal_bursts"]) if values["vocal_bursts"] else None
    values |= {f"{_PREFIX}{name}": values["probabilities"].get(name) for name in classes}
    return {name: values.get(name) for name in _columns(classes)}


def check_columns(names: Sequence[str]) -> None:
    """Raise `ValueError` unless these are the columns of a file of predictions, in any order."""
    classes = [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"the column '{name}' is there twice")
    if missing := [name for name in _columns(classes) if name not in names]:
        raise ValueError(f"the column '{missing[0]}' is missing")
    if unknown := set(names) - set(_columns(classes)):
        raise ValueError(f"the column '{min(unknown)}' is not one of `earnest predict`")


def from_flat_values(values: Mapping[str, Any]) -> Prediction:
    """Return the prediction that `flat_values` or a row of CSV was made from.

    Raises `ValueError` for what can't have come from there.
    """
    known: dict[str, Any] = {name: None if value == "" else value for name, value in values.items()}
    for name in ("quality", "shares", "vocal_bursts"):
        if not isinstance(known[name], str | None):
            raise ValueError(f"'{name}' must be text, got {known[name]!r}")
    for name in FLAGS:
        if known[name] not in _FLAG_VALUES:
            raise ValueError(f"'{name}' must be true or false, got '{known[name]}'")
    affect: dict[str, float | None] = {name: _number(known[name]) for name in AFFECT}
    shares = {name.removeprefix(_PREFIX): known[name] for name in known if name.startswith(_PREFIX)}
    return _checked(
        Prediction(
            path=known["path"] or "",
            status=known["status"],
            **{name: _number(known[name]) for name in ("duration_s", "speech_s", "confidence", "polarity")},
            intensity=_number(known["intensity"]),
            emotion=known["emotion"],
            probabilities=_numbers(shares) or {},
            gender=_numbers({name: known[f"gender_{name}"] for name in _GENDERS}),
            affect=affect if any(value is not None for value in affect.values()) else None,
            affect_derived=_FLAG_VALUES[known["affect_derived"]],
            quality=tuple((known["quality"] or "").split()),
            adapted=_FLAG_VALUES[known["adapted"]],
            adaptation_weight=float(known["adaptation_weight"]),
            shares=json.loads(known["shares"] or "null"),
            vocal_bursts=tuple(VocalBurst(**burst) for burst in json.loads(known["vocal_bursts"] or "[]")),
            model=known["model"] or "",
            error=known["error"],
        )
    )


def from_json_line(line: str | bytes) -> Prediction:
    """Return the prediction that `json_line` was made from.

    For what can't have come from there it raises ValueError, TypeError, KeyError, AttributeError or RecursionError.
    """
    values = json.loads(line)
    if not isinstance(values["quality"], list) or not isinstance(values["probabilities"], dict):
        raise ValueError("'quality' must be a list, 'probabilities' numbers by name")
    return _checked(Prediction.from_dict(values))


def _columns(classes: Sequence[str]) -> tuple[str, ...]:
    return (*_BEFORE, *(f"{_PREFIX}{name}" for name in classes), *_AFTER, *_LAST)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _numbers(values: Mapping[str, Any]) -> dict[str, float] | None:
    return {name: float(value) for name, value in values.items() if value is not None} or None


def _checked(row: Prediction) -> Prediction:
    """Raise `ValueError` for a row that no model answers: other types, other words, numbers out of their range."""
    if row.status not in get_args(Status):
        raise ValueError(f"there is no status '{row.status}'")
    for name in ("path", "model", "emotion", "error"):
        text = getattr(row, name)
        if not (isinstance(text, str) or (text is None and name in ("emotion", "error"))):
            raise ValueError(f"'{name}' must be text, got {text!r:.40}")
        (text or "").encode()
    if any(type(getattr(row, name)) is not bool for name in FLAGS):
        raise ValueError(f"{' and '.join(map(repr, FLAGS))} must be true or false")
    if not all(isinstance(word, str) for word in row.quality):
        raise ValueError("'quality' must be words")
    " ".join(row.quality).encode()
    for name, limits in _LIMITS.items():
        _check_number(name, getattr(row, name), *limits)
    for what, names in (("probabilities", None), ("gender", _GENDERS), ("shares", None)):
        for name, value in _mapping(what, getattr(row, what), names).items():
            _check_number(f"{what} of '{name}'", value, *_SHARE)
    for name, value in _mapping("affect", row.affect, AFFECT).items():
        _check_number(name, value, -math.inf, math.inf)
    for burst in row.vocal_bursts:
        if not isinstance(burst.kind, str):
            raise ValueError("a vocal burst's kind must be text")
        _check_number("confidence of a vocal burst", burst.confidence, *_SHARE)
        _check_number("start_s", burst.start_s, *_SECONDS)
        _check_number("end_s", burst.end_s, *_SECONDS)
    return row


def _mapping(what: str, values: Any, names: Sequence[str] | None) -> Mapping[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, Mapping) or not all(isinstance(name, str) and name.encode() for name in values):
        raise ValueError(f"'{what}' must be numbers by name")
    if names and not values.keys() <= set(names):
        raise ValueError(f"'{what}' has {', '.join(names)} alone")
    return values


def _check_number(what: str, value: Any, least: float, most: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"'{what}' must be a finite number, got {value!r:.40}")
    if not least <= value <= most:
        raise ValueError(f"'{what}' must be from {least:g} to {most:g}, got {value:g}")
