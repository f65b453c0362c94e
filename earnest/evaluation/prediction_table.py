"""Predictions in memory: columns, from rows and to rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.errors import CorpusError
from earnest.evaluation.columns import Categories, Texts, joined_categories, joined_texts, taken

Probabilities = npt.NDArray[np.float32]
AFFECT = ("valence", "arousal", "dominance")
CATEGORIES = ("corpus", "speaker", "gender", "fold")


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One answer.

    Attributes
    ----------
    emotion : the true class under the label scheme of the run
    predicted : the class answered, "" for no answer, which every score counts as wrong
    probabilities : class → probability; empty when there are none
    """

    utterance_id: str
    corpus: str
    speaker: str
    gender: str
    fold: str
    emotion: str
    predicted: str
    probabilities: Mapping[str, float]
    adapted: bool | None = None


@dataclass(frozen=True, eq=False)
class Predictions:
    """The rows as columns.

    Attributes
    ----------
    classes : order of the probabilities and of every confusion matrix
    utterance_id, corpus, speaker, gender, fold : one text a row
    emotion, predicted : shape (rows,), int64, index into ``classes``; ``predicted`` is −1 for no answer
    probabilities : shape (rows, classes), float32, NaN in rows that have none; None when no row has any
    adapted : shape (rows,), bool; None where adaptation was not a matter
    predicted_gender : "female", "male" or ""; None where the system doesn't answer it
    predicted_affect : valence, arousal and dominance, shape (rows, 3), float32, NaN where not answered; None when
        nowhere
    """

    classes: tuple[str, ...]
    utterance_id: Texts
    corpus: Categories
    speaker: Categories
    gender: Categories
    fold: Categories
    emotion: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: Probabilities | None = None
    adapted: npt.NDArray[np.bool_] | None = None
    predicted_gender: Categories | None = None
    predicted_affect: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.utterance_id)

    @property
    def folds(self) -> list[str]:
        """Names of the folds, in the order in which they appear."""
        return self.fold.present()

    def of_fold(self, fold: str) -> "Predictions":
        """Return the rows of one fold."""
        return self.take(self.fold.rows_with(fold))

    def take(self, indices: npt.NDArray[np.integer[Any]]) -> "Predictions":
        """Return the rows at ``indices``, shape (n,), in that order."""
        return replace(self, **taken({name: getattr(self, name) for name in _COLUMNS}, indices))

    @classmethod
    def from_rows(cls, rows: Iterable[PredictionRow], classes: Sequence[str]) -> "Predictions":
        """Turn rows into columns; all labels must be among ``classes``."""
        listed = list(rows)
        codes = {**{name: position for position, name in enumerate(classes)}, "": -1}
        for row in listed:
            _check_labels(row, classes)
        blank = (np.nan,) * len(classes)
        values = [[row.probabilities[name] for name in classes] if row.probabilities else blank for row in listed]
        has_any = any(row.probabilities for row in listed)
        has_flag = any(row.adapted is not None for row in listed)
        return cls(
            classes=tuple(classes),
            utterance_id=Texts(row.utterance_id for row in listed),
            corpus=Categories.of(row.corpus for row in listed),
            speaker=Categories.of(row.speaker for row in listed),
            gender=Categories.of(row.gender for row in listed),
            fold=Categories.of(row.fold for row in listed),
            emotion=np.array([codes[row.emotion] for row in listed], dtype=np.int64),
            predicted=np.array([codes[row.predicted] for row in listed], dtype=np.int64),
            probabilities=np.array(values, dtype=np.float32) if has_any else None,
            adapted=np.array([bool(row.adapted) for row in listed]) if has_flag else None,
        )


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
        utterance_id=joined_texts([part.utterance_id for part in parts]),
        **{name: joined_categories([getattr(part, name) for part in parts]) for name in CATEGORIES},
        emotion=np.concatenate([part.emotion for part in parts]),
        predicted=np.concatenate([part.predicted for part in parts]),
        probabilities=_stacked(parts, "probabilities", (len(classes),), np.nan),
        adapted=_stacked(parts, "adapted", (), False),
        predicted_gender=_joined_genders(parts),
        predicted_affect=_stacked(parts, "predicted_affect", (len(AFFECT),), np.nan),
    )


def to_rows(predictions: Predictions) -> list[PredictionRow]:
    """Return one `PredictionRow` a row."""
    names = (*predictions.classes, "")
    rows = []
    for index in range(len(predictions)):
        values = () if predictions.probabilities is None else predictions.probabilities[index].tolist()
        known = bool(values) and not np.isnan(values).any()
        rows.append(
            PredictionRow(
                utterance_id=predictions.utterance_id[index],
                corpus=predictions.corpus[index],
                speaker=predictions.speaker[index],
                gender=predictions.gender[index],
                fold=predictions.fold[index],
                emotion=names[predictions.emotion[index]],
                predicted=names[predictions.predicted[index]],
                probabilities=dict(zip(predictions.classes, values, strict=True)) if known else {},
                adapted=None if predictions.adapted is None else bool(predictions.adapted[index]),
            )
        )
    return rows


def _stacked(parts: Sequence[Predictions], name: str, shape: tuple[int, ...], blank: float | bool) -> Any:
    """Put an optional array below each other, ``blank`` where a part has none; None when no part has any."""
    found = [getattr(part, name) for part in parts]
    if all(array is None for array in found):
        return None
    dtype = np.bool_ if isinstance(blank, bool) else np.float32
    return np.concatenate(
        [
            np.full((len(part), *shape), blank, dtype=dtype) if array is None else array
            for part, array in zip(parts, found, strict=True)
        ]
    )


def _joined_genders(parts: Sequence[Predictions]) -> Categories | None:
    if all(part.predicted_gender is None for part in parts):
        return None
    return joined_categories([part.predicted_gender or Categories.constant("", len(part)) for part in parts])


def _check_labels(row: PredictionRow, classes: Sequence[str]) -> None:
    for label in (row.emotion, *([row.predicted] if row.predicted else [])):
        if label not in classes:
            raise CorpusError(f"{row.utterance_id}: '{label}' is not one of the classes {', '.join(classes)}.")
    if row.probabilities and set(row.probabilities) != set(classes):
        raise CorpusError(f"{row.utterance_id}: the probabilities must be of {', '.join(classes)}.")
