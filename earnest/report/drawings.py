"""What `earnest.plots.results` doesn't draw: classes, calibration, speakers, embeddings, attention."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from earnest.evaluation.calibration import Reliability, RiskCoverage
from earnest.evaluation.comparison import Difference
from earnest.evaluation.metrics import Scores
from earnest.evaluation.slices import Slice
from earnest.plots.sound import draw_spectrogram
from earnest.plots.style import BLUE, COLOURS, GREEN, GRID, INK, MUTED, ORANGE, new_figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = ("o", "^", "s", "D", "v", "P", "X")
SELECTED = 0.8  # the coverage whose accuracy is told
Floats = npt.NDArray[np.floating]


def draw_classes(scores: Scores) -> "Figure":
    """Draw precision, recall and F1 of each class as bars; names carry the number of utterances."""
    names = list(scores.per_class)
    figure = new_figure(max(5.0, 1.5 + 0.95 * len(names)), 3.4)
    axes = figure.subplots()
    places = np.arange(len(names))
    for number, (kind, colour) in enumerate((("precision", BLUE), ("recall", ORANGE), ("f1", GREEN))):
        values = [getattr(scores.per_class[name], kind) for name in names]
        heights = [100 * (value or 0.0) for value in values]
        axes.bar(places + 0.27 * (number - 1), heights, 0.25, color=colour, label="F1" if kind == "f1" else kind)
    ticks = [f"{name}\nn = {scores.per_class[name].n}" for name in names]
    axes.set_xticks(places, ticks, fontsize=9)
    axes.set_ylim(0, 100)
    axes.set_ylabel("per cent", color=MUTED)
    plain_axes(axes)
    figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9, labelcolor=INK)
    return figure


def draw_reliability(curve: Reliability) -> "Figure":
    """Draw the share right over confidence, and below it how many clips each bin holds."""
    figure = new_figure(4.6, 4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    full = curve.counts > 0
    edges = np.linspace(0, 100, len(curve.counts) + 1)
    above.plot([0, 100], [0, 100], color=MUTED, linestyle="--", linewidth=1, label="perfectly calibrated")
    sizes = 14 + 120 * curve.counts[full] / curve.counts.max()
    above.plot(100 * curve.confidence[full], 100 * curve.accuracy[full], color=BLUE, linewidth=1.4)
    above.scatter(100 * curve.confidence[full], 100 * curve.accuracy[full], sizes, color=BLUE, label="measured")
    above.set_ylabel("right, per cent", color=MUTED)
    above.set_xlim(0, 100)
    above.set_ylim(0, 100)
    above.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left")
    below.bar(edges[:-1], curve.counts, np.diff(edges), align="edge", color=BLUE, alpha=0.6)
    below.set_ylabel("clips", color=MUTED)
    below.set_xlabel("confidence, per cent", color=MUTED)
    plain_axes(above, "both")
    plain_axes(below)
    return figure


def draw_risk_coverage(curve: RiskCoverage) -> "Figure":
    """Draw accuracy over the share of clips that is answered, the most confident first."""
    figure = new_figure(4.6, 4.6)
    axes = figure.subplots()
    full, selected = 100 * curve.accuracy_at(1.0), 100 * curve.accuracy_at(SELECTED)
    steps = np.unique(np.linspace(0, len(curve.coverage) - 1, 400).astype(int))
    axes.plot(100 * curve.coverage[steps], 100 * curve.accuracy[steps], color=BLUE, linewidth=1.8)
    told = f"the surest {100 * SELECTED:.0f} %: {selected:.1f} %"
    axes.plot([100 * SELECTED], [selected], "o", color=ORANGE, markersize=8, label=told)
    axes.axhline(full, color=MUTED, linestyle="--", linewidth=1, label=f"all clips: {full:.1f} %")
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower left")
    axes.set_xlim(0, 101)
    axes.set_ylim(max(0.0, full - 20), 101)
    axes.set_xlabel("coverage: clips answered, per cent", color=MUTED)
    axes.set_ylabel("right of those, per cent", color=MUTED)
    plain_axes(axes, "both")
    return figure


def draw_speakers(parts: Sequence[Slice]) -> "Figure":
    """Draw UA of each speaker, the lowest first."""
    in_order = sorted(parts, key=lambda part: part.ua)
    figure = new_figure(min(12.0, max(4.5, 1.2 + 0.3 * len(in_order))), 3.2)
    axes = figure.subplots()
    mean = 100 * float(np.mean([part.ua for part in in_order]))
    axes.axhline(mean, color=MUTED, linestyle="--", linewidth=1)
    axes.vlines(range(len(in_order)), 0, [100 * part.ua for part in in_order], color=GRID, linewidth=2)
    axes.plot(range(len(in_order)), [100 * part.ua for part in in_order], "o", color=BLUE)
    axes.set_xticks(range(len(in_order)), [part.value for part in in_order], rotation=90, fontsize=8)
    axes.set_ylim(0, 102)
    axes.set_ylabel("UA in %", color=MUTED)
    plain_axes(axes)
    return figure


def draw_differences(differences: Mapping[str, Sequence[Difference]]) -> "Figure":
    """Draw differences with their intervals, one line a name, one panel for WA and one for UA.

    Parameters
    ----------
    differences : name → difference in WA, in UA
    """
    figure = new_figure(8.0, 1.3 + 0.45 * len(differences))
    heights = list(range(len(differences)))[::-1]
    for number, (axes, title) in enumerate(zip(figure.subplots(1, 2, sharey=True), ("WA", "UA"), strict=True)):
        found = [pair[number] for pair in differences.values()]
        values = np.array([100 * one.value for one in found])
        limits = [100 * np.array([one.interval.low, one.interval.high]) for one in found]
        axes.axvline(0, color=MUTED, linewidth=1, linestyle="--")
        axes.hlines(heights, [low for low, _ in limits], [high for _, high in limits], color=BLUE, linewidth=2)
        axes.plot(values, heights, "o", color=BLUE)
        axes.set_yticks(heights, list(differences))
        axes.set_ylim(-0.6, len(differences) - 0.4)
        axes.set_title(f"{title}, difference in points", loc="left", fontsize=10, color=INK)
        plain_axes(axes, "x")
    return figure


def draw_map(places: Floats, colourings: Mapping[str, Sequence[str]]) -> "Figure":
    """Draw one point a clip, once for each way to colour them.

    Parameters
    ----------
    places : shape (clips, 2)
    colourings : title → one name a clip
    """
    figure = new_figure(5.2 * len(colourings), 5.0)
    panels = np.atleast_1d(figure.subplots(1, len(colourings)))
    for axes, (title, names) in zip(panels, colourings.items(), strict=True):
        _scatter(axes, places, names)
        axes.set_title(title, loc="left", fontsize=10, color=INK)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color(GRID)
    return figure


def _scatter(axes: "Axes", places: Floats, names: Sequence[str]) -> None:
    known = list(dict.fromkeys(names))
    for number, name in enumerate(known):
        own = np.array([other == name for other in names])
        marker = MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]
        colour = COLOURS[number % len(COLOURS)]
        axes.scatter(places[own, 0], places[own, 1], 24, color=colour, marker=marker, label=name, linewidths=0)
    columns = min(4, len(known))
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=columns, frameon=False, fontsize=8, labelcolor=INK
    )


def draw_attention(clips: Sequence[tuple[str, Floats, Floats]]) -> "Figure":
    """Draw log-mels with the attention over them, one panel a clip.

    Parameters
    ----------
    clips : title, frames (bands, frames), weights (steps,) that span the frames
    """
    columns = min(2, len(clips))
    rows = -(-len(clips) // columns)
    figure = new_figure(4.6 * columns, 2.1 * rows)
    panels = np.atleast_2d(figure.subplots(2 * rows, columns, height_ratios=(2.2, 1) * rows, squeeze=False))
    for axes in panels.flat:
        axes.axis("off")
    for number, (title, frames, weights) in enumerate(clips):
        row, column = divmod(number, columns)
        above, below = panels[2 * row, column], panels[2 * row + 1, column]
        above.set_axis_on()
        below.set_axis_on()
        draw_spectrogram(above, frames, 1.0)
        above.set_title(title, loc="left", fontsize=9, color=INK)
        below.stairs(weights, np.linspace(0, 1, len(weights) + 1), fill=True, color=ORANGE)
        below.set_xlim(0, 1)
        for axes in (above, below):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set(xlabel="", ylabel="")
            axes.spines[:].set_visible(False)
    return figure
