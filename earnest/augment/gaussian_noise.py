"""White Gaussian noise whose deviation is given, not its signal-to-noise ratio."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range, power
from earnest.settings.limits import LowHigh

Unit = Literal["clip", "peak", "one"]


def reference_level(waveform: Waveform, relative_to: Unit) -> float:
    """Return the level that a deviation is a share of: the utterance's root mean square, its highest sample, or one."""
    if relative_to == "one":
        return 1.0
    return float(np.abs(waveform).max()) if relative_to == "peak" else float(np.sqrt(power(waveform)))


def with_gaussian_noise(waveform: Waveform, deviation: float, rng: np.random.Generator) -> Waveform:
    """Add noise of a standard deviation (full scale is one) to an utterance, shape (samples,); float32."""
    noise = rng.standard_normal(len(waveform), dtype=np.float32)
    return (waveform + np.float32(deviation) * noise).astype(np.float32)


@AUGMENTATIONS.register("gaussian-noise")
@dataclass(frozen=True)
class GaussianNoise(Augmentation):
    """Add white Gaussian noise.

    Attributes
    ----------
    deviation : lowest and highest, in units of ``relative_to``; 0.075 of the utterance is 22.5 dB below it
    relative_to : the utterance's root mean square, its peak, or one (full scale)
    """

    deviation: Annotated[Range, LowHigh(ge=0, le=10)] = (0.0, 0.075)
    relative_to: Unit = "clip"

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `with_gaussian_noise`."""
        deviation = rng.uniform(*self.deviation) * reference_level(waveform, self.relative_to)
        return with_gaussian_noise(waveform, deviation, rng)
