"""Results as texts: shares in per cent, differences in points, tables in Markdown."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from earnest.errors import in_percent
from earnest.evaluation.calibration import N_BINS
from earnest.evaluation.intervals import Interval, Spread

NONE = "–"
SCORES_IN_WORDS = (  # once on each page, and below printed scores
    "WA: weighted accuracy, the share of recordings that are right. UA: unweighted accuracy, the mean recall over "
    f"classes. ECE: expected calibration error, {N_BINS} bins."
)


class ShownNumber(str):
    """Texts of one or several numbers for people, with the numbers themselves for JSON.

    Attributes
    ----------
    value : in the unit of the text; several by name; None where there is none
    """

    value: Any

    def __new__(cls, text: str, value: Any) -> "ShownNumber":
        shown = super().__new__(cls, text)
        shown.value = value
        return shown


def shown_number(value: float | None, form: str = "") -> ShownNumber:
    """Write a number in one of Python's formats, such as ".2f"."""
    if value is None or math.isnan(value):
        return ShownNumber(NONE, None)
    return ShownNumber(f"{value:{form}}", value.item() if isinstance(value, np.generic) else value)


def percent(share: float | None) -> ShownNumber:
    """Write a share in per cent: "84.2"; one that is above zero is never "0.0"."""
    if share is None or math.isnan(share):
        return ShownNumber(NONE, None)
    return ShownNumber(in_percent(share, 1), _hundredfold(share))


def points(difference: float) -> str:
    """Write a difference of shares in points: "+1.2", "−0.4"."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def range_text(interval: Interval) -> ShownNumber:
    """Write an interval in per cent: "70.8 to 79.7"."""
    low, high = percent(interval.low), percent(interval.high)
    return ShownNumber(f"{low} to {high}".replace("-", "−"), {"low": low.value, "high": high.value})


def pooled_text(share: float, interval: Interval) -> ShownNumber:
    """Write a share of all folds together and its interval in per cent: "75.4 (70.8 to 79.7)"."""
    pooled, limits = percent(share), range_text(interval)
    return ShownNumber(f"{pooled} ({limits})", {"value": pooled.value, **limits.value})


def spread_text(value: Spread) -> ShownNumber:
    """Write shares in per cent: "84.2 ± 2.4", without ± for a single fold."""
    deviation = "" if value.sd is None else f" ± {100 * value.sd:.1f}"
    numbers = {"mean": _hundredfold(value.mean), "sd": None if value.sd is None else _hundredfold(value.sd)}
    return ShownNumber(f"{100 * value.mean:.1f}{deviation}", numbers)


def _hundredfold(share: float) -> float:
    return round(100 * float(share), 6)


def markdown_row(cells: Iterable[str]) -> str:
    """Write a line of a table."""
    return f"| {' | '.join(cells)} |"


def markdown_table(columns: Iterable[str], sides: str, rows: Iterable[Iterable[str]]) -> list[str]:
    """Write the lines of a table.

    Parameters
    ----------
    sides : a letter a column: "l" for words, which start at the left, "r" for numbers
    """
    rule = "".join({"l": "---|", "r": "---:|"}[side] for side in sides)
    return [markdown_row(columns), f"|{rule}", *map(markdown_row, rows)]
