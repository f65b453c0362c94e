"""Runtime statistics: what a bundle carries beside its graph, for adaptation and to know what is out-of-domain."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.bundle import ADAPTATION, AdaptationEntry
from earnest.errors import BundleError, EarnestError, RecipeError, shown
from earnest.files.reading import read_bytes
from earnest.files.writing import write_atomically
from earnest.learning.discriminant import Floats
from earnest.models.classifier import Network
from earnest.settings.config import from_mapping
from earnest.settings.recipe import Training
from earnest.training.adaptation import (
    COPY,
    N_STEPS,
    STEPS_PER_CLIP,
    adaptation_graph,
    answered_by_turns,
    fit_adaptation,
)
from earnest.training.clips import EmbeddingCache
from earnest.training.closed_form import is_speaker_dependent
from earnest.training.examples import Example

FILE = "domain.npy"
N_DIRECTIONS = 64  # of 32 to 256 the one that best kept noises (ESC-10) from speech of an unseen corpus (RAVDESS)
CLIPS_PER_DIRECTION = 10
KNOWN_SHARE = 0.99  # of validation clips that count as in domain
UNREADABLE = (OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, OverflowError, RuntimeError, TokenError)
"""What numpy raises of files of arrays: it parses their headers as Python."""

Table = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DomainEntry:
    """What ``bundle.json`` and ``run.json`` say under ``domain``: the file, and the largest numbers it stands for."""

    file: str
    threshold: float
    longest_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Domain:
    """Where the training clips lie.

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
        # training clip whatever K is. (…, width)·(width, K) → (…, K).
        projected = (embeddings - self.mean) @ self.directions.T
        return np.asarray(np.sqrt(np.mean(projected**2, axis=-1)))

    def entry(self) -> DomainEntry:
        """Return what goes into ``bundle.json``."""
        return DomainEntry(FILE, self.threshold, self.longest_s)

    def to_bytes(self) -> bytes:
        """Return an npy file: the mean in the first row, the directions below."""
        stored = io.BytesIO()
        np.save(stored, np.vstack([self.mean, self.directions]).astype(np.float32, order="C"), allow_pickle=False)
        return stored.getvalue()

    @classmethod
    def read(cls, entry: DomainEntry, data: bytes, where: str) -> "Domain":
        """Read what `to_bytes` wrote; what doesn't fit is a `BundleError`."""
        try:
            table = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        except UNREADABLE as error:
            raise BundleError(f"{where}: {entry.file}: not readable ({error}). Export the bundle again.") from error
        right = table.dtype == np.float32 and table.ndim == 2 and len(table) > 1 and table.shape[1] > 0
        if not right or not np.isfinite(table).all() or not (0 < entry.threshold < np.inf and entry.longest_s > 0):
            raise BundleError(f"{where}: 'domain' holds impossible numbers or shapes. Export the bundle again.")
        return cls(table[0], table[1:], entry.threshold, entry.longest_s)


def domain_entry(values: Mapping[str, Any], where: str) -> DomainEntry:
    """Read what `DomainEntry.to_dict` gave."""
    try:
        return from_mapping(DomainEntry, values, f"{where}: domain")
    except RecipeError as error:
        raise BundleError(str(error)) from None


