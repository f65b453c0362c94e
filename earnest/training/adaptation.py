"""Adaptation learned from simulated streams: a small network over the set of a speaker's plain answers.

A speaker, a microphone and a language move all answers alike, and nobody says how often which emotion comes in a
folder of recordings. So the network is shown endless streams, drawn from answers to training speakers whose labels the
answering classifier had not seen, with drawn shares of emotions, lengths, offsets and numbers of speakers; it learns to
tell each recording's emotion from its own answer and a summary of all (amortised inference; sets as in Zaheer et al.,
2017). As it sees answers alone, it goes behind every network and every engine.
"""

import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.evaluation.calibration import fit_temperature
from earnest.learning.discriminant import Floats, discriminant

OPSET = 18
SMALLEST = 1e-6  # a probability below says no more
WIDTH, SUMMARY = 64, 128


class AdaptationNetwork(nn.Module):
    """From the plain answers to a set of recordings to adapted ones; their order does not matter.

    A recording's point x is its log-probabilities less their mean, and u is x less the set's mean point. Each gives
    values f(x), and values h(u), which no channel or language moves: they tell into how many clouds a set falls. The
    set's summary c is a function of the weighted mean and deviation of both, those of the points, and how many there
    are. The adapted answer is softmax(g(c)·(x − o(c)) + r(f, h, c, x)), and what is told is its mixture with the plain
    one, by the weight w(f, h, c, x).

    Attributes
    ----------
    sharpness : what points are multiplied with, (1,): other than 1 where plain answers got another temperature since
    hedge : the power of the probabilities that are told, (1, 1, 1): see `with_temperatures`
    """

    sharpness: Tensor
    hedge: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.register_buffer("sharpness", torch.ones(1))
        self.register_buffer("hedge", torch.ones(1, 1, 1))  # another shape: equal tensors become one in the graph
        self.values = nn.Sequential(nn.Linear(2 * n_classes, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU())
        self.shape = nn.Sequential(nn.Linear(4 * n_classes, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU())
        n_facts = 4 * WIDTH + 3 * n_classes + 3
        self.summary = nn.Sequential(nn.Linear(n_facts, SUMMARY), nn.GELU(), nn.Linear(SUMMARY, WIDTH), nn.GELU())
        beside = 3 * WIDTH + 2 * n_classes
        self.residual = nn.Sequential(nn.Linear(beside, SUMMARY), nn.GELU(), nn.Linear(SUMMARY, n_classes))
        self.offset, self.scale = nn.Linear(WIDTH, n_classes), nn.Linear(WIDTH, 1)
        self.trust = nn.Linear(beside, 1)
        for layer in (self.residual[-1], self.offset, self.scale, self.trust):  # it starts from the plain answer
            assert isinstance(layer, nn.Linear)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, probabilities: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return adapted probabilities (batch, recordings, classes) and their weights (batch, recordings).

        Parameters
        ----------
        probabilities : plain, (batch, recordings, classes)
        weights : how much each counts in the set, 1 for a whole recording, (batch, recordings)
        """
        # x = s·(log p − mean over classes of log p); at s = 1 softmax(x) is p again.
        logs = probabilities.clamp(min=SMALLEST).log()
        points = self.sharpness * (logs - logs.mean(dim=2, keepdim=True))
        plain = points.softmax(dim=2)
        values = self.values(torch.cat([points, plain], dim=2))  # f(x), (batch, recordings, WIDTH)
        shares = weights / weights.sum(dim=1, keepdim=True)
        # A set's weighted mean and deviation, (batch, 1, values).
        mean, deviation = _moments(values, shares)
        centre, spread = _moments(points, shares)
        # u = x − centre, and z = u/σ, with σ the root mean square of the spread over classes, (batch, 1, 1).
        centred = points - centre
        sigma = spread.square().mean(dim=2, keepdim=True).sqrt() + LEAST_SPREAD
        scaled = centred / sigma
        shape = self.shape(torch.cat([centred, scaled, centred.softmax(dim=2), (2 * scaled).softmax(dim=2)], dim=2))
        often = torch.matmul(shares[:, None], plain)  # mean plain answer, (batch, 1, classes)
        counted = weights.sum(dim=1)[:, None, None]  # n = Σ weights, (batch, 1, 1)
        # ln(n)/4 is about one at most; 1/(1 + n) tells small sets apart.
        size = torch.cat([counted.clamp(max=LONGEST).log() / 4, 1 / (1 + counted)], dim=2)
        facts = [mean, deviation, *_moments(shape, shares), centre, spread, often, sigma.log(), size]
        summary = self.summary(torch.cat(facts, dim=2))  # c, (batch, 1, WIDTH)
        # The summary beside each recording, without a copy by a data-dependent shape: 0·x adds its length.
        beside = torch.cat([values, shape, summary + 0 * values, points, centred], dim=2)
        # g(c)·(x − o(c)) + r(f, h, c, x), with g the exponential of what is learned: it stays positive.
        moved = self.scale(summary).exp() * (points - self.offset(summary)) + self.residual(beside)
        trust = self.trust(beside).sigmoid()  # w, (batch, recordings, 1)
        # On corpora never heard the mixture is less often right than it says: p^h, with h fitted on such corpora.
        told = trust * moved.softmax(dim=2) + (1 - trust) * plain
        return (self.hedge * (told + SMALLEST).log()).softmax(dim=2), trust[:, :, 0]


LEAST_SPREAD = 0.1  # of a set's points, so that those of a single one are not divided by nothing
LONGEST = 100  # recordings; more of them are summarised as if there were so many


def _moments(values: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (batch, 1, width) of values (batch, recordings, width) with shares that sum to one."""
    # μ = Σ_i s_i·x_i, σ² = Σ_i s_i·(x_i − μ)²; with 1e-6 the root's gradient is finite where all x are equal.
    mean = torch.matmul(shares[:, None], values)
    variance = torch.matmul(shares[:, None], (values - mean).square())
    return mean, (variance + 1e-6).sqrt()


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


Numbers: TypeAlias = npt.NDArray[np.int64]


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
    shrinkage: float,
    n_classes: int,
    seed: int = 0,
) -> list[list[Bank]]:
    """Answer training speakers by discriminants of the embedding, and of views of it: some of its values, drawn.

    A network that sees one classifier's answers knows their every cloud by heart. Each view puts emotions elsewhere, as
    another language does, and what holds in all of them holds in the next corpus, too (random subspaces: Ho, 1998).

    Parameters
    ----------
    embeddings : (clips, width); ``targets``, ``speakers`` and ``corpora`` are of each

    Returns
    -------
    banks of the whole embedding, and of each view; what few answers can teach needs no views
    """
    labels = targets, speakers, corpora
    whole = answered_by_turns(embeddings, *labels, shrinkage, n_classes)
    answered, rng, width = [whole], np.random.default_rng(seed), embeddings.shape[1]
    for _ in range(min(MOST_VIEWS, len(targets) // CLIPS_PER_VIEW) if whole else 0):
        values = rng.permutation(width)[: max(NARROWEST_VIEW, width // SHARE_OF_VIEW)]
        view = embeddings[:, values]
        answered.append(answered_by_turns(view, *labels, float(rng.choice(SHRINKAGES)), n_classes))
    return answered


def answered_by_turns(
    embeddings: Floats,
    targets: Numbers,
    speakers: Sequence[str],
    corpora: Sequence[str],
    shrinkage: float,
    n_classes: int,
) -> list[Bank]:
    """Answer training speakers by discriminants that did not learn from them.

    In a corpus that was learnt from, speakers take turns. And each corpus whole is answered from the others, where
    these have all classes: emotions lie otherwise in a language that nobody has heard. How far off it lies as a whole
    and how sure its answers are says more about those few corpora than about the next language: points are less that
    offset, which streams draw anew, and have a temperature of their own.

    Parameters
    ----------
    embeddings : (clips, width); ``targets``, ``speakers`` and ``corpora`` are of each
    """
    names, sources = np.array(speakers), np.array(corpora)
    voices = np.array([speaker.partition(COPY)[0] for speaker in speakers])
    order = np.random.default_rng(0).permutation(sorted(set(voices.tolist())))
    turn_of = {voice: position % N_TURNS for position, voice in enumerate(order)}
    turns = np.array([turn_of[voice] for voice in voices])
    scores = np.full((len(targets), n_classes), np.nan)

    def answer(held: npt.NDArray[np.bool_]) -> bool:
        # One person may speak in a corpus and sing in another.
        rest = ~np.isin(voices, np.unique(voices[held]))
        if held.all() or not held.any() or len(np.unique(targets[rest])) < n_classes:
            return False
        weights, bias = discriminant(embeddings[rest], targets[rest], shrinkage, n_classes, sources[rest].tolist())
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


@dataclass(frozen=True, kw_only=True)
class StreamDraw:
    """How streams are drawn.

    Attributes
    ----------
    longest : recordings; lengths are drawn evenly in their logarithm, from 1
    alone : share of streams of one speaker; others have two to six
    moved : share of streams whose channel moves all answers, by a normal offset with the covariance of the training
        speakers' means times a log-normal factor around ``offset``
    offset : see ``moved``
    shares : how often a stream's emotions are: all equal, mostly one ("neutral" where there is one), one alone, any
        (Dirichlet), two, some equal
    """

    longest: int = 60
    alone: float = 0.9
    moved: float = 0.7
    offset: float = 1.7
    shares: tuple[float, ...] = (0.2, 0.2, 0.2, 0.05, 0.2, 0.15)


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

    def __init__(self, banks: Sequence[Bank], frequent: int, n_classes: int, draw: StreamDraw, seed: int) -> None:
        self.tables = [_Table(bank.speakers, n_classes) for bank in banks]
        self.frequent, self.n_classes, self.draw = frequent, n_classes, draw
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
        length = int(np.exp(self.rng.uniform(0, np.log(self.draw.longest + 1))))  # one a batch: nothing is padded
        points, targets, requested = map(np.stack, zip(*(self._stream(length) for _ in range(n_streams)), strict=True))
        return torch.from_numpy(points).softmax(2), torch.from_numpy(targets), torch.from_numpy(requested)

    def _stream(self, length: int) -> tuple[npt.NDArray[np.float32], Numbers, npt.NDArray[np.bool_]]:
        rng, draw = self.rng, self.draw
        table = self.tables[int(rng.choice(len(self.tables), p=self.chances))]
        n_speakers = 1 if rng.random() < draw.alone else int(rng.integers(2, 7))
        chosen = rng.integers(len(table.counts), size=n_speakers)
        shares = self._shares(table.counts[chosen].sum(axis=0) > 0)
        who = rng.integers(n_speakers, size=length)
        rows = table.draw(chosen[who], rng.choice(self.n_classes, size=length, p=shares), rng)
        targets = table.targets[rows]
        # Temperatures differ between bundles and corpora, and with them the size of the points.
        points = table.points[rows] * np.exp(rng.normal(-0.1, 0.1))
        if rng.random() < draw.moved:
            points = points + self._offset(np.log(draw.offset), 0.5)
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
        kind = int(rng.choice(len(self.draw.shares), p=self.draw.shares))
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
    banks: Sequence[Bank],
    classes: Sequence[str],
    seed: int,
    n_steps: int = N_STEPS,
    draw: StreamDraw | None = None,
    regret: float = REGRET,
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
    streams = Streams(banks, frequent, len(classes), draw or StreamDraw(), seed)
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
    logs = (possible / possible.sum(dim=2, keepdim=True) + SMALLEST).log()
    return functional.nll_loss(logs.transpose(1, 2), targets, reduction="none").mean(dim=1)


class _OneSet(nn.Module):
    """The network over one set, as the graph has it."""

    def __init__(self, network: AdaptationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, probabilities: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        adapted, weight = self.network(probabilities[None], weights[None])
        return adapted[0], weight[0]


def adaptation_graph(network: AdaptationNetwork, facts: Mapping[str, str] | None = None) -> bytes:
    """Return the ONNX graph: ``probabilities`` (recordings, classes), ``weights`` (recordings,) in; ``adapted`` and
    ``weight`` of the same shapes out, all float32."""
    example = (torch.full((3, network.n_classes), 1 / network.n_classes), torch.ones(3))
    recordings = torch.export.Dim("recordings")
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _OneSet(network).eval(),
            example,
            input_names=["probabilities", "weights"],
            output_names=["adapted", "weight"],
            dynamic_shapes={"probabilities": {0: recordings}, "weights": {0: recordings}},
            opset_version=OPSET,
            dynamo=True,
        )
    assert program is not None
    proto = program.model_proto
    _forget_source(proto)
    onnx.helper.set_model_props(proto, dict(facts or {}))
    return bytes(proto.SerializeToString())


def _forget_source(proto: onnx.ModelProto) -> None:
    """Remove what the exporter notes of the machine: files and lines that nodes come from."""
    del proto.graph.metadata_props[:]
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""


def with_temperatures(graph: bytes, sharpness: float, hedge: float) -> bytes:
    """Return an adaptation graph for plain answers of another temperature, and with a power of what it tells.

    Parameters
    ----------
    sharpness : the temperature of today's plain answers by that of those the network was trained on
    """
    proto = onnx.load_from_string(graph)
    for tensor in proto.graph.initializer:
        for name, value in (("sharpness", sharpness), ("hedge", hedge)):
            if tensor.name.endswith(f".{name}"):
                tensor.CopyFrom(
                    onnx.numpy_helper.from_array(np.full(list(tensor.dims), value, np.float32), tensor.name)
                )
    return bytes(proto.SerializeToString())
