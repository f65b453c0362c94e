"""What closed-form heads share: standardised embeddings, and slopes by a shrunk covariance."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def standardised(embeddings: Floats) -> tuple[Floats, Floats, Floats]:
    """Return embeddings (rows, width) less their mean by their deviation, and both (width,)."""
    mean, deviation = embeddings.mean(axis=0), embeddings.std(axis=0)
    deviation[deviation == 0] = 1.0
    return (embeddings - mean) / deviation, mean, deviation


def shrunk_slopes(within: Floats, shrinkage: float, centres: Floats) -> Floats:
    """Return the slopes (classes, width) of a linear discriminant; ``within`` (width, width) is changed.

    It becomes (1 − s)·S + s·tr(S)/D·I (Ledoit and Wolf, 2004, with a fixed s).
    """
    width = len(within)
    scatter = np.trace(within) / width
    within *= 1 - shrinkage
    within[np.diag_indices(width)] += shrinkage * scatter
    slopes = np.linalg.lstsq(within, centres.T)[0].T if shrinkage == 0 else np.linalg.solve(within, centres.T).T
    return np.asarray(slopes, np.float64)
