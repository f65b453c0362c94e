"""Runtime statistics: what a bundle carries beside its graph, for adaptation and to know what is out-of-domain.

Adaptation is learned from simulated streams. A speaker, a microphone and a language move all answers alike, and nobody
says how often which emotion comes in a folder of recordings. So a small network over the set of a speaker's plain
answers (`earnest.models.adaptation`) is shown endless streams, drawn from answers to training speakers whose labels the
answering classifier had not seen, with drawn shares of emotions, lengths, offsets and numbers of speakers; it learns to
tell each recording's emotion from its own answer and a summary of all (amortised inference).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.bundle import ADAPTATION, AdaptationEntry
from earnest.errors import EarnestError, shown
from earnest.evaluation.calibration import fit_temperature
from earnest.files.reading import read_bytes
from earnest.files.writing import write_atomically
from earnest.learning.discriminant import Floats, Numbers, Shrinkage, discriminant
from earnest.learning.domain import Domain, domain_entry, fit_domain, known_limit
from earnest.models.adaptation import SMALLEST, AdaptationNetwork, adaptation_graph
from earnest.models.classifier import Network
from earnest.settings.recipe import Training
from earnest.training.closed_form import EmbeddingCache, is_speaker_dependent
from earnest.training.examples import Example, targets_of


@dataclass(frozen=True, eq=False)
class Answered:
    """Plain answers to one speaker's recordings by a classifier that had not seen that speaker's labels.

    Attributes
    ----------
    points : log-probabilities but for a constant, less their mean over classes, shape (recordings, classes)
    targets : shape (recordings,), numbers of the classes
    """

    points: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]

    def centre(self, n_classes: int) -> Floats:
        """Return the mean point of all emotions that the speaker has, each counting the same, shape (classes,)."""
        there = [target for target in range(n_classes) if (self.targets == target).any()]
        return np.asarray(np.mean([self.points[self.targets == target].mean(axis=0) for target in there], axis=0))


@dataclass(frozen=True, eq=False)
class Bank:
    """Speakers of one corpus, as one classifier answers them.

    Attributes
    ----------
    strange : whether the classifier has not seen the corpus at all; then points are less what all its speakers share
    """

    speakers: Sequence[Answered]
    strange: bool


N_TURNS = 5
COPY = "#"  # behind a speaker: a changed copy of recordings, which sounds like another speaker
CLIPS_PER_VIEW, MOST_VIEWS = 300, 24
SHARE_OF_VIEW, NARROWEST_VIEW = 4, 384  # of the embedding's values
SHRINKAGES = (0.5, 0.7, 0.8, 0.9)  # of views


def answered_in_views(
    embeddings: Floats,
    targets: Numbers,
    speakers: Sequence[str],
    corpora: Sequence[str],
    shrinkage: Shrinkage,
    n_classes: int,
    seed: int = 0,
) -> list[list[Bank]]:
    """Answer training speakers by discriminants of the embedding, and of views of it: some of its values, drawn.

    A network that sees one classifier's answers knows their every cloud by heart. Each view puts emotions elsewhere, as
    another language does, and what holds in all of them holds in the next corpus, too (random subspaces: Ho, 1998).

    Parameters
    ----------
    embeddings : (utterances, width); ``targets``, ``speakers`` and ``corpora`` are of each

    Returns
    -------
    banks of the whole embedding, and of each view; few answers need no views
    """
    labels = targets, speakers, corpora
    whole = answered_by_turns(embeddings, *labels, shrinkage, n_classes)
    answered, rng, width = [whole], np.random.default_rng(seed), embeddings.shape[1]
    for _ in range(min(MOST_VIEWS, len(targets) // CLIPS_PER_VIEW) if whole else 0):
        values = rng.permutation(width)[: max(NARROWEST_VIEW, width // SHARE_OF_VIEW)]
        shrunk = shrinkage.of_values(float(rng.choice(SHRINKAGES)), values)
        answered.append(answered_by_turns(embeddings[:, values], *labels, shrunk, n_classes))
    return answered


def turns_of(voices: npt.NDArray[np.str_]) -> Numbers:
    """Return the turn (utterances,) in which each utterance is answered: all utterances of a voice in one."""
    order = np.random.default_rng(0).permutation(sorted(set(voices.tolist())))
    turn_of = {voice: position % N_TURNS for position, voice in enumerate(order)}
    return np.array([turn_of[voice] for voice in voices])


def answered_by_turns(
    embeddings: Floats,
    targets: Numbers,
    speakers: Sequence[str],
    corpora: Sequence[str],
    shrinkage: Shrinkage,
    n_classes: int,
) -> list[Bank]:
    """Answer training speakers by discriminants that did not learn from them.

    In a corpus that was learnt from, speakers take turns. And each corpus whole is answered from the others, where
    these have all classes: emotions lie otherwise in a language that nobody has heard. How far off it lies as a whole
    and how sure its answers are says more about those few corpora than about the next language: points are less that
    offset, which streams draw anew, and have a temperature of their own.

    Parameters
    ----------
    embeddings : (utterances, width); ``targets``, ``speakers`` and ``corpora`` are of each
    """
    names, sources = np.array(speakers), np.array(corpora)
    voices = np.array([speaker.partition(COPY)[0] for speaker in speakers])
    turns = turns_of(voices)
    scores = np.full((len(targets), n_classes), np.nan)

    def answer(held: npt.NDArray[np.bool_]) -> bool:
        # One person may speak in a corpus and sing in another.
        rest = ~np.isin(voices, np.unique(voices[held]))
        if held.all() or not held.any() or len(np.unique(targets[rest])) < n_classes:
            return False
        rows = embeddings[rest], targets[rest], shrinkage, n_classes, sources[rest].tolist()
        weights, bias = discriminant(*rows)
        scores[held] = embeddings[held] @ weights.T + bias
        return True

    def bank(rows: npt.NDArray[np.bool_], temperature: float) -> list[Answered]:
        # Log-probabilities but for a constant of the row, which the mean over classes takes away.
        points = scores / temperature
        points -= points.mean(axis=1, keepdims=True)
        each = (names == name for name in np.unique(names[rows]))
        return [Answered(points[own].astype(np.float32), targets[own]) for own in each]

    for turn in np.unique(turns):
        if not answer(turns == turn):
            return []  # too few speakers: without a turn's, an emotion is missing
    temperature = fit_temperature(scores, targets)
    banks = [Bank(bank(sources == corpus, temperature), strange=False) for corpus in np.unique(sources)]
    middle = np.mean([one.centre(n_classes) for known in banks for one in known.speakers], axis=0)
    for corpus in np.unique(sources):
        rows = sources == corpus
        if answer(rows):
            # In the end a strange corpus' points are (z − moved)/T + middle: around the mean point of known speakers.
            # T is fitted to (z − moved + T₀·middle)/T, with T₀ of known speakers: the same where T is T₀.
            moved = np.mean([one.centre(n_classes) for one in bank(rows, 1.0)], axis=0)
            scores[rows] -= moved
            own = fit_temperature(scores[rows] + temperature * middle, targets[rows])
            scores[rows] += own * middle
            banks.append(Bank(bank(rows, own), strange=True))
    return banks


LONGEST = 60  # recordings; lengths are drawn evenly in their logarithm, from 1
ALONE = 0.9  # share of streams of one speaker; others have two to six
# Share of streams whose channel moves all answers, by a normal offset with the covariance of the training speakers'
# means times a log-normal factor around OFFSET.
MOVED, OFFSET = 0.7, 1.7
# How often a stream's emotions are: all equal, mostly one ("neutral" where there is one), one alone, any (Dirichlet),
# two, some equal.
SHARES = 0.2, 0.2, 0.2, 0.05, 0.2, 0.15


class _Table:
    """A bank's answers side by side, sorted by speaker and class, so that rows can be drawn all at once."""

    def __init__(self, bank: Sequence[Answered], n_classes: int) -> None:
        orders = [np.argsort(one.targets, kind="stable") for one in bank]
        self.points = np.concatenate([one.points[order] for one, order in zip(bank, orders, strict=True)])
        self.targets = np.concatenate([one.targets[order] for one, order in zip(bank, orders, strict=True)])
        # How many recordings each speaker has of each class, and where they begin: (speakers, classes).
        self.counts = np.stack([np.bincount(one.targets, minlength=n_classes) for one in bank])
        self.starts = (self.counts.cumsum() - self.counts.ravel()).reshape(self.counts.shape)

    def draw(self, speakers: Numbers, targets: Numbers, rng: np.random.Generator) -> Numbers:
        """Return a row for each speaker and class (recordings,); of any class where the speaker has none of it."""
        counts, starts = self.counts[speakers, targets], self.starts[speakers, targets]
        none = counts == 0
        # A speaker's rows are sorted by class, so all of them begin where those of class 0 do.
        counts = np.where(none, self.counts[speakers].sum(axis=1), counts)
        starts = np.where(none, self.starts[speakers, 0], starts)
        # start + ⌊u·count⌋ with u from 0 to below 1: each row of the speaker and class is as likely.
        return np.asarray(starts + (rng.random(len(speakers)) * counts).astype(np.int64))


