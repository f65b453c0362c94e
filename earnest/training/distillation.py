"""Teaching a small network to imitate the blocks of a large encoder, frame by frame (after Hinton et al., 2015).

What tells emotions apart lies in how a clip's tokens differ from other clips' on average, a twentieth of their variance.
So the student is judged by means and deviations over windows and whole clips too, not by single tokens alone.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Sampler

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.config import from_mapping, read_toml
from earnest.corpora.manifest import Utterance
from earnest.errors import AudioError, CorpusError, RecipeError
from earnest.front_end import FrontEnd, with_preset
from earnest.frontends.log_mel import LogMel
from earnest.frontends.trim import frame_mask
from earnest.models.student import StudentEncoder, StudentSettings
from earnest.models.whisper import DECIBELS_PER_DECADE, WhisperSettings, WhisperStatistics
from earnest.training.progress import AtomicCheckpointIO, write_atomically

WEIGHTS = "model.safetensors"
LAST = "last.ckpt"
N_POSITIONS = 200  # steps whose typical token is known; later ones count as the last
SMALLEST_DEVIATION = 0.05


@dataclass(frozen=True)
class Distillation:
    """What is imitated, on which recordings, by what.

    Attributes
    ----------
    corpus : corpora whose sound is used; labels are not
    speeds : each clip is heard at these speeds, 1 as it is
    teacher_front_end, teacher : the encoder; its ``pooled_blocks`` are imitated
    front_end, student : the network that learns
    window_s : length of the windows over which means and deviations are compared
    pooled_weight : weight of those, against the one of single tokens
    """

    corpus: tuple[str, ...]
    speeds: tuple[float, ...] = (1.0,)
    teacher_front_end: FrontEnd = field(default_factory=FrontEnd)
    teacher: Mapping[str, Any] = field(default_factory=dict)
    front_end: FrontEnd = field(default_factory=FrontEnd)
    student: Mapping[str, Any] = field(default_factory=dict)
    window_s: float = 0.8
    pooled_weight: float = 2.0
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    seed: int = 0
    description: str = ""

    def __post_init__(self) -> None:
        checks = (
            (bool(self.corpus), "corpus must name at least one corpus"),
            (all(0.5 <= speed <= 2 for speed in self.speeds) and bool(self.speeds), "speeds must be 0.5 to 2"),
            (0.1 <= self.window_s <= 10, "window_s must be 0.1 to 10"),
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
    values = read_toml(path / "recipe.toml" if path.is_dir() else path)
    for name in ("front_end", "teacher_front_end"):
        if isinstance(values.get(name), dict):
            values[name] = with_preset(values[name], f"{path}: {name}")
    if isinstance(values.get("corpus"), str):
        values["corpus"] = [values["corpus"]]
    return from_mapping(Distillation, values, str(path))


@dataclass(frozen=True)
class Lesson:
    """One clip: ``frames`` (n_mels, frames) for the student, ``tokens`` (token_width, steps) of the teacher, float16."""

    frames: Tensor
    tokens: Tensor


class Teacher:
    """The pre-trained encoder, heard at the student's pace."""

    def __init__(self, settings: Distillation, stride: int) -> None:
        self.front_end = LogMel(settings.teacher_front_end)
        whisper = from_mapping(WhisperSettings, settings.teacher, "[teacher]")
        self.network = WhisperStatistics(settings.teacher_front_end.n_mels, 3, whisper).eval()
        self.network.load_pretrained()
        pace = stride * settings.front_end.hop_length / (2 * settings.teacher_front_end.hop_length)
        self.steps_a_token = round(pace)
        if pace != self.steps_a_token or not self.steps_a_token:
            raise RecipeError(
                f"A step of the student lasts {pace:g} of the teacher's. Choose stride and hop_length for a whole number."
            )

    @property
    def width(self) -> int:
        """Values of one token: all imitated blocks side by side."""
        return self.network.settings.width * len(self.network.settings.pooled_blocks)

    @torch.no_grad()
    def tokens(self, waveform: Waveform) -> Tensor:
        """Return the mean tokens (width, steps) of a waveform (samples,)."""
        sound, length = torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
        with torch.autocast("cpu", torch.bfloat16):
            frames, n_frames = self.front_end(sound, length)
            outputs, _ = self.network.encoder((frames / DECIBELS_PER_DECADE + 4.0) / 4.0, n_frames)
        blocks = torch.cat([outputs[block - 1][0] for block in self.network.settings.pooled_blocks], dim=1).float()
        short = -len(blocks) % self.steps_a_token
        return torch.cat([blocks, blocks[-1:].expand(short, -1)]).unflatten(0, (-1, self.steps_a_token)).mean(dim=1).T
