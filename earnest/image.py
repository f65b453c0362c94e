"""Settings of the spectrogram as an image, for networks that were made for photographs."""

from dataclasses import dataclass
from typing import Literal

from earnest.errors import RecipeError


@dataclass(frozen=True)
class Image:
    """Decibels to an image; it becomes part of the exported graph.

    Attributes
    ----------
    channels : 1, or 3 that are made as ``channels_from`` says
    channels_from : the same thing three times; the spectrogram with its first and second derivative over time; or the
        spectrogram of the clip, of the clip with a little noise, and of the clip in a room
    delta_width : frames of the derivatives' window
    scaling : none; each frequency's range over the training clips becomes 0 to 1 (clipped); or ``lowest_db`` to
        ``highest_db`` becomes 0 to 1 (clipped)
    height, width : pixels after bilinear resizing; 0 keeps the bands and the frames
    normalise : none; mean and deviation of ImageNet's channels; or those of the training clips
    low_at_bottom : low frequencies come last, as in a picture
    """

    channels: Literal[1, 3] = 1
    channels_from: Literal["copies", "deltas", "noise-reverb"] = "copies"
    delta_width: Literal[5, 9] = 5
    scaling: Literal["none", "per-bin", "fixed"] = "none"
    lowest_db: float = -80.0
    highest_db: float = 0.0
    height: int = 0
    width: int = 0
    normalise: Literal["none", "imagenet", "statistics"] = "none"
    low_at_bottom: bool = True

    def __post_init__(self) -> None:
        checks = (
            (self.channels == 3 or self.channels_from == "copies", f'"{self.channels_from}" makes 3 channels'),
            (self.channels == 3 or self.normalise != "imagenet", '"imagenet" is for 3 channels'),
            (self.scaling != "fixed" or self.channels_from != "deltas", '"deltas" need scaling "per-bin" or "none"'),
            (-1_000 <= self.lowest_db < self.highest_db <= 1_000, "lowest_db must be below highest_db"),
            (0 <= self.height <= 2_048, "height must be from 0 to 2048"),
            (0 <= self.width <= 8_192, "width must be from 0 to 8192"),
        )
        for right, message in checks:
            if not right:
                raise RecipeError(f"{message}.")

    @property
    def sources(self) -> int:
        """How many different channels there are before copying."""
        return 1 if self.channels_from == "copies" else 3
