"""Predictions in memory: one array a column, so that rows of all columns are taken alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.errors import CorpusError

Probabilities = npt.NDArray[np.float32]
TextColumn: TypeAlias = npt.NDArray[np.object_]  # shape (rows,): one str a row
AFFECT = ("valence", "arousal", "dominance")
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


@dataclass(frozen=True, eq=False)
class Predictions:
    """The rows of a predictions file as columns.

    Attributes
    ----------
    classes : order of the probabilities and of every confusion matrix
    utterance_id, corpus, speaker, gender, fold : shape (rows,), texts
    emotion, predicted : shape (rows,), int64, index into ``classes``; ``predicted`` is −1 for no answer
    probabilities : shape (rows, classes), float32, NaN in rows that have none; None when no row has any
    adapted : shape (rows,), bool; None where adaptation was not a matter
    predicted_gender : "female", "male" or ""; None where the system doesn't answer it
    predicted_affect : valence, arousal and dominance, shape (rows, 3), float32, NaN where not answered; None when
        nowhere
    """

    classes: tuple[str, ...]
    utterance_id: TextColumn
    corpus: TextColumn
    speaker: TextColumn
    gender: TextColumn
    fold: TextColumn
    emotion: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: Probabilities | None = None
    adapted: npt.NDArray[np.bool_] | None = None
    predicted_gender: TextColumn | None = None
    predicted_affect: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.utterance_id)

    @property
    def folds(self) -> list[str]:
        """Names of the folds, in the order in which they appear."""
        return different(self.fold)

    def of_fold(self, fold: str) -> "Predictions":
        """Return the rows of one fold."""
        return self.take(np.flatnonzero(self.fold == fold))

    def take(self, indices: npt.NDArray[np.integer[Any]]) -> "Predictions":
        """Return the rows at ``indices``, shape (n,), in that order."""
        found = {name: getattr(self, name) for name in _COLUMNS}
        return replace(self, **{name: column[indices] for name, column in found.items() if column is not None})


ALWAYS = ("utterance_id", *TEXTS, "emotion", "predicted")  # columns that are never None
_COLUMNS = tuple(name for name in Predictions.__dataclass_fields__ if name != "classes")


def of_emotion(predictions: Predictions) -> Predictions:
    """Return predictions without the answers beside the emotion, for clips whose emotion alone is asked anew."""
    return replace(predictions, predicted_gender=None, predicted_affect=None)


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Put the predictions of several folds below each other; all must have the same classes."""
    classes = parts[0].classes
    if any(part.classes != classes for part in parts):
        raise CorpusError("Predictions with different classes can't be joined.")
    return Predictions(
        classes=classes,
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in ALWAYS},
        probabilities=_stacked(parts, "probabilities", (len(classes),), np.nan),
        adapted=_stacked(parts, "adapted", (), False),
        predicted_gender=_stacked(parts, "predicted_gender", (), ""),
        predicted_affect=_stacked(parts, "predicted_affect", (len(AFFECT),), np.nan),
    )


def _stacked(parts: Sequence[Predictions], name: str, shape: tuple[int, ...], blank: float | bool | str) -> Any:
    """Put an optional array below each other, ``blank`` where a part has none; None when no part has any."""
    found = [getattr(part, name) for part in parts]
    if all(array is None for array in found):
        return None
    dtype = {bool: np.bool_, str: np.object_}.get(type(blank), np.float32)
    return np.concatenate(
        [
            np.full((len(part), *shape), blank, dtype=dtype) if array is None else array
            for part, array in zip(parts, found, strict=True)
        ]
    )
