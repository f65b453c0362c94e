"""Getting used to a voice and its channel, without labels: the class-aware causal offset.

A speaker and a microphone move all embeddings by about the same vector. It is estimated from what was heard so far,
less what the emotions themselves explain: Σ (x − μ − Σ_c p_c M_c) / (n + k), with p the probabilities of the windows
under the offset known until then.

Who shows one emotion all the time could still have that emotion taken for the voice. But then the windows hardly
differ from each other, whereas several emotions lie far apart: the variety of a stream is its variance along the
discriminant directions, in units of what one emotion of one voice varies by. The adapted answer replaces the plain one
only as far as that variety allows.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.bundle import Bundle
from earnest.config import from_mapping
from earnest.errors import BundleError, RecipeError

Vector = npt.NDArray[np.float64]
FILE = "adaptation.npz"
LARGEST_ARRAY_BYTES = 64 * 2**20  # an embedding of 4,096 numbers and 8 classes need 132 kB
N_ROUNDS = 5  # of the estimate from given recordings: it stands still by then


@dataclass(frozen=True, kw_only=True)
class AdaptationRule:
    """The scalars of an `Adaptation`, as ``bundle.json`` and ``run.json`` hold them.

    Attributes
    ----------
    scale : probabilities = softmax(scale · scores), fitted on validation data
    posterior_scale : the same for the p of the rule; flatter, so that early errors weigh less
    prior : k, windows' worth of belief that there is no offset
    least_speech_s : of speech before the offset is used
    least_confidence : windows below it don't count
    largest_offset : root mean square of offset / spread that is believed; more is scaled down to it
    full_variety : of a voice that shows all emotions equally often; one emotion alone has 1
    trust_from, trust_to : the share of the way from 1 to ``full_variety`` at which trust in the offset starts, and at
        which it is whole
    variety_prior : windows' worth of belief that there is one emotion only
    """

    scale: float = 0.15
    posterior_scale: float = 0.1
    prior: float = 4.0
    least_speech_s: float = 6.0
    least_confidence: float = 0.0
    largest_offset: float = 3.0
    full_variety: float = 2.0
    trust_from: float = 0.25
    trust_to: float = 0.6
    variety_prior: float = 2.0

    def rule(self) -> dict[str, Any]:
        """Return the scalars by name."""
        return {field.name: getattr(self, field.name) for field in fields(AdaptationRule)}


@dataclass(frozen=True, kw_only=True)
class AdaptationEntry(AdaptationRule):
    """What ``bundle.json`` and ``run.json`` say under ``adaptation``: the scalars, and the file with the arrays."""

    file: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Adaptation(AdaptationRule):
    """A linear classifier trained on embeddings centred by speaker, and what the rule needs to centre others.

    Attributes
    ----------
    mean : μ, of all embeddings, shape (width,)
    class_means : M, each class' mean of centred embeddings, shape (classes, width)
    weights, bias : scores = weights · (x − μ − offset) + bias, shapes (classes, width) and (classes,)
    spread : standard deviation of speakers' means, shape (width,)
    directions : along which emotions differ, scaled so that an emotion of a voice never heard has unit variance, shape
        (classes − 1, width)
    """

    mean: Vector
    class_means: Vector
    weights: Vector
    bias: Vector
    spread: Vector
    directions: Vector

    def entry(self) -> AdaptationEntry:
        """Return what goes into ``bundle.json``."""
        return AdaptationEntry(file=FILE, **self.rule())

    def to_bytes(self) -> bytes:
        """Return the arrays as an npz file of float32, uncompressed; the same arrays give the same bytes."""
        stored = io.BytesIO()
        np.savez(stored, **{name: getattr(self, name).astype(np.float32) for name in ARRAYS})
        return stored.getvalue()

    @classmethod
    def of(cls, bundle: Bundle) -> "Adaptation | None":
        """Read the bundle's, None where it has none.

        Raises
        ------
        BundleError
            When the file is missing, shapes don't fit or numbers aren't finite.
        """
        info = bundle.info
        if info.adaptation is None:
            return None
        entry = adaptation_entry(info.adaptation, info.name)
        return cls.read(entry, bundle.listed_bytes(entry.file), len(info.classes), info.name)

    @classmethod
    def read(cls, entry: AdaptationEntry, data: bytes, n_classes: int, where: str) -> "Adaptation":
        """Read what `to_bytes` wrote; what doesn't fit is a `BundleError`."""
        adaptation = cls(**_arrays_in(data, f"{where}: {entry.file}"), **entry.rule())
        adaptation._check(n_classes, where)
        return adaptation

    def _check(self, n_classes: int, where: str) -> None:
        width = self.mean.size
        shapes: dict[str, tuple[int, ...]] = {"mean": (width,), "spread": (width,), "bias": (n_classes,)}
        shapes |= dict.fromkeys(("class_means", "weights"), (n_classes, width)) | {"directions": (n_classes - 1, width)}
        if not width or any(getattr(self, name).shape != shape for name, shape in shapes.items()):
            raise BundleError(f"{where}: the shapes of 'adaptation' don't fit each other. Export the bundle again.")
        finite = all(np.isfinite(getattr(self, name)).all() for name in ARRAYS) and np.isfinite([*self.rule().values()])
        positive = min(self.spread.min(), self.scale, self.posterior_scale, self.prior, self.largest_offset) > 0
        graded = self.full_variety > 1 and self.trust_from < self.trust_to and self.variety_prior > 0
        if not (np.all(finite) and positive and graded):
            raise BundleError(f"{where}: 'adaptation' holds impossible numbers. Export the bundle again.")


