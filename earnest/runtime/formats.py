"""Predictions as text: JSON lines and CSV."""

import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from earnest.printable import printable_json
from earnest.runtime.prediction import Prediction, VocalBurst

_BEFORE = ("path", "status", "duration_s", "speech_s", "emotion", "confidence")
_AFTER = ("polarity", "gender_female", "gender_male", "valence", "arousal", "dominance", "intensity")
_LAST = ("quality", "adapted", "shares", "vocal_bursts", "model", "error")


def json_line(prediction: Prediction) -> str:
    """Return one JSON object without line breaks, whatever a file is called; NaN is never written."""
    return printable_json(json.dumps(prediction.to_dict(), ensure_ascii=False, allow_nan=False))


def csv_header(classes: Sequence[str]) -> str:
    """Return the line of column names; probabilities are called ``p_<class>``."""
    return _csv_line([*_BEFORE, *(f"p_{name}" for name in classes), *_AFTER, *_LAST])


def csv_line(prediction: Prediction, classes: Sequence[str]) -> str:
    """Return one line of CSV; what there is no value for is empty, quality words are joined by spaces.

    ``shares`` and ``vocal_bursts`` are JSON.
    """
    values = flat_values(prediction, classes)
    values["adapted"] = "true" if prediction.adapted else "false"
    return _csv_line(["" if value is None else str(value) for value in values.values()])


def flat_values(prediction: Prediction, classes: Sequence[str]) -> dict[str, Any]:
    """Return column → value, in the order of `csv_header`."""
    values = prediction.to_dict()
    for name in ("female", "male"):
        values[f"gender_{name}"] = (values["gender"] or {}).get(name)
    values |= values["affect"] or {}
    values["quality"] = " ".join(prediction.quality)
    values["shares"] = json.dumps(values["shares"]) if values["shares"] else None
    values["vocal_bursts"] = json.dumps(values["vocal_bursts"]) if values["vocal_bursts"] else None
    values |= {f"p_{name}": values["probabilities"].get(name) for name in classes}
    columns = (*_BEFORE, *(f"p_{name}" for name in classes), *_AFTER, *_LAST)
    return {name: values.get(name) for name in columns}


def from_flat_values(values: Mapping[str, Any]) -> Prediction:
    """Return the prediction that `flat_values` or a line of CSV was made from."""
    known: dict[str, Any] = {name: None if value == "" else value for name, value in values.items()}
    number = {name: float(value) for name, value in known.items() if _is_number(value)}
    shares = {name.removeprefix("p_"): share for name, share in number.items() if name.startswith("p_")}
    gender = {name: number[f"gender_{name}"] for name in ("female", "male") if f"gender_{name}" in number}
    affect: dict[str, float] = {name: number[name] for name in ("valence", "arousal", "dominance") if name in number}
    return Prediction(
        path=known["path"] or "",
        status=known["status"],
        **{name: number.get(name) for name in ("duration_s", "speech_s", "confidence", "polarity", "intensity")},
        emotion=known["emotion"],
        probabilities=shares,
        gender=gender or None,
        affect=affect or None,
        quality=tuple((known["quality"] or "").split()),
        adapted=str(known["adapted"]).lower() == "true",
        shares=json.loads(known.get("shares") or "null"),
        vocal_bursts=tuple(VocalBurst(**burst) for burst in json.loads(known.get("vocal_bursts") or "[]")),
        model=known["model"] or "",
        error=known["error"],
    )


def _is_number(value: Any) -> bool:
    try:
        return value is not None and not isinstance(value, bool) and float(value) == float(value)
    except (TypeError, ValueError):
        return False


def _csv_line(cells: Sequence[str]) -> str:
    buffer = StringIO()
    csv.writer(buffer, lineterminator="").writerow(cells)
    return buffer.getvalue()
