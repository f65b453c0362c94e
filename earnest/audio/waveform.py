"""The one form in which sound travels through the package."""

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]
"""Samples, float32, mono, in [-1, 1], shape (samples,) or (batch, samples)."""
