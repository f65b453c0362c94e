"""How sure a score is: its spread over folds, and bootstrap intervals that draw whole speakers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from earnest.errors import CorpusError
from earnest.evaluation.answers import TextColumn, numbered
from earnest.evaluation.confusion import Counts, confusion_counts, headline_scores
from earnest.evaluation.predictions import Predictions

N_RESAMPLES = 2000
CONFIDENCE = 0.95


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
        utterances where fewer than two speakers are known
    """

    low: float
    high: float
    over: Literal["speakers", "utterances"]
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
    clusters, over = _clusters(predictions)
    n_clusters = int(clusters.sum()) if over == "utterances" else len(clusters)
    weights = clusters / n_clusters if over == "utterances" else np.full(n_clusters, 1 / n_clusters)
    drawn = rng.multinomial(n_clusters, weights, size=n_resamples)  # (resamples, clusters or cells)
    n_classes = len(predictions.classes)
    cells = drawn if over == "utterances" else drawn @ clusters  # (resamples, classes · (classes + 1))
    scores = headline_scores(cells.reshape(n_resamples, n_classes, n_classes + 1))
    tail = (1 - CONFIDENCE) / 2  # 2.5 % at each end
    # Percentile interval (Efron, 1981).
    limits = {name: np.quantile(values, (tail, 1 - tail)) for name, values in scores.items()}
    return {name: Interval(float(low), float(high), over) for name, (low, high) in limits.items()}


def _clusters(predictions: Predictions) -> tuple[Counts, Literal["speakers", "utterances"]]:
    """Return cell counts a speaker, shape (speakers, cells); or of all rows, shape (cells,)."""
    n_classes = len(predictions.classes)
    owner = cluster_of(predictions.speaker)
    if owner is None:
        return confusion_counts(predictions.emotion, predictions.predicted, n_classes).ravel(), "utterances"
    columns = np.where(predictions.predicted < 0, n_classes, predictions.predicted)
    counts = np.zeros((int(owner.max()) + 1, n_classes * (n_classes + 1)), dtype=np.int64)
    # Adds repeated pairs one by one, unlike counts[…] += 1.
    np.add.at(counts, (owner, predictions.emotion * (n_classes + 1) + columns), 1)
    return counts, "speakers"


def cluster_of(speaker: TextColumn) -> npt.NDArray[np.int64] | None:
    """Number the speaker of each utterance (utterances,); None where fewer than two are known.

    Who is not named may be anybody, so that such an utterance is a cluster of its own.
    """
    names = sorted(set(speaker) - {""})
    if len(names) < 2:
        return None
    owner = numbered(speaker, names)
    unnamed = owner < 0
    owner[unnamed] = len(names) + np.arange(int(unnamed.sum()))
    return owner
