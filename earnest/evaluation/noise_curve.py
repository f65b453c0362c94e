"""UA over the signal-to-noise ratio: values of one evaluation, and a picture of one or several."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from earnest.errors import EarnestError
from earnest.evaluation.intervals import Spread
from earnest.evaluation.metrics import Scores
from earnest.evaluation.plots import BLUE, DPI, GREEN, INK, MUTED, ORANGE, headline, new_figure, plain_axes
from earnest.run_files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLEAN_AFTER_DB = 5.0  # where "clean" stands, right of the highest level
LOOKS = ((MUTED, "o", "-"), (ORANGE, "s", "-"), (BLUE, "^", "-"), (GREEN, "D", "-"), (INK, "v", "--"))


@dataclass(frozen=True)
class NoiseCurve:
    """WA and UA (shares from 0 to 1, over folds) of clean test clips and of each level; ``n`` clips each.

    Attributes
    ----------
    levels : SNR in dB → (WA, UA)
    """

    clean: tuple[Spread, Spread]
    levels: Mapping[float, tuple[Spread, Spread]]
    n: int

    @classmethod
    def of(cls, clean: Scores, levels: Mapping[float, Scores]) -> "NoiseCurve":
        """Take the means and deviations over folds of scores."""

        def both(scores: Scores) -> tuple[Spread, Spread]:
            return scores.over_folds["wa"], scores.over_folds["ua"]

        return cls(both(clean), {level: both(scores) for level, scores in levels.items()}, clean.n)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], where: str) -> "NoiseCurve":
        """Read what `to_list` made of it in a ``metrics-noise.json``."""
        try:
            rows = {row["snr_db"]: (Spread(**row["wa"]), Spread(**row["ua"])) for row in document["levels"]}
            return cls(rows.pop(None), rows, document["n"])
        except (KeyError, TypeError) as error:
            raise EarnestError(f"{where}: not from `earnest evaluate --noise` ({error!r}).") from error

    def to_list(self) -> list[dict[str, Any]]:
        """Return one row a level, clean (``snr_db`` null) first."""
        rows = [(None, self.clean), *self.levels.items()]
        return [{"snr_db": db, "wa": wa.to_dict(), "ua": ua.to_dict(), "n": self.n} for db, (wa, ua) in rows]


def plot_noise_curves(curves: Mapping[str, NoiseCurve], path: Path, title: str, subtitle: str) -> None:
    """Save what `draw_noise_curves` draws, with a title."""
    figure = draw_noise_curves(curves)
    headline(figure, title, subtitle)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=DPI)


def draw_noise_curves(curves: Mapping[str, NoiseCurve]) -> "Figure":
    """Draw UA over SNR, clean at the right end; bars are standard deviations over folds, where there are several.

    Parameters
    ----------
    curves : name → curve; all of the same levels
    """
    figure = new_figure(6.6, 4.3)
    axes = figure.subplots()
    levels = sorted({level for curve in curves.values() for level in curve.levels})
    places = [*levels, levels[-1] + CLEAN_AFTER_DB]
    for number, (name, curve) in enumerate(curves.items()):
        points = [curve.levels[level][1] for level in levels] + [curve.clean[1]]
        means = [100 * point.mean for point in points]
        deviations = [100 * (point.sd or 0.0) for point in points]
        beside = 0.4 * (number - (len(curves) - 1) / 2) if any(deviations) else 0.0  # so that bars don't hide bars
        colour, marker, line = LOOKS[number % len(LOOKS)]
        bars = deviations if any(deviations) else None
        axes.errorbar(
            np.array(places) + beside, means, bars, color=colour, marker=marker, linestyle=line, capsize=3, label=name
        )
    axes.set_xticks(places, [*(f"{level:g}" for level in levels), "clean"])
    axes.set_xlabel("signal-to-noise ratio of the test clips in dB", color=MUTED)
    axes.set_ylabel("UA in %", color=MUTED)
    axes.set_ylim(bottom=0)
    plain_axes(axes)
    axes.legend(frameon=False, fontsize=9, loc="lower right", labelcolor=INK)
    return figure
