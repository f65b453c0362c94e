"""Noise whose power falls or rises with frequency."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.bandwidth import fast_length
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range, mix_at_snr
from earnest.settings.limits import LowHigh, NotEmpty

Colour = Literal["white", "pink", "brown", "blue"]
SLOPES: Mapping[Colour, float] = {"white": 0.0, "pink": -1.0, "brown": -2.0, "blue": 1.0}  # power ∝ frequency^slope
LOWEST_HZ = 20.0  # below, the spectrum is level: otherwise brown noise would be a slow drift


def coloured_noise(n_samples: int, sample_rate_hz: int, colour: Colour, rng: np.random.Generator) -> Waveform:
    """Draw Gaussian noise of one colour.

    Returns
    -------
    shape (n_samples,), float32, of a root mean square near one
    """
    n_fft = fast_length(n_samples)
    # Complex Gaussian spectrum of white noise.
    bins = rng.standard_normal((n_fft // 2 + 1, 2), dtype=np.float32).view(np.complex64)[:, 0]
    frequencies_hz = np.maximum(np.fft.rfftfreq(n_fft, 1 / sample_rate_hz), LOWEST_HZ)
    gains = frequencies_hz ** (SLOPES[colour] / 2)  # power ~ f^slope, amplitude ~ f^(slope/2)
    gains[0] = 0.0  # no constant offset
    # Parseval: the samples' mean square is 2·mean(gain²)/n_fft; it is to be one.
    gains *= np.sqrt(n_fft / 2 / np.mean(gains**2))  # a bin's power is 2
    return np.asarray(np.fft.irfft(bins * gains.astype(np.float32), n_fft)[:n_samples], np.float32)


@AUGMENTATIONS.register("coloured-noise")
@dataclass(frozen=True)
class ColouredNoise(Augmentation):
    """Add noise of a colour at a signal-to-noise ratio.

    Attributes
    ----------
    colours : one of these is drawn
    snr_db : lowest and highest, over the whole utterance
    """

    colours: Annotated[tuple[Colour, ...], NotEmpty()] = ("white", "pink", "brown", "blue")
    snr_db: Annotated[Range, LowHigh(ge=-60, le=100)] = (10.0, 30.0)

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `coloured_noise` and `mix_at_snr`."""
        colour = self.colours[rng.integers(len(self.colours))]
        noise = coloured_noise(len(waveform), sample_rate_hz, colour, rng)
        return mix_at_snr(waveform, noise, rng.uniform(*self.snr_db))
