"""Students, which imitate a teacher's tokens, and their training batches."""

import copy
import math
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from earnest.audio.io import load_waveform
from earnest.augment.spec_augment import another_recording, another_speech
from earnest.corpora.manifest import Utterance
from earnest.errors import AudioError, CorpusError, RecipeError
from earnest.frontends.log_mel import LogMel, compute_frames
from earnest.models.pretrained import read_known_speakers
from earnest.models.student import StudentEncoder, StudentSettings
from earnest.models.whisper import (
    Encoder,
    Pooling,
    WhisperSettings,
    WhisperStatistics,
    mean_and_deviation,
    merged,
    normalised,
)
from earnest.settings.limits import from_mapping
from earnest.settings.recipe import FrameChanges
from earnest.training.batches import padded
from earnest.training.finetune import EpochBatches
from research.finetuning import Moments, Pruning, pruned


class Standardised(nn.Module):
    """Tokens less ``mean``, by ``deviation``, both (width,)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return (tokens - self.mean) / self.deviation


class SideBySide(nn.ModuleList):
    """Layers that hear the same, and what they say side by side."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., width) to (..., all widths of the layers)."""
        return torch.cat([layer(tokens) for layer in self], dim=-1)


class Said(NamedTuple):
    """What a student says.

    Attributes
    ----------
    own : tokens of its own (batch, steps, width)
    as_teacher : what it makes the teacher's standardised ones of (batch, steps, width of the teacher)
    heard : which steps are heard (batch, steps)
    """

    own: Tensor
    as_teacher: Tensor
    heard: Tensor


class TokenStudent(nn.Module):
    """A network, of whose own tokens a layer makes the teacher's standardised ones.

    Attributes
    ----------
    learner : what is kept of it, its tensors called ``prefix`` + a name
    width : values of its own tokens
    tokens_per_step : so many steps of 20 ms one of its tokens lasts
    known_speakers : as corpus/speaker, whose labels the weights that it starts from were fitted on
    summary : pools its own tokens as a network on it does
    as_teacher : the layer, see `imitate`
    """

    prefix: str
    learner: nn.Module
    tokens_per_step: int

    def __init__(self, width: int, known_speakers: frozenset[str], summary: Pooling) -> None:
        super().__init__()
        self.width, self.known_speakers, self.summary = width, known_speakers, summary
        self.as_teacher: nn.Module = nn.Identity()

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks, most of whose tensors are matrices."""
        raise NotImplementedError

    def own(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map log-mels in decibels (batch, n_mels, frames) to its own tokens (batch, tokens, width) and their mask."""
        raise NotImplementedError

    def forward(self, frames: Tensor, n_frames: Tensor) -> Said:
        """Map log-mels in decibels (batch, n_mels, frames) to tokens."""
        own, heard = self.own(frames, n_frames)
        return Said(own, self.as_teacher(own), heard)

    def check(self, teacher: "Teacher") -> None:
        """Raise `RecipeError` where it can't imitate this teacher."""

    def imitate(self, teacher: "Teacher", targets: Sequence["DistillationTarget"], batch_size: int) -> None:
        """Make the layer for this teacher, whose tokens are standardised; ``targets`` show what both say."""

    def prune(self, pruning: Pruning, targets: Sequence["DistillationTarget"]) -> None:
        """Become narrower; ``targets`` show what its layers do."""
        raise NotImplementedError


