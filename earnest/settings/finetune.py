"""The ``[finetune]`` table of a recipe: how a pre-trained embedding learns emotions before the last layer is fitted."""

from dataclasses import dataclass, field
from typing import Annotated

from earnest.settings.limits import (
    Bounds,
    Count,
    LowHigh,
    NumberFromZero,
    Share,
    ShareBelowOne,
    Validated,
    require,
)

SHARES = (
    *("backward", "spliced", "crop", "stretch", "warped"),
    *("expanded", "coloured", "reverberant", "noisy", "narrow", "masked"),
)


@dataclass(frozen=True)
class FrameChanges(Validated):
    """How often frames are changed, and how much.

    Attributes
    ----------
    noise : folder of recordings below ``$EARNEST_DATA``, "" for none; ``noise_names`` are the parts of paths used
    backward, spliced, crop, stretch, warped, expanded, coloured, reverberant, noisy, narrow, masked : share of clips
        that each happens to
    most_pieces, piece_frames : how many pieces of other clips take a place in a spliced one, and their lengths
    shortest_part : of a clip that a crop leaves
    stretch_range : of durations
    warp_range : of factors by which mel bands move
    expansion_db : range of levels below the peak from which on an expander makes what is quiet quieter
    colour_db : deviation of the gains of seven bands, smoothed, of another microphone
    rt60_frames, direct_db : ranges, see `reverberant`
    snr_db : range of signal-to-noise ratios
    lowest_band, highest_band : a narrow band ends at a mel band drawn from here
    mask_bands, mask_frames : most that a mask hides
    """

    noise: str = ""
    noise_names: tuple[str, ...] = ()
    backward: Share = 0.0
    spliced: Share = 0.0
    crop: Share = 0.3
    stretch: Share = 0.5
    warped: Share = 0.0
    expanded: Share = 0.0
    coloured: Share = 0.0
    reverberant: Share = 0.0
    noisy: Share = 0.4
    narrow: Share = 0.08
    masked: Share = 0.5
    most_pieces: Count = 4
    piece_frames: Annotated[tuple[int, int], LowHigh(ge=1)] = (20, 90)
    shortest_part: Annotated[float, Bounds(gt=0, le=1)] = 0.6
    stretch_range: Annotated[tuple[float, float], LowHigh(ge=0.5, le=2)] = (0.87, 1.15)
    warp_range: Annotated[tuple[float, float], LowHigh(ge=0.5, le=2)] = (0.82, 1.22)
    expansion_db: Annotated[tuple[float, float], LowHigh(gt=0)] = (25.0, 50.0)
    colour_db: Annotated[float, Bounds(ge=0, le=40)] = 4.0
    rt60_frames: Annotated[tuple[float, float], LowHigh(ge=1)] = (20.0, 100.0)
    direct_db: Annotated[tuple[float, float], LowHigh()] = (-6.0, 10.0)
    snr_db: Annotated[tuple[float, float], LowHigh()] = (3.0, 30.0)
    lowest_band: Count = 50
    highest_band: Count = 62
    mask_bands: Count = 10
    mask_frames: Count = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        given = f"got {self.lowest_band} and {self.highest_band}"
        require(self.lowest_band <= self.highest_band, f"lowest_band must be at most highest_band, {given}")


@dataclass(frozen=True, kw_only=True)
class Finetune(Validated):
    """How an embedding is fine-tuned with two heads, see `earnest.training.finetune`.

    Attributes
    ----------
    corpus : corpora whose labels are learnt, each its own classes; in a recipe, beside its own
    epochs : 0 leaves the embedding as it is
    steps_an_epoch : batches; 0 for so many that every clip comes about once
    speakers_a_batch, clips_a_speaker : how a batch is made up
    learning_rate : of the blocks; ``convolution_share`` of it for the convolutions
    average : of the weights, the share that a step keeps
    """

    corpus: tuple[str, ...] = ()
    epochs: NumberFromZero = 0
    steps_an_epoch: NumberFromZero = 0
    speakers_a_batch: Annotated[int, Bounds(ge=2)] = 4
    clips_a_speaker: Annotated[int, Bounds(ge=2)] = 12
    learning_rate: Annotated[float, Bounds(gt=0, lt=1)] = 4e-5
    convolution_share: Share = 0.3
    head_learning_rate: Annotated[float, Bounds(gt=0, lt=1)] = 3e-4
    weight_decay: Annotated[float, Bounds(ge=0)] = 0.01
    warm_up_steps: Count = 60
    dropout: ShareBelowOne = 0.2
    label_smoothing: ShareBelowOne = 0.1
    average: ShareBelowOne = 0.99
    changes: FrameChanges = field(default_factory=FrameChanges)

    def __bool__(self) -> bool:
        """Whether anything is learnt."""
        return self.epochs > 0
