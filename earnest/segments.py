"""Settings of segmenting: which stretch of a clip a network sees at a time."""

import math
from dataclasses import dataclass
from typing import Literal

from earnest.errors import RecipeError

LONGEST_S = 600.0


@dataclass(frozen=True)
class Segments:
    """Which stretch of a clip the network sees; it becomes part of the exported graph.

    Attributes
    ----------
    mode : the whole clip; a crop from its middle (in training: from anywhere), shorter clips padded at both ends; or
        blocks one after another, whose mean log-probability is the clip's answer
    length_s : of the crop or of one block
    """

    mode: Literal["whole", "crop", "blocks"] = "whole"
    length_s: float = 0.0

    def __post_init__(self) -> None:
        if self.mode == "whole" and self.length_s != 0:
            raise RecipeError('length_s belongs to mode "crop" or "blocks"; leave it out with "whole".')
        if self.mode != "whole" and not 0.01 <= self.length_s <= LONGEST_S:
            raise RecipeError(f"length_s must be 0.01 to {LONGEST_S:g} seconds, got {self.length_s}.")

    def frames(self, sample_rate_hz: int, hop_length: int) -> int:
        """Return frames of one segment: a crop has those of a lone clip of its length, blocks tile the time.

        Moody's 2.1 s are 91 frames, one at each end of 90 hops; NTU's 3 s are 300.
        """
        samples = round(self.length_s * sample_rate_hz)
        return samples // hop_length + 1 if self.mode == "crop" else max(1, math.ceil(samples / hop_length))
