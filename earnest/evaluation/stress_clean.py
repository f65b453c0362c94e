"""What audEERING's ser-tests asks of clean clips: correctness, distribution of the answers, fairness between sexes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from earnest.errors import EarnestError
from earnest.evaluation.confusion import ClassScores, Counts, class_scores, confusion_counts, headline_scores
from earnest.evaluation.predictions import Predictions

CHECK_COLUMNS = ("clips as they are", "found", "where", "ser-tests", "holds")
LEAST, MOST_SHIFTED = 0.5, 0.15
What = Literal["precision", "recall"]
SEX_UA, SEX_RECALL, SEX_PRECISION = 0.075, 0.175, 0.075


@dataclass(frozen=True)
class Check:
    """One value beside its limit; shares from 0 to 1.

    Attributes
    ----------
    where : the class or sex with the worst value, "" where there is one value alone
    at_least : whether the limit is the lowest value that is right, not the highest
    """

    name: str
    value: float
    limit: float
    at_least: bool
    where: str = ""

    @property
    def holds(self) -> bool:
        """Whether the value is within its limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def cells(self) -> list[str]:
        """Return the line of the table, in the order of ``CHECK_COLUMNS``."""
        sign = "≥" if self.at_least else "≤"
        limit = f"{sign} {100 * self.limit:g}"
        return [self.name, f"{100 * self.value:.1f}", self.where, limit, "yes" if self.holds else "no"]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        names = ("name", "value", "limit", "at_least", "where", "holds")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> "Check":
        """Read what `to_dict` made of it in a ``metrics-stress.json``."""
        try:
            return cls(**{name: values[name] for name in ("name", "value", "limit", "at_least", "where")})
        except (KeyError, TypeError) as error:
            raise EarnestError(f"{where}: not from `earnest stress` ({error!r}).") from error


def clean_checks(predictions: Predictions) -> list[Check]:
    """Check the answers to clean clips; those of sexes need both."""
    counts, classes = _counts(predictions), predictions.classes
    return [*_correctness(counts, classes), _distribution(counts, classes), *_sexes(predictions)]


def checks_markdown(checks: Sequence[Check]) -> str:
    """Return the table in Markdown, in per cent or points."""
    lines = [CHECK_COLUMNS, ("---", "---:", "---", "---", "---"), *(check.cells() for check in checks)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _counts(predictions: Predictions) -> Counts:
    return confusion_counts(predictions.emotion, predictions.predicted, len(predictions.classes))


def _correctness(counts: Counts, classes: Sequence[str]) -> Iterator[Check]:
    scores = dict(zip(classes, class_scores(counts), strict=True))
    precisions, recalls = _values(scores, "precision"), _values(scores, "recall")
    yield Check("UA", float(headline_scores(counts)["ua"]), LEAST, True)
    yield Check("mean precision", float(np.mean(list(precisions.values()))), LEAST, True)
    for name, values in (("recall", recalls), ("precision", precisions)):
        worst = min(values, key=values.__getitem__)
        yield Check(f"lowest {name} of a class", values[worst], LEAST, True, worst)


def _distribution(counts: Counts, classes: Sequence[str]) -> Check:
    """Compare how often a class is answered with how often it is true, as shares of all clips."""
    shifts = np.abs(counts[:, :-1].sum(axis=0) - counts.sum(axis=1)) / counts.sum()
    worst = int(shifts.argmax())
    return Check("largest shift of a class's share", float(shifts[worst]), MOST_SHIFTED, False, classes[worst])


def _sexes(predictions: Predictions) -> Iterator[Check]:
    """Compare each sex with all clips together."""
    names = sorted(set(predictions.gender) - {""})
    if len(names) < 2:
        return
    both = _counts(predictions.take(np.flatnonzero(predictions.gender != "")))
    own = {name: _counts(predictions.take(np.flatnonzero(predictions.gender == name))) for name in names}
    distances = {
        name: abs(float(headline_scores(counts)["ua"] - headline_scores(both)["ua"])) for name, counts in own.items()
    }
    worst = max(distances, key=distances.__getitem__)
    yield Check("UA of a sex, distance from both", distances[worst], SEX_UA, False, worst)
    limits: dict[What, float] = {"recall": SEX_RECALL, "precision": SEX_PRECISION}
    for what, limit in limits.items():
        value, where = _largest_distance(both, own, predictions.classes, what)
        yield Check(f"{what} of a class and sex, distance from both", value, limit, False, where)


def _largest_distance(both: Counts, own: Mapping[str, Counts], classes: Sequence[str], what: What) -> tuple[float, str]:
    together = _values(dict(zip(classes, class_scores(both), strict=True)), what)
    found = []
    for name, counts in own.items():
        alone = _values(dict(zip(classes, class_scores(counts), strict=True)), what)
        found += [(abs(alone[one] - together[one]), f"{one}, {name}") for one in alone if one in together]
    return max(found)


def _values(scores: Mapping[str, ClassScores], what: What) -> dict[str, float]:
    """Return precision or recall by class, where it exists."""
    values = {name: getattr(one, what) for name, one in scores.items()}
    return {name: value for name, value in values.items() if value is not None}