class NetworkStudent(TokenStudent):
    """A small network: nothing is between its tokens and the teacher's standardised ones."""

    prefix = "student."
    tokens_per_step = 2

    def __init__(self, n_mels: int, settings: StudentSettings) -> None:
        known = read_known_speakers(Path(settings.weights)) if settings.weights else frozenset[str]()
        super().__init__(settings.token_width, known, mean_and_deviation)
        self.learner: StudentEncoder = StudentEncoder(n_mels, settings)
        if settings.weights:
            self.learner.load(Path(settings.weights))

    @property
    def blocks(self) -> nn.ModuleList:
        """See `TokenStudent.blocks`."""
        return self.learner.blocks

    def own(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """See `TokenStudent.own`."""
        found: tuple[Tensor, Tensor] = self.learner(frames, n_frames)
        return found

    def check(self, teacher: "Teacher") -> None:
        """See `TokenStudent.check`: both must say as many values."""
        if teacher.width != self.width:
            raise RecipeError(
                f"The teacher's embeddings have {teacher.width} values, the student's {self.width}. Make these equal."
            )


class EncoderStudent(TokenStudent):
    """An encoder, whose tokens are its pooled blocks side by side.

    A teacher of the same width, one that it was made from, is imitated value by value; the token of another one is a
    linear map of its own, which begins by least squares and goes on learning.
    """

    learner: Encoder

    prefix = "encoder."

    def __init__(self, n_mels: int, settings: WhisperSettings) -> None:
        if min(settings.pooled_blocks) < settings.merged_after:
            raise RecipeError("[encoder]: merged_after must not be above the first of pooled_blocks.")
        network = WhisperStatistics(n_mels, 2, settings)
        network.load_pretrained()
        width = settings.width * len(settings.pooled_blocks)
        super().__init__(width, network.known_speakers, settings.pooling)
        self.learner = network.encoder.requires_grad_(True)
        self.pooled_blocks, self.tokens_per_step = settings.pooled_blocks, settings.tokens_per_step

    @property
    def blocks(self) -> nn.ModuleList:
        """See `TokenStudent.blocks`."""
        return self.learner.layers

    def own(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """See `TokenStudent.own`."""
        outputs = self.learner(normalised(frames), n_frames)
        tokens = torch.cat([outputs[block - 1][0].float() for block in self.pooled_blocks], dim=2)
        return tokens, outputs[self.pooled_blocks[0] - 1][1]

    def imitate(self, teacher: "Teacher", targets: Sequence["DistillationTarget"], batch_size: int) -> None:
        """See `TokenStudent.imitate`."""
        moments = [Moments() for _ in teacher.widths]
        others = [number for number, width in enumerate(teacher.widths) if width != self.width]
        for rows in by_length(targets, batch_size) if others else ():
            batch = padded([targets[row].frames for row in rows])
            wanted, heard = teacher.tokens(*batch)
            with torch.no_grad():
                own, parts = self.own(*batch)[0][heard], torch.split(wanted[heard], teacher.widths, dim=1)
            for number in others:
                moments[number].add(own, parts[number])
        units = zip(*(torch.split(unit, teacher.widths) for unit in (teacher.mean, teacher.deviation)), strict=True)
        layers: list[nn.Module] = [Standardised(mean, deviation) for mean, deviation in units]
        for number in others:
            _, weights, bias = moments[number].fitted(self.width)
            layers[number] = nn.Linear(*weights.shape)
            layers[number].load_state_dict({"weight": weights.T.float().contiguous(), "bias": bias.float()})
        self.as_teacher = SideBySide(layers)

    def prune(self, pruning: Pruning, targets: Sequence["DistillationTarget"]) -> None:
        """See `TokenStudent.prune`."""
        self.learner = pruned(self.learner, [target.frames.float() for target in targets], pruning)
        self.learner.requires_grad_(True).train()


class AtTheStart:
    """A student as it was before it learnt.

    Attributes
    ----------
    spread : how much the values of its summary differ between utterances, (values,)
    """

    def __init__(self, student: TokenStudent, targets: Sequence["DistillationTarget"], batch_size: int) -> None:
        self._student = copy.deepcopy(student).eval().requires_grad_(False)
        batches = by_length(targets, batch_size)
        said = torch.cat([self.summaries(*padded([targets[row].frames for row in rows])) for rows in batches])
        self.spread = said.std(dim=0)

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The tensors of its learner."""
        return self._student.learner.state_dict()

    @torch.no_grad()
    def summaries(self, frames: Tensor, n_frames: Tensor) -> Tensor:
        """Map log-mels in decibels (batch, n_mels, frames) to pooled tokens of its own (batch, values)."""
        return self._student.summary(*self._student.own(frames, n_frames))


def student_of(n_mels: int, student: Mapping[str, Any], encoder: Mapping[str, Any]) -> TokenStudent:
    """Build what learns, an encoder where one is described; its start is random or what its ``weights`` name."""
    if encoder:
        return EncoderStudent(n_mels, from_mapping(WhisperSettings, encoder, "[encoder]"))
    return NetworkStudent(n_mels, from_mapping(StudentSettings, student, "[student]"))


HEARD_AGAIN_WITHIN = 30  # new batches
UNCHANGED = -1  # in place of an epoch
BatchKey: TypeAlias = tuple[int, int, tuple[int, ...]]
"""Epoch, number of the batch within it, positions of its clips."""


class Taught(NamedTuple):
    """A batch for a student.

    Attributes
    ----------
    frames, n_frames : log-mels in decibels (batch, n_mels, frames), and how many of each (batch,)
    tokens : what the teacher says, standardised (batch, steps, width)
    before : summaries of what the student said at its start (batch, values); none where it need not stay near them
    """

    frames: Tensor
    n_frames: Tensor
    tokens: Tensor
    before: Tensor


@dataclass(frozen=True)
class DistillationTarget:
    """One utterance without the silence at its ends: ``frames`` (n_mels, frames), float16."""

    frames: Tensor
    speaker: str


def make_targets(
    utterances: Sequence[Utterance], front_end: LogMel, on_progress: Callable[[], object] = lambda: None
) -> list[DistillationTarget]:
    """Decode every utterance; memory: 16 kB a second.

    Raises `CorpusError` when a recording can't be read.
    """
    targets = []
    for utterance in utterances:
        on_progress()
        try:
            rate_hz = front_end.settings.sample_rate_hz
            waveform = load_waveform(utterance.source, rate_hz)
        except AudioError as error:
            raise CorpusError(f"{error} Remove it, or run `earnest corpus check`.") from error
        targets.append(DistillationTarget(compute_frames(front_end, waveform).half(), utterance.speaker))
    return targets


class Teacher:
    """Pre-trained encoders, which hear the very frames that the student hears.

    Parameters
    ----------
    settings : of each encoder; the ``pooled_blocks`` of all are imitated, side by side
    tokens_per_step : how many steps, of 20 ms each, one token of the student lasts
    precision : "bf16" computes in 16 bits

    Attributes
    ----------
    widths : how many values each encoder gives to a token
    known_speakers : as corpus/speaker, whose labels the encoders were fitted on
    summary : pools tokens as a network with the encoders' ``statistics`` does
    """

    def __init__(
        self, n_mels: int, settings: Sequence[Mapping[str, Any]], tokens_per_step: int, precision: str = "32"
    ) -> None:
        found = [from_mapping(WhisperSettings, one, "[[teachers]]") for one in settings]
        for one in found:
            if tokens_per_step % one.tokens_per_step or min(one.pooled_blocks) < one.merged_after:
                raise RecipeError(
                    f"[[teachers]]: tokens_per_step must be a divisor of the student's, {tokens_per_step}, and "
                    "merged_after not above the first of pooled_blocks: the student learns the tokens one by one."
                )
        if len({one.statistics for one in found}) != 1:
            raise RecipeError("[[teachers]] needs at least one table, and equal statistics in all.")
        self.tokens_per_step, self.precision, self.summary = tokens_per_step, precision, found[0].pooling
        self.settings = found
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # matters where no weights are named
            self.networks = [WhisperStatistics(n_mels, 3, one).eval() for one in found]
        for network in self.networks:
            network.load_pretrained()
        self.known_speakers = frozenset[str]().union(*(network.known_speakers for network in self.networks))
        self.widths = [one.width * len(one.pooled_blocks) for one in found]
        self.mean, self.deviation = torch.zeros(self.width), torch.ones(self.width)

    @property
    def width(self) -> int:
        """Values of a token of all encoders together."""
        return sum(self.widths)

    @torch.no_grad()
    def tokens(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, n_mels, frames) to standardised tokens (batch, steps, width) and their mask (batch, steps)."""
        parts = []
        for one, network in zip(self.settings, self.networks, strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
                outputs = network.encoder(normalised(frames), n_frames)
            steps = torch.cat([outputs[block - 1][0].float() for block in one.pooled_blocks], dim=2)
            mask = outputs[one.pooled_blocks[0] - 1][1]
            tokens, heard = merged(steps, mask, self.tokens_per_step // one.tokens_per_step)
            parts.append(tokens)
        return (torch.cat(parts, dim=2) - self.mean) / self.deviation, heard

    def standardise(self, targets: Sequence[DistillationTarget], batch_size: int) -> Tensor:
        """Give each value mean zero and deviation one over all tokens of the targets.

        Returns
        -------
        (values,): how much the summaries of utterances then differ
        """
        count, total, squares = 0, torch.zeros(self.width), torch.zeros(self.width)
        pooled = []
        for rows in by_length(targets, batch_size):
            tokens, heard = self.tokens(*padded([targets[row].frames for row in rows]))
            pooled.append(self.summary(tokens, heard))
            spoken = tokens[heard]
            count, total, squares = count + len(spoken), total + spoken.sum(dim=0), squares + spoken.square().sum(dim=0)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=1e-12).sqrt()
        self.mean, self.deviation = self.mean + self.deviation * mean, self.deviation * deviation
        summaries = torch.cat(pooled)
        return summaries.std(dim=0) / deviation.repeat(summaries.shape[1] // self.width)


@dataclass(frozen=True)
class ClipChanges:
    """What happens to clips before they are heard.

    Attributes
    ----------
    noises : log-mels in decibels, each (n_mels, frames), of what may be mixed in
    top_db : nothing is further below the loudest value, in dB
    """

    changes: FrameChanges
    noises: Sequence[Tensor]
    top_db: float

    def applied(
        self, clips: Sequence[Tensor], rngs: Sequence[np.random.Generator]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return clips (n_mels, frames) as others might have said them, and as others might have recorded those."""
        said, recorded = [], []
        for clip, rng in zip(clips, rngs, strict=True):
            said.append(another_speech(clip, self.changes, self.top_db, rng, clips))
            recorded.append(another_recording(said[-1], self.changes, self.noises, self.top_db, rng))
        return said, recorded


class TargetBatches(Dataset[Taught]):
    """Batches by (epoch, number, positions): utterances changed anew in each epoch, and what the teacher says to them.

    What is asked for again within an epoch is remembered.

    Parameters
    ----------
    denoising : the teacher hears utterances before microphones, rooms and noise change them
    repeats : how often a batch is asked for in an epoch; it is forgotten then
    start : the student at its start, which hears what the teacher hears, where it is to stay near that
    """

    def __init__(
        self,
        targets: Sequence[DistillationTarget],
        teacher: Teacher,
        changes: ClipChanges,
        seed: int,
        denoising: bool = False,
        repeats: int = 1,
        start: AtTheStart | None = None,
    ) -> None:
        self.targets, self.teacher, self.changes, self.seed = targets, teacher, changes, seed
        self.denoising, self.repeats, self.start = denoising, repeats, start
        self._known = dict[tuple[int, int], tuple[Taught, int]]()  # and how often it is yet to be asked for

    def __getstate__(self) -> dict[str, bytes]:
        # In one piece: torch would hand each tensor to the other process as a file of its own, and clips are many.
        return {"pickled": pickle.dumps(self.__dict__, protocol=5)}

    def __setstate__(self, state: Mapping[str, bytes]) -> None:
        self.__dict__.update(pickle.loads(state["pickled"]))

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, key: BatchKey) -> Taught:
        epoch, number, rows = key
        if epoch == UNCHANGED:
            clips = [self.targets[row].frames.float() for row in rows]
            return self._taught(clips, clips)
        taught, left = self._known.pop((epoch, number), (None, self.repeats))
        if taught is None:
            clips = [self.targets[row].frames.float() for row in rows]
            rngs = [np.random.default_rng([self.seed, epoch, row]) for row in rows]
            said, recorded = self.changes.applied(clips, rngs)
            new = self._taught(recorded, said if self.denoising else recorded)
            taught = new._replace(frames=new.frames.half(), tokens=new.tokens.half())
        if left > 1:
            self._known[epoch, number] = taught, left - 1
        return taught._replace(frames=taught.frames.float(), tokens=taught.tokens.float())

    def _taught(self, heard: Sequence[Tensor], by_teacher: Sequence[Tensor]) -> Taught:
        clean = padded(by_teacher)
        before = self.start.summaries(*clean) if self.start else torch.empty(len(heard), 0)
        return Taught(*padded(heard), self.teacher.tokens(*clean)[0], before)


class SimilarLengths(EpochBatches[BatchKey]):
    """Batches of utterances of similar length, each ``repeats`` times, ordered by seed and epoch alone."""

    def __init__(self, targets: Sequence[DistillationTarget], batch_size: int, repeats: int, seed: int) -> None:
        self.targets, self.batch_size, self.repeats, self.seed = targets, batch_size, repeats, seed

    def __len__(self) -> int:
        return self.repeats * math.ceil(len(self.targets) / self.batch_size)

    def __iter__(self) -> Iterator[BatchKey]:
        rng = np.random.default_rng([self.seed, self.epoch])
        batches = list(by_length(self.targets, self.batch_size, rng))
        rng.shuffle(batches)
        # Steadily new ones among those heard before, so that nobody waits for the teacher.
        due = np.tile(np.arange(len(batches), dtype=np.float64), (self.repeats, 1))
        due[1:] += rng.uniform(1, HEARD_AGAIN_WITHIN, due[1:].shape)
        for place in np.argsort(due, axis=None, kind="stable").tolist():
            number = place % len(batches)
            yield self.epoch, number, tuple(batches[number])


def by_length(
    targets: Sequence[DistillationTarget], batch_size: int, rng: np.random.Generator | None = None
) -> Iterator[list[int]]:
    """Yield batches of positions, utterances of similar length together; ``rng`` mixes neighbours."""
    lengths = np.array([lesson.frames.shape[1] for lesson in targets], np.float64)
    if rng is not None:
        lengths += rng.uniform(0, 0.1 * lengths.mean(), len(lengths))
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size].tolist()
