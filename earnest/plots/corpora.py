"""A corpus in numbers: how many recordings a class has, how long they are, how affect is rated."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from earnest.errors import EarnestError
from earnest.plots.style import BLUE, INK, MUTED, ORANGE, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_BINS = 30


def draw_counts(axes: "Axes", counts: Mapping[str, int]) -> "Axes":
    """Draw a bar a class with its number, in the order given, the first one on top."""
    names, places = list(counts), np.arange(len(counts))[::-1]
    bars = axes.barh(places, list(counts.values()), color=BLUE, height=0.72)
    axes.bar_label(bars, [f"{count:,}" for count in counts.values()], padding=4, fontsize=9, color=INK)
    axes.set_yticks(places, names, parse_math=False)
    axes.set_xlim(0, 1.12 * max(counts.values(), default=1))
    axes.set_xlabel("recordings", color=MUTED)
    plain_axes(axes, "x")
    return axes


def draw_durations(axes: "Axes", durations_s: Sequence[float]) -> "Axes":
    """Draw a histogram of durations with their median; the longest hundredth is in the last bar.

    Parameters
    ----------
    durations_s : one a recording
    """
    if not len(durations_s):
        raise EarnestError("There are no durations to draw.")
    values = np.asarray(durations_s, dtype=np.float64)
    end_s = float(np.quantile(values, 0.99)) or 1.0
    axes.hist(np.minimum(values, end_s), bins=N_BINS, range=(0, end_s), color=BLUE)
    median_s = float(np.median(values))
    axes.axvline(median_s, color=ORANGE, linewidth=1.4, linestyle="--", label=f"median {median_s:.2f} s")
    axes.set_xlim(0, end_s)
    axes.set_xlabel("duration in s", color=MUTED)
    axes.set_ylabel("recordings", color=MUTED)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    plain_axes(axes)
    return axes


def draw_affect(axes: "Axes", values: Sequence[float], name: str) -> "Axes":
    """Draw a histogram of valence, arousal or dominance in the corpus' own unit, with the mean.

    Parameters
    ----------
    values : one a rated recording
    """
    if not len(values):
        raise EarnestError(f"There are no ratings of {name} to draw.")
    mean = float(np.mean(values))
    axes.hist(values, bins=N_BINS, color=BLUE)
    axes.axvline(mean, color=ORANGE, linewidth=1.4, linestyle="--", label=f"mean {mean:.2f}")
    axes.set_xlabel(name, color=MUTED)
    axes.set_ylabel("recordings", color=MUTED)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    plain_axes(axes)
    return axes
