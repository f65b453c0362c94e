"""Predictions as text: JSON lines and CSV."""

import csv
import json
from collections.abc import Sequence
from io import StringIO

from earnest.runtime.prediction import Prediction

_BEFORE = ("path", "status", "duration_s", "speech_s", "emotion", "confidence")
_AFTER = ("polarity", "gender_female", "gender_male", "valence", "arousal", "dominance", "intensity")
_LAST = ("quality", "adapted", "model", "error")


def json_line(prediction: Prediction) -> str:
    """Return one JSON object without line breaks; NaN is never written."""
    return json.dumps(prediction.to_dict(), ensure_ascii=False, allow_nan=False)


def csv_header(classes: Sequence[str]) -> str:
    """Return the line of column names; probabilities are called ``p_<class>``."""
    return _csv_line([*_BEFORE, *(f"p_{name}" for name in classes), *_AFTER, *_LAST])


def csv_line(prediction: Prediction, classes: Sequence[str]) -> str:
    """Return one line of CSV; what there is no value for is empty, quality words are joined by spaces."""
    values = prediction.to_dict()
    for name in ("female", "male"):
        values[f"gender_{name}"] = (values["gender"] or {}).get(name)
    values |= values["affect"] or {}
    values["quality"] = " ".join(prediction.quality)
    values["adapted"] = "true" if prediction.adapted else "false"
    shares = [values["probabilities"].get(name) for name in classes]
    row = [*(values[name] for name in _BEFORE), *shares, *(values.get(name) for name in (*_AFTER, *_LAST))]
    return _csv_line(["" if value is None else str(value) for value in row])


def _csv_line(cells: Sequence[str]) -> str:
    buffer = StringIO()
    csv.writer(buffer, lineterminator="").writerow(cells)
    return buffer.getvalue()
