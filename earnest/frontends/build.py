"""The front end that a kind of network needs."""

from typing import Literal, TypeAlias

from earnest.frontends.log_mel import LogMel
from earnest.frontends.noisy import NoiseAndReverb
from earnest.frontends.waveform import RawWaveform
from earnest.settings.front_end import FrontEnd, Image

FrontEndModule: TypeAlias = LogMel | NoiseAndReverb | RawWaveform
"""Maps (batch, samples) and lengths (batch,) to (batch, rows, frames) and the number of frames (batch,)."""

InputKind: TypeAlias = Literal["frames", "image", "waveform"]


def front_end_for(kind: InputKind, settings: FrontEnd, image: Image) -> FrontEndModule:
    """Build the front end of a network that sees ``kind``."""
    if kind == "waveform":
        return RawWaveform(settings)
    if kind == "image" and image.channels_from == "noise-reverb":
        return NoiseAndReverb(LogMel(settings))
    return LogMel(settings)
