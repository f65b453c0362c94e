"""The stress table: what changed clips do to UA and to the answers, beside the thresholds of audEERING's ser-tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from earnest.errors import EarnestError
from earnest.evaluation.intervals import Interval, bootstrap
from earnest.evaluation.metrics import score
from earnest.evaluation.paired import compare
from earnest.evaluation.predictions import Predictions

CLEAN = "as they are"
COLUMNS = ("clips", "UA", "ΔUA", "unchanged", "ser-tests", "holds")
N_RESAMPLES = 2000
SEED = 0


@dataclass(frozen=True)
class Limit:
    """What ser-tests asks of a change.

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
        """Say whether a result is within the limits, None where there are none."""
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
    change : UA minus that of the same clips as they are, with an interval of drawing the same speakers for both
    unchanged : share of the clips with the same answer as before
    n_untouched : clips that the change left as they are, such as silence with noise relative to it
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
        """Compare the answers to changed clips with those to the same clips as they are, row by row."""
        rng = np.random.default_rng(SEED)
        difference = compare(clean, changed, rng, N_RESAMPLES).ua
        return cls(
            condition,
            group,
            ua_of(changed),
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
            "" if is_clean else f"{signed(self.change)} ({range_text(self.change_interval)})",
            "" if is_clean else f"{100 * self.unchanged:.1f}",
            "" if is_clean else self.limit.sentence(),
            yes_or_no(self.holds),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "condition": self.condition,
            "group": self.group,
            "ua": self.ua,
            "interval": self.interval.to_dict(),
            "change": self.change,
            "change_interval": self.change_interval.to_dict(),
            "unchanged": self.unchanged,
            "n_untouched": self.n_untouched,
            "limit": {"change": self.limit.change, "unchanged": self.limit.unchanged},
            "holds": self.holds,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> "StressRow":
        """Read what `to_dict` made of it in a ``metrics-stress.json``."""
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
    """Return the first line of the table: the clips as they are."""
    interval = bootstrap(clean, np.random.default_rng(SEED), N_RESAMPLES)["ua"]
    return StressRow(CLEAN, "", ua_of(clean), interval, 0.0, Interval(0.0, 0.0, interval.over), 1.0)


def ua_of(predictions: Predictions) -> float:
    """Return the mean recall over classes, from 0 to 1."""
    return score(predictions, np.random.default_rng(SEED), n_resamples=1).ua


def stress_markdown(rows: Sequence[StressRow]) -> str:
    """Return the table in Markdown, all numbers in per cent or points."""
    lines = [COLUMNS, ("---", *["---:"] * 3, "---", "---"), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def signed(value: float) -> str:
    """Write a difference of shares in points: "+1.2", "−0.4"."""
    text = f"{100 * value:+.1f}"
    return text.replace("-", "−")


def range_text(interval: Interval) -> str:
    """Write an interval in per cent: "70.8 to 79.7"."""
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}".replace("-", "−")


def yes_or_no(holds: bool | None) -> str:
    """Write whether a limit holds, nothing where there is none."""
    return "" if holds is None else "yes" if holds else "no"
