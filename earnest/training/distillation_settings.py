"""What a distillation is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from earnest.errors import RecipeError
from earnest.finetune import FrameChanges
from earnest.front_end import FrontEnd
from earnest.training.resuming import read_settings


@dataclass(frozen=True)
class Distillation:
    """What is imitated, on which recordings, by what.

    Attributes
    ----------
    corpus : corpora whose sound is used; labels are not
    recordings : folders of more speech, below ``$EARNEST_DATA``
    front_end : of both networks
    teacher : `WhisperSettings`; its ``pooled_blocks`` are imitated
    student : `StudentSettings`; what its ``weights`` name is where it starts
    changes : of the frames that both hear
    denoising : the teacher hears clips before microphones, rooms and noise change them
    repeats : how often a changed batch is heard in an epoch; the teacher hears it once
    listeners : processes in which the teacher listens beside the training, 0 for none; 1 spares waiting
    pooled_weight : weight of means and deviations over a clip, against the one of single tokens
    matrix_rate : learning rate of the blocks' matrices, whose steps are orthogonal (Jordan et al., 2024: Muon);
        ``learning_rate`` is that of all else. 0: that of the matrices too, and their steps are Adam's
    encoder : `WhisperSettings` of an encoder that learns in place of a student: one that has become narrower, or whose
        tokens become one, and gets back what that cost
    known_voices : only clips of speakers are heard whose labels the teacher was fitted on; all others stay unheard
    """

    corpus: tuple[str, ...]
    front_end: FrontEnd = field(default_factory=FrontEnd)
    teacher: Mapping[str, Any] = field(default_factory=dict)
    student: Mapping[str, Any] = field(default_factory=dict)
    changes: FrameChanges = field(default_factory=FrameChanges)
    repeats: int = 1
    listeners: int = 0
    pooled_weight: float = 0.5
    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 1.5e-3
    matrix_rate: float = 0.02
    weight_decay: float = 1e-3
    precision: Literal["32", "bf16"] = "32"
    recordings: tuple[str, ...] = ()
    denoising: bool = False
    known_voices: bool = False
    encoder: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    description: str = ""

    def __post_init__(self) -> None:
        checks = (
            (bool(self.corpus), "corpus must name at least one corpus"),
            (1 <= self.repeats <= 100, "repeats must be 1 to 100"),
            (0 <= self.listeners <= 1, "listeners must be 0 or 1: what is heard again is known to one alone"),
            (0 <= self.pooled_weight <= 100, "pooled_weight must be 0 to 100"),
            (self.epochs >= 1, "epochs must be at least 1"),
            (not (self.student and self.encoder), "either [student] or [encoder] learns, not both"),
            (self.batch_size >= 2, "batch_size must be at least 2"),
            (0 < self.learning_rate < 1, "learning_rate must be above 0 and below 1"),
            (0 <= self.matrix_rate < 1, "matrix_rate must be from 0 to below 1"),
            (0 <= self.weight_decay < 10, "weight_decay must be from 0 to below 10"),
        )
        for right, message in checks:
            if not right:
                raise RecipeError(f"{message}.")


def read_distillation(path: Path) -> Distillation:
    """Read and check a distillation's settings; a folder may stand for its ``recipe.toml``."""
    return read_settings(Distillation, path)
