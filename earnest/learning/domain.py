"""Out-of-domain detection: the distance of an embedding from those that were learnt from."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError, RecipeError
from earnest.learning.discriminant import Floats, standardised
from earnest.settings.limits import from_mapping

FILE = "domain.npy"
N_DIRECTIONS = 64  # of 32 to 256 the one that best kept noises (ESC-10) from speech of an unseen corpus (RAVDESS)
CLIPS_PER_DIRECTION = 10
KNOWN_SHARE = 0.99  # of validation utterances that count as in domain
UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, OverflowError, RuntimeError),
    *(SyntaxError, TokenError),
)
"""What numpy raises of files of arrays: it parses their headers, and types in them, as Python."""

Table = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DomainEntry:
    """The entry ``domain`` of ``bundle.json`` and ``run.json``: the file, and the largest numbers it stands for."""

    file: str
    threshold: float
    longest_s: float


@dataclass(frozen=True, eq=False)
class Domain:
    """Where the training utterances lie.

    Attributes
    ----------
    mean : of their embeddings, shape (width,), float32
    directions : principal directions, scaled to deviations, shape (directions, width), float32
    threshold : a distance above it is out of domain
    longest_s : seconds; there is no verdict on longer windows
    """

    mean: Table
    directions: Table
    threshold: float
    longest_s: float

    def distances(self, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the distance of each embedding, (…, width) → (…)."""
        if embeddings.shape[-1] != len(self.mean):
            raise BundleError(
                f"'domain' is for embeddings of {len(self.mean)} numbers, the graph gives {embeddings.shape[-1]}. "
                "Export the bundle again."
            )
        # d(x) = √(1/K·Σ_k (v_k·(x − μ)/(σ·√λ_k))²): the Mahalanobis distance in K principal directions, about one for a
        # training utterance whatever K is. (…, width)·(width, K) → (…, K).
        projected = (embeddings - self.mean) @ self.directions.T
        return np.asarray(np.sqrt(np.mean(projected**2, axis=-1)))

    def entry(self) -> DomainEntry:
        """Return the entry for ``bundle.json``."""
        return DomainEntry(FILE, self.threshold, self.longest_s)

    def to_bytes(self) -> bytes:
        """Return an npy file: the mean in the first row, the directions below."""
        stored = io.BytesIO()
        np.save(stored, np.vstack([self.mean, self.directions]).astype(np.float32, order="C"), allow_pickle=False)
        return stored.getvalue()

    @classmethod
    def read(cls, entry: DomainEntry, data: bytes, where: str) -> "Domain":
        """Read the bytes of `to_bytes`; an invalid file is a `BundleError`."""
        try:
            table = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        except UNREADABLE as error:
            raise BundleError(f"{where}: {entry.file}: not readable ({error}). Export the bundle again.") from error
        right = table.dtype == np.float32 and table.ndim == 2 and len(table) > 1 and table.shape[1] > 0
        if not right or not np.isfinite(table).all() or not (0 < entry.threshold < np.inf and entry.longest_s > 0):
            raise BundleError(f"{where}: 'domain' holds impossible numbers or shapes. Export the bundle again.")
        return cls(table[0], table[1:], entry.threshold, entry.longest_s)


def domain_entry(values: Mapping[str, Any], where: str) -> DomainEntry:
    """Read the values of a `DomainEntry`."""
    try:
        return from_mapping(DomainEntry, values, f"{where}: domain")
    except RecipeError as error:
        raise BundleError(str(error)) from None


def fit_domain(train: Floats, valid: Floats, longest_s: float) -> Domain | None:
    """Fit on embeddings (utterances, width); None where training utterances are too few, or nothing sets the threshold.

    Parameters
    ----------
    longest_s : what windows may have for a verdict, the `known_limit` of the training utterances' lengths: of longer
        ones, which were hardly ever seen, a distance says more about length than about sound
    """
    # A direction needs ten utterances or so to be more than chance; there are no more than values.
    n_directions = min(N_DIRECTIONS, train.shape[1], len(train) // CLIPS_PER_DIRECTION)
    if n_directions < 1 or not len(valid):
        return None
    scaled, mean, deviation = standardised(train)
    # v_k/√λ_k, so that each projection has variance one over the training clips. Then 1/σ of the standardisation goes
    # into the directions too.
    chosen = _principal(scaled, n_directions)
    domain = Domain(mean.astype(np.float32), (chosen / deviation).astype(np.float32), 1.0, longest_s)
    return replace(domain, threshold=known_limit(domain.distances(valid)))


def _principal(scaled: Floats, n_directions: int) -> Floats:
    """Return principal directions (directions, width) of standardised rows (rows, width), each over its deviation."""
    n_clips, width = scaled.shape
    # Of the correlation matrix R = ZᵀZ/n (width, width): R·v_k = λ_k·v_k. eigh sorts λ upwards, so the last columns are
    # the largest. Of few clips ZZᵀ/n has the same λ, and v = Zᵀu/√(n·λ). The floor keeps a direction without variance
    # from dividing by zero.
    if n_clips < width:
        variances, rows = np.linalg.eigh(scaled @ scaled.T / n_clips)
        floors = np.maximum(variances[-n_directions:], 1e-6)
        return np.asarray((rows[:, -n_directions:].T @ scaled) / (np.sqrt(n_clips) * floors)[:, None])
    variances, directions = np.linalg.eigh(scaled.T @ scaled / n_clips)
    return np.asarray((directions[:, -n_directions:] / np.sqrt(np.maximum(variances[-n_directions:], 1e-6))).T)


def known_limit(values: npt.NDArray[np.floating]) -> float:
    """Return what all but a hundredth of values (utterances,) stay below: distances, or lengths in seconds."""
    return float(np.quantile(values, KNOWN_SHARE))
