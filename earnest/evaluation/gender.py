"""How often a system answers the gender that the corpora name; clips of which none is named are left out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from earnest.evaluation.confusion import class_scores, confusion_counts, headline_scores
from earnest.evaluation.intervals import N_RESAMPLES, Interval, bootstrap
from earnest.evaluation.prediction_table import Predictions, numbered

GENDERS = ("female", "male")


@dataclass(frozen=True)
class GenderRecall:
    """The share of one gender's ``n`` clips that was answered right, 0 to 1, and its interval."""

    n: int
    recall: float
    interval: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"n": self.n, "recall": self.recall, "interval": self.interval.to_dict()}


@dataclass(frozen=True)
class GenderScores:
    """WA and UA of the gender, 0 to 1; a clip without an answer counts as wrong.

    Attributes
    ----------
    n : clips whose gender is known
    intervals : of ``wa`` and ``ua``, over speakers
    recalls : gender → its recall, of those that occur
    """

    n: int
    wa: float
    ua: float
    intervals: Mapping[str, Interval]
    recalls: Mapping[str, GenderRecall]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "n": self.n,
            "wa": self.wa,
            "ua": self.ua,
            "intervals": {name: interval.to_dict() for name, interval in self.intervals.items()},
            "recalls": {name: one.to_dict() for name, one in self.recalls.items()},
        }

    def sentence(self) -> str:
        """Say all of it in per cent."""
        whole = f"Gender right: {100 * self.wa:.1f} % of {self.n} clips ({_limits(self.intervals['wa'])}"
        parts = (f"{name} {100 * one.recall:.1f} ({_limits(one.interval)})" for name, one in self.recalls.items())
        over = self.intervals["wa"].over
        return f"{whole}), {', '.join(parts)}; 95 % intervals over {over}."


def gender_scores(
    predictions: Predictions, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> GenderScores | None:
    """Score the answers; None where the system gives none, or no clip's gender is known.

    Parameters
    ----------
    rng : draws the bootstrap
    """
    if predictions.predicted_gender is None:
        return None
    true = numbered(predictions.gender, GENDERS)
    rows = np.flatnonzero(true >= 0)
    if not len(rows):
        return None
    answered = numbered(predictions.predicted_gender, GENDERS)
    asked = replace(predictions, classes=GENDERS, emotion=true, predicted=answered, probabilities=None).take(rows)
    counts = confusion_counts(asked.emotion, asked.predicted, len(GENDERS))
    whole, intervals = headline_scores(counts), bootstrap(asked, rng, n_resamples)
    recalls = {}
    for index, (name, one) in enumerate(zip(GENDERS, class_scores(counts), strict=True)):
        if one.recall is not None:
            own = asked.take(np.flatnonzero(asked.emotion == index))
            recalls[name] = GenderRecall(one.n, one.recall, bootstrap(own, rng, n_resamples)["wa"])
    return GenderScores(
        n=len(asked),
        wa=float(whole["wa"]),
        ua=float(whole["ua"]),
        intervals={name: intervals[name] for name in ("wa", "ua")},
        recalls=recalls,
    )


def _limits(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
