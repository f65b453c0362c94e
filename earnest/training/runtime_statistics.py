"""Runtime statistics: what a bundle carries beside its graph, for adaptation and to know what is out-of-domain."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.bundle import ADAPTATION, AdaptationEntry
from earnest.errors import EarnestError, shown
from earnest.files.reading import read_bytes
from earnest.files.writing import write_atomically
from earnest.learning.discriminant import Floats
from earnest.learning.domain import Domain, domain_entry, fit_domain, longest_known
from earnest.models.classifier import Network
from earnest.settings.recipe import Training
from earnest.training.adaptation import (
    COPY,
    N_STEPS,
    STEPS_PER_CLIP,
    adaptation_graph,
    answered_in_views,
    fit_adaptation,
)
from earnest.training.clips import EmbeddingCache
from earnest.training.closed_form import is_speaker_dependent
from earnest.training.examples import Example

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
    views = answered_in_views(train.embeddings, train.targets, train.speakers, corpora, shrinkage, len(classes))
    banks = [bank for view in views for bank in view]
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
        heard = speaker_embeddings(network, train, cache)
        skipped = is_speaker_dependent(network)
        adaptation = None if skipped else learned_adaptation(heard, settings.shrinkage, classes, settings.seed)
    else:
        adaptation = before.adaptation
    if not valid:
        return RuntimeStatistics(adaptation)
    unseen = speaker_embeddings(network, valid, cache)
    plain = speaker_embeddings(network, [example for example in train if not example.copy], cache)
    domain = fit_domain(plain.embeddings, unseen.embeddings, longest_known(plain.seconds))
    if before is not None:
        # After a refit no clip is unseen any more: the threshold stays the one that unseen clips have set.
        domain = domain and before.domain and replace(domain, threshold=before.domain.threshold)
    return RuntimeStatistics(adaptation, domain)


def speaker_embeddings(network: Network, examples: Sequence[Example], cache: EmbeddingCache) -> SpeakerEmbeddings:
    """Return the embeddings of clips with what is known about them; changed copies count as other speakers."""
    speakers = [example.utterance.speaker for example in examples]
    return SpeakerEmbeddings(
        cache.embed(network, examples).double().numpy(),
        np.array([example.target for example in examples], np.int64),
        [f"{who}{COPY}{one.copy}" if one.copy else who for who, one in zip(speakers, examples, strict=True)],
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
