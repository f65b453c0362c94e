"""Results as texts: shares in per cent, differences in points, tables in Markdown."""

import math
from collections.abc import Iterable

from earnest.evaluation.intervals import Interval, Spread

NONE = "–"


def percent(share: float | None) -> str:
    """Write a share in per cent: "84.2"."""
    return NONE if share is None or math.isnan(share) else f"{100 * share:.1f}"


def points(difference: float) -> str:
    """Write a difference of shares in points: "+1.2", "−0.4"."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def range_text(interval: Interval) -> str:
    """Write an interval in per cent: "70.8 to 79.7"."""
    return f"{percent(interval.low)} to {percent(interval.high)}".replace("-", "−")


def pooled_text(share: float, interval: Interval) -> str:
    """Write a share of all folds together and its interval in per cent: "75.4 (70.8 to 79.7)"."""
    return f"{percent(share)} ({range_text(interval)})"


def spread_text(value: Spread) -> str:
    """Write shares in per cent: "84.2 ± 2.4", without ± for a single fold."""
    deviation = "" if value.sd is None else f" ± {100 * value.sd:.1f}"
    return f"{100 * value.mean:.1f}{deviation}"


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
