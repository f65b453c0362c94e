"""Settings of distillation, and the distillation."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.utils.data import DataLoader

from earnest.augment.noise_files import folder_called
from earnest.augment.spec_augment import noise_frames
from earnest.corpora.base import audio_files
from earnest.corpora.load import load_utterances
from earnest.corpora.manifest import Utterance
from earnest.errors import MissingExtraError
from earnest.files.writing import holding, write_atomically, write_sums
from earnest.frontends.log_mel import LogMel
from earnest.models.pretrained import read_origin
from earnest.models.whisper import Pooling, WhisperSettings
from earnest.progress import SILENT, Progress
from earnest.settings.front_end import FrontEnd
from earnest.settings.limits import Bounds, Count, NotEmpty, ShareBelowOne, Validated, from_mapping, require, to_toml
from earnest.settings.recipe import FrameChanges
from earnest.training.finetune import (
    HISTORY,
    WEIGHTS,
    Remembering,
    drop_checkpoint,
    last_checkpoint,
    moved_by,
    next_epoch,
    resuming_trainer,
)
from earnest.training.loop import csv_bytes
from earnest.workers import end_with_parent
from research.finetuning import WHOLE, Pruning, pruned_sizes
from research.settings import claim, held_out_speakers, metadata_of, packed_state, read_settings
from research.students import (
    UNCHANGED,
    AtTheStart,
    ClipChanges,
    DistillationTarget,
    Said,
    SimilarLengths,
    TargetBatches,
    Taught,
    Teacher,
    TokenStudent,
    by_length,
    make_targets,
    student_of,
)


@dataclass(frozen=True)
class Distillation(Validated):
    """Settings of a distillation: teacher, student, recordings.

    Attributes
    ----------
    corpus : corpora whose sound is used; labels are not
    recordings : folders of more speech, below ``$EARNEST_DATA``
    front_end : of both networks
    teachers : `WhisperSettings` of each; their ``pooled_blocks`` are imitated, and the ``statistics`` of these over an
        utterance
    student : `StudentSettings`; what its ``weights`` name is where it starts
    changes : of the frames that both hear
    denoising : the teacher hears utterances before microphones, rooms and noise change them
    repeats : how often a changed batch is heard in an epoch; the teacher hears it once
    listeners : processes in which the teacher listens beside the training, 0 for none; 1 spares waiting
    pooled_weight : weight of the teacher's statistics over an utterance, against the one of single tokens
    staying_weight : weight of how far the student's own statistics over an utterance move from what they were
    matrix_rate : learning rate of the blocks' matrices, whose steps are orthogonal (Jordan et al., 2024: Muon);
        ``learning_rate`` is that of all else. 0: that of the matrices too, and their steps are Adam's
    encoder : `WhisperSettings` of an encoder that learns in place of a student: one that has become narrower, or whose
        tokens become one, and gets back what that cost; or one that learns from a larger one
    pruning : what happens to that encoder before it learns
    known_speakers_only : only utterances of speakers are heard whose labels a teacher, or the weights that the student
        starts from, were fitted on; all others stay unheard
    """

    renamed: ClassVar[Mapping[str, str]] = {
        "known_voices": "known_speakers_only",
        "teacher_speakers_only": "known_speakers_only",
    }
    corpus: Annotated[tuple[str, ...], NotEmpty()]
    front_end: FrontEnd = field(default_factory=FrontEnd)
    teachers: Annotated[tuple[Mapping[str, Any], ...], NotEmpty()] = ({},)
    student: Mapping[str, Any] = field(default_factory=dict)
    changes: FrameChanges = field(default_factory=FrameChanges)
    repeats: Annotated[int, Bounds(ge=1, le=100)] = 1
    listeners: Annotated[int, Bounds(ge=0, le=1)] = 0
    pooled_weight: Annotated[float, Bounds(ge=0, le=100)] = 0.5
    staying_weight: Annotated[float, Bounds(ge=0, le=100)] = 0.0
    epochs: Count = 10
    batch_size: Annotated[int, Bounds(ge=2)] = 64
    learning_rate: Annotated[float, Bounds(gt=0, lt=1)] = 1.5e-3
    matrix_rate: ShareBelowOne = 0.02
    weight_decay: Annotated[float, Bounds(ge=0, lt=10)] = 1e-3
    precision: Literal["32", "bf16"] = "32"
    recordings: tuple[str, ...] = ()
    denoising: bool = False
    known_speakers_only: bool = False
    encoder: Mapping[str, Any] = field(default_factory=dict)
    pruning: Pruning = field(default_factory=Pruning)
    seed: int = 0
    description: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(not (self.student and self.encoder), "either [student] or [encoder] learns, not both")
        require(not self.pruning or bool(self.encoder), "[pruning] is of an [encoder]")


def read_distillation(path: Path) -> Distillation:
    """Read and check a distillation's settings; a folder may stand for its ``recipe.toml``."""
    return read_settings(Distillation, path)


