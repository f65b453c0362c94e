"""Seeds of sound: a tenth of a second of a made-up voice in each format."""

import io
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

AUDIO = ("wav", "flac", "ogg", "mp3", "aiff", "caf", "au", "w64")
MEDIA: Mapping[str, tuple[str, str, int]] = {  # name → FFmpeg's container, codec, rate
    "mp4": ("mp4", "aac", 16_000),
    "webm": ("webm", "libopus", 48_000),
    "aac": ("adts", "aac", 16_000),
    "wma": ("asf", "wmav2", 16_000),
    "avi": ("avi", "pcm_s16le", 16_000),
    "flv": ("flv", "aac", 44_100),
    "ts": ("mpegts", "aac", 16_000),
    "mpg": ("mpeg", "mp2", 48_000),
    "caf": ("caf", "adpcm_ima_qt", 16_000),
}


@cache
def sound_file(suffix: str) -> bytes:
    """Return what libsndfile writes."""
    import soundfile

    from earnest.testing.sounds import voice

    file = io.BytesIO()
    form = {"au": "AU", "w64": "W64"}.get(suffix, suffix.upper())
    subtype = {"ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}.get(suffix, "PCM_16")
    soundfile.write(file, voice(0.1), 16_000, format=form, subtype=subtype)
    return file.getvalue()


@cache
def media_file(suffix: str) -> bytes:
    """Return what FFmpeg writes."""
    import av

    from earnest.testing.sounds import voice

    container, codec, rate = MEDIA[suffix]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate)
        stream.bit_rate = 32_000
        samples = (voice(0.1, rate) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate = rate
        resampler = av.AudioResampler(stream.codec_context.format or "s16", "mono", rate, stream.frame_size or 0)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            part.pts = None
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()
