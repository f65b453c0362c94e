"""Scores of slices, one a value: gender, speaker, corpus, style, intensity; and the gaps between them."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.evaluation.answers import TextColumn, numbered, text_column
from earnest.evaluation.confusion import Counts, cells_of, headline_scores
from earnest.evaluation.intervals import Interval, bootstrap
from earnest.evaluation.predictions import Predictions

OWN_COLUMNS = ("gender", "speaker", "corpus")
MANIFEST_COLUMNS = ("style", "intensity", "text_id", "session")
Floats = npt.NDArray[np.float64]
N_DRAWS = 400  # of gaps by chance
MOSTLY_ONE = 1.5  # values a speaker, below which they are taken for the speaker's, not the recording's
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
            own = np.flatnonzero(texts == value)
            interval = None if rng is None else bootstrap(predictions.take(own), rng)["ua"]
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


@dataclass(frozen=True)
class GapsByChance:
    """Gaps between groups that mean nothing, drawn again and again: of UA, and of the recall of each class.

    Attributes
    ----------
    ua : shape (draws,)
    recalls : class → shape (draws,), NaN where fewer than two groups have it
    """

    ua: Floats
    recalls: Mapping[str, Floats]


def of_many(texts: TextColumn) -> TextColumn:
    """Return a column with "" for the values of fewer rows than `gaps` counts; all of it where no two have so many."""
    counts = Counter(texts.tolist())
    kept = text_column(text if counts[text] >= FEWEST else "" for text in texts)
    return kept if len(set(kept) - {""}) > 1 else texts


def gaps_by_chance(predictions: Predictions, texts: TextColumn, rng: np.random.Generator) -> GapsByChance:
    """Draw the gaps between the values of a column that chance gives.

    Values that are speakers: which of a class are right is dealt anew to all recordings of it. Other values are dealt
    anew to speakers where most have one, as of gender, else to the recordings of each speaker, as of style.

    Parameters
    ----------
    texts : shape (rows,), "" where it is unknown; these rows are left out
    """
    predictions, texts = predictions.take(np.flatnonzero(texts != "")), texts[texts != ""]
    values, value = np.unique(texts.astype(str), return_inverse=True)
    # Who is not named may be anybody.
    own = [name or f"\0{row}" for name, row in zip(predictions.speaker, predictions.recording.tolist(), strict=True)]
    names, speaker = np.unique(own, return_inverse=True)
    parts, part = np.unique(speaker * len(values) + value, return_inverse=True)  # of a speaker, all of one value
    is_whole = len(parts) < MOSTLY_ONE * len(names)
    right, emotion = predictions.emotion == predictions.predicted, predictions.emotion
    uas, recalls = [], []
    for _ in range(N_DRAWS):
        if len(parts) == len(names) == len(values):
            hits, drawn = right[_dealt(emotion, rng)], value
        else:
            dealt = rng.permutation(parts % len(values))[part] if is_whole else value[_dealt(speaker, rng)]
            hits, drawn = right, dealt
        shape = (len(values), len(predictions.classes))
        support, found = (
            np.bincount(drawn * shape[1] + emotion, weights, shape[0] * shape[1]).reshape(shape)
            for weights in (None, hits)
        )
        recall = np.where(support > 0, found / np.maximum(support, 1), np.nan)  # (values, classes)
        ua = np.nansum(recall, axis=1) / (support > 0).sum(axis=1)
        uas.append(np.ptp(ua))
        several = (support > 0).sum(axis=0) > 1
        recalls.append(np.where(several, np.fmax.reduce(recall) - np.fmin.reduce(recall), np.nan))
    return GapsByChance(np.array(uas), dict(zip(predictions.classes, np.array(recalls).T, strict=True)))


def _dealt(groups: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return a permutation of rows, shape (rows,), in which each stays in its group."""
    rows = np.empty(len(groups), np.intp)
    rows[np.argsort(groups, kind="stable")] = np.lexsort((rng.random(len(groups)), groups))
    return rows


def _counts_by(predictions: Predictions, texts: TextColumn) -> tuple[list[str], Counts]:
    """Return the known values, sorted, and one confusion matrix each, shape (values, classes, classes + 1)."""
    values = sorted(set(texts))
    owner = numbered(texts, values)
    n_classes = len(predictions.classes)
    # One matrix for all: the true class of another value is another row.
    cells = cells_of(owner * n_classes + predictions.emotion, predictions.predicted, n_classes)
    shape = (len(values), n_classes, n_classes + 1)
    counts = np.bincount(cells, minlength=math.prod(shape)).reshape(shape).astype(np.int64)
    known = [index for index, value in enumerate(values) if value]
    return [values[index] for index in known], counts[known]


def _gap(group: Sequence[Slice]) -> SliceGap:
    worst = min(group, key=lambda part: part.ua)
    best = max((part for part in group if part is not worst), key=lambda part: part.ua)  # another one, also of equals
    return SliceGap(best.ua - worst.ua, best.value, worst.value)