class Streams:
    """Draws simulated streams from what was answered."""

    def __init__(self, banks: Sequence[Bank], frequent: int, n_classes: int, seed: int) -> None:
        self.tables = [_Table(bank.speakers, n_classes) for bank in banks]
        self.frequent, self.n_classes = frequent, n_classes
        self.rng = np.random.default_rng(seed)
        known = [one for bank in banks if not bank.strange for one in bank.speakers]
        means = np.stack([one.centre(n_classes) for one in known])
        # Covariance C = V·Λ·Vᵀ of the speakers' means, (classes, classes), and R = V·√Λ.
        values, vectors = np.linalg.eigh(np.cov(means.T))
        self.root = (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)  # covariance = R·Rᵀ
        # Corpora count by the root of their speakers: ten speakers are no small part beside ninety.
        chances = np.sqrt([len(bank.speakers) for bank in banks])
        self.chances = chances / chances.sum()

    def batch(self, n_streams: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw streams of equally many recordings.

        Returns
        -------
        probabilities (streams, recordings, classes), targets (streams, recordings), and which classes are requested
        (streams, classes)
        """
        # ln L is drawn evenly: as many streams of one recording as of 30 to 59.
        length = int(np.exp(self.rng.uniform(0, np.log(LONGEST + 1))))  # one a batch: nothing is padded
        points, targets, requested = map(np.stack, zip(*(self._stream(length) for _ in range(n_streams)), strict=True))
        return torch.from_numpy(points).softmax(2), torch.from_numpy(targets), torch.from_numpy(requested)

    def _stream(self, length: int) -> tuple[npt.NDArray[np.float32], Numbers, npt.NDArray[np.bool_]]:
        rng = self.rng
        table = self.tables[int(rng.choice(len(self.tables), p=self.chances))]
        n_speakers = 1 if rng.random() < ALONE else int(rng.integers(2, 7))
        chosen = rng.integers(len(table.counts), size=n_speakers)
        shares = self._shares(table.counts[chosen].sum(axis=0) > 0)
        who = rng.integers(n_speakers, size=length)
        rows = table.draw(chosen[who], rng.choice(self.n_classes, size=length, p=shares), rng)
        targets = table.targets[rows]
        # Temperatures differ between bundles and corpora, and with them the size of the points.
        points = table.points[rows] * np.exp(rng.normal(-0.1, 0.1))
        if rng.random() < MOVED:
            points = points + self._offset(np.log(OFFSET), 0.5)
        # (speakers, classes): about half of the speakers have an offset of their own, smaller than a channel's.
        own = np.stack([self._offset(-0.7, 0.6) * (rng.random() < 0.5) for _ in chosen])
        points = points + own[who]
        points -= points.mean(axis=1, keepdims=True)
        requested = np.ones(self.n_classes, bool)
        if rng.random() < 0.5:  # `--classes`: of these alone
            requested = rng.random(self.n_classes) < 0.5
            requested[targets] = True
            requested[rng.integers(self.n_classes)] = True
        return points.astype(np.float32), targets, requested

    def _offset(self, middle: float, deviation: float) -> npt.NDArray[np.float64]:
        # s·R·n with ln s ~ N(middle, deviation²) and n ~ N(0, I): covariance s²·C.
        size = np.exp(self.rng.normal(middle, deviation))
        return np.asarray(size * (self.root @ self.rng.standard_normal(self.n_classes)))

    def _shares(self, there: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Draw how often each emotion is, of those that the speakers have."""
        rng, classes, shares = self.rng, np.flatnonzero(there), np.zeros(self.n_classes)
        kind = int(rng.choice(len(SHARES), p=SHARES))
        if kind == 0:  # all equal
            shares[classes] = 1
        elif kind == 1:  # mostly one
            most = rng.uniform(0.6, 0.95)
            shares[classes] = (1 - most) / max(1, len(classes) - 1)
            shares[self.frequent if there[self.frequent] else rng.choice(classes)] = most
        elif kind == 2:  # one alone
            shares[rng.choice(classes)] = 1
        elif kind == 3:  # any
            shares[classes] = rng.dirichlet(np.full(len(classes), 0.5)) + 1e-9
        else:
            # Two in drawn shares (4); three classes to all of them, equally often (5).
            n_some = 2 if kind == 4 else int(rng.integers(min(3, len(classes)), len(classes) + 1))
            some = rng.choice(classes, min(n_some, len(classes)), replace=False)
            shares[some] = rng.dirichlet(np.full(len(some), 2.0)) + 1e-9 if kind == 4 else 1
        return np.asarray(shares / shares.sum())


N_STEPS, N_STREAMS, RATE = 4000, 48, 2e-3
STEPS_PER_CLIP = 4
REGRET = 6.0  # 2 lost up to two points on streams of one emotion, 0 up to five, and won four more on others


def fit_adaptation(
    banks: Sequence[Bank], classes: Sequence[str], seed: int, n_steps: int = N_STEPS, regret: float = REGRET
) -> AdaptationNetwork:
    """Train on simulated streams, by the cross-entropy of what is told, among all classes or those requested.

    Parameters
    ----------
    regret : what a stream loses against its plain answers counts so many times more than what it wins
    """
    frequent = classes.index("neutral") if "neutral" in classes else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AdaptationNetwork(len(classes))
    streams = Streams(banks, frequent, len(classes), seed)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=n_steps + 1, pct_start=0.1)
    for _ in range(n_steps):
        probabilities, targets, requested = streams.batch(N_STREAMS)
        told, _ = network(probabilities, torch.ones(targets.shape))
        losses = stream_losses(told, targets, requested)
        # What adaptation loses against the plain answer is a stream's regret.
        lost = (losses - stream_losses(probabilities, targets, requested)).clamp(min=0)
        # L = mean over streams of ℓ + λ·max(ℓ − ℓ_plain, 0)
        loss = (losses + regret * lost).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network.eval()


