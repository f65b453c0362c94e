"""Teaching a small network to imitate the blocks of a large encoder, frame by frame (after Hinton et al., 2015).

What tells emotions apart lies in how a clip's tokens differ from other clips' on average: a twentieth of their
variance. So the student is judged by its means and deviations over whole clips too, not by single tokens alone.
"""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from earnest.augment.chain import build_change
from earnest.config import from_mapping, to_toml
from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError
from earnest.front_end import FrontEnd
from earnest.frontends.log_mel import LogMel
from earnest.models.student import StudentEncoder, StudentSettings
from earnest.models.whisper import WhisperSettings, mean_and_deviation
from earnest.training.data import progress_bar
from earnest.training.lessons import Lesson, Teacher, Variants, make_lessons, pad_lessons, similar_lengths, standardised
from earnest.training.progress import csv_bytes, write_atomically
from earnest.training.resuming import (
    HISTORY,
    WEIGHTS,
    EpochBatches,
    Remembering,
    claim,
    drop_checkpoint,
    held_out_speakers,
    last_checkpoint,
    next_epoch,
    read_settings,
    resuming_trainer,
)

SMALLEST_SPREAD = 0.02


@dataclass(frozen=True)
class Distillation:
    """What is imitated, on which recordings, by what.

    Attributes
    ----------
    corpus : corpora whose sound is used; labels are not
    speeds : each clip is heard at these speeds, 1 as it is
    augment, changes, augmented_copies : as in a recipe: so many changed copies of each clip and speed are heard; of
        these the teacher hears the unchanged sound; augmentations that shift or stretch time don't fit
    teacher_front_end, teacher : the encoder; its ``pooled_blocks`` are imitated
    front_end, student : the network that learns
    pooled_weight : weight of means and deviations over a clip, against the one of single tokens
    """

    corpus: tuple[str, ...]
    speeds: tuple[float, ...] = (1.0,)
    teacher_front_end: FrontEnd = field(default_factory=FrontEnd)
    teacher: Mapping[str, Any] = field(default_factory=dict)
    front_end: FrontEnd = field(default_factory=FrontEnd)
    student: Mapping[str, Any] = field(default_factory=dict)
    pooled_weight: float = 0.5
    augment: tuple[Mapping[str, Any], ...] = ()
    changes: Literal["all", "one"] = "all"
    augmented_copies: int = 0
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    precision: Literal["32", "bf16"] = "32"
    seed: int = 0
    description: str = ""

    def __post_init__(self) -> None:
        checks = (
            (bool(self.corpus), "corpus must name at least one corpus"),
            (all(0.5 <= speed <= 2 for speed in self.speeds) and bool(self.speeds), "speeds must be 0.5 to 2"),
            (0 <= self.augmented_copies <= 10, "augmented_copies must be 0 to 10"),
            (bool(self.augment) == bool(self.augmented_copies), "augmented_copies and [[augment]] need each other"),
            (0 <= self.pooled_weight <= 100, "pooled_weight must be 0 to 100"),
            (self.epochs >= 1, "epochs must be at least 1"),
            (self.batch_size >= 2, "batch_size must be at least 2"),
            (0 < self.learning_rate < 1, "learning_rate must be above 0 and below 1"),
            (0 <= self.weight_decay < 10, "weight_decay must be from 0 to below 10"),
            (self.front_end.sample_rate_hz == self.teacher_front_end.sample_rate_hz, "both front ends need one rate"),
        )
        for right, message in checks:
            if not right:
                raise RecipeError(f"{message}.")


def read_distillation(path: Path) -> Distillation:
    """Read and check a distillation's settings; a folder may stand for its ``recipe.toml``."""
    return read_settings(Distillation, path, ("front_end", "teacher_front_end"))


