"""Getting used to a voice and its channel, without labels: the class-aware causal offset.

A speaker and a microphone move all embeddings by about the same vector. It is estimated from what was heard so far,
less what the emotions themselves explain: Σ (x − μ − Σ_c p_c M_c) / (n + k), with p the probabilities of the windows
under the offset known until then. So a stream of one emotion only doesn't take the emotion for the voice.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earnest.bundle import BundleInfo
from earnest.config import from_mapping
from earnest.errors import BundleError, RecipeError

Vector = npt.NDArray[np.float64]
N_ROUNDS = 5  # of the estimate from given recordings: it stands still by then


@dataclass(frozen=True)
class Adaptation:
    """What a bundle holds under ``adaptation``; a linear classifier trained on embeddings centred by speaker.

    Attributes
    ----------
    mean : μ, of all embeddings, shape (width,)
    class_means : M, each class' mean of centred embeddings, shape (classes, width)
    weights, bias : scores = weights · (x − μ − offset) + bias, shapes (classes, width) and (classes,)
    scale : probabilities = softmax(scale · scores), fitted on validation data
    posterior_scale : the same for the p of the rule; flatter, so that early errors weigh less
    spread : standard deviation of speakers' means, shape (width,)
    prior : k, windows' worth of belief that there is no offset
    least_speech_s : of speech before the offset is used
    least_confidence : windows below it don't count
    largest_offset : root mean square of offset / spread that is believed; more is scaled down to it
    """

    mean: tuple[float, ...]
    class_means: tuple[tuple[float, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]
    spread: tuple[float, ...]
    scale: float = 0.15
    posterior_scale: float = 0.1
    prior: float = 4.0
    least_speech_s: float = 6.0
    least_confidence: float = 0.0
    largest_offset: float = 3.0

    @classmethod
    def of(cls, info: BundleInfo) -> "Adaptation | None":
        """Read the bundle's, None where it has none.

        Raises
        ------
        BundleError
            When shapes don't fit or numbers aren't finite.
        """
        if info.adaptation is None:
            return None
        try:
            adaptation = from_mapping(cls, info.adaptation, f"{info.name}: adaptation")
        except RecipeError as error:
            raise BundleError(str(error)) from None
        adaptation._check(len(info.classes), info.name)
        return adaptation

    def _check(self, n_classes: int, name: str) -> None:
        width = len(self.mean)
        tables = (self.class_means, self.weights)
        right = all(len(rows) == n_classes and {len(row) for row in rows} == {width} for rows in tables)
        if not right or len(self.spread) != width or len(self.bias) != n_classes:
            raise BundleError(f"{name}: the shapes of 'adaptation' don't fit each other. Export the bundle again.")
        numbers = [*self.mean, *self.bias, *np.ravel(self.class_means), *np.ravel(self.weights), *self.spread]
        if not np.isfinite(numbers).all() or min(self.spread) <= 0 or min(self.scale, self.posterior_scale) <= 0:
            raise BundleError(f"{name}: 'adaptation' holds impossible numbers. Export the bundle again.")


class Adapter:
    """Follows one voice; memory is one vector.

    Attributes
    ----------
    is_active : whether enough was heard for the offset to be used
    """

    def __init__(self, adaptation: Adaptation) -> None:
        self._settings = adaptation
        self._mean, self._spread = np.array(adaptation.mean), np.array(adaptation.spread)
        self._class_means = np.array(adaptation.class_means)
        self._weights, self._bias = np.array(adaptation.weights), np.array(adaptation.bias)
        self._sum = np.zeros_like(self._mean)
        self._n = self._heard_s = 0.0
        self._is_fixed = False

    @property
    def is_active(self) -> bool:
        """Whether enough was heard for the offset to be used."""
        return self._heard_s >= self._settings.least_speech_s

    @property
    def offset(self) -> Vector:
        """The estimate so far, bounded, shape (width,)."""
        offset = self._sum / (self._n + self._settings.prior)
        size = float(np.sqrt(np.mean((offset / self._spread) ** 2)))
        return offset * min(1.0, self._settings.largest_offset / size) if size else offset

    def hear(self, embedding: npt.NDArray[np.floating], seconds: float, new_s: float) -> Vector | None:
        """Answer one window with what was known before it, then learn from it.

        Parameters
        ----------
        embedding : shape (width,)
        seconds : the window's length
        new_s : how much of it no window before held; overlapping windows count as much as they add

        Returns
        -------
        probabilities, shape (classes,); None while too little was heard
        """
        centred = embedding.astype(np.float64) - self._mean
        answer = self._probabilities(centred - self.offset, self._settings.scale) if self.is_active else None
        if not self._is_fixed:
            self._learn(centred, self.offset, new_s / seconds)
            self._heard_s += new_s
        return answer

    def learn_from(self, embeddings: Iterable[npt.NDArray[np.floating]], seconds: float) -> None:
        """Estimate the offset from recordings of this voice, all at once, and keep it.

        Parameters
        ----------
        embeddings : one a window, each of shape (width,)
        seconds : of speech in all of them together
        """
        rows = [embedding.astype(np.float64) - self._mean for embedding in embeddings]
        for _ in range(N_ROUNDS):
            offset = self.offset
            self._sum, self._n = np.zeros_like(self._mean), 0.0
            for centred in rows:
                self._learn(centred, offset, 1.0)
        self._heard_s, self._is_fixed = seconds, True

    def _learn(self, centred: Vector, offset: Vector, weight: float) -> None:
        moved = centred - offset
        if self._probabilities(moved, self._settings.scale).max() < self._settings.least_confidence:
            return
        shares = self._probabilities(moved, self._settings.posterior_scale)
        self._sum = self._sum + weight * (centred - shares @ self._class_means)
        self._n += weight

    def _probabilities(self, moved: Vector, scale: float) -> Vector:
        scores = scale * (self._weights @ moved + self._bias)
        powers = np.exp(scores - scores.max())
        return np.asarray(powers / powers.sum())