def stream_losses(told: Tensor, targets: Tensor, requested: Tensor) -> Tensor:
    """Return the mean cross-entropy of each stream (streams,).

    Parameters
    ----------
    told : probabilities (streams, recordings, classes), renormalised here to the classes ``requested``
    targets : (streams, recordings)
    requested : (streams, classes)
    """
    possible = told * requested[:, None].to(told.dtype)
    # log(p_y / Σ_c p_c) over the requested classes c; `nll_loss` takes (streams, classes, recordings).
    # Where none of these has a probability that float32 can hold, no class is likelier; 0/0 would spoil all weights.
    total = possible.sum(dim=2, keepdim=True).clamp(min=torch.finfo(told.dtype).tiny)
    logs = (possible / total + SMALLEST).log()
    return functional.nll_loss(logs.transpose(1, 2), targets, reduction="none").mean(dim=1)


FEWEST_SPEAKERS = 3
LEAST_SPEECH_S = 6.0  # before a stream is adapted


@dataclass(frozen=True)
class SpeakerEmbeddings:
    """Utterances of known speakers.

    Attributes
    ----------
    embeddings : shape (utterances, width)
    targets : shape (utterances,), numbers of the classes
    speakers : one name an utterance, made unique over corpora
    seconds : shape (utterances,)
    corpora : of each utterance; None for one
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
        """Return the entry for ``bundle.json``."""
        return AdaptationEntry(ADAPTATION, self.least_speech_s)

    def to_bytes(self) -> bytes:
        """Return the file."""
        return self.graph


def learned_adaptation(
    train: SpeakerEmbeddings, shrinkage: Shrinkage, classes: Sequence[str], seed: int
) -> LearnedAdaptation | None:
    """Learn to adapt from training utterances; None where fewer than three speakers are named.

    Changed copies of utterances count as utterances of other speakers: another channel, another voice.

    Parameters
    ----------
    shrinkage : of the discriminants that answer the utterances
    """
    if any(not speaker.partition(COPY)[0] for speaker in train.speakers) or len(set(train.speakers)) < FEWEST_SPEAKERS:
        return None
    corpora = train.corpora or [""] * len(train)
    labels = train.targets, train.speakers, corpora
    views = answered_in_views(train.embeddings, *labels, shrinkage, len(classes))
    banks = [bank for view in views for bank in view]
    # Few answers are soon learnt from; more steps would learn them by heart.
    n_steps = min(N_STEPS, STEPS_PER_CLIP * len(train))
    return LearnedAdaptation(adaptation_graph(fit_adaptation(banks, classes, seed, n_steps))) if banks else None


@dataclass(frozen=True)
class RuntimeStatistics:
    """Either may be absent: too few speakers or utterances, or a network whose embedding is trained.

    Nor does a network get used to voices that it knows.
    """

    adaptation: LearnedAdaptation | None = None
    domain: Domain | None = None

    def entries(self) -> dict[str, Any]:
        """Return the entries for ``run.json`` and ``bundle.json``."""
        return {
            "adaptation": asdict(self.adaptation.entry()) if self.adaptation else None,
            "domain": asdict(self.domain.entry()) if self.domain else None,
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
    """Learn to adapt, and fit what is known of the domain; its threshold is that of validation utterances.

    Parameters
    ----------
    train : with their changed copies, which adaptation learns from; sound that is known is that of the utterances
        themselves
    cache : of the network's embeddings
    before : of a network that was not trained on the validation utterances, where they are in ``train`` now; its
        adaptation stays, as it is about speakers that a classifier has not seen, and so does its threshold
    """
    if before is None:
        heard = speaker_embeddings(network, train, cache)
        shrinkage, skipped = Shrinkage(settings.shrinkage, network.value_weights), is_speaker_dependent(network)
        adaptation = None if skipped else learned_adaptation(heard, shrinkage, classes, settings.seed)
    else:
        adaptation = before.adaptation
    if not valid:
        return RuntimeStatistics(adaptation)
    unseen = speaker_embeddings(network, valid, cache)
    plain = speaker_embeddings(network, [example for example in train if not example.copy], cache)
    domain = fit_domain(plain.embeddings, unseen.embeddings, known_limit(plain.seconds))
    if before is not None:
        # After a refit no utterance is unseen any more: the threshold stays the one that unseen utterances have set.
        domain = domain and before.domain and replace(domain, threshold=before.domain.threshold)
    return RuntimeStatistics(adaptation, domain)


def speaker_embeddings(network: Network, examples: Sequence[Example], cache: EmbeddingCache) -> SpeakerEmbeddings:
    """Return the embeddings of utterances with what is known about them; changed copies count as other speakers."""
    speakers = [example.utterance.speaker for example in examples]
    return SpeakerEmbeddings(
        cache.embed(network, examples).double().numpy(),
        targets_of(examples),
        [f"{who}{COPY}{one.copy}" if one.copy else who for who, one in zip(speakers, examples, strict=True)],
        np.array([example.duration_s for example in examples]),
        [example.utterance.corpus for example in examples],
    )


def domain_of(run: Path, entry: Mapping[str, Any] | None) -> Domain | None:
    """Read the domain of a run's training utterances; None where nothing was fitted."""
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
