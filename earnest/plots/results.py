"""Pictures of results: confusion, training histories of one run and of several, the probabilities of one answer.

Also classes, calibration and speakers, as reports show them, and results beside each other: corpora trained and tested
on, levels of noise, amounts of data, conditions.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform
from earnest.errors import EarnestError, counted, in_percent
from earnest.evaluation.calibration import Reliability, RiskCoverage
from earnest.evaluation.comparison import Difference
from earnest.evaluation.confusion import normalised
from earnest.evaluation.intervals import Slice
from earnest.evaluation.metrics import Scores
from earnest.evaluation.protocols import kind_words
from earnest.evaluation.report import Amount, Matrix, NoiseCurve
from earnest.evaluation.stress import CLEAN, StressRow
from earnest.frontends.mel import log_mel
from earnest.plots.recordings import draw_spectrogram
from earnest.plots.style import (
    BLUE,
    COLOURS,
    GREEN,
    GRID,
    INK,
    MUTED,
    ON_BLUE,
    ORANGE,
    PAPER,
    headline,
    new_figure,
    picture,
    plain_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

DARK_CELL = 0.85  # share from which white text reads better
SELECTED = 0.8  # the coverage whose accuracy is told
FEWEST_SHOWN = 0.05  # the coverage from which a curve of accuracy is shown to its lowest point


def titled(title: str, speaker_independent: bool | None) -> str:
    """Put "speaker-dependent" or "speaker-independent" into a title without the words; nothing where it is unknown."""
    if speaker_independent is None:
        return title
    words = kind_words(speaker_independent)
    return title if words in title else f"{title} ({words})"


def plot_confusion(scores: Scores, title: str, speaker_independent: bool | None) -> bytes:
    """Return a PNG of the confusion matrix normalised by row, with a title that says whether speakers were apart."""
    figure = draw_confusion(scores, "true")
    subtitle = f"WA {100 * scores.wa:.1f} %   UA {100 * scores.ua:.1f} %   {scores.size('utterance')}"
    headline(figure, titled(title, speaker_independent), subtitle)
    return picture(figure)


def draw_confusion(scores: Scores, by: Literal["true", "predicted"]) -> "Figure":
    """Draw the confusion matrix: true class in rows, predicted in columns, coloured by share of either.

    Each cell holds its share of the true class or of the answers in per cent and, below, the count; the names of what
    it is a share of carry their number of utterances. Utterances without an answer get a column of their own.
    """
    counts, columns = _with_unanswered(scores)
    shares = normalised(counts, by)
    side = 1.7 + 0.78 * len(columns)
    figure = new_figure(side + 0.5, 1.9 + 0.68 * len(scores.classes))
    axes = figure.subplots()
    axes.imshow(shares, cmap=_from_clear_to_blue(), vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*counts.shape):
        _write_cell(axes, row, column, float(shares[row, column]), int(counts[row, column]))
    rows: Sequence[str] = scores.classes
    if by == "true":
        rows = [f"{name} ({n})" for name, n in zip(rows, counts.sum(axis=1), strict=True)]
    else:
        columns = [f"{name} ({n})" for name, n in zip(columns, counts.sum(axis=0), strict=True)]
    axes.set_xticks(range(len(columns)), columns, rotation=35, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    axes.set_xlabel("predicted", color=MUTED)
    axes.set_ylabel("true", color=MUTED)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    _draw_gaps(axes, counts.shape)
    return figure


def plot_history(history: Sequence[Mapping[str, Any]], title: str, chosen_epoch: int) -> bytes:
    """Return a PNG of what `draw_history` draws, with a title."""
    if not history:
        raise EarnestError("There is no history to draw.")
    figure = draw_history(history, chosen_epoch)
    headline(figure, title, "")
    return picture(figure)


def draw_history(history: Sequence[Mapping[str, Any]], chosen_epoch: int) -> "Figure":
    """Draw loss and UA over epochs, with the epoch that validation data chose marked.

    Parameters
    ----------
    history : one row an epoch with "epoch" and any of "train_loss", "valid_loss", "train_ua", "valid_ua"; UA from 0 to
        1; an empty text or None is a value that was not measured
    """
    figure = new_figure(9.0, 3.9)
    for axes, quantity, label, scale in zip(
        figure.subplots(1, 2), ("loss", "ua"), ("loss", "UA in %"), (1, 100), strict=True
    ):
        for name, colour in (("train", MUTED), ("valid", BLUE)):
            epochs, values = _series(history, f"{name}_{quantity}")
            if len(epochs):
                alone = "o" if len(epochs) == 1 else ""  # a line of one point is nothing to see
                axes.plot(epochs, scale * values, color=colour, linewidth=1.6, marker=alone, label=name)
        axes.axvline(chosen_epoch, color=ORANGE, linewidth=1.2, linestyle="--", label=f"chosen: epoch {chosen_epoch}")
        axes.set_xlabel("epoch", color=MUTED)
        axes.set_title(label, loc="left", fontsize=10, color=INK)
        plain_axes(axes)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    figure.axes[0].legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def draw_curves(axes: "Axes", runs: Mapping[str, Sequence[Mapping[str, Any]]], quantity: str) -> "Axes":
    """Draw one quantity of several runs over each other, a line a run, its best epoch marked.

    Parameters
    ----------
    runs : name → history as in `draw_history`
    quantity : a column of the histories, such as "valid_ua"; the best of a loss is the lowest
    """
    from matplotlib.ticker import MaxNLocator

    is_loss = quantity.endswith("loss")
    for number, (name, history) in enumerate(runs.items()):
        epochs, values = _series(history, quantity)
        if not len(epochs):
            raise EarnestError(f"{name}: its history has no '{quantity}'.")
        best = int(values.argmin() if is_loss else values.argmax())
        colour = COLOURS[number % len(COLOURS)]
        style = "-" if number < len(COLOURS) else "--"
        label = f"{name}: {values[best]:.3g} in epoch {epochs[best]:.0f}"
        axes.plot(epochs, values, color=colour, linestyle=style, linewidth=1.6, label=label)
        axes.plot(epochs[best], values[best], "o", color=colour, markersize=6)
    axes.set_xlabel("epoch", color=MUTED)
    axes.set_ylabel(quantity, color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    plain_axes(axes)
    return axes


def draw_top(axes: "Axes", probabilities: Mapping[str, float], k: int = 3, truth: str = "") -> "Axes":
    """Draw the ``k`` most probable classes as bars, the first one on top; ``truth`` is orange."""
    first = sorted(probabilities.items(), key=lambda item: -item[1])[:k]
    if not first:
        raise EarnestError("There are no probabilities to draw.")
    places = list(range(len(first)))[::-1]
    colours = [ORANGE if name == truth else BLUE for name, _ in first]
    bars = axes.barh(places, [100 * share for _, share in first], color=colours, height=0.7)
    axes.bar_label(bars, [f"{in_percent(share)} %" for _, share in first], padding=4, fontsize=9, color=INK)
    axes.set_yticks(places, [name for name, _ in first], parse_math=False)
    axes.set_xlim(0, 115)  # room for the label of 100 %
    axes.set_xticks([0, 50, 100])
    axes.set_xlabel("probability in %", color=MUTED)
    plain_axes(axes, "x")
    return axes


def draw_prediction(
    above: "Axes",
    below: "Axes",
    waveform: Waveform,
    sample_rate_hz: int,
    probabilities: Mapping[str, float],
    truth: str = "",
) -> "tuple[Axes, Axes]":
    """Draw a card of one answer: the recording's log-mels above, the three most probable classes below.

    The title of the upper axes says the most probable class and, where ``truth`` is given, whether it is right.
    """
    draw_spectrogram(above, log_mel(waveform, sample_rate_hz), len(waveform) / sample_rate_hz, sample_rate_hz / 2)
    draw_top(below, probabilities, truth=truth)
    answer = max(probabilities, key=lambda name: probabilities[name])
    verdict = f"{answer}: right" if answer == truth else f"{answer}, spoken {truth}: wrong"
    title = verdict if truth else f"most probable: {answer}"
    above.set_title(title, loc="left", fontsize=10, color=INK, parse_math=False)
    return above, below


def _with_unanswered(scores: Scores) -> tuple[npt.NDArray[np.int64], list[str]]:
    counts = np.array(scores.confusion, dtype=np.int64)
    if scores.n_answered == scores.n:
        return counts, list(scores.classes)
    missing = np.array([[scores.unanswered[name]] for name in scores.classes], dtype=np.int64)
    return np.hstack([counts, missing]), [*scores.classes, "no answer"]


def _write_cell(axes: "Axes", row: int, column: int, share: float, count: int) -> None:
    if not count:
        return
    colour = ON_BLUE if share >= DARK_CELL else INK
    axes.text(column, row - 0.1, f"{in_percent(share)} %", ha="center", va="center", color=colour, fontsize=10)
    axes.text(column, row + 0.24, f"{count}", ha="center", va="center", color=colour, fontsize=7, alpha=0.85)


def _draw_gaps(axes: "Axes", shape: tuple[int, ...]) -> None:
    axes.set_xticks(np.arange(shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=PAPER, linewidth=2)
    axes.tick_params(which="minor", length=0)


def _series(history: Sequence[Mapping[str, Any]], name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    points = [(float(row["epoch"]), float(row[name])) for row in history if row.get(name) not in (None, "")]
    array = np.array(points, dtype=np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _from_clear_to_blue() -> "Colormap":
    """Colours that look right on light and on dark paper."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    return LinearSegmentedColormap.from_list("clear to blue", [(*to_rgb(BLUE), 0.0), (*to_rgb(BLUE), 1.0)])


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
    """Draw the share right over confidence, and below it how many utterances each bin holds."""
    figure = new_figure(4.6, 4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    full = curve.counts > 0
    edges = np.linspace(0, 100, len(curve.counts) + 1)
    above.plot([0, 100], [0, 100], color=MUTED, linestyle="--", linewidth=1, label="perfectly calibrated")
    # Area of a dot: 14 square points, and up to 120 more in proportion to the utterances of its bin.
    sizes = 14 + 120 * curve.counts[full] / curve.counts.max()
    above.plot(100 * curve.confidence[full], 100 * curve.accuracy[full], color=BLUE, linewidth=1.4)
    dots = 100 * curve.confidence[full], 100 * curve.accuracy[full], sizes
    above.scatter(*dots, color=BLUE, label="measured", clip_on=False)  # those at 100 % would be cut in half
    above.set_ylabel("right, per cent", color=MUTED)
    above.set_xlim(0, 100)
    above.set_ylim(0, 100)
    above.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left")
    below.bar(edges[:-1], curve.counts, np.diff(edges), align="edge", color=BLUE, alpha=0.6)
    below.set_ylabel("utterances", color=MUTED)
    below.set_xlabel("confidence, per cent", color=MUTED)
    plain_axes(above, "both")
    plain_axes(below)
    return figure


def draw_risk_coverage(curve: RiskCoverage) -> "Figure":
    """Draw accuracy over the share of utterances that is answered, the most confident first."""
    figure = new_figure(4.6, 4.6)
    axes = figure.subplots()
    full, selected = 100 * curve.accuracy_at(1.0), 100 * curve.accuracy_at(SELECTED)
    steps = np.unique(np.linspace(0, len(curve.coverage) - 1, 400).astype(int))
    axes.plot(100 * curve.coverage[steps], 100 * curve.accuracy[steps], color=BLUE, linewidth=1.8)
    told = f"the surest {100 * SELECTED:.0f} %: {selected:.1f} %"
    axes.plot([100 * SELECTED], [selected], "o", color=ORANGE, markersize=8, label=told)
    axes.axhline(full, color=MUTED, linestyle="--", linewidth=1, label=f"all utterances: {full:.1f} %")
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower left")
    axes.set_xlim(0, 101)
    # The very first utterances alone say little: a curve of one wrong answer would begin at 0.
    lowest = 100 * float(curve.accuracy[curve.coverage >= FEWEST_SHOWN].min())
    axes.set_ylim(max(0.0, min(full, lowest) - 20), 101)
    axes.set_xlabel("coverage: utterances answered, per cent", color=MUTED)
    axes.set_ylabel("right of those, per cent", color=MUTED)
    plain_axes(axes, "both")
    return figure


def draw_speakers(parts: Sequence[Slice]) -> "Figure":
    """Draw UA of each speaker, the lowest first."""
    in_order = sorted(parts, key=lambda part: part.ua)
    figure = new_figure(min(12.0, max(4.5, 1.2 + 0.3 * len(in_order))), 3.2)
    axes = figure.subplots()
    mean = 100 * float(np.mean([part.ua for part in in_order]))
    axes.axhline(mean, color=MUTED, linestyle="--", linewidth=1, label=f"mean over speakers: {mean:.1f} %")
    axes.vlines(range(len(in_order)), 0, [100 * part.ua for part in in_order], color=GRID, linewidth=2)
    axes.plot(range(len(in_order)), [100 * part.ua for part in in_order], "o", color=BLUE)
    axes.set_xticks(range(len(in_order)), [part.value for part in in_order], rotation=90, fontsize=8)
    axes.set_ylim(0, 102)
    axes.set_ylabel("UA in %", color=MUTED)
    plain_axes(axes)
    figure.legend(loc="outside upper left", frameon=False, fontsize=9, labelcolor=INK)
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


BARS = ", bars are standard deviations over folds"
CLEAN_AFTER_DB = 5.0  # where "clean" stands, right of the highest level
LOOKS = ((MUTED, "o", "-"), (ORANGE, "s", "-"), (BLUE, "^", "-"), (GREEN, "D", "-"), (INK, "v", "--"))


def plot_matrix(matrix: Matrix, title: str) -> bytes:
    """Return a PNG of UA of every pair; cells of one corpus with itself are framed."""
    from matplotlib.patches import Rectangle

    rows, columns = matrix.rows, list(matrix.corpora)
    figure = new_figure(2.6 + 1.25 * len(columns), 2.1 + 0.8 * len(rows))
    axes = figure.subplots()
    cells = [[matrix.cells.get((row, column)) for column in columns] for row in rows]
    values = np.array([[np.nan if scores is None else scores.ua for scores in line] for line in cells])
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for place, value in np.ndenumerate(values):
        _write(axes, place, float(value), cells[place[0]][place[1]])
        if rows[place[0]] == columns[place[1]]:
            corner = (place[1] - 0.48, place[0] - 0.48)
            axes.add_patch(Rectangle(corner, 0.96, 0.96, fill=False, edgecolor=INK, linewidth=1.8))
    axes.set_xticks(range(len(columns)), columns, rotation=25, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("tested on", color=MUTED)
    axes.set_ylabel("trained on", color=MUTED)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    headline(figure, title, "UA in %; framed: unseen speakers of the same corpus")
    return picture(figure)


def _write(axes: Any, place: Sequence[int], value: float, scores: Scores | None) -> None:
    if scores is None:
        return
    colour = "white" if value >= DARK_CELL else INK
    axes.text(place[1], place[0] - 0.08, f"{100 * value:.1f}", ha="center", va="center", color=colour, fontsize=11)
    axes.text(place[1], place[0] + 0.26, f"n {scores.n}", ha="center", va="center", color=colour, fontsize=7)


def plot_noise_curves(curves: Mapping[str, NoiseCurve], title: str, subtitle: str) -> bytes:
    """Return a PNG of what `draw_noise_curves` draws, with a title."""
    figure = draw_noise_curves(curves)
    headline(figure, title, subtitle)
    return picture(figure)


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
    axes.set_xlabel("signal-to-noise ratio of the test utterances in dB", color=MUTED)
    has_bars = any(ua.sd for curve in curves.values() for _, ua in (curve.clean, *curve.levels.values()))
    axes.set_ylabel(f"UA in %{BARS if has_bars else ''}", color=MUTED)
    axes.set_ylim(bottom=0)
    plain_axes(axes)
    axes.legend(frameon=False, fontsize=9, loc="lower right", labelcolor=INK)
    return figure


def plot_learning_curve(amounts: Sequence[Amount], title: str) -> bytes:
    """Return a PNG of UA over the number of training utterances; bars are deviations over folds, if any."""
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
    axes.set_xlabel("training utterances (logarithmic)", color=MUTED)
    axes.set_ylabel(f"UA in %{BARS if any(deviations) else ''}", color=MUTED)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    headline(figure, title, "validation and test utterances are the same throughout")
    return picture(figure)


def plot_stress(tables: Mapping[str, Sequence[StressRow]], title: str, subtitle: str) -> bytes:
    """Return a PNG of ΔUA of every condition with its interval, one below the other.

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
    return picture(figure)
