"""Changes of the stress table: noise, babble, telephone, codecs, rooms, level, clipping, filters.

Some of the changes are hardly heard by anybody, after audEERING's ser-tests; further turned up, everybody hears them.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.bandwidth import Spectrum, filtered
from earnest.augment.base import generator_for, mix_at_snr, power
from earnest.augment.codec import Codec
from earnest.augment.coloured_noise import ColouredNoise
from earnest.augment.gain import with_gain
from earnest.augment.level import at_level
from earnest.augment.noise_files import NoiseFiles, drawn_stretch
from earnest.augment.reverb import Reverb
from earnest.augment.telephone import over_telephone

Change: TypeAlias = Callable[[Waveform, int, np.random.Generator], Waveform]
"""A clip (samples,), its rate in Hz and a generator to a changed copy."""
Kind = Literal["low-pass", "high-pass"]
FEWEST, MOST = 4, 7  # voices, as in audEERING's ser-tests
LEVEL_DBFS = -26.0  # of each voice, so that none stands out


def clipped(waveform: Waveform, share: float) -> Waveform:
    """Cut the loudest samples off, as many as the share says; the others stay as they are.

    Parameters
    ----------
    waveform : shape (samples,)
    share : of the samples, from 0 to 1

    Returns
    -------
    shape (samples,), float32
    """
    limit = np.quantile(np.abs(waveform), 1 - share)  # the level that this share of samples exceeds
    return np.asarray(np.clip(waveform, -limit, limit), np.float32)


def with_tone(waveform: Waveform, frequency_hz: float, below_peak_db: float, sample_rate_hz: int) -> Waveform:
    """Add a sine whose peak is so many decibels below that of the utterance, shape (samples,); float32."""
    # x + A·sin(2πft), with A = peak·10^(−dB/20).
    amplitude = float(np.abs(waveform).max()) * 10 ** (-below_peak_db / 20)
    phase = 2 * np.pi * frequency_hz * np.arange(len(waveform)) / sample_rate_hz
    return np.asarray(waveform + amplitude * np.sin(phase), np.float32)


def first_order(waveform: Waveform, kind: Kind, cutoff_hz: float, sample_rate_hz: int) -> Waveform:
    """Filter with the gains of a first-order Butterworth: −3 dB at the cutoff, 6 dB an octave beyond; no delay.

    Parameters
    ----------
    waveform : shape (samples,)

    Returns
    -------
    shape (samples,), float32
    """

    def gains(frequencies_hz: Spectrum) -> Spectrum:
        ratio = frequencies_hz / cutoff_hz
        # |H| = 1/√(1 + (f/f_c)²), times f/f_c for high-pass.
        return np.asarray((1.0 if kind == "low-pass" else ratio) / np.sqrt(1 + ratio**2))

    return filtered(waveform, sample_rate_hz, gains)


def tilted(waveform: Waveform, db_per_khz: float, sample_rate_hz: int) -> Waveform:
    """Let the spectrum rise (or fall) by so many decibels a kHz, and keep the level.

    Parameters
    ----------
    waveform : shape (samples,)

    Returns
    -------
    shape (samples,), float32, of the same root mean square as ``waveform``
    """
    # 10^(L/20) with L = slope · f in kHz
    found = filtered(waveform, sample_rate_hz, lambda hz: np.asarray(10 ** (db_per_khz * hz / 1000 / 20)))
    before = power(waveform)
    return at_level(found, 10 * np.log10(before)) if before > 0 else found


def padded(waveform: Waveform, before: int, after: int) -> Waveform:
    """Put so many zeros before and after an utterance; negative numbers crop, and leave a sample at least.

    Parameters
    ----------
    waveform : shape (samples,)

    Returns
    -------
    shape (samples + before + after,), float32, a copy
    """
    first = min(max(-before, 0), len(waveform) - 1)
    last = max(len(waveform) - max(-after, 0), first + 1)
    return np.pad(waveform[first:last], (max(before, 0), max(after, 0))).astype(np.float32)


def babble(voices: Sequence[Path], n_samples: int, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
    """Add up random stretches of four to seven recordings, each at the same level.

    Parameters
    ----------
    voices : recordings of speech, at least one; with fewer than are drawn, some speak twice

    Returns
    -------
    shape (n_samples,), float32, not clipped to [-1, 1]
    """
    n_voices = int(rng.integers(FEWEST, MOST + 1))
    chosen = rng.choice(len(voices), n_voices, replace=len(voices) < n_voices)
    stretches = [drawn_stretch(voices[index], n_samples, sample_rate_hz, rng) for index in chosen]
    return np.asarray(sum(at_level(stretch, LEVEL_DBFS) for stretch in stretches), np.float32)


LEVELS_DB = (20.0, 10.0, 5.0, 0.0)
NOISE, LOUDER, PHONE, ROOM, SMALL, TILT, STRONG = (
    "background noise",
    "louder noise",
    "phone and coding",
    "room",
    "small changes",
    "spectral tilt",
    "strong changes",
)
SHORT_S = (100 / 16_000, 500 / 16_000, 1000 / 16_000)  # ser-tests' 100, 500 and 1,000 samples at 16 kHz


@dataclass(frozen=True)
class StressChange:
    """One line of the stress table.

    Attributes
    ----------
    group : decides which thresholds it has, see `earnest.evaluation.stress.LIMITS`
    """

    name: str
    group: str
    change: Change

    @property
    def file_name(self) -> str:
        """The name in lower case, with "-" for all that isn't a letter or a digit."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    def applied(self, waveform: Waveform, key: str, sample_rate_hz: int) -> Waveform:
        """Return the changed copy of an utterance (samples,); what is drawn depends on ``key`` and name alone."""
        return self.change(waveform, sample_rate_hz, generator_for(f"{key} {self.name}"))