SMALLEST_SPREAD = 0.02
SHOWN = 1000  # utterances show how far statistics spread, and what makes tokens of one network those of another
ERRORS = ("token_error", "pooled_error", "staying_error")


class DistillationState(Remembering):
    """A student in Lightning's loop.

    Parameters
    ----------
    compared : what its errors are
    n_steps : optimiser steps of the whole training
    """

    def __init__(
        self, student: TokenStudent, settings: Distillation, compared: "DistillationErrors", n_steps: int
    ) -> None:
        super().__init__()
        self.student, self.settings, self.compared, self.n_steps = student, settings, compared, n_steps
        self._errors: dict[str, list[Tensor]] = {"train": [], "valid": []}

    def configure_optimizers(self) -> Any:
        """Muon; rates rise over a tenth of the steps and fall to nothing (Smith and Topin, 2018)."""
        try:
            from pytorch_optimizer import Muon
        except ImportError:
            raise MissingExtraError("Distillation", "train") from None
        settings = self.settings
        matrices = [tensor for tensor in self.student.blocks.parameters() if tensor.ndim == 2 and settings.matrix_rate]
        hidden = {id(tensor) for tensor in matrices}
        others = [tensor for tensor in self.student.parameters() if id(tensor) not in hidden]
        optimiser = Muon(
            [
                {"params": matrices, "lr": settings.matrix_rate, "weight_decay": 0.01, "use_muon": True},
                {
                    "params": others,
                    "lr": settings.learning_rate,
                    "betas": (0.9, 0.999),
                    "eps": 1e-8,
                    "weight_decay": settings.weight_decay,
                    "use_muon": False,
                },
            ]
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            [settings.matrix_rate, settings.learning_rate],
            total_steps=self.n_steps + 1,
            pct_start=0.1,
            cycle_momentum=False,
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Taught, _: int) -> Tensor:
        """Return the loss of one batch."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            said = self.student(batch.frames, batch.n_frames)
        single, pooled, staying = errors = self.compared(said, batch)
        self._errors["train"].append(errors.detach())
        loss: Tensor = single + self.settings.pooled_weight * pooled + self.settings.staying_weight * staying
        return loss

    def validation_step(self, batch: Taught, _: int) -> None:
        """Measure voices that are not learnt from."""
        self._errors["valid"].append(self.compared(self.student(batch.frames, batch.n_frames), batch))

    def on_train_epoch_end(self) -> None:
        """Note the epoch's errors."""
        row: dict[str, float] = {"epoch": self.current_epoch + 1}
        for name, errors in self._errors.items():
            if errors:
                means = torch.stack(errors).mean(dim=0).tolist()
                row |= {f"{name}_{what}": mean for what, mean in zip(ERRORS, means, strict=True)}
            errors.clear()
        self.history.append(row)


class DistillationErrors(nn.Module):
    """How far a student is from its teacher, and from what it was itself.

    Parameters
    ----------
    summary, spread : what pools the teacher's tokens, and how much that differs between utterances (values,): the unit
        of its errors
    own_summary, own_spread : the same of the student's own tokens, at its start
    """

    spread: Tensor
    own_spread: Tensor

    def __init__(self, summary: Pooling, spread: Tensor, own_summary: Pooling, own_spread: Tensor) -> None:
        super().__init__()
        self.summary, self.own_summary = summary, own_summary
        self.register_buffer("spread", spread, persistent=False)
        self.register_buffer("own_spread", own_spread, persistent=False)

    def forward(self, said: Said, taught: Taught) -> Tensor:
        """Return the errors (3,) of single tokens, of summaries, and of the student's own against those before.

        They are 0 for equal ones; the first two about 1 for a student that says the same to everything. The last is 0
        where it need not stay.
        """
        found, heard = said.as_teacher.float(), said.heard
        mask = heard[:, :, None].float()
        single = ((found - taught.tokens).square() * mask).sum() / (mask.sum() * taught.tokens.shape[2])
        own, wanted = (self.summary(tokens, heard) for tokens in (found, taught.tokens))
        pooled = ((own - wanted) / self.spread).square().mean()
        if not taught.before.shape[1]:
            return torch.stack([single, pooled, torch.zeros_like(pooled)])
        moved = self.own_summary(said.own.float(), heard) - taught.before
        return torch.stack([single, pooled, (moved / self.own_spread).square().mean()])


def sound_of(settings: Distillation, folders: Mapping[str, Path]) -> list[Utterance]:
    """Return the sound to hear: the utterances of the corpora, and recordings by nobody in particular.

    Parameters
    ----------
    folders : of corpora
    """
    more = (path for folder in settings.recordings for path in audio_files(folder_called(folder)))
    utterances = (Utterance(utterance_id=path.stem, path=path) for path in more)
    return [*load_utterances(settings.corpus, folders), *utterances]


