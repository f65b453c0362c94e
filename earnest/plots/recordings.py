"""Recordings as pictures: one's waveform and log-mels; a corpus in numbers: recordings a class, durations, affect."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform
from earnest.errors import EarnestError
from earnest.frontends.mel import hz_to_mel
from earnest.plots.style import BLUE, GRID, INK, MUTED, ORANGE, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


def draw_counts(axes: "Axes", counts: Mapping[str, int]) -> "Axes":
    """Draw a bar a class with its number, in the order given, the first one on top."""
    from matplotlib.ticker import MaxNLocator

    names, places = list(counts), np.arange(len(counts))[::-1]
    bars = axes.barh(places, list(counts.values()), color=BLUE, height=0.72)
    axes.bar_label(bars, [f"{count:,}" for count in counts.values()], padding=4, fontsize=9, color=INK)
    axes.set_yticks(places, names, parse_math=False)
    axes.set_xlim(0, 1.12 * max(counts.values(), default=1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
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
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right", bbox_to_anchor=(1, 1))  # above all bars
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
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right", bbox_to_anchor=(1, 1))  # above all bars
    plain_axes(axes)
    return axes
