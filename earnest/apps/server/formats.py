"""Which format an answer has: by the ``format`` parameter, else by ``Accept``."""

import json
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from earnest.apps.server.problems import ProblemError
from earnest.runtime.formats import csv_header, csv_line, json_line
from earnest.runtime.prediction import Prediction
from earnest.runtime.timeline_formats import FORMATS

Form: TypeAlias = Literal["json", "jsonl", "csv", "srt", "vtt", "textgrid", "eaf", "rttm", "audacity"]
MEDIA_TYPES: Mapping[Form, str] = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "textgrid": "text/praat-textgrid",
    "eaf": "text/x-eaf+xml",
    "rttm": "text/x-rttm",
    "audacity": "text/x-audacity-labels",
}
ROWS: tuple[Form, ...] = ("json", "jsonl", "csv")
assert MEDIA_TYPES.keys() == FORMATS.keys()


def chosen_format(form: Form | None, accept: str, offered: Sequence[Form]) -> Form:
    """Return the format of an answer.

    Raises
    ------
    ProblemError
        When none that is offered is wanted.
    """
    if form is not None:
        if form not in offered:
            raise ProblemError("not-acceptable", f"format={form} is for timelines; here are {', '.join(offered)}.")
        return form
    ranges = _ranges(accept)
    best = max(offered, key=lambda name: _quality(MEDIA_TYPES[name], ranges))  # the first of equals
    if _quality(MEDIA_TYPES[best], ranges) <= 0:
        raise ProblemError("not-acceptable", f"There are {', '.join(MEDIA_TYPES[name] for name in offered)}.")
    return best


def _ranges(accept: str) -> dict[str, float]:
    """Return media range → quality (RFC 9110, 12.5.1); what can't be understood is left out."""
    ranges: dict[str, float] = {}
    for item in accept.lower().split(","):
        name, *parameters = (word.strip() for word in item.split(";"))
        weights = [word.removeprefix("q=") for word in parameters if word.startswith("q=")]
        try:
            ranges[name] = float(weights[0]) if weights else 1.0
        except ValueError:
            continue
    ranges.pop("", None)
    return ranges or {"*/*": 1.0}


def _quality(media_type: str, ranges: Mapping[str, float]) -> float:
    for pattern in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        if pattern in ranges:
            return ranges[pattern]
    return 0.0


def predictions_text(predictions: Sequence[Prediction], form: Form, classes: Sequence[str]) -> str:
    """Return rows as CSV or as JSON, one object a line."""
    if form == "csv":
        return "\n".join([csv_header(classes), *(csv_line(row, classes) for row in predictions)]) + "\n"
    return "".join(json_line(row) + "\n" for row in predictions)


def batch_text(predictions: Sequence[Prediction], form: Form, classes: Sequence[str]) -> str:
    """Return the rows of a batch; in JSON they are the list ``predictions`` of one object."""
    if form != "json":
        return predictions_text(predictions, form, classes)
    rows = [row.to_dict() for row in predictions]
    return json.dumps({"predictions": rows}, ensure_ascii=False, allow_nan=False) + "\n"