ARRAYS = tuple(field.name for field in fields(Adaptation) if field.name not in AdaptationRule().rule())


def adaptation_entry(values: Mapping[str, Any], where: str) -> AdaptationEntry:
    """Read what `AdaptationEntry.to_dict` gave."""
    try:
        return from_mapping(AdaptationEntry, values, f"{where}: adaptation")
    except RecipeError as error:
        raise BundleError(str(error)) from None


def _arrays_in(data: bytes, where: str) -> dict[str, Any]:
    """Read an npz file that may be anything; an archive that would grow is refused before it is unpacked."""
    import zipfile  # not at the start of every prediction
    import zlib

    unreadable = (OSError, ValueError, TypeError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
        if {member.filename for member in members} != {f"{name}.npy" for name in ARRAYS}:
            raise BundleError(f"{where}: must hold {', '.join(ARRAYS)}. Export the bundle again.")
        if any(member.file_size > LARGEST_ARRAY_BYTES for member in members):
            raise BundleError(f"{where}: larger than any adaptation. Export the bundle again.")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name].astype(np.float64, casting="same_kind") for name in ARRAYS}
    except unreadable as error:
        raise BundleError(f"{where}: not readable ({error}). Export the bundle again.") from error


class Adapter:
    """Follows one voice; memory is one vector of an embedding's width and one of its variety.

    Attributes
    ----------
    is_active : whether enough was heard for the offset to be used
    trust : how far the offset is believed, from 0 to 1
    """

    def __init__(self, adaptation: Adaptation) -> None:
        self._settings = adaptation
        self._mean, self._spread = adaptation.mean, adaptation.spread
        self._class_means, self._weights, self._bias = adaptation.class_means, adaptation.weights, adaptation.bias
        self._sum = np.zeros_like(self._mean)
        self._n = self._heard_s = 0.0
        self._variety = _Variety(len(adaptation.directions))
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

    @property
    def trust(self) -> float:
        """How far the offset is believed, from 0 (one emotion so far, or little heard) to 1 (several emotions)."""
        rule = self._settings
        share = (self._variety.value(rule.variety_prior) - 1) / (rule.full_variety - 1)
        return float(np.clip((share - rule.trust_from) / (rule.trust_to - rule.trust_from), 0.0, 1.0))

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
        probabilities, shape (classes,): the plain ones as far as the offset isn't trusted; None while it isn't at all
        """
        centred = self._centred(embedding)
        answer, trust = None, self.trust
        if self.is_active and trust > 0:
            adapted = self._probabilities(centred - self.offset, self._settings.scale)
            answer = trust * adapted + (1 - trust) * plain.astype(np.float64)
        if not self._is_fixed:
            self._learn(centred, self.offset, new_s / seconds)
            self._watch(centred, new_s / seconds)
            self._heard_s += new_s
        return answer

    def learn_from(self, embeddings: Iterable[npt.NDArray[np.floating]], seconds: float) -> None:
        """Estimate the offset from recordings of this voice, all at once, and keep it.

        Parameters
        ----------
        embeddings : one a window, each of shape (width,)
        seconds : of speech in all of them together
        """
        rows = [self._centred(embedding) for embedding in embeddings]
        for _ in range(N_ROUNDS):
            offset = self.offset
            self._sum, self._n = np.zeros_like(self._mean), 0.0
            for centred in rows:
                self._learn(centred, offset, 1.0)
        for centred in rows:
            self._watch(centred, 1.0)
        self._heard_s, self._is_fixed = seconds, True

    def _centred(self, embedding: npt.NDArray[np.floating]) -> Vector:
        if embedding.shape != self._mean.shape:
            raise BundleError(
                f"'adaptation' is for embeddings of shape {self._mean.shape}, the graph gives {embedding.shape}. "
                "Export the bundle again."
            )
        return np.asarray(embedding.astype(np.float64) - self._mean)

    def _watch(self, centred: Vector, weight: float) -> None:
        self._variety.add(self._settings.directions @ centred, weight)

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


class _Variety:
    """The variance of weighted vectors that come one by one (West, 1979), a mean over their numbers."""

    def __init__(self, width: int) -> None:
        self._mean = np.zeros(width)
        self._weight = self._squares = 0.0

    def add(self, vector: Vector, weight: float) -> None:
        if weight <= 0:
            return
        self._weight += weight
        step = vector - self._mean
        self._mean = self._mean + step * (weight / self._weight)
        self._squares += weight * float(step @ (vector - self._mean))

    def value(self, prior: float) -> float:
        """Return it, drawn towards 1 by ``prior`` vectors' worth."""
        width = max(1, len(self._mean))
        return (self._squares / width + prior) / (max(self._weight - 1, 0.0) + prior)
