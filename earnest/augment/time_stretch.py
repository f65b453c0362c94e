"""Slower or faster at the same pitch: waveform similarity overlap-add (Verhelst and Roelands, 1993)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range
from earnest.settings.limits import LowHigh

WINDOW_S = 0.030
TOLERANCE_S = 0.008  # both ways: 16 ms hold a whole period of voices from 62 Hz on


def stretched(waveform: Waveform, rate: float, sample_rate_hz: int) -> Waveform:
    """Play an utterance ``rate`` times as fast and keep its pitch.

    Windows of 30 ms are taken where time has come to, moved by up to 8 ms to where they go on best from the window
    before, and overlapped by half.

    Parameters
    ----------
    waveform : shape (samples,)
    rate : above 1 is faster and shorter

    Returns
    -------
    shape (samples / rate, rounded, at least one), float32
    """
    n_out = max(round(len(waveform) / rate), 1)
    hop = max(round(WINDOW_S * sample_rate_hz / 2), 1)
    reach = round(TOLERANCE_S * sample_rate_hz)
    n_windows = -(-n_out // hop) + 1
    # WSOLA (Verhelst and Roelands, 1993): hops of the result, times rate, are hops of the utterance.
    centres = np.round(np.arange(n_windows) * hop * rate).astype(int)
    # Window k is centred on sample k·hop of the result and on centres[k] of the utterance; both begin one hop early.
    padded = np.pad(waveform, (hop + reach, max(centres[-1] - len(waveform), 0) + 3 * hop + 2 * reach))
    window = np.hanning(2 * hop + 1)[:-1].astype(np.float32)  # two of them, half a window apart, add up to one
    result = np.zeros((n_windows + 1) * hop, np.float32)
    start = 0
    for number, earliest in enumerate(centres):
        start = _best_start(padded, earliest, start + hop, hop, reach) if number else reach
        result[number * hop : (number + 2) * hop] += window * padded[start : start + 2 * hop]
    return result[hop : hop + n_out]


def _best_start(padded: Waveform, earliest: int, natural: int, hop: int, reach: int) -> int:
    """Return where, from ``earliest`` on and within twice ``reach``, a window is most like the one at ``natural``."""
    wanted = padded[natural : natural + 2 * hop]
    searched = padded[earliest : earliest + 2 * (hop + reach)]
    likeness = np.correlate(searched, wanted, mode="valid")  # (2·reach + 1,)
    # Running sums: energy of every window searched.
    energies = np.concatenate([[0.0], np.cumsum(np.square(searched, dtype=np.float64))])
    # Normalised cross-correlation, but for wanted's norm.
    likeness = likeness / np.sqrt(np.maximum(energies[2 * hop :] - energies[: -2 * hop], 1e-9))
    best = int(likeness.argmax())
    return earliest + (best if likeness[best] > 0 else reach)


@AUGMENTATIONS.register("time-stretch")
@dataclass(frozen=True)
class TimeStretch(Augmentation):
    """Change the speed of speech, not its pitch.

    Attributes
    ----------
    rate : lowest and highest; 0.8 is slower and 1.25 times as long
    """

    keeps_length: ClassVar[bool] = False
    rate: Annotated[Range, LowHigh(ge=0.25, le=4)] = (0.8, 1.25)

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `stretched`."""
        return stretched(waveform, rng.uniform(*self.rate), sample_rate_hz)
