"""What ``history.csv`` of a training tells about when it should have ended."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

from earnest.errors import EarnestError
from earnest.reading import read_text

FEWEST_EPOCHS = 10
LAST_SHARE = 0.25  # of the epochs, in which nothing must have got better
SMALLEST_GAIN = 0.01  # of the loss


def read_history(path: Path) -> list[dict[str, float]]:
    """Read ``history.csv``: one row an epoch; empty cells (validation, where there is none) are left out."""
    reader = csv.DictReader(StringIO(read_text(path, what="history of a training"), newline=""))
    try:
        return [{name: float(cell) for name, cell in row.items() if cell} for row in reader]
    except (ValueError, TypeError, csv.Error) as error:  # of text, and of more cells than the header has
        raise EarnestError(f"{path}: not a readable history of a training ({error}).") from error


def has_flattened(history: Sequence[Mapping[str, float]]) -> bool:
    """Say whether the validation loss had stopped falling when training ended.

    It had, if the lowest loss of the last quarter of the epochs is not more than 1% below the lowest before. A
    curve that rises again has flattened too. One of fewer than ten epochs, or without validation, has not: nothing can
    be said.

    Parameters
    ----------
    history : rows with "valid_loss", one an epoch
    """
    losses = [row["valid_loss"] for row in history if "valid_loss" in row]
    if len(losses) < FEWEST_EPOCHS or len(losses) < len(history):
        return False
    n_last = round(LAST_SHARE * len(losses))
    before, last = min(losses[:-n_last]), min(losses[-n_last:])
    return last >= (1 - SMALLEST_GAIN) * before
