"""Results beside each other: corpora trained and tested on, levels of noise, amounts of data, conditions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from earnest.errors import EarnestError, counted
from earnest.evaluation.curves import Amount, NoiseCurve
from earnest.evaluation.metrics import Scores
from earnest.evaluation.report import Matrix
from earnest.evaluation.stress import CLEAN, StressRow
from earnest.plots.results import DARK_CELL
from earnest.plots.style import BLUE, GREEN, GRID, INK, MUTED, ORANGE, headline, new_figure, plain_axes, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BARS = ", bars are standard deviations over folds"
CLEAN_AFTER_DB = 5.0  # where "clean" stands, right of the highest level
LOOKS = ((MUTED, "o", "-"), (ORANGE, "s", "-"), (BLUE, "^", "-"), (GREEN, "D", "-"), (INK, "v", "--"))


def plot_matrix(matrix: Matrix, path: Path, title: str) -> None:
    """Draw UA of every pair; cells of one corpus with itself are framed."""
    rows, columns = matrix.rows, list(matrix.corpora)
    figure = new_figure(2.6 + 1.25 * len(columns), 2.1 + 0.8 * len(rows))
    axes = figure.subplots()
    values = np.array([[_ua(matrix, row, column) for column in columns] for row in rows])
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for place, value in np.ndenumerate(values):
        _write(axes, place, float(value), matrix.cells.get((rows[place[0]], columns[place[1]])))
        if rows[place[0]] == columns[place[1]]:
            box = {"fill": False, "edgecolor": INK, "linewidth": 1.8}
            axes.add_patch(_rectangle(place[1] - 0.48, place[0] - 0.48, box))
    axes.set_xticks(range(len(columns)), columns, rotation=25, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("tested on", color=MUTED)
    axes.set_ylabel("trained on", color=MUTED)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    headline(figure, title, "UA in %; framed: unseen speakers of the same corpus")
    save(figure, path)


def _ua(matrix: Matrix, row: str, column: str) -> float:
    scores = matrix.cells.get((row, column))
    return float("nan") if scores is None else scores.ua


def _rectangle(x: float, y: float, look: Mapping[str, Any]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), 0.96, 0.96, **look)


def _write(axes: Any, place: Sequence[int], value: float, scores: Scores | None) -> None:
    if scores is None:
        return
    colour = "white" if value >= DARK_CELL else INK
    axes.text(place[1], place[0] - 0.08, f"{100 * value:.1f}", ha="center", va="center", color=colour, fontsize=11)
    axes.text(place[1], place[0] + 0.26, f"n {scores.n}", ha="center", va="center", color=colour, fontsize=7)


def plot_noise_curves(curves: Mapping[str, NoiseCurve], path: Path, title: str, subtitle: str) -> None:
    """Save what `draw_noise_curves` draws, with a title."""
    figure = draw_noise_curves(curves)
    headline(figure, title, subtitle)
    save(figure, path)


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
    has_bars = any(ua.sd for curve in curves.values() for _, ua in (curve.clean, *curve.levels.values()))
    axes.set_ylabel(f"UA in %{BARS if has_bars else ''}", color=MUTED)
    axes.set_ylim(bottom=0)
    plain_axes(axes)
    axes.legend(frameon=False, fontsize=9, loc="lower right", labelcolor=INK)
    return figure


def plot_learning_curve(amounts: Sequence[Amount], path: Path, title: str) -> None:
    """Draw the learning curve: UA over the number of training utterances; bars are deviations over folds, if any."""
    figure = new_figure(6.6, 4.3)
    axes = figure.subplots()
    ordered = sorted(amounts, key=lambda amount: amount.share)
    deviations = [100 * (amount.ua.sd or 0.0) for amount in ordered]
    clips = [amount.clips for amount in ordered]
    axes.errorbar(clips, [100 * amount.ua.mean for amount in ordered], deviations if any(deviations) else None,
                  color=BLUE, marker="o", capsize=3)  # fmt: skip
    axes.set_xscale("log")
    axes.minorticks_off()
    labels = [f"{amount.clips:.0f}\n{counted(round(amount.speakers), 'speaker')}" for amount in ordered]
    axes.set_xticks(clips, labels)
    axes.set_xlabel("training clips (logarithmic)", color=MUTED)
    axes.set_ylabel(f"UA in %{BARS if any(deviations) else ''}", color=MUTED)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    headline(figure, title, "validation and test clips are the same throughout")
    save(figure, path)


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
        # Tables stand side by side around the line: −0.15 and 0.15 for two.
        beside = 0.3 * (number - (len(changed) - 1) / 2)
        # (2, conditions): how far the bar reaches below and above the value.
        bars = np.maximum(np.stack([middle - low, high - middle]), 0)  # a percentile interval may leave out the value
        axes.errorbar(middle, places + beside, xerr=bars, color=colour, marker=marker, ms=4, ls="", lw=1.2, label=name)
    axes.set_yticks(places, names[0])
    axes.invert_yaxis()
    axes.set_xlabel("ΔUA in points, 95 % interval over speakers", color=MUTED)
    plain_axes(axes, "x")
    if len(changed) > 1:
        axes.legend(frameon=False, fontsize=9, loc="lower left", labelcolor=INK)
    headline(figure, title, subtitle)
    save(figure, path)
