"""Predictions row by row, as tests write them down."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from earnest.evaluation.answers import numbered, text_column
from earnest.evaluation.predictions import Predictions


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


def predictions_of(rows: Iterable[PredictionRow], classes: Sequence[str]) -> Predictions:
    """Turn rows into columns; all labels must be among ``classes``."""
    listed = list(rows)
    assert {row.emotion for row in listed} <= set(classes)
    assert {row.predicted for row in listed} <= {*classes, ""}
    blank = (np.nan,) * len(classes)
    values = [[row.probabilities[name] for name in classes] if row.probabilities else blank for row in listed]
    has_any = any(row.probabilities for row in listed)
    has_flag = any(row.adapted is not None for row in listed)
    return Predictions(
        classes=tuple(classes),
        utterance_id=text_column(row.utterance_id for row in listed),
        corpus=text_column(row.corpus for row in listed),
        speaker=text_column(row.speaker for row in listed),
        gender=text_column(row.gender for row in listed),
        fold=text_column(row.fold for row in listed),
        emotion=numbered([row.emotion for row in listed], classes),
        predicted=numbered([row.predicted for row in listed], classes),
        probabilities=np.array(values, dtype=np.float32) if has_any else None,
        adapted=np.array([bool(row.adapted) for row in listed]) if has_flag else None,
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
