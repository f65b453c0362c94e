"""The old telephone: 300 to 3,400 Hz and eight bits a sample at 8 kHz."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.align import aligned
from earnest.augment.bandwidth import Spectrum, edge, filtered
from earnest.augment.base import AUGMENTATIONS, Augmentation

TELEPHONE_HZ = 8_000
MU = 255


def mu_law(waveform: Waveform) -> Waveform:
    """Round samples to the 255 values of µ-law companding; zero stays zero.

    Parameters
    ----------
    waveform : any shape, in [-1, 1]; what is outside is clipped

    Returns
    -------
    same shape, float32
    """
    # G.711: F(x) = ln(1 + µ·|x|) / ln(1 + µ), rounded to 127 steps a side, and back.
    compressed = np.log1p(MU * np.minimum(np.abs(waveform), 1)) / np.log1p(MU)
    magnitude = np.expm1(np.round(127 * compressed) / 127 * np.log1p(MU)) / MU
    return np.asarray(np.sign(waveform) * magnitude, np.float32)


def over_telephone(waveform: Waveform, sample_rate_hz: int) -> Waveform:
    """Send an utterance over a telephone line and back to its sample rate.

    Parameters
    ----------
    waveform : shape (samples,); if it leaves [-1, 1] it is scaled for the line and back

    Returns
    -------
    shape (samples,), float32, not delayed
    """
    import soxr

    line_hz = min(TELEPHONE_HZ, sample_rate_hz)
    peak = max(float(np.abs(waveform).max()), 1.0)
    narrow = soxr.resample(waveform / np.float32(peak), sample_rate_hz, line_hz, quality="HQ")
    coded = mu_law(filtered(aligned(narrow, max(len(narrow), 1)), line_hz, _voice_band))
    return aligned(soxr.resample(coded, line_hz, sample_rate_hz, quality="HQ"), len(waveform)) * np.float32(peak)


def _voice_band(frequencies_hz: Spectrum) -> Spectrum:
    return edge(frequencies_hz, 200, 300) * edge(frequencies_hz, 3700, 3400)  # 300 to 3,400 Hz


@AUGMENTATIONS.register("telephone")
@dataclass(frozen=True)
class Telephone(Augmentation):
    """Narrow the band and code samples by µ-law; it has no settings of its own."""

    is_random: ClassVar[bool] = False

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `over_telephone`."""
        return over_telephone(waveform, sample_rate_hz)
