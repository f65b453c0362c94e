"""Following one voice: the rule that `earnest.runtime.adaptation` explains, applied to what was heard so far."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError
from earnest.runtime.adaptation import Adaptation, Vector

N_ROUNDS = 5  # of each estimate: it stands still by then
LONGEST_MEMORY = 600  # windows; ten minutes of a stream that answers every second


class Estimate(NamedTuple):
    """What is known of a voice: its offset (directions,), its places (classes, directions), and trust from 0 to 1."""

    offset: Vector
    places: Vector
    trust: float


class Adapter:
    """Follows one voice; memory is a point for each of the latest windows.

    Attributes
    ----------
    is_active : whether enough was heard for anything to be adapted
    estimate : what is known so far
    """

    def __init__(self, adaptation: Adaptation) -> None:
        self._settings = adaptation
        self._points = np.empty((0, len(adaptation.directions)))
        self._weights = np.empty(0)
        self._heard_s = 0.0
        self._is_fixed = False
        self.estimate = Estimate(np.zeros(len(adaptation.directions)), adaptation.places, 0.0)

    @property
    def is_active(self) -> bool:
        """Whether enough was heard for anything to be adapted."""
        return self._heard_s >= self._settings.least_speech_s

    @property
    def trust(self) -> float:
        """How far the adapted answer is believed, from 0 (one emotion so far, or little heard) to 1 (several)."""
        return self.estimate.trust

    def hear(
        self, embedding: npt.NDArray[np.floating], plain: npt.NDArray[np.floating], seconds: float, new_s: float
    ) -> Vector | None:
        """Answer one window with what was known before it, then learn from it.

        Parameters
        ----------
        embedding : shape (width,)
        plain : the window's probabilities without adaptation, shape (classes,)
        seconds : the window's length
        new_s : how much of it no window before held; overlapping windows count as much as they add

        Returns
        -------
        probabilities, shape (classes,): the plain ones as far as the adapted ones aren't trusted; None while they
        aren't at all
        """
        point, answer = self._point(embedding), None
        if self.is_active and self.trust > 0:
            answer = self.trust * self._adapted(point) + (1 - self.trust) * plain.astype(np.float64)
        if not self._is_fixed:
            if new_s > 0:
                self._points = np.vstack([self._points, point])[-LONGEST_MEMORY:]
                self._weights = np.append(self._weights, new_s / seconds)[-LONGEST_MEMORY:]
                self.estimate = estimate(self._settings, self._points, self._weights)
            self._heard_s += new_s
        return answer

    def learn_from(self, embeddings: Iterable[npt.NDArray[np.floating]], seconds: float) -> None:
        """Get used to recordings of this voice, all at once, and stay with that.

        Parameters
        ----------
        embeddings : one a window, each of shape (width,)
        seconds : of speech in all of them together
        """
        points = [self._point(embedding) for embedding in embeddings]
        if points:
            self.estimate = estimate(self._settings, np.stack(points), np.ones(len(points)))
        self._heard_s, self._is_fixed = seconds, True

    def _point(self, embedding: npt.NDArray[np.floating]) -> Vector:
        width = self._settings.directions.shape[1]
        if embedding.shape != (width,):
            raise BundleError(
                f"'adaptation' is for embeddings of shape {(width,)}, the graph gives {embedding.shape}. "
                "Export the bundle again."
            )
        return np.asarray(self._settings.directions @ embedding.astype(np.float64) - self._settings.origin)

    def _adapted(self, point: Vector) -> Vector:
        return probabilities(point - self.estimate.offset, self.estimate.places, self._settings.scale)


def estimate(rule: Adaptation, points: Vector, weights: Vector) -> Estimate:
    """Return what points (windows, directions) with weights (windows,) say about their voice; one at least."""
    heard = weights.sum()
    mean = weights @ points / heard
    about_mean = points - mean
    offset = np.zeros_like(mean)
    for _ in range(N_ROUNDS):
        shares = probabilities(points - offset, rule.places, rule.posterior_scale)
        offset = _bounded(weights @ (points - shares @ rule.places) / (heard + rule.prior), rule)
    told = _told_apart(probabilities(about_mean, rule.places), weights / heard)
    whole = _graded(told, rule.told_from, rule.told_to)
    offset = whole * _bounded(mean * heard / (heard + 1), rule) + (1 - whole) * offset
    places = rule.places
    for _ in range(N_ROUNDS):
        shares = probabilities(points - offset, places) * weights[:, None]
        counts = shares.sum(axis=0)[:, None]
        places = (rule.place_prior * rule.places + shares.T @ points - counts * offset) / (rule.place_prior + counts)
    squares = float(weights @ (about_mean**2).mean(axis=1))
    variety = (squares + rule.variety_prior) / (max(heard - 1, 0.0) + rule.variety_prior)
    share = (variety - 1) / (rule.full_variety - 1)
    return Estimate(offset, places, max(_graded(share, rule.trust_from, rule.trust_to), whole))


def probabilities(points: Vector, places: Vector, scale: float = 1.0) -> Vector:
    """Return the probabilities (..., classes) of points (..., directions) that scatter about places by 1 / scale."""
    powers = scale * (points @ places.T - 0.5 * (places**2).sum(axis=1))  # but for what all classes share
    powers = np.exp(powers - powers.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _told_apart(shares: Vector, weights: Vector) -> float:
    """Return how many classes probabilities (windows, classes) tell apart, as a share of all.

    The exponential of what a window's probabilities say about which one it is (mutual information): 1 where all are
    sure and every class is equally frequent.
    """
    information = _entropy(weights @ shares) - weights @ _entropy(shares)
    return float(np.exp(information) / shares.shape[1])


def _entropy(shares: Vector) -> Vector:
    return np.asarray(-(shares * np.log(np.maximum(shares, np.finfo(np.float64).tiny))).sum(axis=-1))


def _bounded(offset: Vector, rule: Adaptation) -> Vector:
    size = float(np.sqrt(np.mean((offset / rule.spread) ** 2)))
    return offset * min(1.0, rule.largest_offset / size) if size else offset


def _graded(value: float, start: float, end: float) -> float:
    return float(np.clip((value - start) / (end - start), 0.0, 1.0))
