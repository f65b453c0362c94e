"""How sure a score is: its spread over folds, and bootstrap intervals that draw whole speakers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.errors import CorpusError
from earnest.evaluation.answers import TextColumn, numbered
from earnest.evaluation.confusion import Counts, confusion_counts, headline_scores
from earnest.evaluation.predictions import Predictions

N_RESAMPLES = 2000
CONFIDENCE = 0.95
Over: TypeAlias = Literal["speakers", "utterances"]


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n − 1) over folds; no deviation for a single fold."""

    mean: float
    sd: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"mean": self.mean, "sd": self.sd}


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation."""
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


@dataclass(frozen=True)
class Interval:
    """A percentile bootstrap interval.

    Attributes
    ----------
    over : what was drawn with replacement: whole speakers (an utterance without one is a speaker of its own), or single
        utterances where fewer than two speakers are known; an utterance comes with all its answers, also those of
        repeated trainings
    """

    low: float
    high: float
    over: Over
    confidence: float = CONFIDENCE

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"low": self.low, "high": self.high, "over": self.over, "confidence": self.confidence}


def bootstrap(
    predictions: Predictions, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> dict[str, Interval]:
    """Draw whole speakers with replacement and return an interval for each headline score.

    The clips of one speaker resemble each other, so drawing clips would make the interval far too narrow. The order of
    the rows doesn't matter. Without any row there is a `CorpusError`.
    """
    if not len(predictions):
        raise CorpusError("There is no recording to score: the predictions are empty.")
    # Cluster bootstrap (Davison and Hinkley, 1997, 3.8): how often each is drawn is one multinomial a resample.
    clusters, sizes, over = _clusters(predictions)
    drawn = rng.multinomial(sizes.sum(), sizes / sizes.sum(), size=n_resamples)  # (resamples, clusters)
    n_classes = len(predictions.classes)
    cells = drawn @ clusters  # (resamples, classes · (classes + 1))
    scores = headline_scores(cells.reshape(n_resamples, n_classes, n_classes + 1))
    tail = (1 - CONFIDENCE) / 2  # 2.5 % at each end
    # Percentile interval (Efron, 1981).
    limits = {name: np.quantile(values, (tail, 1 - tail)) for name, values in scores.items()}
    return {name: Interval(float(low), float(high), over) for name, (low, high) in limits.items()}


def _clusters(predictions: Predictions) -> tuple[Counts, Counts, Over]:
    """Return cell counts a kind of cluster, shape (kinds, cells), and how many clusters are of that kind.

    Clusters that are single answers are of one kind a cell, which are far fewer; others are each a kind of their own.
    """
    n_classes = len(predictions.classes)
    n_cells = n_classes * (n_classes + 1)
    owner, over = cluster_of(predictions.speaker, predictions.recording)
    if owner is None:
        sizes = confusion_counts(predictions.emotion, predictions.predicted, n_classes).ravel()
        return np.eye(n_cells, dtype=np.int64), sizes, over
    columns = np.where(predictions.predicted < 0, n_classes, predictions.predicted)
    counts = counts_by(owner, predictions.emotion * (n_classes + 1) + columns, n_cells)
    return counts, np.ones(len(counts), np.int64), over


def counts_by(owner: npt.NDArray[np.int64], cells: npt.NDArray[np.int64], n_cells: int) -> Counts:
    """Count cells a cluster, shape (clusters, n_cells).

    Parameters
    ----------
    owner, cells : of each row, shape (rows,)
    """
    n_clusters = int(owner.max()) + 1
    flat = np.bincount(owner * n_cells + cells, minlength=n_clusters * n_cells)  # one count a (cluster, cell)
    return flat.reshape(n_clusters, n_cells).astype(np.int64)


def cluster_of(speaker: TextColumn, recording: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64] | None, Over]:
    """Number what is drawn together, for each answer (answers,); None where each answer is drawn by itself.

    These are speakers. Who is not named may be anybody, so that such a recording is a cluster of its own. Where fewer
    than two speakers are known, they are recordings: answers of several trainings to one recording resemble each other.

    Parameters
    ----------
    recording : as `Predictions.recording` numbers them, shape (answers,)
    """
    names = sorted(set(speaker) - {""})
    if len(names) < 2:
        are_repeated = int(recording.max(initial=-1)) + 1 < len(recording)
        return (recording if are_repeated else None), "utterances"
    owner = numbered(speaker, names)
    unnamed = owner < 0
    owner[unnamed] = len(names) + np.unique(recording[unnamed], return_inverse=True)[1]
    return owner, "speakers"
