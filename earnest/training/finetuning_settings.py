"""What a fine-tuning is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earnest.errors import RecipeError
from earnest.front_end import FrontEnd
from earnest.training.frame_changes import FrameChanges
from earnest.training.resuming import read_settings


@dataclass(frozen=True)
class Narrowing:
    """How a tuned encoder becomes narrower, and so faster.

    Attributes
    ----------
    width : neurons that each block's feed-forward layer keeps; 0 for all, here and below
    stem_width : channels between the convolutions
    key_width : values of a head's query and key
    n_clips : so many clips, drawn at random, show what the neurons do
    steps_a_token, merged_after : as the encoder is used later
    """

    width: int = 0
    stem_width: int = 0
    key_width: int = 0
    n_clips: int = 700
    steps_a_token: int = 1
    merged_after: int = 0

    def __post_init__(self) -> None:
        if min(self.width, self.stem_width, self.key_width) < 0 or self.n_clips < 1:
            raise RecipeError("[narrowing]: widths must be at least 0 and n_clips at least 1.")

    def __bool__(self) -> bool:
        """Whether anything becomes narrower."""
        return bool(self.width or self.stem_width or self.key_width)


@dataclass(frozen=True)
class FineTuning:
    """What is learnt, on which recordings, how.

    Attributes
    ----------
    corpus : corpora whose labels are learnt, each its own classes
    encoder : `WhisperSettings`; its ``pooled_blocks`` are the embedding
    speakers_a_batch, clips_a_speaker : how a batch is made up
    learning_rate : of the blocks; ``convolution_share`` of it for the convolutions
    average : of the weights, the share that a step keeps
    narrowing : what happens to the encoder after the training
    """

    corpus: tuple[str, ...]
    front_end: FrontEnd = field(default_factory=FrontEnd)
    encoder: Mapping[str, Any] = field(default_factory=dict)
    changes: FrameChanges = field(default_factory=FrameChanges)
    narrowing: Narrowing = field(default_factory=Narrowing)
    epochs: int = 8
    speakers_a_batch: int = 4
    clips_a_speaker: int = 12
    learning_rate: float = 4e-5
    convolution_share: float = 0.3
    head_learning_rate: float = 3e-4
    weight_decay: float = 0.01
    warm_up_steps: int = 60
    dropout: float = 0.2
    label_smoothing: float = 0.1
    average: float = 0.99
    seed: int = 0
    description: str = ""

    def __post_init__(self) -> None:
        checks = (
            (bool(self.corpus), "corpus must name at least one corpus"),
            (self.epochs >= 1, "epochs must be at least 1"),
            (self.speakers_a_batch >= 2, "speakers_a_batch must be at least 2"),
            (self.clips_a_speaker >= 2, "clips_a_speaker must be at least 2"),
            (0 < self.learning_rate < 1, "learning_rate must be above 0 and below 1"),
            (0 <= self.convolution_share <= 1, "convolution_share must be from 0 to 1"),
            (0 < self.head_learning_rate < 1, "head_learning_rate must be above 0 and below 1"),
            (0 <= self.dropout < 1, "dropout must be from 0 to below 1"),
            (0 <= self.label_smoothing < 1, "label_smoothing must be from 0 to below 1"),
            (0 <= self.average < 1, "average must be from 0 to below 1"),
        )
        for right, message in checks:
            if not right:
                raise RecipeError(f"{message}.")


def read_finetuning(path: Path) -> FineTuning:
    """Read and check a fine-tuning's settings; a folder may stand for its ``recipe.toml``."""
    return read_settings(FineTuning, path)
