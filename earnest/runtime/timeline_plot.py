"""A timeline as a picture: spans, waveform, probabilities over time; drawn without a screen."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from earnest.errors import EarnestError, printable
from earnest.files.writing import write_atomically
from earnest.labels import UNSURE
from earnest.runtime.prediction import Segment, Span, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from earnest.runtime.timeline import Timeline

INK, MUTED, GRID, WAVE = "#1a1a1a", "#666666", "#dddddd", "#cfd3da"
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
UNSURE_COLOUR, BURST_COLOUR = "#7d7d7d", "#8cc9cc"  # the first is darker than neutral, as on the page
HATCHES: Mapping[str, str] = {"(crying)": "////", "(scream)": "xxxx", "(sigh)": "....", "(other)": "----"}
SPARE = ("#44aa99", "#882255", "#ddcc77", "#332288", "#117733", "#aa4499")
MANY = 150  # segments or spans that can be told apart
COLUMNS = 600  # of the picture's width, where there are more
LEAST = 1 / 750  # share of the width that a span has: two pixels
NEEDED = 2 * LEAST  # that it needs for more than its white edges to be seen
STEPS_S = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 36000, 86400)
LETTER = 0.007  # share of the width that a letter of a span's name needs
LONGEST_NAME = 80  # letters of a recording's name in the title


def plot_timeline(timeline: "Timeline", path: Path | None, title: str | None) -> "Figure":
    """Draw a timeline, into a file where one is named; its suffix chooses the format.

    Raises `MissingExtraError` where matplotlib is not installed; `EarnestError` when the file can't be written.
    """
    from earnest.plots.style import drawn, new_figure, take_literally

    figure = new_figure(11, 4.8)
    strip, wave, stack = figure.subplots(3, 1, sharex=True, height_ratios=(0.45, 1, 1.7))
    colours = _entry_colours(timeline)
    _draw_spans(strip, timeline, colours)
    _draw_waveform(wave, timeline, colours)
    _draw_probabilities(stack, timeline, colours_of(timeline.classes))
    _draw_legend(stack, timeline, colours)
    stack.set_xlim(0, max(timeline.duration_s, 0.1))
    _time_axis(stack, timeline.duration_s)
    figure.suptitle(title or _headline(timeline), x=0.01, ha="left", fontsize=11, color=INK)
    take_literally(figure)
    if path is not None:
        if not path.name:
            raise EarnestError(f"{path}: a folder. Give the name of a file in it, such as talk.png.")
        try:
            data = drawn(figure, path.suffix)
        except ValueError as error:
            hint = "Use a name that ends in .png, .svg or .pdf."
            raise EarnestError(f"{path}: can't be drawn ({error}). {hint}") from error
        write_atomically(path, data)
    return figure


def colours_of(classes: Sequence[str]) -> dict[str, str]:
    """Return class → colour, the same for the same name everywhere."""
    unknown = [name for name in classes if name not in COLOURS]
    return {name: COLOURS.get(name) or SPARE[unknown.index(name) % len(SPARE)] for name in classes}


def label_colour(label: str, classes: Sequence[str]) -> str:
    """Return the colour of a span: of its emotion, of "unsure", or of a vocal burst."""
    return colours_of(classes).get(label) or (UNSURE_COLOUR if label == UNSURE else BURST_COLOUR)


def _entry_colours(timeline: "Timeline") -> dict[str, str]:
    """Return label → colour, of all classes and of what else the timeline holds."""
    labels = dict.fromkeys([*timeline.classes, *(entry.emotion for entry in timeline.entries())])
    return {label: label_colour(label, timeline.classes) for label in labels}


def _headline(timeline: "Timeline") -> str:
    seconds = round(timeline.speech_s, 1), round(timeline.duration_s, 1)
    speech, whole = (clock(value, timeline.duration_s) for value in seconds)
    name = printable(Path(timeline.path).name)
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME // 2]}…{name[-LONGEST_NAME // 2 :]}"
    return f"{name}: {speech} of speech in {whole}"


def _are_dense(timeline: "Timeline", parts: Sequence[Span] | Sequence[Segment]) -> bool:
    """Whether parts of a recording are too many, or one of them too short, to be drawn one by one with white edges."""
    shortest_s = min((part.end_s - part.start_s for part in parts), default=timeline.duration_s)
    return len(parts) > MANY or shortest_s < NEEDED * timeline.duration_s


def _draw_spans(axes: "Axes", timeline: "Timeline", colours: Mapping[str, str]) -> None:
    entries = timeline.entries()
    are_dense, least_s = _are_dense(timeline, entries), LEAST * timeline.duration_s
    for name, colour in colours.items():
        own = [span for span in entries if span.emotion == name]
        widths_s = [max(span.end_s - span.start_s, least_s) for span in own]
        starts_s = (min(span.start_s, timeline.duration_s - least_s) for span in own)
        extents = list(zip(starts_s, widths_s, strict=True))
        # White edges would hide narrow spans; these are pixels, too, in SVG and PDF. Hatches have their colour.
        bars = axes.broken_barh(extents, (-0.4, 0.8), facecolor=colour, edgecolor="white", hatch=HATCHES.get(name))
        if are_dense:
            bars.set(linewidth=0, rasterized=True)
    for span in entries:
        _name_span(axes, span, colours[span.emotion], (span.end_s - span.start_s) / max(timeline.duration_s, 0.1))
    axes.set_ylim(-0.5, 0.5)
    axes.axis("off")


def _name_span(axes: "Axes", span: Span, colour: str, share: float) -> None:
    name, sure, n_fitting = printable(span.emotion), percent(span.confidence), share / LETTER
    beside = f"{name}  {sure}"
    below = [name] * (len(name) <= n_fitting) + [sure] * (len("> 95%") <= n_fitting)  # the legend has all names
    text = beside if len(beside) <= n_fitting else "\n".join(below)
    if not text:
        return
    ink = INK if _lightness(colour) > 0.45 else "white"
    middle_s = (span.start_s + span.end_s) / 2
    axes.text(middle_s, 0, text, ha="center", va="center", color=ink, fontsize=8, clip_on=True)


def _lightness(colour: str) -> float:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue  # luma of Rec. 601


def _draw_waveform(axes: "Axes", timeline: "Timeline", colours: Mapping[str, str]) -> None:
    envelope = timeline.envelope
    if envelope is not None and len(envelope.peaks):
        # Every peak is a step: times 0 s s 2s 2s 3s … beside peaks p0 p0 p1 p1 p2 p2 …
        edges_s = np.repeat(np.arange(len(envelope.peaks) + 1) * envelope.step_s, 2)[1:-1]
        peaks = np.repeat(envelope.peaks, 2)
        owner = _emotions_of(timeline, edges_s.reshape(-1, 2), list(colours)).repeat(2)
        axes.fill_between(edges_s, -peaks, peaks, color=WAVE, linewidth=0.3)
        for number, colour in enumerate(colours.values()):
            axes.fill_between(edges_s, -peaks, peaks, where=owner == number, color=colour, linewidth=0.3)
        top = max(float(peaks.max()), 1e-3)
        axes.set_ylim(-1.05 * top, 1.05 * top)
    axes.set_ylabel("waveform", color=MUTED, fontsize=9)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _emotions_of(timeline: "Timeline", steps_s: npt.NDArray[np.float64], names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the number of the label of the last span in each step, -1 for none.

    Parameters
    ----------
    steps_s : shape (steps, 2), where each begins and ends
    """
    entries = timeline.entries()
    if not entries:
        return np.full(len(steps_s), -1)
    starts_s, ends_s = (np.array([getattr(span, name) for span in entries]) for name in ("start_s", "end_s"))
    found = np.searchsorted(starts_s, steps_s[:, 1]) - 1  # the last span that starts before the step ends
    numbers = np.array([names.index(span.emotion) for span in entries])[found]
    return np.where((found >= 0) & (steps_s[:, 0] < ends_s[found]), numbers, -1)


