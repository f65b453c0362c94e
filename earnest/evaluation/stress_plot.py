"""A picture of the stress table, of one system or of several beside each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from earnest.errors import EarnestError
from earnest.evaluation.noise_curve import LOOKS
from earnest.evaluation.plots import DPI, GRID, INK, MUTED, headline, new_figure, plain_axes
from earnest.evaluation.stress import CLEAN, StressRow
from earnest.run_files import replacing


def plot_stress(tables: Mapping[str, Sequence[StressRow]], path: Path, title: str, subtitle: str) -> None:
    """Save ΔUA of every condition with its interval, one below the other.

    Parameters
    ----------
    tables : name → rows, all of the same conditions
    """
    changed = {name: [row for row in rows if row.condition != CLEAN] for name, rows in tables.items()}
    names = [[row.condition for row in rows] for rows in changed.values()]
    if any(other != names[0] for other in names):
        raise EarnestError("These stress tables have other conditions; only tables of the same can be drawn together.")
    figure = new_figure(7.2, 1.6 + 0.24 * len(names[0]))
    axes = figure.subplots()
    places = np.arange(len(names[0]))
    axes.axvline(0, color=GRID, linewidth=1.2)
    for number, (name, rows) in enumerate(changed.items()):
        colour, marker, _ = LOOKS[(number + 2) % len(LOOKS)]
        middle = 100 * np.array([row.change for row in rows])
        low = 100 * np.array([row.change_interval.low for row in rows])
        high = 100 * np.array([row.change_interval.high for row in rows])
        beside = 0.3 * (number - (len(changed) - 1) / 2)
        bars = np.maximum(np.stack([middle - low, high - middle]), 0)  # a percentile interval may leave out the value
        axes.errorbar(middle, places + beside, xerr=bars, color=colour, marker=marker, ms=4, ls="", lw=1.2, label=name)
    axes.set_yticks(places, names[0])
    axes.invert_yaxis()
    axes.set_xlabel("ΔUA in points, 95 % interval over speakers", color=MUTED)
    plain_axes(axes, "x")
    if len(changed) > 1:
        axes.legend(frameon=False, fontsize=9, loc="lower left", labelcolor=INK)
    headline(figure, title, subtitle)
    with replacing(path) as place:
        figure.savefig(place, dpi=DPI)
