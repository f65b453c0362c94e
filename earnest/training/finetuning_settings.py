"""What a fine-tuning is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earnest.errors import RecipeError
from earnest.finetune import Finetune
from earnest.front_end import FrontEnd
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


@dataclass(frozen=True, kw_only=True)
class FineTuning(Finetune):
    """What is learnt, on which recordings, how.

    Attributes
    ----------
    encoder : `WhisperSettings`; its ``pooled_blocks`` are the embedding
    narrowing : what happens to the encoder after the training
    """

    front_end: FrontEnd = field(default_factory=FrontEnd)
    encoder: Mapping[str, Any] = field(default_factory=dict)
    narrowing: Narrowing = field(default_factory=Narrowing)
    epochs: int = 8
    seed: int = 0
    description: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.corpus:
            raise RecipeError("corpus must name at least one corpus.")
        if not self.epochs:
            raise RecipeError("epochs must be at least 1.")


def read_finetuning(path: Path) -> FineTuning:
    """Read and check a fine-tuning's settings; a folder may stand for its ``recipe.toml``."""
    return read_settings(FineTuning, path)
