"""What can be said about a recording by decoding it once."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earnest.audio.io import decode
from earnest.audio.waveform import Waveform
from earnest.errors import AudioError, MissingExtraError

SILENT_PEAK = 1e-3  # -60 dBFS; the quietest recording of four corpora peaks at 4.5e-3
_LONGEST_OGG_PAGE = 27 + 255 + 255 * 255
_LAST_PAGE = 4


@dataclass(frozen=True)
class Sound:
    """One recording, decoded.

    Attributes
    ----------
    digest : equal for recordings with equal samples and sample rates
    peak : largest absolute sample
    ends_early : the container lacks its end, though what is there could be decoded
    error : why it could not be decoded, "" if it could
    """

    path: Path
    digest: str = ""
    duration_s: float = 0.0
    peak: float = 0.0
    n_channels: int = 0
    ends_early: bool = False
    error: str = ""


def examine(path: Path) -> Sound:
    """Decode one recording; an error becomes a part of the answer."""
    try:
        recording = decode(path)
    except (AudioError, MissingExtraError) as error:
        return Sound(path, error=str(error))
    waveform = recording.waveform
    return Sound(
        path=path,
        digest=digest_of(waveform, recording.sample_rate_hz),
        duration_s=recording.duration_s,
        peak=float(np.abs(waveform).max()),
        n_channels=recording.n_channels,
        ends_early=recording.encoding.startswith("OGG") and not _ogg_has_an_end(path),
    )


def digest_of(waveform: Waveform, sample_rate_hz: int) -> str:
    """Return what is equal for equal samples (samples,) at equal rates."""
    return hashlib.sha256(waveform.tobytes() + sample_rate_hz.to_bytes(4, "little")).hexdigest()


def is_silent(waveform: Waveform) -> bool:
    """Say whether samples (samples,) hold no sound, so that equality with others means nothing."""
    return not waveform.size or float(np.abs(waveform).max()) < SILENT_PEAK


def examine_all(paths: Sequence[Path], n_workers: int | None = None) -> Iterator[Sound]:
    """Decode recordings in parallel and yield them in order; decoders release the interpreter, so threads do."""
    pool = ThreadPoolExecutor(n_workers or os.cpu_count())
    try:
        yield from pool.map(examine, paths)
    finally:
        pool.shutdown(cancel_futures=True)  # who stops listening doesn't wait for the rest


def _ogg_has_an_end(path: Path) -> bool:
    """Whether the last page of an Ogg file is marked as the stream's last."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _LONGEST_OGG_PAGE, 0))
        tail = file.read()
    place = tail.rfind(b"OggS")
    return place >= 0 and len(tail) > place + 5 and bool(tail[place + 5] & _LAST_PAGE)