@holding("folder")
def distil(
    settings: Distillation, utterances: Sequence[Utterance], folder: Path, progress: Progress = SILENT
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
    n_mels = settings.front_end.n_mels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        student = student_of(n_mels, settings.student, settings.encoder)
    teacher = Teacher(n_mels, settings.teachers, student.tokens_per_step, settings.precision)
    student.check(teacher)
    known = teacher.known_speakers | student.known_speakers
    if settings.known_speakers_only:
        utterances = [row for row in utterances if not row.speaker or f"{row.corpus}/{row.speaker}" in known]
    claim(folder, to_toml(asdict(settings)), "distillation")
    with progress.bar("decoding", len(utterances)) as advance:
        targets = make_targets(utterances, LogMel(settings.front_end), advance)
    held_out = held_out_speakers(lesson.speaker for lesson in targets if lesson.speaker)
    train = [lesson for lesson in targets if lesson.speaker not in held_out]
    valid = [lesson for lesson in targets if lesson.speaker in held_out]
    start, compared = _begun(settings, student, teacher, train)
    keys = SimilarLengths(train, settings.batch_size, settings.repeats, settings.seed)
    keys.set_epoch(next_epoch(folder))
    top_db = settings.front_end.top_db or math.inf
    changes = ClipChanges(settings.changes, noise_frames(settings.changes, settings.front_end), top_db)
    stay = start if settings.staying_weight else None
    taught, checked = (
        TargetBatches(part, teacher, changes, settings.seed, settings.denoising, settings.repeats, stay)
        for part in (train, valid)
    )
    unchanged = [(UNCHANGED, 0, tuple(rows)) for rows in by_length(valid, settings.batch_size)]
    module = DistillationState(student, settings, compared, settings.epochs * len(keys))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning.*")
        resuming_trainer(settings.epochs, folder, progress, gradient_clip_val=5.0).fit(
            module,
            _loader(taught, keys, settings.listeners),
            DataLoader(checked, batch_size=None, sampler=unchanged) if valid else None,
            ckpt_path=last_checkpoint(folder),
            weights_only=True,
        )
    learnt = student.learner.state_dict()
    told = metadata_of(_origin(settings, start.weights, learnt), known)
    write_atomically(folder / WEIGHTS, save(packed_state(learnt, student.prefix), told))
    write_atomically(folder / HISTORY, csv_bytes(list(module.history[-1]), module.history))
    write_sums(folder, ("recipe.toml", WEIGHTS, HISTORY))
    drop_checkpoint(folder)
    return module.history


def _begun(
    settings: Distillation, student: TokenStudent, teacher: Teacher, train: Sequence[DistillationTarget]
) -> tuple[AtTheStart, DistillationErrors]:
    """Standardise the teacher, let the student begin to imitate it, and return how it is then and what it aims at."""
    drawn = [train[row] for row in np.random.default_rng(settings.seed).permutation(len(train))]
    shown = drawn[:SHOWN]
    if settings.pruning:
        student.prune(settings.pruning, drawn[: settings.pruning.n_clips])
    spread = teacher.standardise(shown, settings.batch_size) + SMALLEST_SPREAD
    student.imitate(teacher, shown, settings.batch_size)
    start = AtTheStart(student, shown, settings.batch_size)
    own_spread = start.spread.clamp(min=SMALLEST_SPREAD * float(start.spread.mean()))
    return start, DistillationErrors(teacher.summary, spread, student.summary, own_spread)


def _loader(taught: TargetBatches, keys: SimilarLengths, listeners: int) -> DataLoader[Taught]:
    """Return a loader in one process only: that remembers what is heard again.

    The process is spawned: a fork would inherit the locks of native threads (torch, ONNX Runtime, decoders) without
    the threads, and may hang or crash.
    """
    return DataLoader(
        taught,
        batch_size=None,
        sampler=keys,
        num_workers=listeners,
        worker_init_fn=_begin_listener if listeners else None,
        prefetch_factor=8 if listeners else None,
        persistent_workers=listeners > 0,
        multiprocessing_context="spawn" if listeners else None,
    )


def _begin_listener(_: int) -> None:
    end_with_parent()


def _origin(settings: Distillation, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> str:
    sound = f"on the sound of {', '.join([*settings.corpus, *settings.recordings])}, without labels"
    start, teachers = settings.encoder.get("weights"), [one.get("weights", "") for one in settings.teachers]
    if start:
        names = ["the whole encoder" if Path(name).name == WHOLE else Path(name).name for name in teachers]
        less = pruned_sizes(settings.pruning, from_mapping(WhisperSettings, settings.encoder, "[encoder]"))
        said = f"then distilled from {' and '.join(names)} {sound}; {moved_by(before, after)}"
        return f"{read_origin(Path(start))}{less}; {said}"
    parts = []
    for one, name in zip(settings.teachers, teachers, strict=True):
        blocks = ", ".join(str(block) for block in one.get("pooled_blocks", WhisperSettings().pooled_blocks))
        parts.append(f"block {blocks} of {name or 'a random teacher'}")
    return f"distilled from {' and '.join(parts)} {sound}"
