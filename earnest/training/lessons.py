"""What a student network is taught: a clip's frames beside the tokens that a large encoder gives for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.augment.base import Transform, generator_for
from earnest.config import from_mapping
from earnest.corpora.manifest import Utterance
from earnest.errors import AudioError, CorpusError, RecipeError
from earnest.front_end import FrontEnd
from earnest.frontends.log_mel import LogMel
from earnest.frontends.trim import peak_trim
from earnest.models.whisper import WhisperSettings, WhisperStatistics, normalised
from earnest.training.data import compute_frames

CONVOLVED = 2  # Whisper's second convolution halves the frames


@dataclass(frozen=True)
class Lesson:
    """One clip: ``frames`` (n_mels, frames) for the student, ``tokens`` (width, steps) of the teacher, both float16."""

    frames: Tensor
    tokens: Tensor
    speaker: str


class Teacher:
    """The pre-trained encoder, heard at the student's pace.

    Parameters
    ----------
    front_end : the encoder's
    settings : of the encoder; its ``pooled_blocks`` are imitated, side by side
    student_hop : samples from one step of the student to the next
    """

    def __init__(self, front_end: FrontEnd, settings: Mapping[str, Any], student_hop: int) -> None:
        self.front_end = LogMel(front_end)
        whisper = from_mapping(WhisperSettings, settings, "[teacher]")
        if whisper.steps_a_token > 1:
            raise RecipeError("[teacher]: steps_a_token must be 1: tokens are imitated step by step.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # matters where no weights are named
            self.network = WhisperStatistics(front_end.n_mels, 3, whisper).eval()
        self.network.load_pretrained()
        self.pooled = whisper.pooled_blocks
        self.width = whisper.width * len(whisper.pooled_blocks)
        self.steps_a_token, rest = divmod(student_hop, CONVOLVED * front_end.hop_length)
        if rest or not self.steps_a_token:
            hop = CONVOLVED * front_end.hop_length
            raise RecipeError(f"A step of the student lasts {student_hop} samples, expected a multiple of {hop}.")

    @torch.no_grad()
    def tokens(self, waveform: Waveform) -> Tensor:
        """Return the mean tokens (width, steps) of a waveform (samples,)."""
        with torch.autocast("cpu", torch.bfloat16):
            frames, n_frames = self.front_end(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
            outputs = self.network.encoder(normalised(frames), n_frames)
        steps = torch.cat([outputs[block - 1][0][0].float() for block in self.pooled], dim=1)
        missing = -len(steps) % self.steps_a_token
        whole = torch.cat([steps, steps[-1:].expand(missing, -1)])
        return whole.view(-1, self.steps_a_token, self.width).mean(dim=1).T


@dataclass(frozen=True)
class Variants:
    """How a clip is heard.

    Attributes
    ----------
    speeds : 1 as it is
    copies, change : at each speed so many changed copies beside the plain clip
    """

    speeds: Sequence[float] = (1.0,)
    copies: int = 0
    change: Transform | None = None
    seed: int = 0

    def of(self, waveform: Waveform, speed: float, key: str) -> list[Waveform]:
        """Return the waveform (samples,) and its copies, which depend on ``key``, speed, number and seed alone."""
        if self.change is None:
            return [waveform]
        words = [f"{key} {speed} {number} {self.seed}" for number in range(1, self.copies + 1)]
        return [waveform, *(self.change(waveform, generator_for(word)) for word in words)]


def make_lessons(
    utterances: Sequence[Utterance],
    front_end: LogMel,
    teacher: Teacher,
    variants: Variants,
    on_progress: Callable[[], object] = lambda: None,
) -> list[Lesson]:
    """Let the teacher hear every utterance at every speed; memory: some 20 kB a second and block.

    Silence at both ends is cut off beforehand, so that student and teacher begin at the same sample. Of a changed copy
    the teacher hears the plain sound, so that the student learns to hear through noise, rooms and codecs.

    Parameters
    ----------
    front_end : the student's, which keeps all frames

    Raises
    ------
    CorpusError
        When a recording can't be read.
    """
    lessons = []
    rate_hz = front_end.settings.sample_rate_hz
    for utterance in utterances:
        on_progress()
        try:
            original = load_waveform(utterance.path, rate_hz, utterance.start_s, utterance.end_s)
        except AudioError as error:
            raise CorpusError(f"{error} Remove it, or run `earnest corpus check`.") from error
        for speed in variants.speeds:
            plain = _at_speed(_trimmed(original, front_end.settings), speed, rate_hz)
            tokens = teacher.tokens(plain).half()
            lessons += [
                Lesson(compute_frames(front_end, waveform).half(), tokens, utterance.speaker)
                for waveform in variants.of(plain, speed, utterance.key)
            ]
    return lessons


def standardised(lessons: Sequence[Lesson]) -> list[Lesson]:
    """Return the lessons with each of the teacher's values at mean zero and deviation one over all tokens."""
    total = sum(lesson.tokens.shape[1] for lesson in lessons)
    mean = torch.stack([lesson.tokens.double().sum(dim=1) for lesson in lessons]).sum(dim=0) / total
    squares = [(lesson.tokens.double() - mean[:, None]).square().sum(dim=1) for lesson in lessons]
    deviation = (torch.stack(squares).sum(dim=0) / total).sqrt().clamp(min=1e-6)
    ready: dict[int, Tensor] = {}  # copies share their tokens
    for lesson in lessons:
        if id(lesson.tokens) not in ready:
            ready[id(lesson.tokens)] = ((lesson.tokens - mean[:, None]) / deviation[:, None]).half()
    return [Lesson(lesson.frames, ready[id(lesson.tokens)], lesson.speaker) for lesson in lessons]