class Imitation(Remembering):
    """A student in Lightning's loop.

    Parameters
    ----------
    spread : (2·width,) how much means and deviations over a clip differ between clips: the unit of their errors
    n_steps : optimiser steps of the whole training
    """

    spread: Tensor

    def __init__(self, student: StudentEncoder, settings: Distillation, spread: Tensor, n_steps: int) -> None:
        super().__init__()
        self.student, self.settings, self.n_steps = student, settings, n_steps
        self.register_buffer("spread", spread, persistent=False)
        self._errors: dict[str, list[Tensor]] = {"train": [], "valid": []}

    def configure_optimizers(self) -> Any:
        """AdamW, its rate rising over a tenth of the steps and falling to nothing (Smith and Topin, 2018)."""
        settings = self.settings
        optimiser = torch.optim.AdamW(
            self.student.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.learning_rate, total_steps=self.n_steps + 1, pct_start=0.1
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        """Return the loss of one batch."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            single, pooled = imitation_errors(self.student, *batch, self.spread)
        self._errors["train"].append(torch.stack([single, pooled]).detach())
        return single + self.settings.pooled_weight * pooled

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> None:
        """Measure voices that are not learnt from."""
        self._errors["valid"].append(torch.stack(imitation_errors(self.student, *batch, self.spread)))

    def on_train_epoch_end(self) -> None:
        """Note the epoch's errors."""
        row: dict[str, float] = {"epoch": self.current_epoch + 1}
        for name, errors in self._errors.items():
            if errors:
                row[f"{name}_token_error"], row[f"{name}_pooled_error"] = torch.stack(errors).mean(dim=0).tolist()
            errors.clear()
        self.history.append(row)


def imitation_errors(
    student: nn.Module, frames: Tensor, n_frames: Tensor, tokens: Tensor, spread: Tensor
) -> tuple[Tensor, Tensor]:
    """Return how far a student is from its teacher: in single tokens, and in means and deviations over clips.

    Parameters
    ----------
    frames : (batch, n_mels, frames)
    tokens : (batch, width, steps) of the teacher, standardised
    spread : (2·width,)

    Returns
    -------
    two scalars, 0 for equal ones; about 1 for a student that says the same to everything
    """
    found, heard = student(frames, n_frames)
    mask = heard[:, None].to(found.dtype)
    single = ((found - tokens).square() * mask).sum() / (mask.sum() * tokens.shape[1])
    own, wanted = (mean_and_deviation(values.transpose(1, 2), heard) for values in (found, tokens))
    return single, ((own - wanted) / spread).square().mean()


def distil(
    settings: Distillation, utterances: Sequence[Utterance], folder: Path, show_progress: bool = False
) -> list[dict[str, float]]:
    """Train a student and write its weights; the same call again resumes a killed run.

    Parameters
    ----------
    utterances : their sound is used, their labels are not
    folder : gets recipe.toml, history.csv and, at the end, model.safetensors

    Returns
    -------
    the errors of each epoch, on voices learnt from and on held-out ones
    """
    student_settings = from_mapping(StudentSettings, settings.student, "[student]")
    hop = settings.front_end.hop_length * student_settings.stride
    teacher = Teacher(settings.teacher_front_end, settings.teacher, hop)
    if teacher.width != student_settings.token_width:
        raise RecipeError(f"token_width must be {teacher.width}, as wide as what is imitated.")
    claim(folder, to_toml(asdict(settings)), "distillation")
    front_end = LogMel(replace(settings.front_end, trim="none"))
    with progress_bar("decoding", len(utterances), show_progress) as advance:
        lessons = standardised(make_lessons(utterances, front_end, teacher, _variants(settings), advance))
    held_out = held_out_speakers(lesson.speaker for lesson in lessons)  # how well are new voices imitated?
    train = [lesson for lesson in lessons if lesson.speaker not in held_out]
    valid = [lesson for lesson in lessons if lesson.speaker in held_out]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        student = StudentEncoder(settings.front_end.n_mels, student_settings)
    batches = SimilarLengths(train, settings.batch_size, settings.seed)
    batches.set_epoch(next_epoch(folder))
    module = Imitation(student, settings, clip_spread(train), settings.epochs * len(batches))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning.*")
        resuming_trainer(settings.epochs, folder, show_progress).fit(
            module,
            DataLoader(Lessons(train), batch_sampler=batches, collate_fn=pad_lessons),
            DataLoader(Lessons(valid), batch_size=settings.batch_size, collate_fn=pad_lessons) if valid else None,
            ckpt_path=last_checkpoint(folder),
            weights_only=True,
        )
    write_atomically(folder / WEIGHTS, save(stored(student), {"origin": _origin(settings)}))
    write_atomically(folder / HISTORY, csv_bytes(list(module.history[-1]), module.history))
    drop_checkpoint(folder)
    return module.history


def _variants(settings: Distillation) -> Variants:
    change = None
    if settings.augment:
        change = build_change(settings.augment, settings.changes, settings.front_end.sample_rate_hz)
    return Variants(settings.speeds, settings.augmented_copies, change, settings.seed)


def stored(student: StudentEncoder) -> dict[str, Tensor]:
    """Return the weights as they are written: normalisations folded, kernels rounded to float16; half the size."""
    state = student.folded().state_dict()
    return {f"student.{name}": tensor.half() if tensor.ndim > 1 else tensor for name, tensor in state.items()}


def _origin(settings: Distillation) -> str:
    blocks = ", ".join(str(block) for block in settings.teacher.get("pooled_blocks", WhisperSettings().pooled_blocks))
    teacher = settings.teacher.get("weights") or "a random teacher"
    return f"imitates block {blocks} of {teacher} on the sound of {', '.join(settings.corpus)}, without its labels"


def clip_spread(lessons: Sequence[Lesson]) -> Tensor:
    """Return how much the teacher's means and deviations over a clip differ between clips, (2·width,)."""
    pooled = [
        mean_and_deviation(lesson.tokens.float().T[None], torch.ones(1, lesson.tokens.shape[1], dtype=torch.bool))[0]
        for lesson in lessons
    ]
    return torch.stack(pooled).std(dim=0) + SMALLEST_SPREAD


class Lessons(Dataset[Lesson]):
    """Lessons by position."""

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        self.lessons = lessons

    def __len__(self) -> int:
        return len(self.lessons)

    def __getitem__(self, index: int) -> Lesson:
        return self.lessons[index]


class SimilarLengths(EpochBatches[list[int]]):
    """Batches of clips of similar length; their order depends on seed and epoch alone."""

    def __init__(self, lessons: Sequence[Lesson], batch_size: int, seed: int) -> None:
        self.lessons, self.batch_size, self.seed = lessons, batch_size, seed

    def __len__(self) -> int:
        return math.ceil(len(self.lessons) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(similar_lengths(self.lessons, self.batch_size, self.seed, self.epoch))