def stress_changes(voices: Sequence[Path], noise: NoiseFiles | None = None) -> list[StressChange]:
    """Return the changes in the order of the table.

    Parameters
    ----------
    voices : other utterances of the corpus, of which babble is made
    noise : recordings to mix in; without, those lines are left out
    """
    return [
        *_noises(voices, noise),
        *_channels(),
        *_small_changes(),
        StressChange("upward tilt", TILT, lambda waveform, rate_hz, _: tilted(waveform, 1.5, rate_hz)),
        StressChange("downward tilt", TILT, lambda waveform, rate_hz, _: tilted(waveform, -1.5, rate_hz)),
        StressChange("clipping, 10 %", STRONG, lambda waveform, *_: clipped(waveform, 0.1)),
    ]


def _noises(voices: Sequence[Path], noise: NoiseFiles | None) -> Iterator[StressChange]:
    for snr_db in LEVELS_DB:
        group = NOISE if snr_db == LEVELS_DB[0] else LOUDER  # ser-tests' noises are at 20 dB
        if noise is not None:
            recorded = NoiseFiles(noise.folder, snr_db=(snr_db, snr_db), names=noise.names)
            yield StressChange(f"recorded noise, {snr_db:g} dB", group, recorded.apply)
        yield StressChange(f"babble, {snr_db:g} dB", group, partial(_with_babble, voices=tuple(voices), snr_db=snr_db))
        white = ColouredNoise(colours=("white",), snr_db=(snr_db, snr_db))
        yield StressChange(f"white noise, {snr_db:g} dB", group, white.apply)


def _channels() -> Iterator[StressChange]:
    yield StressChange("telephone band", PHONE, lambda waveform, rate_hz, _: over_telephone(waveform, rate_hz))
    # Compression of libsndfile; measured on RAVDESS at 16 kHz: 15.4 and 15.9 kbit/s. Elsewhere more: docs/stress.md.
    yield StressChange("MP3, 16 kbit/s", PHONE, Codec(formats=("mp3",), compression=(0.9, 0.9)).apply)
    yield StressChange("Opus, 16 kbit/s", PHONE, Codec(formats=("opus",), compression=(0.94, 0.94)).apply)
    yield StressChange("near in a small room", ROOM, Reverb(rt60_s=(0.3, 0.3), direct_db=(8.0, 8.0)).apply)
    yield StressChange("far in a large room", ROOM, Reverb(rt60_s=(0.8, 0.8), direct_db=(-3.0, -3.0)).apply)


def _small_changes() -> Iterator[StressChange]:
    yield StressChange("20 dB louder", SMALL, lambda waveform, *_: with_gain(waveform, 20))
    yield StressChange("20 dB softer", SMALL, lambda waveform, *_: with_gain(waveform, -20))
    yield StressChange(
        "clipping, 0.1 to 0.3 %", SMALL, lambda waveform, _, rng: clipped(waveform, rng.choice([0.001, 0.002, 0.003]))
    )
    yield StressChange("faint tone", SMALL, _with_faint_tone)
    yield StressChange("faint white noise", SMALL, ColouredNoise(colours=("white",), snr_db=(35.0, 45.0)).apply)
    yield StressChange("low-pass", SMALL, partial(_filtered, kind="low-pass", cutoffs_hz=(6500.0, 7000.0, 7500.0)))
    yield StressChange("high-pass", SMALL, partial(_filtered, kind="high-pass", cutoffs_hz=(50.0, 100.0, 150.0)))
    yield StressChange("zeros before", SMALL, partial(_with_ends, before=1, after=0))
    yield StressChange("zeros after", SMALL, partial(_with_ends, before=0, after=1))
    yield StressChange("cropped before", SMALL, partial(_with_ends, before=-1, after=0))
    yield StressChange("cropped after", SMALL, partial(_with_ends, before=0, after=-1))


def _with_babble(
    waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator, voices: Sequence[Path], snr_db: float
) -> Waveform:
    return mix_at_snr(waveform, babble(voices, len(waveform), sample_rate_hz, rng), snr_db)


def _with_faint_tone(waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
    return with_tone(waveform, rng.uniform(5000, 7000), rng.choice([40, 45, 50]), sample_rate_hz)


def _filtered(
    waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator, kind: Kind, cutoffs_hz: Sequence[float]
) -> Waveform:
    return first_order(waveform, kind, rng.choice(cutoffs_hz), sample_rate_hz)


def _with_ends(waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator, before: int, after: int) -> Waveform:
    n_samples = round(rng.choice(SHORT_S) * sample_rate_hz)
    return padded(waveform, before * n_samples, after * n_samples)
