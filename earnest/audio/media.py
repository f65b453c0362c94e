"""Sound in containers that libsndfile doesn't read (MP4, WebM, AAC, ASF), through PyAV."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from earnest.audio.deadline import check_deadline
from earnest.errors import AudioError, MissingExtraError

_BLOCK_SAMPLES = 2**17  # of all channels together
_OPTIONS = {"max_streams": "64"}  # each costs more than half a megabyte before one is chosen


def media_format(head: bytes) -> str | None:
    """Return FFmpeg's name of the container that begins with ``head`` (12 bytes or more), None for all others.

    The name is passed on, so that FFmpeg never guesses: a playlist that points at other files or addresses is no
    container here.
    """
    if head[4:8] == b"ftyp":  # MP4 and its kin: a box's size, then its name
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):  # EBML: Matroska, WebM
        return "matroska"
    if head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"):  # the first half of ASF's own GUID
        return "asf"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"#!AMR"):
        return "amr"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:  # ADTS sync word, layer 0
        return "aac"
    return None


class MediaReader:
    """Reads blocks of the first sound track, shape (frames, channels), float32."""

    def __init__(self, file: BinaryIO, container_format: str, name: str) -> None:
        try:
            import av
        except ImportError:
            raise MissingExtraError(f"{name}: sound in '{container_format}' files", "media") from None
        self._name = name
        self._error: type[Exception] = av.FFmpegError
        self._resampler = av.AudioResampler(format="flt")
        try:
            self._container: Any = av.open(file, format=container_format, options=_OPTIONS, metadata_errors="ignore")
        except (av.FFmpegError, ValueError) as error:
            raise AudioError(f"{name}: damaged or cut off ({_first_line(error)}). Export it again.") from error
        tracks = [track for track in self._container.streams.audio if track.codec_context is not None]
        if not tracks:
            self._container.close()
            raise AudioError(f"{name}: has no sound track that can be decoded. Export it as WAV or FLAC.")
        self._stream: Any = tracks[0]
        self._stream.codec_context.thread_count = 1
        self.sample_rate_hz = int(self._stream.rate or 0)
        self.n_channels = int(self._stream.channels or 0)
        self.encoding = f"{container_format} {self._stream.codec_context.name}"
        self.promised_s = self._promised_s(container_format)

    def _promised_s(self, container_format: str) -> float | None:
        if container_format in ("aac", "amr"):  # no header; FFmpeg estimates
            return None
        if self._stream.duration is not None:
            return float(self._stream.duration * self._stream.time_base)
        return self._container.duration / 1e6 if self._container.duration else None

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield decoded blocks of some seconds."""
        parts: list[npt.NDArray[np.float32]] = []
        n_values = 0
        try:
            for part in self._parts():
                parts.append(part)
                n_values += part.size
                if n_values >= _BLOCK_SAMPLES:
                    yield np.concatenate(parts)
                    parts, n_values = [], 0
            if parts:
                yield np.concatenate(parts)
        except (self._error, ValueError) as error:
            raise AudioError(f"{self._name}: damaged or cut off ({_first_line(error)}). Export it again.") from error

    def _parts(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield what each packet holds, mostly a thousand frames."""
        for frame in self._container.decode(self._stream):
            check_deadline()
            yield from self._converted(frame)
        yield from self._converted(None)  # what the resampler still holds

    def _converted(self, frame: Any) -> Iterator[npt.NDArray[np.float32]]:
        for part in self._resampler.resample(frame):
            yield np.asarray(part.to_ndarray(), np.float32).reshape(-1, self.n_channels)

    def close(self) -> None:
        """Close the container."""
        self._container.close()


def _first_line(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__).splitlines()[0]
