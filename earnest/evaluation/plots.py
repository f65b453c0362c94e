"""Pictures of results; matplotlib's figures are used without its global state and without a screen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from earnest.errors import EarnestError, MissingExtraError
from earnest.evaluation.confusion import normalised
from earnest.evaluation.metrics import Scores
from earnest.evaluation.protocols import kind_words
from earnest.files.writing import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

DPI = 160
INK, MUTED, GRID, PAPER, ON_BLUE = "#1a1a1a", "#666666", "#dddddd", "#ffffff", "#fdfdfd"
BLUE, ORANGE, GREEN, SKY = "#0072b2", "#d55e00", "#009e73", "#56b4e8"  # Okabe and Ito (2008): for all kinds of eyes
DARK_CELL = 0.85  # share from which white text reads better


def titled(title: str, speaker_independent: bool | None) -> str:
    """Put "speaker-dependent" or "speaker-independent" into a title without the words; nothing where it is unknown."""
    if speaker_independent is None:
        return title
    words = kind_words(speaker_independent)
    return title if words in title else f"{title} ({words})"


def plot_confusion(scores: Scores, path: Path, title: str, speaker_independent: bool | None) -> None:
    """Save the confusion matrix normalised by row, with a title that says whether speakers were apart."""
    figure = draw_confusion(scores, "true")
    subtitle = f"WA {100 * scores.wa:.1f} %   UA {100 * scores.ua:.1f} %   {scores.n} utterances"
    headline(figure, titled(title, speaker_independent), subtitle)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=DPI)


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


def plot_history(history: Sequence[Mapping[str, Any]], path: Path, title: str, chosen_epoch: int) -> None:
    """Save what `draw_learning_curve` draws, with a title."""
    if not history:
        raise EarnestError(f"{path}: there is no history to draw.")
    figure = draw_learning_curve(history, chosen_epoch)
    headline(figure, title, "")
    with replacing(path) as beside:
        figure.savefig(beside, dpi=DPI)


def draw_learning_curve(history: Sequence[Mapping[str, Any]], chosen_epoch: int) -> "Figure":
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
                axes.plot(epochs, scale * values, color=colour, linewidth=1.6, label=name)
        axes.axvline(chosen_epoch, color=ORANGE, linewidth=1.2, linestyle="--", label=f"chosen: epoch {chosen_epoch}")
        axes.set_xlabel("epoch", color=MUTED)
        axes.set_title(label, loc="left", fontsize=10, color=INK)
        plain_axes(axes)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


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
    axes.text(column, row - 0.1, f"{100 * share:.0f} %", ha="center", va="center", color=colour, fontsize=10)
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


def plain_axes(axes: "Axes", grid: Literal["x", "y", "both"] = "y") -> None:
    """Leave the lower and the left line, a faint grid behind what is drawn, and numbers in ink."""
    axes.grid(axis=grid, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(MUTED)
    axes.tick_params(color=MUTED, labelcolor=INK)


def new_figure(width_in: float, height_in: float) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing", "report") from None
    return Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")


def headline(figure: "Figure", title: str, subtitle: str) -> None:
    text = f"{title}\n{subtitle}" if subtitle else title
    figure.suptitle(text, x=0.02, ha="left", fontsize=11, color=INK, wrap=True)
