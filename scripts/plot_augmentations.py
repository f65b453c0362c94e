"""Draw docs/augmentations.png: one bundled recording of synthetic speech, and what each augmentation makes of it.

python scripts/plot_augmentations.py [FILE]

Nothing but the bundled recordings is used: the "noise" of `noise-files` is another of them. The same picture every
time.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from PIL import Image

import earnest
from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.augment.base import build_chain

RATE_HZ = 16_000
N_FFT, HOP = 512, 128  # 32 and 8 ms
HIGHEST_DB, RANGE_DB = 0, 70
DPI = 90
DEMO = Path(earnest.__file__).parent / "demo"
PICTURE = Path(__file__).resolve().parent.parent / "docs" / "augmentations.png"
SEED = 3
PANELS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("the clip itself", "synthetic speech", {}),
    ("gain", "−15 dB", {"gain_db": [-15, -15]}),
    ("level", "−15 dBFS", {"level_dbfs": [-15, -15]}),
    ("time-shift", "0.6 s earlier, circular", {"step_s": 0.6, "most_s": 0.6}),
    ("align", "to the right of 4 s", {"sides": ["right"], "length_s": 4.0}),
    ("time-stretch", "rate 0.8, same pitch", {"rate": [0.8, 0.8]}),
    ("pitch-shift", "+5 semitones, same speed", {"semitones": [5, 5]}),
    ("speed", "rate 1.25", {"rate": [1.25, 1.25]}),
    ("gaussian-noise", "0.075 of the clip", {"deviation": [0.075, 0.075]}),
    ("coloured-noise", "pink, 10 dB", {"colours": ["pink"], "snr_db": [10, 10]}),
    ("noise-files", "another voice, 5 dB", {"folder": str(DEMO), "names": ["loud-and-fast"], "snr_db": [5, 5]}),
    ("reverb", "0.8 s, direct sound 0 dB", {"rt60_s": [0.8, 0.8], "direct_db": [0, 0]}),
    ("bandwidth", "up to 5 kHz", {"highest_hz": [5000, 5000]}),
    ("telephone", "300 to 3,400 Hz, µ-law", {}),
    ("codec", "mp3 at compression 0.98", {"formats": ["mp3"], "compression": [0.98, 0.98]}),
    ("codec", "opus at compression 0.98", {"formats": ["opus"], "compression": [0.98, 0.98]}),
)


def main(path: Path) -> None:
    """Draw four rows: level and place, time and pitch, noise and room, channel."""
    clip = load_waveform(DEMO / "plain.flac", RATE_HZ)
    results = [augmented(clip, name, settings) for name, _, settings in PANELS]
    longest_s = max(len(result) for result in results) / RATE_HZ
    loudest = powers_of(clip).max()
    figure, axes = plt.subplots(4, 4, figsize=(12, 9.5), sharex=True, sharey=True, layout="constrained")
    for axis, (name, manner, _), result in zip(axes.flat, PANELS, results, strict=True):
        image = draw(axis, result, loudest)
        axis.set_title(name, fontsize=11, fontweight="bold", loc="left", pad=16)
        axis.annotate(manner, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=9)
        axis.set_xlim(0, longest_s)
    for axis in axes[-1]:
        axis.set_xlabel("time in s")
    for axis in axes[:, 0]:
        axis.set_ylabel("frequency in kHz")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=40, pad=0.015)
    bar.set_label("power in dB, relative to the loudest of the clip itself")
    figure.set_dpi(DPI)
    figure.canvas.draw()
    drawn = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    few = drawn.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # a third of the size
    few.save(path, optimize=True)


def augmented(clip: Waveform, name: str, settings: dict[str, object]) -> Waveform:
    """Augment a recording with a fixed seed; a name that is none leaves the recording alone."""
    tables = [{"name": name, **settings}] if name != PANELS[0][0] else []
    return build_chain(tables, RATE_HZ)(clip, np.random.default_rng(SEED))


def powers_of(waveform: Waveform) -> npt.NDArray[np.float64]:
    """Return the power spectrogram, shape (bins, frames); frame ``n`` is centred on sample ``n * HOP``."""
    padded = np.pad(waveform.astype(np.float64), N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    return np.asarray(np.abs(np.fft.rfft(frames * np.hanning(N_FFT), axis=1)).T ** 2)


def draw(axis: Axes, waveform: Waveform, loudest: float) -> AxesImage:
    """Draw one spectrogram; what is beyond its end stays grey."""
    levels_db = 10 * np.log10(powers_of(waveform) / loudest + 1e-12)
    end_s = len(waveform) / RATE_HZ
    axis.set_facecolor("#d9d9d9")
    axis.spines[:].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.set_yticks([0, 2, 4, 6, 8])
    return axis.imshow(
        levels_db,
        origin="lower",
        aspect="auto",
        extent=(0, end_s, 0, RATE_HZ / 2000),
        cmap=plt.get_cmap("magma", RANGE_DB),  # one colour a decibel
        vmin=HIGHEST_DB - RANGE_DB,
        vmax=HIGHEST_DB,
        interpolation="nearest",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
