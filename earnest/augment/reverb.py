"""Reverberation: made-up room responses of exponentially decaying noise (Moorer, 1979)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.bandwidth import fast_length
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range, power
from earnest.settings.limits import LowHigh

FIRST_REFLECTION_S = 0.002  # a detour of 0.7 m


def room_response(rt60_s: float, direct_db: float, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
    """Draw a room's response: one sample of direct sound, then noise that falls by 60 dB in ``rt60_s``.

    Parameters
    ----------
    direct_db : energy of the direct sound over that of all the rest

    Returns
    -------
    shape (samples,), float32, as long as the reverberation time; sample 0 is the direct sound, the energy is one
    """
    n_samples = max(round(rt60_s * sample_rate_hz), 2)
    first = min(max(round(FIRST_REFLECTION_S * sample_rate_hz), 1), n_samples - 1)
    decay = 10 ** (-3 * np.arange(n_samples) / (rt60_s * sample_rate_hz))  # amplitude: −60 dB at t = RT60
    tail = decay * rng.standard_normal(n_samples)
    tail[:first] = 0  # nothing between direct sound and first reflection
    direct = 10 ** (direct_db / 10)
    # Energies D and R of direct and reverberant sound with D/R = direct and D + R = 1.
    response = tail / np.sqrt(np.sum(tail**2) * (1 + direct))
    response[0] = np.sqrt(direct / (1 + direct))
    return np.asarray(response, np.float32)


def reverberated(waveform: Waveform, response: Waveform) -> Waveform:
    """Convolve an utterance with a room response, cut what rings on after its end, and keep its level.

    Parameters
    ----------
    waveform : shape (samples,)
    response : shape (taps,), the direct sound first, so that nothing is delayed

    Returns
    -------
    shape (samples,), float32, of the same root mean square as ``waveform``
    """
    response = response[: len(waveform)]
    n_fft = fast_length(len(waveform) + len(response) - 1)  # linear, not circular, convolution
    wet = np.fft.irfft(np.fft.rfft(waveform, n_fft) * np.fft.rfft(response, n_fft), n_fft)[: len(waveform)]
    before, after = power(waveform), power(wet)
    if not (before > 0 and after > 0):
        return waveform.copy()
    return np.asarray(wet * np.sqrt(before / after), np.float32)


@AUGMENTATIONS.register("reverb")
@dataclass(frozen=True)
class Reverb(Augmentation):
    """Put the speaker into a room.

    Attributes
    ----------
    rt60_s : shortest and longest time in which the sound falls by 60 dB
    direct_db : lowest and highest energy of the direct sound over that of the reverberation; lower is farther away
    """

    rt60_s: Annotated[Range, LowHigh(ge=0.01, le=10)] = (0.2, 0.8)
    direct_db: Annotated[Range, LowHigh(ge=-40, le=40)] = (0.0, 10.0)

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `room_response` and `reverberated`."""
        response = room_response(rng.uniform(*self.rt60_s), rng.uniform(*self.direct_db), sample_rate_hz, rng)
        return reverberated(waveform, response)
