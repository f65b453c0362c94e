"""Runtime statistics: what a bundle carries beside its graph, for adaptation and to know what is out-of-domain."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError, EarnestError, RecipeError, shown
from earnest.evaluation.calibration import fit_temperature
from earnest.files.reading import read_bytes
from earnest.files.writing import write_atomically
from earnest.models.classifier import Network
from earnest.runtime._rule import UNREADABLE
from earnest.runtime._rule import RuleAdaptation as Adaptation
from earnest.runtime._rule import RuleAdapter as Adapter
from earnest.settings.config import from_mapping
from earnest.settings.recipe import Training
from earnest.training.clips import EmbeddingCache
from earnest.training.closed_form import Floats, discriminant, is_speaker_dependent, rows_by_corpus
from earnest.training.examples import Example

FILE = "domain.npy"
N_DIRECTIONS = 64  # of 32 to 256 the one that best kept noises (ESC-10) from speech of an unseen corpus (RAVDESS)
CLIPS_PER_DIRECTION = 10
KNOWN_SHARE = 0.99  # of validation clips that count as in domain

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


How: TypeAlias = Literal["causal", "ten", "all", "one-emotion"]
HOWS: Mapping[How, str] = {
    "causal": "each test speaker's clips in a drawn order, each answered with what was heard before it",
    "ten": "ten drawn clips of each test speaker heard, without labels, before any is answered",
    "all": "each test speaker's clips all heard, without labels, before any is answered",
    "one-emotion": "as causal, but a stream of its own for each emotion of a speaker; the hardest case, not a result",
}
HEARD_FIRST: Mapping[How, int | None] = {"ten": 10, "all": None}
FEWEST_SPEAKERS = 3
N_TURNS = 5
COPY = "#"  # behind a speaker: a changed copy, a voice of its own but for turns
SMALLEST = np.finfo(np.float64).tiny


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
    new : whether a clip is as recorded and the embedding's own weights never saw its speaker's labels, shape (clips,);
        None for all
    """

    embeddings: Floats
    targets: npt.NDArray[np.int64]
    speakers: Sequence[str]
    seconds: Floats
    new: npt.NDArray[np.bool_] | None = None
    corpora: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def new_rows(self, n_classes: int) -> npt.NDArray[np.int64]:
        """Return the rows of speakers who are new to the embedding, or all where these are too few."""
        every = np.arange(len(self))
        rows = every if self.new is None else np.flatnonzero(self.new)
        few = len({self.speakers[row] for row in rows.tolist()}) < FEWEST_SPEAKERS
        return every if few or len(np.unique(self.targets[rows])) < n_classes else rows

    def only(self, rows: npt.NDArray[np.int64]) -> "SpeakerEmbeddings":
        """Return some clips, which all count."""
        speakers = [self.speakers[row] for row in rows.tolist()]
        return SpeakerEmbeddings(self.embeddings[rows], self.targets[rows], speakers, self.seconds[rows])

    def centred(self) -> tuple[Floats, Floats]:
        """Return the embeddings less their speaker's mean (clips, width), and these means (speakers, width)."""
        centred, means = self.embeddings.copy(), []
        for rows in _rows_of(self.speakers).values():
            means.append(self.embeddings[rows].mean(axis=0))
            centred[rows] -= means[-1]
        return centred, np.stack(means)


def fit_adaptation(train: SpeakerEmbeddings, shrinkage: float, n_classes: int) -> Adaptation | None:
    """Fit all but the scales on training clips; None where fewer than three voices are named."""
    voices = {_voice_of(speaker) for speaker in train.speakers}
    if "" in voices or len(voices) < FEWEST_SPEAKERS:
        return None
    centred, means = train.centred()
    weights, _ = discriminant(centred, train.targets, shrinkage, n_classes, train.corpora)
    scores = _unheard_scores(centred, train, shrinkage, n_classes)
    rows = train.new_rows(n_classes)
    whitening, full_variety = _variety_of(scores[rows], train.targets[rows], n_classes)
    # The scores of a centred embedding, whitened: (classes − 1, classes)·(classes, width) → (classes − 1, width).
    directions = whitening @ weights
    return Adaptation(
        directions=directions,
        origin=directions @ train.embeddings.mean(axis=0),
        places=np.stack([_class_mean(centred, train, target) for target in range(n_classes)]) @ directions.T,
        spread=np.maximum(np.std(means @ directions.T, axis=0), np.finfo(np.float32).tiny),
        full_variety=full_variety,
    )


