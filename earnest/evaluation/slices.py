"""Scores of slices, one a value: gender, speaker, corpus, style, intensity; and the gaps between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.evaluation.answers import TextColumn, numbered, text_column
from earnest.evaluation.confusion import Counts, headline_scores
from earnest.evaluation.intervals import Interval, bootstrap
from earnest.evaluation.predictions import Predictions

OWN_COLUMNS = ("gender", "speaker", "corpus")
MANIFEST_COLUMNS = ("style", "intensity", "text_id", "session")
FEWEST = 30  # utterances of a value from which on its UA is more than chance


@dataclass(frozen=True)
class Slice:
    """The utterances with one value of a column; WA and UA from 0 to 1.

    Attributes
    ----------
    interval : of UA, None where it was not asked for
    """

    name: str
    value: str
    n: int
    wa: float
    ua: float
    interval: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "name"}


@dataclass(frozen=True)
class SliceGap:
    """The largest UA of a column's values minus the smallest."""

    ua: float
    best: str
    worst: str


def own_columns(predictions: Predictions, names: Iterable[str] = OWN_COLUMNS) -> dict[str, TextColumn]:
    """Return the columns of a predictions file with at least two values."""
    columns: dict[str, TextColumn] = {name: getattr(predictions, name) for name in names}
    return {name: column for name, column in columns.items() if len(set(column) - {""}) > 1}


def manifest_columns(
    predictions: Predictions, utterances: Iterable[Utterance], names: Sequence[str] = MANIFEST_COLUMNS
) -> dict[str, TextColumn]:
    """Look up what a manifest says about each row, by corpus and utterance.

    Raises
    ------
    CorpusError
        For a row that the manifest doesn't have.
    """
    known = {(row.corpus, row.utterance_id): row for row in utterances}
    rows = []
    for place in zip(predictions.corpus, predictions.utterance_id, strict=True):
        if place not in known:
            raise CorpusError(f"'{'/'.join(filter(None, place))}' is not in the manifest.")
        rows.append(known[place])
    columns = {name: text_column(str(getattr(row, name) or "") for row in rows) for name in names}
    return {name: values for name, values in columns.items() if len(set(values) - {""}) > 1}


def slices(
    predictions: Predictions, columns: Mapping[str, TextColumn], rng: np.random.Generator | None = None
) -> list[Slice]:
    """Score each value of each column, in the order of the columns and of the sorted values.

    Parameters
    ----------
    columns : name → texts, shape (rows,), "" where it is unknown; such rows are in no slice of that column
    rng : draws the bootstrap of each slice's UA; without it there are no intervals
    """
    made = []
    for name, texts in columns.items():
        values, counts = _counts_by(predictions, texts)
        scores = headline_scores(counts) if values else {}
        for index, value in enumerate(values):
            n, wa, ua = int(counts[index].sum()), float(scores["wa"][index]), float(scores["ua"][index])
            interval = None if rng is None else _interval(predictions, texts, value, rng)
            made.append(Slice(name, value, n, wa, ua, interval))
    return made


def gaps(parts: Iterable[Slice], fewest: int = FEWEST) -> dict[str, SliceGap]:
    """Return column → gap in UA over its values with at least ``fewest`` utterances, where two values have so many."""
    by_name: dict[str, list[Slice]] = {}
    for part in parts:
        if part.n >= fewest:
            by_name.setdefault(part.name, []).append(part)
    return {name: _gap(group) for name, group in by_name.items() if len(group) > 1}


def recall_gaps(predictions: Predictions, texts: TextColumn, fewest: int = FEWEST) -> dict[str, float | None]:
    """Return class → largest minus smallest recall over the values of a column, such as gender.

    A value counts for a class with at least ``fewest`` utterances of it; None where fewer than two values do.

    Parameters
    ----------
    texts : shape (rows,), "" where it is unknown
    """
    _, counts = _counts_by(predictions, texts)  # (values, classes, classes + 1)
    support = counts.sum(axis=2)
    # (values, classes), TP / (TP + FN); 0 where there is no utterance, which ``enough`` leaves out.
    recall = np.diagonal(counts, axis1=1, axis2=2) / np.maximum(support, 1)
    enough = support >= max(fewest, 1)
    return {
        name: float(np.ptp(recall[enough[:, index], index])) if enough[:, index].sum() > 1 else None
        for index, name in enumerate(predictions.classes)
    }


def _counts_by(predictions: Predictions, texts: TextColumn) -> tuple[list[str], Counts]:
    """Return the known values, sorted, and one confusion matrix each, shape (values, classes, classes + 1)."""
    values = sorted(set(texts))
    owner = numbered(texts, values)
    n_classes = len(predictions.classes)
    # One matrix for all: the true class of another value is another row.
    rows = owner * n_classes + predictions.emotion
    columns = np.where(predictions.predicted < 0, n_classes, predictions.predicted)
    cells = np.bincount(rows * (n_classes + 1) + columns, minlength=len(values) * n_classes * (n_classes + 1))
    counts = cells.reshape(len(values), n_classes, n_classes + 1).astype(np.int64)
    known = [index for index, value in enumerate(values) if value]
    return [values[index] for index in known], counts[known]


def _interval(predictions: Predictions, texts: TextColumn, value: str, rng: np.random.Generator) -> Interval:
    return bootstrap(predictions.take(np.flatnonzero(texts == value)), rng)["ua"]


def _gap(group: Sequence[Slice]) -> SliceGap:
    worst = min(group, key=lambda part: part.ua)
    best = max((part for part in group if part is not worst), key=lambda part: part.ua)  # another one, also of equals
    return SliceGap(best.ua - worst.ua, best.value, worst.value)
