"""Placing an utterance at the left or right end of a length."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation
from earnest.settings.limits import Bounds, NotEmpty

Side = Literal["left", "right"]


def aligned(waveform: Waveform, n_samples: int, side: Side = "left") -> Waveform:
    """Put an utterance at one end of a length: shorter utterances are completed by zeros, longer ones keep that end.

    Parameters
    ----------
    waveform : shape (samples,)

    Returns
    -------
    shape (n_samples,), float32, a copy
    """
    found = np.zeros(n_samples, np.float32)
    n_kept = min(n_samples, len(waveform))
    if side == "left":
        found[:n_kept] = waveform[:n_kept]
    else:
        found[n_samples - n_kept :] = waveform[len(waveform) - n_kept :]
    return found


def without_quiet_ends(waveform: Waveform, top_db: float) -> Waveform:
    """Return the part from the first to the last sample that is at most ``top_db`` below the peak (a view)."""
    # Silence is kept whole, as 0 ≥ 0.
    loud = np.flatnonzero(np.abs(waveform) >= np.abs(waveform).max() * 10 ** (-top_db / 20))
    return waveform[loud[0] : loud[-1] + 1]


@AUGMENTATIONS.register("align")
@dataclass(frozen=True)
class Align(Augmentation):
    """Cut the quiet ends off and put what is left at the beginning or the end.

    Attributes
    ----------
    sides : one of these is drawn
    length_s : of the result; None keeps the utterance's own
    top_db : ends so far below the peak are quiet; None cuts nothing
    """

    keeps_length: ClassVar[bool] = False
    sides: Annotated[tuple[Side, ...], NotEmpty()] = ("left", "right")
    length_s: Annotated[float, Bounds(gt=0, le=3600)] | None = None
    top_db: Annotated[float, Bounds(gt=0, le=200)] | None = 40.0

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `without_quiet_ends` and `aligned`."""
        side = self.sides[rng.integers(len(self.sides))]
        n_samples = len(waveform) if self.length_s is None else max(round(self.length_s * sample_rate_hz), 1)
        kept = waveform if self.top_db is None else without_quiet_ends(waveform, self.top_db)
        return aligned(kept, n_samples, side)