def _class_mean(centred: Floats, train: SpeakerEmbeddings, target: int) -> Floats:
    """Return the mean of a class (width,); its corpora count the same, as for the discriminant."""
    parts = rows_by_corpus(train.targets == target, train.corpora)
    return np.asarray(np.mean([centred[rows].mean(axis=0) for rows in parts], axis=0))


def _unheard_scores(centred: Floats, train: SpeakerEmbeddings, shrinkage: float, n_classes: int) -> Floats:
    """Return scores (clips, classes) of discriminants that were fitted on other speakers, who take turns."""
    voices = [_voice_of(speaker) for speaker in train.speakers]
    turn_of = {voice: position % N_TURNS for position, voice in enumerate(sorted(set(voices)))}
    turn = np.array([turn_of[voice] for voice in voices])
    scores = np.zeros((len(train), n_classes))
    for number in range(turn.max() + 1):
        held = turn == number
        if len(np.unique(train.targets[~held])) < n_classes:
            held = np.ones_like(held)  # too few speakers for turns: their own scores, which vary less
            weights, bias = discriminant(centred, train.targets, shrinkage, n_classes, train.corpora)
        else:
            others = train.corpora and [train.corpora[row] for row in np.flatnonzero(~held).tolist()]
            weights, bias = discriminant(centred[~held], train.targets[~held], shrinkage, n_classes, others)
        scores[held] = centred[held] @ weights.T + bias
    return scores


def _variety_of(scores: Floats, targets: npt.NDArray[np.int64], n_classes: int) -> tuple[Floats, float]:
    """Return what makes scores within a class of unit variance (classes − 1, classes), and the variety of all classes.

    Scores may all be raised alike without a difference; the directions leave that out.
    """
    # Columns 1… of Q, of [1 e₂ … e_C], are an orthonormal basis of what is left of scores when their common level is
    # taken out, (classes, classes − 1).
    contrasts = np.linalg.qr(np.column_stack([np.ones(n_classes), np.eye(n_classes)[:, 1:]]))[0][:, 1:]
    # (clips, classes − 1)
    points = scores @ contrasts
    means = np.stack([points[targets == target].mean(axis=0) for target in range(n_classes)])
    # W, the covariance within classes; a trace of I keeps it invertible when a class has one clip.
    within = np.cov((points - means[targets]).T) + 1e-9 * np.eye(n_classes - 1)
    # W = L·Lᵀ; L⁻¹ makes the variance within a class I, so that distances count in deviations.
    whitening = np.linalg.inv(np.linalg.cholesky(within))
    # Variance of a stream of all classes: one within, and the mean square of the class means between.
    between = (means - means.mean(axis=0)) @ whitening.T
    return whitening @ contrasts.T, 1 + float(np.mean(between**2))


def with_scale(adaptation: Adaptation, valid: SpeakerEmbeddings, seed: int) -> Adaptation:
    """Fit the scale of the answers on validation speakers, so that those to streams of all emotions are honest.

    How far a stream is trusted are constants, chosen on validation folds of RAVDESS and EmoDB and between corpora
    (docs/results/experiments.md).
    """
    valid = valid.only(valid.new_rows(len(adaptation.places)))
    # Temperature T = 1/scale minimises −Σ log softmax(log p/T) over adapted answers that are always trusted.
    trusting = replace(adaptation, scale=1.0, least_speech_s=0.0, trust_from=-2.0, trust_to=-1.0)  # always
    plain = np.full((len(valid), len(adaptation.places)), 1 / len(adaptation.places))
    found, _ = adapted_probabilities(trusting, valid, plain, "causal", seed)
    return replace(adaptation, scale=1 / fit_temperature(np.log(np.maximum(found, SMALLEST)), valid.targets))


