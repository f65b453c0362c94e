"""What imitates a teacher's tokens: a student, or an encoder of the teacher's own kind that is faster than it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from earnest.config import from_mapping
from earnest.errors import RecipeError
from earnest.models.student import StudentEncoder, StudentSettings
from earnest.models.whisper import Encoder, WhisperSettings, WhisperStatistics, normalised


class ImitatingStudent(nn.Module):
    """A student, whose tokens are the teacher's standardised ones.

    Attributes
    ----------
    learner : what is kept of it, its tensors called ``prefix`` + a name
    token_width, steps_a_token : what it imitates: the values of a token, which lasts so many steps of 20 ms
    """

    prefix = "student."
    steps_a_token = 2

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


class ImitatingEncoder(nn.Module):
    """An encoder, whose pooled blocks side by side and standardised as the teacher's are what it imitates with.

    Attributes
    ----------
    learner, token_width, steps_a_token : as those of `ImitatingStudent`
    """

    prefix = "encoder."
    mean: Tensor
    deviation: Tensor

    def __init__(self, n_mels: int, settings: WhisperSettings) -> None:
        super().__init__()
        if min(settings.pooled_blocks) < settings.merged_after:
            raise RecipeError(
                "[encoder]: tokens must become one (merged_after) no later than in the first pooled block."
            )
        network = WhisperStatistics(n_mels, 2, settings)
        network.load_pretrained()
        self.learner: Encoder = network.encoder
        self.pooled_blocks, self.steps_a_token = settings.pooled_blocks, settings.steps_a_token
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


Imitator: TypeAlias = ImitatingStudent | ImitatingEncoder


def imitator(n_mels: int, student: Mapping[str, Any], encoder: Mapping[str, Any]) -> Imitator:
    """Build what learns, an encoder where one is described; its start is random or what its ``weights`` name."""
    if encoder:
        return ImitatingEncoder(n_mels, from_mapping(WhisperSettings, encoder, "[encoder]"))
    return ImitatingStudent(n_mels, from_mapping(StudentSettings, student, "[student]"))
