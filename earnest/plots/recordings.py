"""Pictures of recordings, of a corpus in numbers, and of a network: filters, feature maps, attention, saliency.

What a network's pictures show comes from `earnest.training.explain`; here it is drawn, without torch.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform
from earnest.errors import EarnestError
from earnest.frontends.mel import hz_to_mel
from earnest.plots.style import BLUE, COLOURS, GRID, INK, MUTED, ORANGE, new_figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COLUMNS = 800  # of a waveform's picture
TICKS_HZ = (250, 500, 1000, 2000, 4000, 8000, 16_000)
N_BINS = 30


def draw_waveform(
    axes: "Axes", waveform: Waveform, sample_rate_hz: int, kept_s: tuple[float, float] | None = None
) -> "Axes":
    """Draw samples over time, each column of the picture from its lowest to its highest sample.

    Parameters
    ----------
    waveform : shape (samples,)
    kept_s : first and last second that trimming leaves; the rest is grey
    """
    if not len(waveform):
        raise EarnestError("A waveform without samples can't be drawn.")
    duration_s = len(waveform) / sample_rate_hz
    # (columns,): the first sample of each column.
    edges = np.unique(np.linspace(0, len(waveform), min(COLUMNS, len(waveform)) + 1).astype(np.intp))[:-1]
    low, high = np.minimum.reduceat(waveform, edges), np.maximum.reduceat(waveform, edges)
    time_s = edges / sample_rate_hz
    first_s, last_s = kept_s or (0.0, duration_s)
    kept = (time_s >= first_s) & (time_s <= last_s)
    for inside, colour in ((kept, BLUE), (~kept, MUTED)):
        axes.vlines(time_s[inside], low[inside], high[inside], color=colour, linewidth=0.8)
    if kept_s:
        axes.axvspan(first_s, last_s, color=BLUE, alpha=0.08, linewidth=0)
    largest = max(float(np.abs(waveform).max()), 1e-4)
    axes.set_xlim(0, duration_s)
    axes.set_ylim(-1.05 * largest, 1.05 * largest)
    axes.set_xlabel("time in s", color=MUTED)
    plain_axes(axes)
    return axes


def draw_spectrogram(
    axes: "Axes", decibels: npt.NDArray[np.floating], duration_s: float, highest_hz: float | None = None
) -> "Axes":
    """Draw a spectrogram, low frequencies below.

    Parameters
    ----------
    decibels : shape (bands, frames), of any front end; the colours reach from the lowest to the highest value
    highest_hz : of the uppermost of mel bands that begin at 0 Hz; without it, bands are numbered
    """
    bands = len(decibels)
    axes.imshow(
        decibels, cmap="magma", origin="lower", aspect="auto", extent=(0, duration_s, 0, bands), interpolation="nearest"
    )
    axes.set_xlabel("time in s", color=MUTED)
    if highest_hz is None:
        axes.set_ylabel("band", color=MUTED)
    else:
        ticks_hz = [hz for hz in TICKS_HZ if hz <= highest_hz]
        # Bands are even in mel: f stands at bands · mel(f) / mel(highest).
        axes.set_yticks(bands * hz_to_mel(ticks_hz) / hz_to_mel(highest_hz), [f"{hz / 1000:g}" for hz in ticks_hz])
        axes.set_ylabel("kHz", color=MUTED)
    axes.spines[:].set_color(GRID)
    axes.tick_params(color=MUTED, labelcolor=INK)
    return axes


def draw_counts(axes: "Axes", counts: Mapping[str, int], unit: str = "recordings") -> "Axes":
    """Draw a bar a class with its number, in the order given, the first one on top.

    Parameters
    ----------
    unit : what is counted, in the plural
    """
    from matplotlib.ticker import MaxNLocator

    names, places = list(counts), np.arange(len(counts))[::-1]
    bars = axes.barh(places, list(counts.values()), color=BLUE, height=0.72)
    axes.bar_label(bars, [f"{count:,}" for count in counts.values()], padding=4, fontsize=9, color=INK)
    axes.set_yticks(places, names, parse_math=False)
    axes.set_xlim(0, 1.12 * max(counts.values(), default=1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(unit, color=MUTED)
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
    axes.set_xlim(0, end_s)
    return _with_middle(axes, median_s, f"median {median_s:.2f} s", "duration in s")


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
    return _with_middle(axes, mean, f"mean {mean:.2f}", name)


def _with_middle(axes: "Axes", middle: float, label: str, quantity: str) -> "Axes":
    """Mark the middle of a histogram of recordings, and name its axes."""
    axes.axvline(middle, color=ORANGE, linewidth=1.4, linestyle="--", label=label)
    axes.set_xlabel(quantity, color=MUTED)
    axes.set_ylabel("recordings", color=MUTED)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right", bbox_to_anchor=(1, 1))  # above all bars
    plain_axes(axes)
    return axes


Floats = npt.NDArray[np.floating]
MOST_TILES = 64
GAP = 1  # pixels between tiles
FAINT = 0.6  # share of the largest saliency below which the spectrogram shines through
MARKERS = ("o", "^", "s", "D", "v", "P", "X")


def draw_filters(axes: "Axes", filters: Floats) -> "Axes":
    """Draw filters as tiles, low frequencies below, blue for weights below zero and red above, all to one scale.

    Parameters
    ----------
    filters : shape (filters, height, width), low frequencies first; of more than 64 the first 64
    """
    largest = float(np.abs(filters).max(initial=0)) or 1.0
    return _draw_tiles(axes, filters, "RdBu_r", (-largest, largest))


def draw_feature_maps(axes: "Axes", maps: Floats) -> "Axes":
    """Draw feature maps as tiles, low frequencies below, each scaled to its own range.

    Parameters
    ----------
    maps : shape (channels, bands, frames), low frequencies first; or (channels, frames) of a network that convolves
        over time alone, which is drawn as one picture, a row a channel
    """
    if maps.ndim == 2:
        axes.imshow(maps, cmap="magma", origin="lower", aspect="auto", interpolation="nearest")
        axes.set_xlabel("frame", color=MUTED)
        axes.set_ylabel("channel", color=MUTED)
        return axes
    # (m − min)/(max − min), map by map; low and high are (channels, 1, 1).
    low, high = (choose(maps, axis=(1, 2), keepdims=True) for choose in (np.min, np.max))
    return _draw_tiles(axes, (maps - low) / np.maximum(high - low, 1e-9), "magma", (0, 1))


def draw_attention(axes: "Axes", decibels: Floats, weights: Floats, duration_s: float) -> "Axes":
    """Draw a spectrogram with the weight of each moment as a line over it.

    Parameters
    ----------
    decibels : shape (bands, frames)
    weights : shape (steps,), over the whole of the frames
    """
    draw_spectrogram(axes, decibels, duration_s)
    # The largest weight reaches the uppermost band.
    heights = len(decibels) * weights / max(float(weights.max()), 1e-12)
    edges_s = np.linspace(0, duration_s, len(weights) + 1)
    axes.stairs(heights, edges_s, color="white", linewidth=3)
    axes.stairs(heights, edges_s, color=ORANGE, linewidth=1.8)
    axes.set_xlim(0, duration_s)
    axes.set_ylim(0, len(decibels))
    return axes


def draw_saliency(axes: "Axes", decibels: Floats, saliency: Floats, duration_s: float) -> "Axes":
    """Draw a grey spectrogram, and in colour what the answer depends on most.

    Parameters
    ----------
    decibels, saliency : shape (bands, frames); the size of the gradient, any positive scale
    """
    if decibels.shape != saliency.shape:
        raise EarnestError(f"Saliency {saliency.shape} and spectrogram {decibels.shape} must have the same shape.")
    draw_spectrogram(axes, decibels, duration_s)
    (below,) = axes.images
    below.set_cmap("gray")
    # The hundredth part with the largest values would leave nothing else visible.
    share = np.clip(saliency / max(float(np.quantile(saliency, 0.99)), 1e-12), 0, 1)
    extent = (0, duration_s, 0, len(decibels))
    axes.imshow(share, cmap="inferno", alpha=np.minimum(share / FAINT, 1), origin="lower", aspect="auto", extent=extent)
    return axes


def _draw_tiles(axes: "Axes", tiles: Floats, colours: str, limits: tuple[float, float]) -> "Axes":
    """Draw (tiles, height, width), about as many columns as rows of them look square."""
    if tiles.ndim != 3 or not len(tiles):
        raise EarnestError(f"Tiles have the shape (tiles, height, width), not {tiles.shape}.")
    shown = tiles[:MOST_TILES]
    n, height, width = shown.shape
    # c columns of n/c rows are twice as wide as high where c² = 2·n·(height + gap)/(width + gap).
    columns = min(n, max(1, round(np.sqrt(2 * n * (height + GAP) / (width + GAP)))))
    rows = -(-n // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), np.nan)
    for number, tile in enumerate(shown):
        top, left = (number // columns) * (height + GAP), (number % columns) * (width + GAP)
        sheet[top : top + height, left : left + width] = tile[::-1]  # the picture's first row is its uppermost
    axes.imshow(sheet, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.axis("off")
    if len(tiles) > n:
        axes.set_title(f"the first {n} of {len(tiles)}", loc="left", fontsize=9, color=MUTED)
    return axes


def draw_map(places: Floats, colourings: Mapping[str, Sequence[str]]) -> "Figure":
    """Draw one point an utterance, once for each way to colour them.

    Parameters
    ----------
    places : shape (utterances, 2)
    colourings : title → one name an utterance
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


def draw_attention_panels(clips: Sequence[tuple[str, Floats, Floats]]) -> "Figure":
    """Draw log-mels with the attention over them, one panel an utterance.

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
