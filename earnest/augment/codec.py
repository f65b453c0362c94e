"""Lossy coding and back: MP3, Vorbis, Opus."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Annotated, Literal

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.align import aligned
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range
from earnest.settings.limits import LowHigh, NotEmpty

Format = Literal["mp3", "vorbis", "opus"]
_CONTAINERS: Mapping[Format, tuple[str, str]] = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}
_RATES_HZ: Mapping[Format, tuple[int, ...]] = {
    "mp3": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    "vorbis": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    "opus": (8_000, 12_000, 16_000, 24_000, 48_000),
}
_AT_ONCE = 2**18  # libsndfile 1.2.2 puts all of one write of Vorbis on the stack: 180 s at 16 kHz end the process


def coded(waveform: Waveform, sample_rate_hz: int, codec: Format, compression: float) -> Waveform:
    """Encode and decode an utterance in memory, at its sample rate or the next that the format knows.

    Parameters
    ----------
    waveform : shape (samples,); if it leaves [-1, 1] it is scaled for the codec and back
    compression : libsndfile's level from 0 (best) to 0.99 (smallest)

    Returns
    -------
    shape (samples,), float32, not delayed
    """
    import soundfile
    import soxr

    container, subtype = _CONTAINERS[codec]
    coding_hz = min((rate for rate in _RATES_HZ[codec] if rate >= sample_rate_hz), default=_RATES_HZ[codec][-1])
    peak = max(float(np.abs(waveform).max()), 1.0)  # codecs clip beyond full scale
    given = waveform / np.float32(peak)
    if coding_hz != sample_rate_hz:
        given = soxr.resample(given, sample_rate_hz, coding_hz, quality="HQ")
    file = BytesIO()
    form = {"format": container, "subtype": subtype, "compression_level": compression}
    with soundfile.SoundFile(file, "w", coding_hz, 1, **form) as written:
        for start in range(0, len(given), _AT_ONCE):
            written.write(given[start : start + _AT_ONCE])
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    if coding_hz != sample_rate_hz:
        decoded = soxr.resample(decoded, coding_hz, sample_rate_hz, quality="HQ")
    return aligned(decoded, len(waveform)) * np.float32(peak)


@AUGMENTATIONS.register("codec")
@dataclass(frozen=True)
class Codec(Augmentation):
    """Code an utterance at a low bit rate.

    Attributes
    ----------
    formats : one of these is drawn; opus takes six to ten times as long as the others
    compression : lowest and highest; at 16 kHz 0.9 is about 30 kbit/s in every format
    """

    formats: Annotated[tuple[Format, ...], NotEmpty()] = ("mp3", "vorbis")
    compression: Annotated[Range, LowHigh(ge=0, le=0.99)] = (0.9, 0.98)

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """See `coded`."""
        codec = self.formats[rng.integers(len(self.formats))]
        return coded(waveform, sample_rate_hz, codec, rng.uniform(*self.compression))