def adapted_probabilities(
    adaptation: Adaptation, test: SpeakerEmbeddings, plain: npt.NDArray[np.floating], how: How, seed: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Answer clips of speakers never heard, as the runtime does; labels only divide the streams of "one-emotion".

    Parameters
    ----------
    plain : probabilities without adaptation, shape (clips, classes)

    Returns
    -------
    probabilities (clips, classes), and which rows are adapted (clips,): none is before the rule's ``least_speech_s``,
    nor while all that was heard sounds like one emotion; these keep the plain answer
    """
    found = plain.astype(np.float64)
    answered = np.zeros(len(test), np.bool_)
    for rows in _streams(test, how, seed):
        # A new speaker: nothing is known of their offset yet.
        adapter = Adapter(adaptation)
        if how in HEARD_FIRST:
            # What was heard before any answer moves the estimate of the offset, without labels.
            first = rows[: HEARD_FIRST[how]]
            adapter.learn_from(test.embeddings[first], float(test.seconds[first].sum()))
        for row in rows:
            seconds = float(test.seconds[row])
            # hear() answers with what came before the clip, and then takes it into the estimate: causal, as a stream.
            answer = adapter.hear(test.embeddings[row], plain[row], seconds, seconds)
            if answer is not None:
                found[row], answered[row] = answer, True
    return found, answered


def _streams(clips: SpeakerEmbeddings, how: How, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of each stream in the order in which they are heard."""
    labels = clips.targets if how == "one-emotion" else np.zeros_like(clips.targets)
    keys = [f"{speaker}\n{label}" for speaker, label in zip(clips.speakers, labels, strict=True)]
    for number, rows in enumerate(_rows_of(keys).values()):
        yield np.random.default_rng([seed, number]).permutation(rows)


def _voice_of(speaker: str) -> str:
    return speaker.partition(COPY)[0]


def _rows_of(names: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
    found: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        found.setdefault(name, []).append(row)
    return {name: np.array(rows, np.int64) for name, rows in found.items()}


@dataclass(frozen=True)
class RuntimeStatistics:
    """Either may be absent: too few speakers or clips, or a network whose embedding is trained.

    Nor does a network get used to voices that it knows.
    """

    adaptation: Adaptation | None = None
    domain: Domain | None = None

    def entries(self) -> dict[str, Any]:
        """Return what ``run.json`` and ``bundle.json`` say about them."""
        return {
            "adaptation": self.adaptation.entry().to_dict() if self.adaptation else None,
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
    n_classes: int,
    cache: EmbeddingCache,
    before: RuntimeStatistics | None = None,
) -> RuntimeStatistics:
    """Fit on training clips; scales and threshold on validation clips, unless those of ``before`` stay.

    Parameters
    ----------
    train : with their changed copies, which adaptation learns from; sound that is known is that of the clips themselves
    cache : of the network's embeddings
    before : of a network that was not trained on the validation clips, where they are in ``train`` now
    """
    heard = heard_by(network, train, cache)
    adaptation = None if is_speaker_dependent(network) else fit_adaptation(heard, settings.shrinkage, n_classes)
    if not valid:
        return RuntimeStatistics(adaptation)
    unseen = heard_by(network, valid, cache)
    # Copies are voices to adapt to, but sound changed: what is in domain is said by clips as they are alone.
    plain = heard_by(network, [example for example in train if not example.copy], cache)
    domain = fit_domain(plain.embeddings, unseen.embeddings, longest_known(plain.seconds))
    if before is None:
        return RuntimeStatistics(adaptation and with_scale(adaptation, unseen, settings.seed), domain)
    # After a refit no clip is unseen any more: rule and threshold stay those that unseen clips have set.
    return RuntimeStatistics(
        adaptation and before.adaptation and replace(adaptation, **before.adaptation.rule()),
        domain and before.domain and replace(domain, threshold=before.domain.threshold),
    )


def heard_by(network: Network, examples: Sequence[Example], cache: EmbeddingCache) -> SpeakerEmbeddings:
    """Return the embeddings of clips with what is known about them; changed copies count as other voices."""
    fitted_on = network.known_speakers
    return SpeakerEmbeddings(
        cache.embed(network, examples).double().numpy(),
        np.array([example.target for example in examples], np.int64),
        [f"{example.speaker}{COPY}{example.copy}" if example.copy else example.speaker for example in examples],
        np.array([example.duration_s for example in examples]),
        np.array([not example.copy and example.speaker not in fitted_on for example in examples], np.bool_),
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