def fit_domain(train: Floats, valid: Floats, longest_s: float) -> Domain | None:
    """Fit on embeddings (clips, width); None where the training clips are too few, or nothing sets the threshold.

    Parameters
    ----------
    longest_s : what windows may have for a verdict; see `longest_known`
    """
    # A direction needs ten clips or so to be more than chance; there are no more than values.
    n_directions = min(N_DIRECTIONS, train.shape[1], len(train) // CLIPS_PER_DIRECTION)
    if n_directions < 1 or not len(valid):
        return None
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation[deviation == 0] = 1.0
    scaled = (train - mean) / deviation
    # Principal directions of the correlation matrix R = ZᵀZ/n (width, width): R·v_k = λ_k·v_k. eigh sorts λ upwards, so
    # the last columns are the largest.
    variances, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    # v_k/√λ_k, so that each projection has variance one over the training clips; the floor keeps a direction without
    # variance from dividing by zero. Then 1/σ of the standardisation goes into the directions too.
    chosen = directions[:, -n_directions:] / np.sqrt(np.maximum(variances[-n_directions:], 1e-6))
    domain = Domain(mean.astype(np.float32), (chosen.T / deviation).astype(np.float32), 1.0, longest_s)
    return replace(domain, threshold=float(np.quantile(domain.distances(valid), KNOWN_SHARE)))


def longest_known(seconds: Floats) -> float:
    """Return the length that all but a hundredth of the training clips, of ``seconds`` (clips,), stay below."""
    # Longer windows were hardly ever seen: a distance there says more about length than about sound.
    return float(np.quantile(seconds, KNOWN_SHARE))


FEWEST_SPEAKERS = 3
LEAST_SPEECH_S = 6.0  # before a stream is adapted


@dataclass(frozen=True)
class SpeakerEmbeddings:
    """Clips of known speakers.

    Attributes
    ----------
    embeddings : shape (clips, width)
    targets : shape (clips,), numbers of the classes
    speakers : one name a clip, made unique over corpora
    seconds : shape (clips,)
    corpora : of each clip; None for one
    """

    embeddings: Floats
    targets: npt.NDArray[np.int64]
    speakers: Sequence[str]
    seconds: Floats
    corpora: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class LearnedAdaptation:
    """The adaptation network's graph, and seconds of speech before a stream is adapted."""

    graph: bytes
    least_speech_s: float = LEAST_SPEECH_S

    def entry(self) -> AdaptationEntry:
        """Return what goes into ``bundle.json``."""
        return AdaptationEntry(ADAPTATION, self.least_speech_s)

    def to_bytes(self) -> bytes:
        """Return the file."""
        return self.graph


def learned_adaptation(
    train: SpeakerEmbeddings, shrinkage: float, classes: Sequence[str], seed: int
) -> LearnedAdaptation | None:
    """Learn to adapt from training clips; None where fewer than three speakers are named.

    Changed copies of clips teach as the clips of other speakers do: another channel, another voice.
    """
    if any(not speaker.partition(COPY)[0] for speaker in train.speakers) or len(set(train.speakers)) < FEWEST_SPEAKERS:
        return None
    corpora = train.corpora or [""] * len(train)
    banks = answered_by_turns(train.embeddings, train.targets, train.speakers, corpora, shrinkage, len(classes))
    # What few answers can teach is soon learnt; more would be learnt by heart.
    n_steps = min(N_STEPS, STEPS_PER_CLIP * len(train))
    return LearnedAdaptation(adaptation_graph(fit_adaptation(banks, classes, seed, n_steps))) if banks else None


@dataclass(frozen=True)
class RuntimeStatistics:
    """Either may be absent: too few speakers or clips, or a network whose embedding is trained.

    Nor does a network get used to voices that it knows.
    """

    adaptation: LearnedAdaptation | None = None
    domain: Domain | None = None

    def entries(self) -> dict[str, Any]:
        """Return what ``run.json`` and ``bundle.json`` say about them."""
        return {
            "adaptation": asdict(self.adaptation.entry()) if self.adaptation else None,
            "domain": self.domain.entry().to_dict() if self.domain else None,
        }

    def write(self, folder: Path) -> None:
        """Write their files into a run folder."""
        for companion in (self.adaptation, self.domain):
            if companion:
                write_atomically(folder / companion.entry().file, companion.to_bytes())


def fit_runtime_statistics(
    network: Network,
    train: Sequence[Example],
    valid: Sequence[Example],
    settings: Training,
    classes: Sequence[str],
    cache: EmbeddingCache,
    before: RuntimeStatistics | None = None,
) -> RuntimeStatistics:
    """Learn to adapt, and fit what is known of the domain; its threshold is that of validation clips.

    Parameters
    ----------
    train : with their changed copies, which adaptation learns from; sound that is known is that of the clips themselves
    cache : of the network's embeddings
    before : of a network that was not trained on the validation clips, where they are in ``train`` now; its adaptation
        stays, as it is about speakers that a classifier has not seen, and so does its threshold
    """
    if before is None:
        heard = heard_by(network, train, cache)
        skipped = is_speaker_dependent(network)
        adaptation = None if skipped else learned_adaptation(heard, settings.shrinkage, classes, settings.seed)
    else:
        adaptation = before.adaptation
    if not valid:
        return RuntimeStatistics(adaptation)
    unseen = heard_by(network, valid, cache)
    plain = heard_by(network, [example for example in train if not example.copy], cache)
    domain = fit_domain(plain.embeddings, unseen.embeddings, longest_known(plain.seconds))
    if before is not None:
        # After a refit no clip is unseen any more: the threshold stays the one that unseen clips have set.
        domain = domain and before.domain and replace(domain, threshold=before.domain.threshold)
    return RuntimeStatistics(adaptation, domain)


def heard_by(network: Network, examples: Sequence[Example], cache: EmbeddingCache) -> SpeakerEmbeddings:
    """Return the embeddings of clips with what is known about them; changed copies count as other voices."""
    return SpeakerEmbeddings(
        cache.embed(network, examples).double().numpy(),
        np.array([example.target for example in examples], np.int64),
        [f"{example.speaker}{COPY}{example.copy}" if example.copy else example.speaker for example in examples],
        np.array([example.duration_s for example in examples]),
        [example.utterance.corpus for example in examples],
    )


def domain_of(run: Path, entry: Mapping[str, Any] | None) -> Domain | None:
    """Read what a run knows of its training clips' embeddings; None where nothing was fitted."""
    if entry is None:
        return None
    (data,) = statistics_files(run, [entry]).values()
    return Domain.read(domain_entry(entry, str(run)), data, str(run))


def statistics_files(run: Path, entries: Sequence[Mapping[str, Any] | None]) -> dict[str, bytes]:
    """Read the files that a run's entries name: file name → content."""
    names = [str(entry.get("file", "")) for entry in entries if entry]
    for name in names:
        if not name or Path(name).name != name:
            raise EarnestError(f"{run}: {shown(name)} is no file of the run. Train it again.")
    return {name: read_bytes(run / name, missing="a file of the run is missing. Train it again.") for name in names}
