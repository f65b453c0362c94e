"""The ``[finetune]`` table of a recipe: how a pre-trained embedding learns emotions before the last layer is fitted."""

from dataclasses import dataclass, field

from earnest.errors import RecipeError

SHARES = (
    *("backward", "spliced", "crop", "stretch", "warped"),
    *("expanded", "coloured", "reverberant", "noisy", "narrow", "masked"),
)


@dataclass(frozen=True)
class FrameChanges:
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
    backward: float = 0.0
    spliced: float = 0.0
    crop: float = 0.3
    stretch: float = 0.5
    warped: float = 0.0
    expanded: float = 0.0
    coloured: float = 0.0
    reverberant: float = 0.0
    noisy: float = 0.4
    narrow: float = 0.08
    masked: float = 0.5
    most_pieces: int = 4
    piece_frames: tuple[int, int] = (20, 90)
    shortest_part: float = 0.6
    stretch_range: tuple[float, float] = (0.87, 1.15)
    warp_range: tuple[float, float] = (0.82, 1.22)
    expansion_db: tuple[float, float] = (25.0, 50.0)
    colour_db: float = 4.0
    rt60_frames: tuple[float, float] = (20.0, 100.0)
    direct_db: tuple[float, float] = (-6.0, 10.0)
    snr_db: tuple[float, float] = (3.0, 30.0)
    lowest_band: int = 50
    highest_band: int = 62
    mask_bands: int = 10
    mask_frames: int = 20

    def __post_init__(self) -> None:
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"{name} must be from 0 to 1, got {getattr(self, name)}.")
        checks = (
            (0 < self.shortest_part <= 1, "shortest_part must be above 0 and at most 1"),
            (0.5 <= self.stretch_range[0] <= self.stretch_range[1] <= 2, "stretch_range must be from 0.5 to 2"),
            (0.5 <= self.warp_range[0] <= self.warp_range[1] <= 2, "warp_range must be from 0.5 to 2"),
            (self.most_pieces >= 1, "most_pieces must be at least 1"),
            (1 <= self.piece_frames[0] <= self.piece_frames[1], "piece_frames must be a range from 1 on"),
            (0 < self.expansion_db[0] <= self.expansion_db[1], "expansion_db must be a range above 0"),
            (0 <= self.colour_db <= 40, "colour_db must be from 0 to 40"),
            (1 <= self.rt60_frames[0] <= self.rt60_frames[1], "rt60_frames must be a range from 1 on"),
            (self.direct_db[0] <= self.direct_db[1], "direct_db must be a range"),
            (self.snr_db[0] <= self.snr_db[1], "snr_db must be a range"),
            (1 <= self.lowest_band <= self.highest_band, "lowest_band must be from 1 to highest_band"),
            (self.mask_bands >= 1 and self.mask_frames >= 1, "mask_bands and mask_frames must be at least 1"),
        )
        for right, message in checks:
            if not right:
                raise RecipeError(f"{message}.")


@dataclass(frozen=True, kw_only=True)
class Finetune:
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
    epochs: int = 0
    steps_an_epoch: int = 0
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
    changes: FrameChanges = field(default_factory=FrameChanges)

    def __post_init__(self) -> None:
        checks = (
            (self.epochs >= 0, "epochs must be at least 0"),
            (self.steps_an_epoch >= 0, "steps_an_epoch must be at least 0"),
            (self.speakers_a_batch >= 2, "speakers_a_batch must be at least 2"),
            (self.clips_a_speaker >= 2, "clips_a_speaker must be at least 2"),
            (0 < self.learning_rate < 1, "learning_rate must be above 0 and below 1"),
            (0 <= self.convolution_share <= 1, "convolution_share must be from 0 to 1"),
            (0 < self.head_learning_rate < 1, "head_learning_rate must be above 0 and below 1"),
            (self.weight_decay >= 0, "weight_decay must not be negative"),
            (self.warm_up_steps >= 1, "warm_up_steps must be at least 1"),
            (0 <= self.dropout < 1, "dropout must be from 0 to below 1"),
            (0 <= self.label_smoothing < 1, "label_smoothing must be from 0 to below 1"),
            (0 <= self.average < 1, "average must be from 0 to below 1"),
        )
        for right, message in checks:
            if not right:
                raise RecipeError(f"{message}.")

    def __bool__(self) -> bool:
        """Whether anything is learnt."""
        return self.epochs > 0
