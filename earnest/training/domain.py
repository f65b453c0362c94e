"""Where the training clips' embeddings lie, and how far those of unseen speakers are (`earnest.runtime.domain`)."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from earnest.runtime.domain import Domain

N_DIRECTIONS = 64  # of 32 to 256 the one that best kept noises (ESC-10) from speech of an unseen corpus (RAVDESS)
CLIPS_PER_DIRECTION = 10
KNOWN_SHARE = 0.99  # of validation clips that count as in domain

Floats = npt.NDArray[np.float64]


def fit_domain(train: Floats, valid: Floats, longest_s: float) -> Domain | None:
    """Fit on embeddings (clips, width); None where the training clips are too few, or nothing sets the threshold.

    Parameters
    ----------
    longest_s : what windows may have for a verdict; see `longest_known`
    """
    n_directions = min(N_DIRECTIONS, train.shape[1], len(train) // CLIPS_PER_DIRECTION)
    if n_directions < 1 or not len(valid):
        return None
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation[deviation == 0] = 1.0
    scaled = (train - mean) / deviation
    variances, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    chosen = directions[:, -n_directions:] / np.sqrt(np.maximum(variances[-n_directions:], 1e-6))
    domain = Domain(mean.astype(np.float32), (chosen.T / deviation).astype(np.float32), 1.0, longest_s)
    return replace(domain, threshold=float(np.quantile(domain.distances(valid), KNOWN_SHARE)))


def longest_known(seconds: Floats) -> float:
    """Return the length that all but a hundredth of the training clips, of ``seconds`` (clips,), stay below."""
    return float(np.quantile(seconds, KNOWN_SHARE))
