"""Students, which imitate a teacher's tokens, and their training batches."""

import math
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from earnest.audio.io import load_waveform
from earnest.augment.spec_augment import another_recording, another_speech
from earnest.corpora.manifest import Utterance
from earnest.errors import AudioError, CorpusError, RecipeError
from earnest.frontends.log_mel import LogMel, compute_frames
from earnest.models.student import StudentEncoder, StudentSettings
from earnest.models.whisper import Encoder, WhisperSettings, WhisperStatistics, mean_and_deviation, merged, normalised
from earnest.settings.limits import from_mapping
from earnest.settings.recipe import FrameChanges
from earnest.training.batches import padded
from earnest.training.finetune import EpochBatches


class NetworkStudent(nn.Module):
    """A student, whose tokens are the teacher's standardised ones.

    Attributes
    ----------
    learner : what is kept of it, its tensors called ``prefix`` + a name
    token_width, tokens_per_step : what it imitates: the values of a token, which lasts so many steps of 20 ms
    """

    prefix = "student."
    tokens_per_step = 2

    def __init__(self, n_mels: int, settings: StudentSettings) -> None:
        super().__init__()
        self.learner = StudentEncoder(n_mels, settings)
        self.token_width = settings.token_width
        if settings.weights:
            self.learner.load(Path(settings.weights))

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks, most of whose tensors are matrices."""
        return self.learner.blocks

    def standardise_like(self, mean: Tensor, deviation: Tensor) -> None:
        """Do nothing: a student's tokens are standardised from the start."""

    def forward(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map log-mels in decibels (batch, n_mels, frames) to tokens (batch, tokens, token_width) and their mask."""
        found: tuple[Tensor, Tensor] = self.learner(frames, n_frames)
        return found


class EncoderStudent(nn.Module):
    """An encoder, whose pooled blocks side by side and standardised as the teacher's are what it imitates with.

    Attributes
    ----------
    learner, token_width, tokens_per_step : as those of `NetworkStudent`
    """

    prefix = "encoder."
    mean: Tensor
    deviation: Tensor

    def __init__(self, n_mels: int, settings: WhisperSettings) -> None:
        super().__init__()
        if min(settings.pooled_blocks) < settings.merged_after:
            raise RecipeError("[encoder]: merged_after must not be above the first of pooled_blocks.")
        network = WhisperStatistics(n_mels, 2, settings)
        network.load_pretrained()
        self.learner: Encoder = network.encoder
        self.pooled_blocks, self.tokens_per_step = settings.pooled_blocks, settings.tokens_per_step
        self.token_width = settings.width * len(settings.pooled_blocks)
        self.standardise_like(torch.zeros(self.token_width), torch.ones(self.token_width))

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks, most of whose tensors are matrices."""
        return self.learner.layers

    def standardise_like(self, mean: Tensor, deviation: Tensor) -> None:
        """Subtract ``mean`` and divide by ``deviation``, both (token_width,), as the teacher does."""
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)

    def forward(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map log-mels in decibels (batch, n_mels, frames) to tokens (batch, tokens, token_width) and their mask."""
        outputs = self.learner(normalised(frames), n_frames)
        tokens = torch.cat([outputs[block - 1][0].float() for block in self.pooled_blocks], dim=2)
        return (tokens - self.mean) / self.deviation, outputs[self.pooled_blocks[0] - 1][1]


TokenStudent: TypeAlias = NetworkStudent | EncoderStudent


def student_of(n_mels: int, student: Mapping[str, Any], encoder: Mapping[str, Any]) -> TokenStudent:
    """Build what learns, an encoder where one is described; its start is random or what its ``weights`` name."""
    if encoder:
        return EncoderStudent(n_mels, from_mapping(WhisperSettings, encoder, "[encoder]"))
    return NetworkStudent(n_mels, from_mapping(StudentSettings, student, "[student]"))


HEARD_AGAIN_WITHIN = 30  # new batches
UNCHANGED = -1  # in place of an epoch
Taught: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Frames (batch, n_mels, frames), their numbers (batch,) and standardised tokens (batch, steps, width)."""
BatchKey: TypeAlias = tuple[int, int, tuple[int, ...]]
"""Epoch, number of the batch within it, positions of its clips."""


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
            waveform = load_waveform(utterance.path, rate_hz, utterance.start_s, utterance.end_s)
        except AudioError as error:
            raise CorpusError(f"{error} Remove it, or run `earnest corpus check`.") from error
        targets.append(DistillationTarget(compute_frames(front_end, waveform).half(), utterance.speaker))
    return targets


class Teacher:
    """The pre-trained encoder, which hears the very frames that the student hears.

    Parameters
    ----------
    settings : of the encoder; its ``pooled_blocks`` are imitated, side by side
    tokens_per_step : how many of its steps, of 20 ms each, one token of the student lasts
    precision : "bf16" computes in 16 bits
    """

    def __init__(self, n_mels: int, settings: Mapping[str, Any], tokens_per_step: int, precision: str = "32") -> None:
        whisper = from_mapping(WhisperSettings, settings, "[teacher]")
        if whisper.tokens_per_step > 1:
            raise RecipeError(
                "[teacher]: tokens_per_step must be 1: the student learns the teacher's tokens step by step."
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # matters where no weights are named
            self.network = WhisperStatistics(n_mels, 3, whisper).eval()
        self.network.load_pretrained()
        self.pooled, self.tokens_per_step, self.precision = whisper.pooled_blocks, tokens_per_step, precision
        self.width = whisper.width * len(whisper.pooled_blocks)
        self.mean, self.deviation = torch.zeros(self.width), torch.ones(self.width)

    @torch.no_grad()
    def tokens(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, n_mels, frames) to standardised tokens (batch, steps, width) and their mask (batch, steps)."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            outputs = self.network.encoder(normalised(frames), n_frames)
        steps = torch.cat([outputs[block - 1][0].float() for block in self.pooled], dim=2)
        tokens, heard = merged(steps, outputs[0][1], self.tokens_per_step)
        return (tokens - self.mean) / self.deviation, heard

    def standardise(self, targets: Sequence[DistillationTarget], batch_size: int) -> Tensor:
        """Give each value mean zero and deviation one over all tokens of the targets.

        Returns
        -------
        (2·width,): how much means and deviations over an utterance then differ between utterances
        """
        count, total, squares = 0, torch.zeros(self.width), torch.zeros(self.width)
        pooled = []
        for rows in by_length(targets, batch_size):
            tokens, heard = self.tokens(*padded([targets[row].frames for row in rows]))
            pooled.append(mean_and_deviation(tokens, heard))
            spoken = tokens[heard]
            count, total, squares = count + len(spoken), total + spoken.sum(dim=0), squares + spoken.square().sum(dim=0)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=1e-12).sqrt()
        self.mean, self.deviation = self.mean + self.deviation * mean, self.deviation * deviation
        return torch.cat(pooled).std(dim=0) / deviation.repeat(2)


class TargetBatches(Dataset[Taught]):
    """Batches by (epoch, number, positions): utterances changed anew in each epoch, and what the teacher says to them.

    What is asked for again within an epoch is remembered.

    Parameters
    ----------
    denoising : the teacher hears utterances before microphones, rooms and noise change them
    """

    def __init__(
        self,
        targets: Sequence[DistillationTarget],
        teacher: Teacher,
        changes: FrameChanges,
        noises: Sequence[Tensor],
        top_db: float,
        seed: int,
        denoising: bool = False,
    ) -> None:
        self.targets, self.teacher, self.changes, self.noises = (
            targets,
            teacher,
            changes,
            noises,
        )
        self.top_db, self.seed, self.denoising = top_db, seed, denoising
        self._epoch, self._known = UNCHANGED, dict[int, Taught]()

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
        if epoch != self._epoch:
            self._epoch, self._known = epoch, {}
        if number not in self._known:
            frames, n_frames, tokens = self._taught(*self._changed(rows, epoch))
            self._known[number] = frames.half(), n_frames, tokens.half()
        frames, n_frames, tokens = self._known[number]
        return frames.float(), n_frames, tokens.float()

    def _changed(self, rows: Sequence[int], epoch: int) -> tuple[list[Tensor], list[Tensor]]:
        """Return the sound for the student and for its teacher."""
        clips = [self.targets[row].frames.float() for row in rows]
        heard, clean = [], []
        for row, clip in zip(rows, clips, strict=True):
            rng = np.random.default_rng([self.seed, epoch, row])
            clean.append(another_speech(clip, self.changes, self.top_db, rng, clips))
            heard.append(another_recording(clean[-1], self.changes, self.noises, self.top_db, rng))
        return heard, clean if self.denoising else heard

    def _taught(self, heard: Sequence[Tensor], by_teacher: Sequence[Tensor]) -> Taught:
        frames, n_frames = padded(heard)
        return frames, n_frames, self.teacher.tokens(*padded(by_teacher))[0]


class SimilarLengths(EpochBatches[BatchKey]):
    """Batches of utterances of similar length, each ``repeats`` times, ordered by seed and epoch alone."""

    def __init__(self, targets: Sequence[DistillationTarget], batch_size: int, repeats: int, seed: int) -> None:
        self.targets, self.batch_size, self.repeats, self.seed = (
            targets,
            batch_size,
            repeats,
            seed,
        )

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
