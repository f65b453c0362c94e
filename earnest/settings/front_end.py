"""Settings of what a network is given: the front end, the spectrogram as an image, which stretch it sees at a time."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from earnest.errors import RecipeError, shown, suggestion
from earnest.settings.limits import Bounds, Count, ShareBelowOne, Validated, require


@dataclass(frozen=True)
class FrontEnd(Validated):
    """Waveform to spectrogram; it becomes part of the exported graph.

    Attributes
    ----------
    n_fft, win_length, hop_length : samples
    scale : rows are mel bands, or ("linear") the transform's own bins from ``fmin_hz`` to below ``fmax_hz``, where
        ``n_mels`` says nothing
    fmin_hz, fmax_hz : lowest and highest frequency; None (in TOML "none") means half the sample rate
    decibel_reference : 0 dB is a power of one, or the loudest value of the utterance
    window : shape of a frame
    pre_emphasis : share of the previous sample that is taken from each one, 0 for none
    top_db : floor below the loudest value of the utterance, None (in TOML "none") for no floor
    level : scale of the waveform before the transform: as it is, with a root mean square of ``level_dbfs``, or less its
        mean (a microphone's constant offset) and with a standard deviation of ``level_dbfs``
    trim : frames kept: all, from the first to the last above the gradient threshold (EmoCatcher), or above
        ``trim_db`` below the peak (Moody)
    """

    removed: ClassVar[Mapping[str, Any]] = {"pad_mode": "reflect"}
    sample_rate_hz: Annotated[int, Bounds(ge=8_000, le=192_000)] = 16_000
    n_fft: Annotated[int, Bounds(ge=16, le=16_384)] = 1024
    win_length: Count = 1024
    hop_length: Count = 256
    n_mels: Annotated[int, Bounds(ge=1, le=512)] = 64
    fmin_hz: Annotated[float, Bounds(ge=0)] = 0.0
    fmax_hz: Annotated[float, Bounds(gt=0)] | None = None
    window: Literal["hann", "hamming"] = "hann"
    pre_emphasis: ShareBelowOne = 0.0
    decibel_reference: Literal["one", "max"] = "max"
    top_db: Annotated[float, Bounds(gt=0, le=1_000)] | None = 80.0
    level: Literal["none", "rms", "deviation"] = "none"
    level_dbfs: Annotated[float, Bounds(ge=-200, le=200)] = 0.0
    trim: Literal["none", "gradient", "peak"] = "none"
    trim_db: Annotated[float, Bounds(gt=0, le=1_000)] = 40.0
    scale: Literal["mel", "linear"] = "mel"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("win_length", "hop_length"):
            value = getattr(self, name)
            require(value <= self.n_fft, f"{name} must be from 1 to {self.n_fft} (n_fft), got {value}")
        top_hz, nyquist_hz = self.highest_hz, self.sample_rate_hz / 2
        require(self.fmin_hz < top_hz, f"fmin_hz must be from 0 to below {top_hz:g}, got {self.fmin_hz:g}")
        require(top_hz <= nyquist_hz, f"fmax_hz must be at most {nyquist_hz:g}, got {top_hz:g}")
        require(self.n_bands >= 1, f"no bin of the transform lies from {self.fmin_hz} to below {top_hz} Hz")

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
class Image(Validated):
    """Decibels to an image; it becomes part of the exported graph.

    Attributes
    ----------
    channels : 1, or 3 that are made as ``channels_from`` says
    channels_from : the same thing three times; the spectrogram with its first and second derivative over time; or the
        spectrogram of the utterance, of the utterance with a little noise, and of the utterance in a room
    scaling : none; each frequency's range over the training utterances becomes 0 to 1 (clipped); or ``lowest_db`` to
        ``highest_db`` becomes 0 to 1 (clipped)
    height, width : pixels after bilinear resizing; 0 keeps the bands and the frames
    normalise : none; mean and deviation of ImageNet's channels; or those of the training utterances
    low_at_bottom : low frequencies come last, as in a picture
    """

    removed: ClassVar[Mapping[str, Any]] = {"delta_width": 5}
    channels: Literal[1, 3] = 1
    channels_from: Literal["copies", "deltas", "noise-reverb"] = "copies"
    scaling: Literal["none", "per-bin", "fixed"] = "none"
    lowest_db: Annotated[float, Bounds(ge=-1_000, le=1_000)] = -80.0
    highest_db: Annotated[float, Bounds(ge=-1_000, le=1_000)] = 0.0
    height: Annotated[int, Bounds(ge=0, le=2_048)] = 0
    width: Annotated[int, Bounds(ge=0, le=8_192)] = 0
    normalise: Literal["none", "imagenet", "statistics"] = "none"
    low_at_bottom: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.channels == 3 or self.channels_from == "copies", f'"{self.channels_from}" makes 3 channels')
        require(self.channels == 3 or self.normalise != "imagenet", '"imagenet" is for 3 channels')
        right = self.scaling != "fixed" or self.channels_from != "deltas"
        require(right, '"deltas" need scaling "per-bin" or "none"')
        told = f"lowest_db must be below highest_db, got {self.lowest_db:g} and {self.highest_db:g}"
        require(self.lowest_db < self.highest_db, told)

    @property
    def sources(self) -> int:
        """Number of different channels before copying."""
        return 1 if self.channels_from == "copies" else 3


SHORTEST_S, LONGEST_S = 0.01, 600.0


@dataclass(frozen=True)
class Segments(Validated):
    """Segmentation: the stretch of an utterance that the network sees; part of the exported graph.

    Attributes
    ----------
    mode : the whole utterance; a crop from its middle (in training: from anywhere), shorter utterances padded at both
        ends; or blocks one after another, whose mean log-probability is the utterance's answer
    length_s : of the crop or of one block
    """

    mode: Literal["whole", "crop", "blocks"] = "whole"
    length_s: Annotated[float, Bounds(ge=0, le=LONGEST_S)] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode == "whole":
            require(self.length_s == 0, 'length_s belongs to mode "crop" or "blocks"; leave it out with "whole"')
        else:
            right = self.length_s >= SHORTEST_S
            require(right, f"length_s must be {SHORTEST_S:g} to {LONGEST_S:g} seconds, got {self.length_s:g}")

    def frames(self, sample_rate_hz: int, hop_length: int) -> int:
        """Return frames of one segment: a crop has those of a lone utterance of its length, blocks tile the time.

        Moody's 2.1 s are 91 frames, one at each end of 90 hops; NTU's 3 s are 300.
        """
        samples = round(self.length_s * sample_rate_hz)
        return samples // hop_length + 1 if self.mode == "crop" else max(1, math.ceil(samples / hop_length))
