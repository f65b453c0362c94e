"""Changes that hardly anybody hears, after audEERING's ser-tests; and, further turned up, ones that everybody does."""

from functools import partial
from typing import Literal

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.level import at_level, power
from earnest.augment.spectrum import Spectrum, filtered

Kind = Literal["low-pass", "high-pass"]


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
    """Add a sine whose peak is so many decibels below that of the clip, shape (samples,); float32."""
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
    return filtered(waveform, sample_rate_hz, partial(_first_order_gains, kind=kind, cutoff_hz=cutoff_hz))


def tilted(waveform: Waveform, db_per_khz: float, sample_rate_hz: int) -> Waveform:
    """Let the spectrum rise (or fall) by so many decibels a kHz, and keep the level.

    Parameters
    ----------
    waveform : shape (samples,)

    Returns
    -------
    shape (samples,), float32, of the same root mean square as ``waveform``
    """
    found = filtered(waveform, sample_rate_hz, partial(_tilt_gains, db_per_khz=db_per_khz))
    before = power(waveform)
    return at_level(found, 10 * np.log10(before)) if before > 0 else found


def padded(waveform: Waveform, before: int, after: int) -> Waveform:
    """Put so many zeros before and after a clip; negative numbers crop, and leave a sample at least.

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


def _first_order_gains(frequencies_hz: Spectrum, kind: Kind, cutoff_hz: float) -> Spectrum:
    ratio = frequencies_hz / cutoff_hz
    # |H| = 1/√(1 + (f/f_c)²), times f/f_c for high-pass.
    return np.asarray((1.0 if kind == "low-pass" else ratio) / np.sqrt(1 + ratio**2))


def _tilt_gains(frequencies_hz: Spectrum, db_per_khz: float) -> Spectrum:
    return np.asarray(10 ** (db_per_khz * frequencies_hz / 1000 / 20))
