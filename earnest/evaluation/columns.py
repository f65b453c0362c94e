"""Columns of answers: texts, one a row, and numbers for them."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float32]
TextColumn: TypeAlias = npt.NDArray[np.object_]  # shape (rows,): one str a row
TEXTS = ("corpus", "speaker", "gender", "fold")


def text_column(texts: Iterable[str]) -> TextColumn:
    """Put texts into a column, shape (rows,)."""
    return np.array(list(texts), dtype=np.object_)


def same_text(text: str, n_rows: int) -> TextColumn:
    """Make a column that holds the same text in every row."""
    return np.full(n_rows, text, dtype=np.object_)


def different(column: Iterable[str]) -> list[str]:
    """List the texts of a column once each, in the order in which they first occur."""
    return list(dict.fromkeys(column))


def numbered(column: Iterable[str], order: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number each row by the place of its text in ``order``, shape (rows,); −1 for what isn't there."""
    place = {text: position for position, text in enumerate(order)}
    return np.array([place.get(text, -1) for text in column], dtype=np.int64)
