"""Settings of what a network is given: the front end, the spectrogram as an image, which stretch it sees at a time."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from earnest.errors import RecipeError, shown, suggestion


@dataclass(frozen=True)
class FrontEnd:
    """Waveform to spectrogram; it becomes part of the exported graph.

    Attributes
    ----------
    n_fft, win_length, hop_length : samples
    scale : rows are mel bands, or ("linear") the transform's own bins from ``fmin_hz`` to below ``fmax_hz``, where
        ``n_mels`` says nothing
    fmin_hz, fmax_hz : lowest and highest frequency; None (in TOML "none") means half the sample rate
    pad_mode : what continues the clip at both ends, where the frames are centred
    decibel_reference : 0 dB is a power of one, or the loudest value of the clip
    window : shape of a frame
    pre_emphasis : share of the previous sample that is taken from each one, 0 for none
    top_db : floor below the loudest value of the clip, None (in TOML "none") for no floor
    level : scale of the waveform before the transform: as it is, or with a root mean square of ``level_dbfs``
    trim : frames kept: all, from the first to the last above the gradient threshold (EmoCatcher), or above
        ``trim_db`` below the peak (Moody)
    """

    sample_rate_hz: int = 16_000
    n_fft: int = 1024
    win_length: int = 1024
    hop_length: int = 256
    n_mels: int = 64
    fmin_hz: float = 0.0
    fmax_hz: float | None = None
    pad_mode: Literal["reflect", "constant"] = "reflect"
    window: Literal["hann", "hamming"] = "hann"
    pre_emphasis: float = 0.0
    decibel_reference: Literal["one", "max"] = "max"
    top_db: float | None = 80.0
    level: Literal["none", "rms"] = "none"
    level_dbfs: float = 0.0
    trim: Literal["none", "gradient", "peak"] = "none"
    trim_db: float = 40.0
    scale: Literal["mel", "linear"] = "mel"

    def __post_init__(self) -> None:
        checks = (
            (8_000 <= self.sample_rate_hz <= 192_000, "sample_rate_hz must be 8000 to 192000"),
            (16 <= self.n_fft <= 16_384, "n_fft must be 16 to 16384"),
            (0 < self.win_length <= self.n_fft, f"win_length must be 1 to {self.n_fft} (n_fft)"),
            (0 < self.hop_length <= self.n_fft, f"hop_length must be 1 to {self.n_fft} (n_fft)"),
            (0 < self.n_mels <= 512, "n_mels must be 1 to 512"),
            (0 <= self.fmin_hz < self.highest_hz, f"fmin_hz must be from 0 to below {self.highest_hz}"),
            (self.highest_hz <= self.sample_rate_hz / 2, f"fmax_hz must be at most {self.sample_rate_hz / 2}"),
            (self.top_db is None or 0 < self.top_db <= 1_000, "top_db must be above 0 and at most 1000"),
            (0 <= self.pre_emphasis < 1, "pre_emphasis must be from 0 to below 1"),
            (abs(self.level_dbfs) <= 200, "level_dbfs must be -200 to 200"),
            (0 < self.trim_db <= 1_000, "trim_db must be above 0 and at most 1000"),
        )
        for right, message in checks:
            if not right:
                raise RecipeError(f"{message}.")
        if self.n_bands < 1:
            raise RecipeError(f"no bin of the transform lies from {self.fmin_hz} to below {self.highest_hz} Hz.")

    @property
    def first_bin(self) -> int:
        """The lowest bin of a linear scale."""
        return math.ceil(self.fmin_hz * self.n_fft / self.sample_rate_hz)

    @property
    def n_bands(self) -> int:
        """Rows of the spectrogram."""
        if self.scale == "mel":
            return self.n_mels
        return math.ceil(self.highest_hz * self.n_fft / self.sample_rate_hz) - self.first_bin

    @property
    def highest_hz(self) -> float:
        """Upper edge of the band."""
        return self.sample_rate_hz / 2 if self.fmax_hz is None else self.fmax_hz


_NTU = FrontEnd(16_000, 800, 640, 160, 128, window="hamming", pre_emphasis=0.97)
# The faithful ones may be heavy: the waves of "emocatcher" weigh 8 MB once a runtime has made them.
PRESETS: Mapping[str, FrontEnd] = {
    # 2.1-s clips scaled to a root mean square of one; the dB reference is the clip's maximum, not the batch's.
    "moody": FrontEnd(22_050, 2048, 2048, 512, 128, level="rms", trim="peak"),
    # The log-mel variant of NTU's features: 40-ms Hamming windows every 10 ms.
    "ntu": _NTU,
    # Their log-spectrogram: 200 bins of 20 Hz, that is up to 4 kHz.
    "ntu-logspec": replace(_NTU, scale="linear", fmax_hz=4_000.0),
    # The same bins on telephone speech. (Theirs kept 800 points and 200 bins, which at 8 kHz ends at 2 kHz.)
    "ntu-logspec-8khz": replace(
        _NTU, sample_rate_hz=8_000, n_fft=400, win_length=320, hop_length=80, scale="linear", fmax_hz=4_000.0
    ),
    # Speech-VINO names librosa and no parameters: librosa's defaults.
    "vino": FrontEnd(22_050, 2048, 2048, 512, 128),
    "multitask": FrontEnd(22_050, 2048, 2048, 512, 256, trim="peak"),
    # hop: 2048 // 3 * 2, 61.9 ms
    "emocatcher": FrontEnd(22_050, 4096, 2048, 1364, 64, fmax_hz=6000.0, decibel_reference="one", trim="gradient"),
    "whisper": FrontEnd(16_000, 400, 400, 160, 80, decibel_reference="one"),
}


def with_preset(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Resolve the key ``preset`` of a ``[front_end]`` table; keys beside it take precedence."""
    own = {key: value for key, value in values.items() if key != "preset"}
    if "preset" not in values:
        return own
    name = values["preset"]
    if not isinstance(name, str) or name not in PRESETS:
        raise RecipeError(f"{where}: there is no preset {shown(name)}.{suggestion(str(name)[:64], PRESETS)}")
    return {**asdict(PRESETS[name]), **own}


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