def _draw_probabilities(axes: "Axes", timeline: "Timeline", colours: Mapping[str, str]) -> None:
    for times_s, shares in _curves(timeline):
        axes.stackplot(times_s, *shares, colors=list(colours.values()), edgecolor="white", linewidth=0.4)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"], fontsize=8)
    axes.set_ylabel("probability", color=MUTED, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=MUTED, length=2)


def _draw_legend(axes: "Axes", timeline: "Timeline", colours: Mapping[str, str]) -> None:
    """Draw the legend: classes as they are stacked, below them "unsure" and kinds of vocal bursts."""
    from matplotlib.patches import Patch

    seen = [name for name in timeline.classes if any(window.probabilities[name] >= 0.01 for window in timeline.windows)]
    names = [*reversed(seen), *(name for name in colours if name not in timeline.classes)]
    handles = [
        Patch(facecolor=colours[name], edgecolor="white", hatch=HATCHES.get(name), label=printable(name))
        for name in names
    ]
    if handles:
        axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)


def _curves(timeline: "Timeline") -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Yield times and probabilities, (times,) and (classes, times), of each segment; dense ones are one."""
    if _are_dense(timeline, timeline.segments):
        shares = shares_over_time(timeline, COLUMNS)
        # Steps, as in the waveform.
        yield np.linspace(0, timeline.duration_s, COLUMNS + 1).repeat(2)[1:-1], shares.repeat(2, axis=1)
        return
    for segment in timeline.segments:
        inside = [window for window in timeline.windows if segment.start_s <= window.start_s < segment.end_s]
        if inside:
            centres_s = ((window.start_s + window.end_s) / 2 for window in inside)
            shares = np.array([[window.probabilities[name] for name in timeline.classes] for window in inside]).T
            times_s = np.array([segment.start_s, *centres_s, segment.end_s])
            # (classes, windows + 2): the first and the last answer reach to the segment's ends.
            yield times_s, np.hstack([shares[:, :1], shares, shares[:, -1:]])


def shares_over_time(timeline: "Timeline", n_columns: int) -> npt.NDArray[np.float64]:
    """Return, for each of equal parts of a recording, the mean probability of each class over the windows in it.

    Returns
    -------
    shape (classes, columns), 0 where nobody speaks
    """
    sums = np.zeros((len(timeline.classes), n_columns))
    counts = np.zeros(n_columns)
    scale = n_columns / max(timeline.duration_s, 1e-3)  # columns a second
    for window in timeline.windows:
        first = min(int(window.start_s * scale), n_columns - 1)
        last = min(max(first + 1, round(window.end_s * scale)), n_columns)  # a short window has one column
        sums[:, first:last] += np.array([window.probabilities[name] for name in timeline.classes])[:, None]
        counts[first:last] += 1
    return sums / np.maximum(counts, 1)  # mean over the windows in a column; 0 / 1 without any


def _time_axis(axes: "Axes", duration_s: float) -> None:
    step_s = tick_step_s(duration_s, 12)
    axes.set_xticks(np.arange(0, duration_s, step_s))
    axes.xaxis.set_major_formatter(lambda seconds, _: clock(seconds, duration_s))
    axes.tick_params(axis="x", labelsize=8)


def tick_step_s(longest_s: float, most: float) -> float:
    """Return the shortest round step of time that needs no more than ``most`` marks."""
    return next((step for step in STEPS_S if longest_s / step <= most), STEPS_S[-1])


def clock(seconds: float, longest_s: float | None = None) -> str:
    """Return a time as people write it, as long as the longest one (default: it) needs: 7.5 s, 1:07, 2:03:07."""
    longest_s = seconds if longest_s is None else longest_s
    if longest_s < 60:
        return f"{round(seconds, 3):g} s"
    whole = round(seconds)
    if longest_s < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
