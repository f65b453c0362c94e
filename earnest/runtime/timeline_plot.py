"""A timeline as a picture: spans, waveform, probabilities over time; drawn without a screen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from earnest.audio.source import printable
from earnest.errors import EarnestError, MissingExtraError
from earnest.runtime.timeline import Segment, Span, Timeline, Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

DPI = 160
INK, MUTED, GRID, WAVE = "#1a1a1a", "#666666", "#dddddd", "#8a8f98"
# Okabe and Ito (2008), distinct in every common colour blindness; the rest are darker or lighter relatives.
COLOURS: Mapping[str, str] = {
    "neutral": "#b4b4b4",
    "calm": "#56b4e9",
    "happy": "#f0e442",
    "sad": "#0072b2",
    "angry": "#d55e00",
    "fearful": "#cc79a7",
    "disgust": "#009e73",
    "surprised": "#e69f00",
    "boredom": "#8c6d4f",
    "excited": "#f7b6a0",
    "frustration": "#7a2f00",
    "contempt": "#5b4a8a",
    "other": "#3f3f3f",
}
SPARE = ("#44aa99", "#882255", "#ddcc77", "#332288", "#117733", "#aa4499")
NARROW = 0.045  # share of the width that a span's name needs


def plot_timeline(timeline: Timeline, path: Path, title: str | None = None) -> None:
    """Draw a timeline into a file; its suffix chooses the format.

    Raises
    ------
    MissingExtraError
        Where matplotlib is not installed.
    EarnestError
        When the file can't be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing", "report") from None
    figure = Figure(figsize=(11, 4.8), layout="constrained", facecolor="white")
    strip, wave, stack = figure.subplots(3, 1, sharex=True, height_ratios=(0.45, 1, 1.7))
    colours = colours_of(timeline.classes)
    _draw_spans(strip, timeline, colours)
    _draw_waveform(wave, timeline, colours)
    _draw_probabilities(stack, timeline, colours)
    stack.set_xlim(0, max(timeline.duration_s, 0.1))
    _time_axis(stack, timeline.duration_s)
    figure.suptitle(title or _headline(timeline), x=0.01, ha="left", fontsize=11, color=INK)
    try:
        figure.savefig(path, dpi=DPI)
    except (OSError, ValueError) as error:
        raise EarnestError(f"{path}: can't be drawn ({error}). Use a name that ends in .png, .svg or .pdf.") from error


def colours_of(classes: Sequence[str]) -> dict[str, str]:
    """Return class → colour, the same for the same name everywhere."""
    unknown = [name for name in classes if name not in COLOURS]
    return {name: COLOURS.get(name) or SPARE[unknown.index(name) % len(SPARE)] for name in classes}


def _headline(timeline: Timeline) -> str:
    speech = f"{timeline.prediction.speech_s or 0:.1f} s of speech in {timeline.duration_s:.1f} s"
    return f"{printable(Path(timeline.path).name)}: {speech}"


def _draw_spans(axes: "Axes", timeline: Timeline, colours: Mapping[str, str]) -> None:
    for span in timeline.spans:
        width_s = span.end_s - span.start_s
        axes.barh(0, width_s, left=span.start_s, height=0.8, color=colours[span.emotion], edgecolor="white")
        _name_span(axes, span, colours[span.emotion], width_s / max(timeline.duration_s, 0.1))
    axes.set_ylim(-0.5, 0.5)
    axes.axis("off")


def _name_span(axes: "Axes", span: Span, colour: str, share: float) -> None:
    if share < NARROW:
        return
    text = f"{printable(span.emotion)}{'  ' if share > 3 * NARROW else chr(10)}{span.confidence:.0%}"
    ink = INK if _lightness(colour) > 0.45 else "white"
    middle_s = (span.start_s + span.end_s) / 2
    axes.text(middle_s, 0, text, ha="center", va="center", color=ink, fontsize=8, clip_on=True)


def _lightness(colour: str) -> float:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _draw_waveform(axes: "Axes", timeline: Timeline, colours: Mapping[str, str]) -> None:
    envelope = timeline.envelope
    if envelope is not None and len(envelope.peaks):
        peaks = np.repeat(envelope.peaks, 2)
        edges_s = np.repeat(np.arange(len(envelope.peaks) + 1) * envelope.step_s, 2)[1:-1]
        axes.fill_between(edges_s, -peaks, peaks, color=WAVE, linewidth=0.3)
        for span in timeline.spans:
            inside = (edges_s >= span.start_s) & (edges_s <= span.end_s)
            axes.fill_between(
                edges_s[inside], -peaks[inside], peaks[inside], color=colours[span.emotion], linewidth=0.3
            )
        top = max(float(peaks.max()), 1e-3)
        axes.set_ylim(-1.05 * top, 1.05 * top)
    axes.set_ylabel("waveform", color=MUTED, fontsize=9)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _draw_probabilities(axes: "Axes", timeline: Timeline, colours: Mapping[str, str]) -> None:
    shown = [
        name for name in timeline.classes if any(window.probabilities[name] >= 0.01 for window in timeline.windows)
    ]
    for segment in timeline.segments:
        times_s, shares = _curve(timeline.windows, segment, timeline.classes)
        if len(times_s):
            axes.stackplot(times_s, *shares.T, colors=list(colours.values()), edgecolor="white", linewidth=0.4)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"], fontsize=8)
    axes.set_ylabel("probability", color=MUTED, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=MUTED, length=2)
    handles = [_patch(colours[name], printable(name)) for name in reversed(shown)]
    if handles:
        axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)


def _patch(colour: str, label: str) -> "Patch":
    from matplotlib.patches import Patch

    return Patch(color=colour, label=label)


def _curve(
    windows: Sequence[Window], segment: Segment, classes: Sequence[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the windows' centres and probabilities in a segment, drawn out to its edges."""
    inside = [window for window in windows if segment.start_s <= window.start_s < segment.end_s]
    if not inside:
        return np.empty(0), np.empty((0, len(classes)))
    times_s = [segment.start_s, *((window.start_s + window.end_s) / 2 for window in inside), segment.end_s]
    shares = [[window.probabilities[name] for name in classes] for window in inside]
    return np.array(times_s), np.array([shares[0], *shares, shares[-1]])


def _time_axis(axes: "Axes", duration_s: float) -> None:
    axes.xaxis.set_major_formatter(lambda seconds, _: clock(seconds, duration_s))
    axes.tick_params(axis="x", labelsize=8)


def clock(seconds: float, longest_s: float) -> str:
    """Return a time as people write it, as long as the longest one needs: 7.5 s, 1:07, 2:03:07."""
    if longest_s < 60:
        return f"{seconds:g} s"
    whole = round(seconds)
    if longest_s < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
