"""Speed beside the baselines, as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earnest.errors import MissingExtraError
from earnest.run_files import replacing

DPI = 160
INK, MUTED, OURS, THEIRS = "#1a1a1a", "#666666", "#0072b2", "#b4b4b4"
PANELS = {"clip, ": "one clip, ms", "first answer": "first answer of a process, s", "folder": "recordings a second"}


def plot_bench(result: Mapping[str, Any], path: Path) -> None:
    """Draw one panel a measure that has a baseline; none, none."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing", "report") from None
    groups = {
        title: [row for row in result["rows"] if row["what"].startswith(start)] for start, title in PANELS.items()
    }
    groups = {
        title: [row for row in rows if not {"floor", "processes"} & set(row["what"].split())]
        for title, rows in groups.items()
    }
    groups = {title: rows for title, rows in groups.items() if len(rows) > 1}
    if not groups:
        return
    figure = Figure(figsize=(3.6 * len(groups), 2.6), layout="constrained", facecolor="white")
    for axes, (title, rows) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
        names = [_name(row["what"]) for row in rows]
        values = [row["value"] for row in rows]
        bars = axes.barh(names, values, color=[OURS if name == "earnest" else THEIRS for name in names])
        labels = [f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}" for value in values]
        axes.bar_label(bars, labels, padding=3, fontsize=8, color=INK)
        axes.set_title(title, loc="left", fontsize=9, color=INK)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.2 * max(values))
        axes.set_xticks([])
        axes.tick_params(length=0, labelsize=8, colors=MUTED)
        axes.spines[:].set_visible(False)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=DPI)


def _name(what: str) -> str:
    for shape, name in (("emocatcher", "EmoCatcher's\npipeline"), ("librosa", "librosa\nand torch")):
        if shape in what:
            return name
    return "earnest"
