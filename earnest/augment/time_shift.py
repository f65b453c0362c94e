"""Moving an utterance in time."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation
from earnest.settings.limits import Bounds, require

Fill = Literal["circular", "zeros"]


def shifted(waveform: Waveform, n_samples: int, fill: Fill = "circular") -> Waveform:
    """Move an utterance to later (positive) or earlier; what leaves at one end comes in at the other, or zeros do.

    Parameters
    ----------
    waveform : shape (samples,)

    Returns
    -------
    shape (samples,), float32, a copy
    """
    moved = np.roll(waveform, n_samples).astype(np.float32)
    if fill == "zeros" and n_samples > 0:
        moved[:n_samples] = 0
    elif fill == "zeros" and n_samples < 0:
        moved[n_samples:] = 0
    return moved


@AUGMENTATIONS.register("time-shift")
@dataclass(frozen=True)
class TimeShift(Augmentation):
    """Move an utterance by a whole number of steps, earlier or later.

    Attributes
    ----------
    step_s, most_s : 0.2 and 0.8 draw from -0.8, -0.6 … 0.8 s
    fill : what comes in at the other end; with zeros at most half of the utterance leaves
    """

    step_s: Annotated[float, Bounds(gt=0, le=60)] = 0.2
    most_s: Annotated[float, Bounds(gt=0, le=60)] = 0.8
    fill: Fill = "circular"

    def __post_init__(self) -> None:
        super().__post_init__()
        right = self.step_s <= self.most_s
        require(right, f"step_s must be at most most_s ({self.most_s:g}), got {self.step_s:g}")

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `shifted`."""
        n_steps = int(self.most_s / self.step_s + 1e-9)  # 0.6 / 0.2 is 2.9999999999999996
        n_samples = round(int(rng.integers(-n_steps, n_steps + 1)) * self.step_s * sample_rate_hz)
        if self.fill == "zeros":
            half = len(waveform) // 2
            n_samples = min(max(n_samples, -half), half)
        return shifted(waveform, n_samples, self.fill)
