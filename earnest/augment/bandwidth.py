"""Filters given by their gain at each frequency, without delay; recordings that end below half of their sample rate."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range, Transform
from earnest.errors import RecipeError
from earnest.settings.limits import LowHigh

Spectrum: TypeAlias = npt.NDArray[np.floating]


def fast_length(n: int) -> int:
    """Return the smallest of 4, 5 and 6 times a power of two that is at least ``n``, and 5: quick to transform."""
    whole = 1 << max(n - 1, 7).bit_length()  # the next power of two
    return min(length for length in (whole * 5 // 8, whole * 3 // 4, whole) if length >= n)


def filtered(waveform: Waveform, sample_rate_hz: int, gain_at: Callable[[Spectrum], Spectrum]) -> Waveform:
    """Multiply the spectrum by a gain: no phase changes, nothing moves in time.

    Parameters
    ----------
    waveform : shape (samples,); before and after it is silence
    gain_at : frequencies in Hz → factors, both shape (bins,)

    Returns
    -------
    shape (samples,), float32
    """
    # Half a tenth of a second of silence, so that what rings over one end does not come in at the other.
    n_fft = fast_length(len(waveform) + sample_rate_hz // 20)
    gains = gain_at(np.fft.rfftfreq(n_fft, 1 / sample_rate_hz)).astype(np.float32)
    return np.asarray(np.fft.irfft(np.fft.rfft(waveform, n_fft) * gains, n_fft)[: len(waveform)], np.float32)


def edge(frequencies_hz: Spectrum, stop_hz: float, pass_hz: float) -> Spectrum:
    """Return gains that go from 0 at ``stop_hz`` to 1 at ``pass_hz`` along a raised cosine, whichever is higher."""
    share = np.clip((frequencies_hz - stop_hz) / (pass_hz - stop_hz), 0, 1)
    # ½ − ½·cos(π·u), u = (f − stop)/(pass − stop) between 0 and 1: without a kink at either end.
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * share))


def band_limited(waveform: Waveform, highest_hz: float, sample_rate_hz: int) -> Waveform:
    """Leave out what is above a frequency; a tenth of it higher nothing is left.

    Parameters
    ----------
    waveform : shape (samples,)

    Returns
    -------
    shape (samples,), float32
    """
    return filtered(waveform, sample_rate_hz, partial(_gains, highest_hz=highest_hz))


def _gains(frequencies_hz: Spectrum, highest_hz: float) -> Spectrum:
    return edge(frequencies_hz, 1.1 * highest_hz, highest_hz)


@AUGMENTATIONS.register("bandwidth")
@dataclass(frozen=True)
class Bandwidth(Augmentation):
    """Limit the bandwidth.

    Attributes
    ----------
    highest_hz : lowest and highest frequency up to which all is kept; above half of the sample rate nothing changes
    """

    highest_hz: Annotated[Range, LowHigh(ge=100, le=100_000)] = (3000.0, 7000.0)

    def made_for(self, sample_rate_hz: int) -> Transform:
        """See `Augmentation.made_for`; a range that changes no utterance of this rate is a `RecipeError`."""
        if self.highest_hz[0] >= sample_rate_hz / 2:
            (low, high), half_hz = self.highest_hz, sample_rate_hz / 2
            told = f"[{low:g}, {high:g}] changes nothing: at {sample_rate_hz} Hz recordings end at {half_hz:g} Hz"
            raise RecipeError(f"highest_hz: {told}. Lower it, or leave bandwidth out.")
        return super().made_for(sample_rate_hz)

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `band_limited`."""
        return band_limited(waveform, rng.uniform(*self.highest_hz), sample_rate_hz)
