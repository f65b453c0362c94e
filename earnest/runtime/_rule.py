"""The rule of earlier bundles, for runs and scripts that still fit it, and what applies it to what was heard so far.

A speaker and a microphone move all embeddings by about the same vector. Only what it does along the few directions in
which emotions differ matters: there a window is a point, and points of one emotion of one voice scatter by about 1.

From the points heard so far the rule estimates

* the offset of the voice: the mean of the points less what the emotions explain, Σ (z − Σ_c p_c M_c) / (n + k), with p
  the probabilities under the estimate before. Who shows one emotion only is not mistaken for a strange voice that way.
  Where the points less their own mean are told apart as well as those of all emotions are, the plain mean is the better
  estimate, and is used as far as that is so;
* where the emotions lie in this voice: their usual places drawn towards the points taken for them (maximum a
  posteriori; Gauvain and Lee, 1994).

The adapted answer replaces the plain one only as far as it can be trusted. Who shows one emotion all the time could
still have that emotion taken for the voice. But then points hardly differ from each other, whereas those of several
emotions lie far apart or are told apart.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from tokenize import TokenError
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError, RecipeError
from earnest.settings.config import from_mapping
from earnest.settings.limits import Bounds, Finite, Positive, Validated, require

Vector = npt.NDArray[np.float64]
FILE = "adaptation.npz"
UNREADABLE = (OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, OverflowError, RuntimeError, TokenError)
"""What numpy raises of files of arrays: it parses their headers as Python."""
LARGEST_ARRAY_BYTES = 64 * 2**20  # directions of an embedding of 4,096 numbers and 8 classes need 115 kB


@dataclass(frozen=True, kw_only=True)
class AdaptationRule(Validated):
    """The scalars of an `RuleAdaptation`, as ``bundle.json`` and ``run.json`` hold them.

    Attributes
    ----------
    scale : answers = softmax(−scale/2 · squared distance from the emotions' places), fitted on validation data
    posterior_scale : the same for the p of the offset; below 1, so that errors weigh less
    prior : k, windows' worth of belief that there is no offset
    place_prior : windows' worth of belief that an emotion lies where it does in other voices
    least_speech_s : of speech before anything is adapted
    largest_offset : root mean square of offset / spread that is believed; more is scaled down to it
    full_variety : variance of the points of a voice that shows all emotions equally often; one emotion alone has 1
    trust_from, trust_to : the share of the way from 1 to ``full_variety`` at which trust starts, and at which it is
        whole
    variety_prior : windows' worth of belief that there is one emotion only
    told_from, told_to : how many emotions, as a share of all, must be told apart about their own mean for that mean to
        be believed, and trusted, a little and wholly
    """

    scale: Positive = 1.0
    posterior_scale: Positive = 0.6
    prior: Positive = 4.0
    place_prior: Positive = 6.0
    least_speech_s: Finite = 6.0
    largest_offset: Positive = 3.0
    full_variety: Annotated[float, Bounds(gt=1)] = 2.0
    trust_from: Finite = 0.25
    trust_to: Finite = 0.6
    variety_prior: Positive = 2.0
    told_from: Finite = 0.58
    told_to: Finite = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        for first, second in (("trust_from", "trust_to"), ("told_from", "told_to")):
            low, high = getattr(self, first), getattr(self, second)
            require(low < high, f"{first} must be below {second}, got {low:g} and {high:g}")

    def rule(self) -> dict[str, Any]:
        """Return the scalars by name."""
        return {field.name: getattr(self, field.name) for field in fields(AdaptationRule)}


@dataclass(frozen=True, kw_only=True)
class RuleEntry(AdaptationRule):
    """What ``bundle.json`` and ``run.json`` say under ``adaptation``: the scalars, and the file with the arrays."""

    file: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class RuleAdaptation(AdaptationRule):
    """Where the emotions lie for voices heard before, and what the rule needs to find a new voice's.

    Attributes
    ----------
    directions : along which emotions differ, scaled so that an emotion of a voice never heard has unit variance, shape
        (classes − 1, width)
    origin : the mean of all embeddings along them, shape (classes − 1,)
    places : of the emotions in voices whose mean is at the origin, shape (classes, classes − 1)
    spread : standard deviation of speakers' means, shape (classes − 1,)
    """

    directions: Vector
    origin: Vector
    places: Vector
    spread: Vector

    def entry(self) -> RuleEntry:
        """Return what goes into ``bundle.json``."""
        return RuleEntry(file=FILE, **self.rule())

    def to_bytes(self) -> bytes:
        """Return the arrays as an npz file of float32, uncompressed; the same arrays give the same bytes."""
        stored = io.BytesIO()
        np.savez(stored, **{name: getattr(self, name).astype(np.float32) for name in ARRAYS})
        return stored.getvalue()

    @classmethod
    def read(cls, entry: RuleEntry, data: bytes, n_classes: int, where: str) -> "RuleAdaptation":
        """Read what `to_bytes` wrote; what doesn't fit is a `BundleError`."""
        adaptation = cls(**_arrays_in(data, f"{where}: {entry.file}"), **entry.rule())
        adaptation._check(n_classes, where)
        return adaptation

    def _check(self, n_classes: int, where: str) -> None:
        shapes: dict[str, tuple[int, ...]] = {
            "directions": (n_classes - 1, self.directions.shape[-1]),
            "places": (n_classes, n_classes - 1),
        }
        shapes |= dict.fromkeys(("origin", "spread"), (n_classes - 1,))
        if not self.directions.size or any(getattr(self, name).shape != shape for name, shape in shapes.items()):
            raise BundleError(f"{where}: the shapes of 'adaptation' don't fit each other. Export the bundle again.")
        if not (all(np.isfinite(getattr(self, name)).all() for name in ARRAYS) and self.spread.min() > 0):
            raise BundleError(f"{where}: 'adaptation' holds impossible numbers. Export the bundle again.")


ARRAYS = tuple(field.name for field in fields(RuleAdaptation) if field.name not in AdaptationRule().rule())


def adaptation_entry(values: Mapping[str, Any], where: str) -> RuleEntry:
    """Read what `RuleEntry.to_dict` gave."""
    try:
        return from_mapping(RuleEntry, values, f"{where}: adaptation")
    except RecipeError as error:
        raise BundleError(str(error)) from None


def _arrays_in(data: bytes, where: str) -> dict[str, Any]:
    """Read an npz file that may be anything; an archive that would grow is refused before it is unpacked."""
    import zipfile  # not at the start of every prediction
    import zlib

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
        if {member.filename for member in members} != {f"{name}.npy" for name in ARRAYS}:
            raise BundleError(f"{where}: must hold {', '.join(ARRAYS)}. Export the bundle again.")
        if any(member.file_size > LARGEST_ARRAY_BYTES for member in members):
            raise BundleError(f"{where}: larger than any adaptation. Export the bundle again.")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name].astype(np.float64, casting="same_kind") for name in ARRAYS}
    except (*UNREADABLE, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{where}: not readable ({error}). Export the bundle again.") from error


N_ROUNDS = 5  # of each estimate: it stands still by then
LONGEST_MEMORY = 600  # windows; ten minutes of a stream that answers every second


class Estimate(NamedTuple):
    """What is known of a voice: its offset (directions,), its places (classes, directions), and trust from 0 to 1."""

    offset: Vector
    places: Vector
    trust: float


class RuleAdapter:
    """Follows one voice; memory is a point for each of the latest windows.

    Attributes
    ----------
    is_active : whether enough was heard for anything to be adapted
    estimate : what is known so far
    """

    def __init__(self, adaptation: RuleAdaptation) -> None:
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
            # A mixture of probabilities: the weight is the share of the adapted answer.
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


def estimate(rule: RuleAdaptation, points: Vector, weights: Vector) -> Estimate:
    """Return what points (windows, directions) with weights (windows,) say about their voice; one at least."""
    # n of the module's text: windows' worth of sound, each window counting as much as it was new.
    heard = weights.sum()
    mean = weights @ points / heard
    about_mean = points - mean
    # Offset o, by fixed-point iteration: p = softmax of z − o about the places (E), o = Σ w·(z − p·M) / (n + k) (M).
    offset = np.zeros_like(mean)
    for _ in range(N_ROUNDS):
        shares = probabilities(points - offset, rule.places, rule.posterior_scale)
        offset = _bounded(weights @ (points - shares @ rule.places) / (heard + rule.prior), rule)
    # Separability of the windows about their own mean: where it is whole, the plain mean w·z / (n + 1) is the offset.
    told = _told_apart(probabilities(about_mean, rule.places), weights / heard)
    whole = _graded(told, rule.told_from, rule.told_to)
    offset = whole * _bounded(mean * heard / (heard + 1), rule) + (1 - whole) * offset
    # Places by maximum a posteriori (Gauvain and Lee, 1994): m_c = (τ·M_c + Σ p_c·(z − o)) / (τ + Σ p_c).
    places = rule.places
    for _ in range(N_ROUNDS):
        shares = probabilities(points - offset, places) * weights[:, None]  # (windows, classes)
        counts = shares.sum(axis=0)[:, None]  # (classes, 1)
        places = (rule.place_prior * rule.places + shares.T @ points - counts * offset) / (rule.place_prior + counts)
    # Between-window variance, drawn towards that of one emotion, 1:
    # (Σ w·|z − mean|²/d + v) / (n − 1 + v).
    squares = float(weights @ (about_mean**2).mean(axis=1))
    variety = (squares + rule.variety_prior) / (max(heard - 1, 0.0) + rule.variety_prior)
    share = (variety - 1) / (rule.full_variety - 1)  # 0: one emotion, 1: all equally often
    return Estimate(offset, places, max(_graded(share, rule.trust_from, rule.trust_to), whole))


def probabilities(points: Vector, places: Vector, scale: float = 1.0) -> Vector:
    """Return the probabilities (..., classes) of points (..., directions) that scatter about places by 1 / scale."""
    # −s/2·|z − M_c|² = s·(z·M_c − |M_c|²/2) − s/2·|z|², and softmax forgets the last term.
    powers = scale * (points @ places.T - 0.5 * (places**2).sum(axis=1))  # but for what all classes share
    powers = np.exp(powers - powers.max(axis=-1, keepdims=True))  # the largest is exp(0): no overflow
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _told_apart(shares: Vector, weights: Vector) -> float:
    """Return how many classes probabilities (windows, classes) tell apart, as a share of all.

    The exponential of what a window's probabilities say about which one it is (mutual information): 1 where all are
    sure and every class is equally frequent.
    """
    # I(window; class) = H(mean of p) − mean of H(p), in nats; exp(I) is a number of classes.
    information = _entropy(weights @ shares) - weights @ _entropy(shares)
    return float(np.exp(information) / shares.shape[1])


def _entropy(shares: Vector) -> Vector:
    return np.asarray(-(shares * np.log(np.maximum(shares, np.finfo(np.float64).tiny))).sum(axis=-1))


def _bounded(offset: Vector, rule: RuleAdaptation) -> Vector:
    size = float(np.sqrt(np.mean((offset / rule.spread) ** 2)))  # in standard deviations of speakers' means
    return offset * min(1.0, rule.largest_offset / size) if size else offset


def _graded(value: float, start: float, end: float) -> float:
    return float(np.clip((value - start) / (end - start), 0.0, 1.0))