def pad_lessons(lessons: Sequence[Lesson]) -> tuple[Tensor, Tensor, Tensor]:
    """Return frames (batch, n_mels, frames), their numbers (batch,) and tokens (batch, width, steps), padded."""
    n_frames = torch.tensor([lesson.frames.shape[1] for lesson in lessons])
    n_steps = max(lesson.tokens.shape[1] for lesson in lessons)
    longest = int(n_frames.max())
    frames = [functional.pad(lesson.frames.float(), (0, longest - lesson.frames.shape[1])) for lesson in lessons]
    tokens = [functional.pad(lesson.tokens.float(), (0, n_steps - lesson.tokens.shape[1])) for lesson in lessons]
    return torch.stack(frames), n_frames, torch.stack(tokens)


def similar_lengths(lessons: Sequence[Lesson], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return batches of positions, clips of similar length together, in an order of (seed, epoch) alone."""
    rng = np.random.default_rng([seed, epoch])
    lengths = np.array([lesson.frames.shape[1] for lesson in lessons])
    order = np.argsort(lengths + rng.uniform(0, 0.1 * lengths.mean(), len(lengths)))
    batches = [order[start : start + batch_size].tolist() for start in range(0, len(order), batch_size)]
    return [batches[position] for position in rng.permutation(len(batches))]


def _trimmed(waveform: Waveform, settings: FrontEnd) -> Waveform:
    """Cut off both ends that are more than ``trim_db`` below the loudest frame, by the front end's own rule."""
    hop = settings.hop_length
    n_frames = torch.tensor([len(waveform) // hop + 1])
    padded = np.pad(waveform, (settings.win_length // 2, settings.win_length))
    power = functional.avg_pool1d(torch.from_numpy(padded).square()[None, None], settings.win_length, hop)[0]
    start, end = peak_trim(power[:, : int(n_frames)], n_frames, settings.trim_db)
    return waveform[int(start) * hop : int(end) * hop]


def _at_speed(waveform: Waveform, speed: float, rate_hz: int) -> Waveform:
    if speed == 1:
        return waveform
    import soxr

    return np.asarray(soxr.resample(waveform, rate_hz * speed, rate_hz, quality="HQ"), np.float32)
