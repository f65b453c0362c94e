"""A small convolutional network that imitates the blocks of a large encoder, frame by frame."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.front_end import FrontEnd
from earnest.frontends.trim import frame_mask
from earnest.models.classifier import MODELS, NetworkOutput, Usage
from earnest.models.pretrained import read_origin, read_tensors
from earnest.models.whisper import mean_and_deviation, normalised


@dataclass(frozen=True)
class StudentSettings:
    """Sizes of the network.

    Attributes
    ----------
    weights : folder or file of distilled tensors (`earnest distil`), or a name below ``$EARNEST_MODELS``; "" for a
        random start
    width : channels of the residual blocks
    kernel : steps that a block's first convolution looks at
    stride : frames from one step to the next
    token_width : values of a step that imitate the teacher's
    frozen : all but the last layers stays as it is
    tasks : heads beside emotion
    """

    weights: str = ""
    width: int = 160
    n_blocks: int = 6
    kernel: int = 3
    stride: int = 2
    token_width: int = 384
    frozen: bool = False
    tasks: tuple[Literal["gender"], ...] = ()

    def __post_init__(self) -> None:
        for name in ("width", "n_blocks", "kernel", "stride", "token_width"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.kernel % 2 == 0:
            raise RecipeError(f"kernel must be odd, got {self.kernel}.")


class ResidualBlock(nn.Module):
    """Convolution over time, batch normalisation, ReLU and a pointwise convolution, beside a shortcut."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        # No bias before a normalisation, which would cancel it.
        self.convolution = nn.Conv1d(width, width, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Map (batch, width, steps) to the same shape; ``mask`` is (batch, 1, steps)."""
        mixed: Tensor = self.mix(functional.relu(self.norm(self.convolution(steps * mask))))
        return steps + mixed


class StudentEncoder(nn.Module):
    """Log-mels to tokens; half-way, every step learns the mean over the whole clip."""

    def __init__(self, n_mels: int, settings: StudentSettings) -> None:
        super().__init__()
        self.stride = settings.stride
        span = 2 * settings.stride + 1
        self.stem = nn.Conv1d(n_mels, settings.width, span, settings.stride, padding=settings.stride, bias=False)
        self.norm = nn.BatchNorm1d(settings.width)
        blocks = [ResidualBlock(settings.width, settings.kernel) for _ in range(settings.n_blocks)]
        self.before, self.after = (
            nn.ModuleList(part) for part in (blocks[: len(blocks) // 2], blocks[len(blocks) // 2 :])
        )
        self.context = nn.Linear(settings.width, settings.width)
        self.tokens = nn.Conv1d(settings.width, settings.token_width, 1)

    @torch.no_grad()
    def folded(self) -> "StudentEncoder":
        """Return an equal network whose normalisations only shift: their scales are in the kernels before them."""
        other = copy.deepcopy(self).eval()
        blocks = [block for block in (*other.before, *other.after) if isinstance(block, ResidualBlock)]
        for kernel, norm in [(other.stem, other.norm), *((block.convolution, block.norm) for block in blocks)]:
            assert norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            kernel.weight.mul_(scale[:, None, None])
            norm.bias.sub_(norm.running_mean * scale)
            norm.weight.fill_(1.0)
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0 - norm.eps)
        return other

    def forward(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map log-mels in decibels (batch, n_mels, frames) to tokens (batch, token_width, steps) and their mask."""
        scaled = normalised(frames) * frame_mask(n_frames, frames.shape[2])[:, None]
        steps = functional.relu(self.norm(self.stem(scaled)))
        n_steps = torch.div(n_frames - 1, self.stride, rounding_mode="floor") + 1
        heard = frame_mask(n_steps, steps.shape[2])
        mask = heard[:, None].to(steps.dtype)
        for block in self.before:
            steps = block(steps, mask)
        mean = (steps * mask).sum(dim=2) / mask.sum(dim=2)
        steps = steps + self.context(mean)[:, :, None]
        for block in self.after:
            steps = block(steps, mask)
        return self.tokens(steps), heard


@MODELS.register("student-statistics")
class StudentStatistics(nn.Module):
    """Mean and deviation over time of the student's tokens, and one linear layer a task.

    The front end must give decibels with reference one and a floor of 80, as the teacher's does.
    """

    settings_type = StudentSettings
    paper = "Distilling the Knowledge in a Neural Network (Hinton et al., 2015)"
    usage = Usage(
        FrontEnd(
            n_fft=512,
            win_length=512,
            hop_length=320,
            n_mels=80,
            decibel_reference="one",
            level="rms",
            level_dbfs=-20.0,
            trim="peak",
        ),
        n_classes=6,
    )
    zero_gradient: ClassVar[dict[str, str]] = {}
    reduced: ClassVar[Mapping[str, Any]] = {"width": 16, "n_blocks": 2, "token_width": 24}

    def __init__(self, n_mels: int, n_classes: int, settings: StudentSettings) -> None:
        super().__init__()
        self.settings = settings
        self.student = StudentEncoder(n_mels, settings)
        self.output = nn.Linear(2 * settings.token_width, n_classes)
        self.gender = nn.Linear(2 * settings.token_width, 2) if "gender" in settings.tasks else None
        if settings.frozen:
            self.student.requires_grad_(False)

    @property
    def origin(self) -> str:
        """Where the initial weights come from."""
        if not self.settings.weights:
            return "random"
        return f"{self.settings.weights}: {read_origin(Path(self.settings.weights))}"

    def load_pretrained(self) -> None:
        """Take over the distilled tensors that the settings name; names and shapes must fit exactly."""
        if self.settings.weights:
            wanted = self.student.state_dict()
            found = read_tensors(Path(self.settings.weights), "student.", wanted)
            self.student.load_state_dict({name: tensor.to(wanted[name].dtype) for name, tensor in found.items()})

    def train(self, mode: bool = True) -> "StudentStatistics":
        """Switch the mode; a frozen student keeps its statistics."""
        super().train(mode)
        if self.settings.frozen:
            self.student.eval()
        return self

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map log-mels in decibels (batch, n_mels, frames) with ``n_frames`` (batch,) to answers and embedding."""
        tokens, heard = self.student(frames, n_frames)
        embedding = mean_and_deviation(tokens.transpose(1, 2), heard)
        gender = None if self.gender is None else self.gender(embedding)
        return NetworkOutput(self.output(embedding), embedding, gender=gender)
