"""A small network that imitates the blocks of a large encoder, frame by frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.frontends.trim import frame_mask
from earnest.models.classifier import MODELS, Network, NetworkOutput, Usage
from earnest.models.layers import last_layer_for
from earnest.models.pretrained import read_known_speakers, read_origin, read_tensors
from earnest.models.whisper import EncoderBlock, EncoderSettings, mean_and_deviation, normalised
from earnest.settings.front_end import PRESETS
from earnest.settings.limits import Count, Validated, require
from earnest.settings.recipe import RENAMED_NETWORK_KEYS


@dataclass(frozen=True)
class StudentSettings(Validated):
    """Sizes of the network.

    Attributes
    ----------
    weights : folder or file of distilled tensors (`python -m research distil`), or a name below ``$EARNEST_MODELS``;
        "" for a random start
    width : channels of the convolutions and blocks
    n_heads : of attention
    kernel : tokens that a block's convolution looks at
    token_width : values of a token that imitate the teacher's
    frozen : all but the last layers stays as it is
    tasks : heads beside emotion
    speaker_dependent : the last layer has class means of its own for each training speaker, see
        `SpeakerDependentHead`; for enrolled speakers, who are known in advance
    """

    renamed: ClassVar[Mapping[str, str]] = RENAMED_NETWORK_KEYS
    weights: str = ""
    width: Count = 144
    n_blocks: Count = 2
    n_heads: Count = 4
    feed_forward_width: Count = 576
    kernel: Count = 7
    token_width: Count = 384
    frozen: bool = False
    tasks: tuple[Literal["gender"], ...] = ()
    speaker_dependent: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.kernel % 2 == 1, f"kernel must be odd, got {self.kernel}")
        self.block()  # checks the rules between the others

    def block(self) -> EncoderSettings:
        """Return the sizes of a block of the encoder's kind."""
        return EncoderSettings(
            n_blocks=self.n_blocks, width=self.width, n_heads=self.n_heads, feed_forward_width=self.feed_forward_width
        )


class StudentBlock(nn.Module):
    """A convolution over neighbouring tokens, channel by channel, beside a shortcut; then a block of the encoder's."""

    def __init__(self, settings: StudentSettings) -> None:
        super().__init__()
        width, kernel = settings.width, settings.kernel
        # Depthwise: width · kernel weights instead of width² · kernel.
        self.near = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.far = EncoderBlock(settings.block())

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Map (batch, tokens, width) to the same shape; ``mask`` (batch, tokens) says which are heard."""
        heard = (tokens * mask[:, :, None].to(tokens.dtype)).transpose(1, 2)  # (batch, width, tokens)
        near: Tensor = self.near(heard).transpose(1, 2)
        far: Tensor = self.far(tokens + near, mask)
        return far


class StudentEncoder(nn.Module):
    """Log-mels to tokens: two convolutions that halve the frames, blocks of attention, one linear layer.

    Attributes
    ----------
    tokens : gives what the teacher's tokens are when they have mean zero and deviation one
    """

    def __init__(self, n_mels: int, settings: StudentSettings) -> None:
        super().__init__()
        width = settings.width
        self.conv1 = nn.Conv1d(n_mels, width, 5, stride=2, padding=2)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList([StudentBlock(settings) for _ in range(settings.n_blocks)])
        self.norm = nn.LayerNorm(width)
        self.tokens = nn.Linear(width, settings.token_width)

    def forward(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map log-mels in decibels (batch, n_mels, frames) to tokens (batch, tokens, token_width) and their mask."""
        steps = normalised(frames)  # (batch, n_mels, frames)
        for convolution in (self.conv1, self.conv2):
            mask = frame_mask(n_frames, steps.shape[2])
            # Zeros behind an utterance's end are what a lone utterance is padded with.
            steps = functional.gelu(convolution(steps * mask[:, None].to(steps.dtype)))
            n_frames = torch.div(n_frames - 1, 2, rounding_mode="floor") + 1  # stride 2 keeps frames 0, 2, 4 …
        heard = frame_mask(n_frames, steps.shape[2])
        tokens = steps.transpose(1, 2)  # (batch, tokens, width); a token stands for 4 frames, 40 ms
        for block in self.blocks:
            tokens = block(tokens, heard)
        return self.tokens(self.norm(tokens)), heard

    def load(self, name: Path) -> None:
        """Take over distilled tensors (`find_weights`); names and shapes must fit exactly."""
        wanted = self.state_dict()
        found = read_tensors(name, "student.", wanted)
        self.load_state_dict({name: tensor.to(wanted[name].dtype) for name, tensor in found.items()})


@MODELS.register("student-statistics")
class StudentStatistics(Network):
    """Mean and deviation over time of the student's tokens, and one linear layer a task.

    The front end must be the teacher's, Whisper's: 80 mel bands at 16 kHz, 10 ms hop, decibels with reference one and a
    floor of 80.
    """

    settings_type = StudentSettings
    paper = "Distilling the Knowledge in a Neural Network (Hinton et al., 2015)"
    usage = Usage(PRESETS["whisper"], 6)
    reduced: ClassVar[Mapping[str, Any]] = {"width": 16, "n_blocks": 2, "feed_forward_width": 32, "token_width": 24}

    def __init__(self, n_mels: int, n_classes: int, settings: StudentSettings) -> None:
        super().__init__()
        self.settings = settings
        self.student = StudentEncoder(n_mels, settings)
        self.output = last_layer_for(2 * settings.token_width, n_classes, settings.speaker_dependent)
        self.gender = nn.Linear(2 * settings.token_width, 2) if "gender" in settings.tasks else None
        self.tuned_on: frozenset[str] = frozenset()
        if settings.frozen:
            self.student.requires_grad_(False)

    @property
    def trunk(self) -> StudentEncoder:
        """The encoder that computes the embedding."""
        return self.student

    @property
    def known_speakers(self) -> frozenset[str]:
        """The speakers, as corpus/speaker, whose labels the initial weights or a fine-tuning since were fitted on."""
        return self.tuned_on | (read_known_speakers(Path(self.settings.weights)) if self.settings.weights else set())

    @property
    def origin(self) -> str:
        """Where the initial weights come from."""
        if not self.settings.weights:
            return "random"
        return read_origin(Path(self.settings.weights)) or self.settings.weights

    def load_pretrained(self) -> None:
        """Take over the distilled tensors that the settings name, if any."""
        if self.settings.weights:
            self.student.load(Path(self.settings.weights))

    def train(self, mode: bool = True) -> "StudentStatistics":
        """Switch the mode; a frozen student keeps its statistics."""
        super().train(mode)
        if self.settings.frozen:
            self.student.eval()
        return self

    def heard(self, frames: Tensor, n_frames: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the tokens that are pooled (batch, tokens, token_width) and their mask (batch, tokens)."""
        return [self.student(frames, n_frames)]

    def pooled(self, heard: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the embedding (batch, 2·token_width) of what is heard."""
        (tokens,) = heard
        return mean_and_deviation(*tokens)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map log-mels in decibels (batch, n_mels, frames) with ``n_frames`` (batch,) to answers and embedding."""
        embedding = self.pooled(self.heard(frames, n_frames))
        gender = None if self.gender is None else self.gender(embedding)
        return NetworkOutput(self.output(embedding), embedding, gender=gender)
