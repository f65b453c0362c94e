"""The stress table: UA and answers under changes of the sound, beside the thresholds of audEERING's ser-tests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from earnest.errors import EarnestError
from earnest.evaluation.comparison import difference_in_ua
from earnest.evaluation.confusion import ClassScores, Counts, class_scores, confusion_counts, ua_of
from earnest.evaluation.intervals import Interval, bootstrap
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.texts import markdown_row, points, range_text

CLEAN = "as they are"
COLUMNS = ("utterances", "UA", "ΔUA", "unchanged", "ser-tests", "holds")
N_RESAMPLES = 2000
SEED = 0


@dataclass(frozen=True)
class Limit:
    """Limits of audEERING's ser-tests for a change.

    Attributes
    ----------
    change : lowest ΔUA, None for any
    unchanged : lowest share of answers that stay, None for any
    """

    change: float | None = None
    unchanged: float | None = None

    def sentence(self) -> str:
        """Write the limits as the table does, "–" for none."""
        parts = []
        if self.change is not None:
            parts.append(f"ΔUA ≥ {100 * self.change:g}".replace("-", "−"))
        if self.unchanged is not None:
            parts.append(f"unchanged ≥ {100 * self.unchanged:g}")
        return ", ".join(parts) or "–"

    def holds(self, change: float, unchanged: float) -> bool | None:
        """Whether a result is within the limits, None where there are none."""
        if self.change is None and self.unchanged is None:
            return None
        return change >= (-1 if self.change is None else self.change) and unchanged >= (self.unchanged or 0)


LIMITS: Mapping[str, Limit] = {
    "background noise": Limit(change=-0.05, unchanged=0.9),
    "phone and coding": Limit(change=-0.05, unchanged=0.5),
    "room": Limit(unchanged=0.8),
    "small changes": Limit(unchanged=0.95),
    "spectral tilt": Limit(change=-0.02),
}


@dataclass(frozen=True)
class StressRow:
    """One condition; shares from 0 to 1.

    Attributes
    ----------
    group : see `LIMITS`
    change : UA minus that of the same utterances as they are, with an interval of drawing the same speakers for both
    unchanged : share of the utterances with the same answer as before
    n_untouched : utterances that the change left as they are, such as silence with noise relative to it
    """

    condition: str
    group: str
    ua: float
    interval: Interval
    change: float
    change_interval: Interval
    unchanged: float
    n_untouched: int = 0

    @classmethod
    def of(
        cls, condition: str, group: str, clean: Predictions, changed: Predictions, n_untouched: int = 0
    ) -> "StressRow":
        """Compare the answers to changed utterances with those to the same utterances as they are, row by row."""
        rng = np.random.default_rng(SEED)
        difference = difference_in_ua(clean, changed, rng, N_RESAMPLES)
        return cls(
            condition,
            group,
            ua_of(_counts(changed)),
            bootstrap(changed, rng, N_RESAMPLES)["ua"],
            difference.value,
            difference.interval,
            float(np.mean(changed.predicted == clean.predicted)),
            n_untouched,
        )

    @property
    def limit(self) -> Limit:
        """The thresholds of its group."""
        return LIMITS.get(self.group, Limit())

    @property
    def holds(self) -> bool | None:
        """Whether the condition is within them, None where there are none."""
        return self.limit.holds(self.change, self.unchanged)

    def cells(self) -> list[str]:
        """Return the line of the table, in the order of ``COLUMNS``."""
        is_clean = self.condition == CLEAN
        return [
            self.condition,
            f"{100 * self.ua:.1f} ({range_text(self.interval)})",
            "" if is_clean else f"{points(self.change)} ({range_text(self.change_interval)})",
            "" if is_clean else f"{100 * self.unchanged:.1f}",
            "" if is_clean else self.limit.sentence(),
            yes_or_no(self.holds),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "limit": asdict(self.limit), "holds": self.holds}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> "StressRow":
        """Read the row from a ``metrics-stress.json``."""
        try:
            return cls(
                values["condition"],
                values["group"],
                values["ua"],
                Interval(**values["interval"]),
                values["change"],
                Interval(**values["change_interval"]),
                values["unchanged"],
                values["n_untouched"],
            )
        except (KeyError, TypeError) as error:
            raise EarnestError(f"{where}: not from `earnest stress` ({error!r}).") from error


def clean_row(clean: Predictions) -> StressRow:
    """Return the first line of the table: the utterances as they are."""
    interval = bootstrap(clean, np.random.default_rng(SEED), N_RESAMPLES)["ua"]
    return StressRow(CLEAN, "", ua_of(_counts(clean)), interval, 0.0, Interval(0.0, 0.0, interval.over), 1.0)


def stress_markdown(rows: Sequence[StressRow]) -> str:
    """Return the table in Markdown, all numbers in per cent or points."""
    lines = [COLUMNS, ("---", *["---:"] * 3, "---", "---"), *(row.cells() for row in rows)]
    return "\n".join(map(markdown_row, lines)) + "\n"


def yes_or_no(holds: bool | None) -> str:
    """Write whether a limit holds, nothing where there is none."""
    return "" if holds is None else "yes" if holds else "no"


CHECK_COLUMNS = ("utterances as they are", "found", "where", "ser-tests", "holds")
LEAST, MOST_SHIFTED = 0.5, 0.15
What = Literal["precision", "recall"]
SEX_UA, SEX_RECALL, SEX_PRECISION = 0.075, 0.175, 0.075


@dataclass(frozen=True)
class StressCheck:
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
    def from_dict(cls, values: Mapping[str, Any], where: str) -> "StressCheck":
        """Read the check from a ``metrics-stress.json``."""
        try:
            return cls(**{name: values[name] for name in ("name", "value", "limit", "at_least", "where")})
        except (KeyError, TypeError) as error:
            raise EarnestError(f"{where}: not from `earnest stress` ({error!r}).") from error


def clean_checks(predictions: Predictions) -> list[StressCheck]:
    """Check the answers to clean utterances; those of sexes need both."""
    counts, classes = _counts(predictions), predictions.classes
    return [*_correctness(counts, classes), _distribution(counts, classes), *_sexes(predictions)]


def checks_markdown(checks: Sequence[StressCheck]) -> str:
    """Return the table in Markdown, in per cent or points."""
    lines = [CHECK_COLUMNS, ("---", "---:", "---", "---", "---"), *(check.cells() for check in checks)]
    return "\n".join(map(markdown_row, lines)) + "\n"


def _counts(predictions: Predictions) -> Counts:
    return confusion_counts(predictions.emotion, predictions.predicted, len(predictions.classes))


def _correctness(counts: Counts, classes: Sequence[str]) -> Iterator[StressCheck]:
    scores = dict(zip(classes, class_scores(counts), strict=True))
    precisions, recalls = _values(scores, "precision"), _values(scores, "recall")
    yield StressCheck("UA", ua_of(counts), LEAST, True)
    mean = float(np.mean(list(precisions.values()))) if precisions else 0.0  # nothing was answered
    yield StressCheck("mean precision", mean, LEAST, True)
    for name, values in (("recall", recalls), ("precision", precisions)):
        worst = min(values, key=values.__getitem__, default="")
        yield StressCheck(f"lowest {name} of a class", values.get(worst, 0.0), LEAST, True, worst)


def _distribution(counts: Counts, classes: Sequence[str]) -> StressCheck:
    """Compare how often a class is answered with how often it is true, as shares of all utterances."""
    # |answered_c − true_c| / n, (classes,)
    shifts = np.abs(counts[:, :-1].sum(axis=0) - counts.sum(axis=1)) / counts.sum()
    worst = int(shifts.argmax())
    return StressCheck("largest shift of a class's share", float(shifts[worst]), MOST_SHIFTED, False, classes[worst])


def _sexes(predictions: Predictions) -> Iterator[StressCheck]:
    """Compare each sex with all utterances together."""
    names = sorted(set(predictions.gender) - {""})
    if len(names) < 2:
        return
    both = _counts(predictions.take(np.flatnonzero(predictions.gender != "")))
    own = {name: _counts(predictions.take(np.flatnonzero(predictions.gender == name))) for name in names}
    distances = {name: abs(ua_of(counts) - ua_of(both)) for name, counts in own.items()}
    worst = max(distances, key=distances.__getitem__)
    yield StressCheck("UA of a sex, distance from both", distances[worst], SEX_UA, False, worst)
    limits: dict[What, float] = {"recall": SEX_RECALL, "precision": SEX_PRECISION}
    for what, limit in limits.items():
        value, where = _largest_distance(both, own, predictions.classes, what)
        yield StressCheck(f"{what} of a class and sex, distance from both", value, limit, False, where)


def _largest_distance(both: Counts, own: Mapping[str, Counts], classes: Sequence[str], what: What) -> tuple[float, str]:
    together = _values(dict(zip(classes, class_scores(both), strict=True)), what)
    found = []
    for name, counts in own.items():
        alone = _values(dict(zip(classes, class_scores(counts), strict=True)), what)
        found += [(abs(alone[one] - together[one]), f"{one}, {name}") for one in alone if one in together]
    return max(found, default=(0.0, ""))


def _values(scores: Mapping[str, ClassScores], what: What) -> dict[str, float]:
    """Return precision or recall by class, where it exists."""
    values = {name: getattr(one, what) for name, one in scores.items()}
    return {name: value for name, value in values.items() if value is not None}
