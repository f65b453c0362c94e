"""Containers that libsndfile doesn't read, through PyAV: MP4, WebM, AAC, AMR, ASF, AVI, MPEG streams and others.

Cut files are refused, and so are joined ones. WAV is never handed to FFmpeg, though it knows more codings (G.722,
G.726): it takes the memory that the length of a chunk names.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from earnest.audio.deadline import check_deadline
from earnest.audio.sound_file import (
    AGAIN,
    MP3_FRAME_BYTES,
    OTHERS,
    ZIP,
    check_end,
    is_mp3_frame,
    mp3_frame_bytes,
    refuse_cut,
    refuse_joined,
)
from earnest.errors import AudioError, needs_extra, said_by

HEAD_BYTES = 3 * MP3_FRAME_BYTES + 4  # by which `media_format` knows a file
_MEDIA_BLOCK_SAMPLES = 2**17  # of all channels together
_LEAST_GAP_S = 0.1
# Streams cost more than half a megabyte each before one is chosen; in an MPEG stream sound may begin a minute late.
_OPTIONS = {"max_streams": "64", "analyzeduration": "60000000"}
# Bytes that are searched, in memory: six seconds of 24 Mbit each, as cameras have them; FFmpeg's own 5 MB are two.
_MPEG_OPTIONS = {**_OPTIONS, "probesize": "20000000"}


def media_format(head: bytes) -> str | None:
    """Return FFmpeg's name of the container that begins with ``head`` (`HEAD_BYTES`, or all), None for all others.

    The name is passed on, so that FFmpeg never guesses: a playlist that points at other files or addresses is no
    container here.
    """
    if head[4:8] == b"ftyp":  # MP4 and its kin: a box's size, then its name
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:  # ADTS sync word, layer 0
        return "aac"
    # Core Audio: what telephones record in it is mostly compressed; the rest libsndfile reads itself.
    if head[:4] == b"caff" and head[8:12] == b"desc" and head[28:32] not in _CAF_PLAIN:
        return "caf"
    if any(head[start::step][:3] == _TS_SYNC * 3 for start, step in _TS_PACKETS):
        return "mpegts"
    if begins := next((name for mark, name in _MARKS.items() if head.startswith(mark)), None):
        return begins
    return "mp3" if _begins_amid_mp3(head) else None


_MARKS = {
    b"\x1a\x45\xdf\xa3": "matroska",  # EBML: Matroska, WebM
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "asf",  # the first half of ASF's own GUID
    b"#!AMR": "amr",
    b"FLV\x01": "flv",
    b"\x00\x00\x01\xba": "mpeg",  # a pack of a program stream
}
_OF_LIBSNDFILE = (b"RIFF", b"RIFX", b"RF64", b"FORM", b".snd", b"riff", b"caff", b"NIST", b"OggS", b"fLaC", b"ID3")
_CAF_PLAIN = (b"lpcm", b"alac", b"alaw", b"ulaw")
_TS_SYNC = b"\x47"
_TS_PACKETS = ((0, 188), (4, 192))  # first sync byte and bytes of a packet; those of cameras begin with a time of four


def _begins_amid_mp3(head: bytes) -> bool:
    """Whether the rest of one MP3 frame and three frames follow: what was cut out of a broadcast or a longer file.

    libsndfile knows MP3 by its first frame alone, or the tag before it.
    """
    if head.startswith((*_OF_LIBSNDFILE, ZIP, *OTHERS)) or is_mp3_frame(head):
        return False
    starts = (match.start() for match in re.finditer(rb"\xff[\xe0-\xff]", head[:MP3_FRAME_BYTES]))
    return any(_are_mp3_frames(head, start) for start in starts)


def _are_mp3_frames(head: bytes, start: int) -> bool:
    """Whether three frames of layer III, all of one version and rate, begin at ``start``."""
    first = head[start : start + 4]
    for _ in range(3):
        frame = head[start : start + 4]
        n_bytes = mp3_frame_bytes(frame)
        if n_bytes is None or (frame[1] ^ first[1]) & 0xFE or (frame[2] ^ first[2]) & 0x0C:
            return False
        start += n_bytes
    return True


_ENDINGS = {  # FFmpeg's name of a container → what people know it by
    "mov": ".m4a, .mp4, .mov and .3gp",
    "matroska": ".webm, .mkv and .mka",
    "asf": ".wma",
    "avi": ".avi",
    "amr": ".amr",
    "aac": ".aac",
    "flv": ".flv",
    "mpegts": ".ts, .mts and .m2ts",
    "mpeg": ".mpg and .vob",
    "caf": "compressed .caf",
    "mp3": ".mp3, begun amid a frame,",
}
_WITHOUT_LENGTH = ("aac", "amr", "mp3", "mpeg", "mpegts")  # no header tells it, and FFmpeg estimates
_WITH_TRACK_LENGTHS = ("mov", "caf")  # of others FFmpeg gives each track the length of the file
_WITH_TIMES = ("mov", "matroska", "flv", "asf")  # frames have exact times
_WITH_START = ("mpegts", "mpeg")  # those of the first ones: where parts of a broadcast were joined, the clock jumps
_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}  # FFmpeg's own don't know AMR's pauses (DTX)
_RESERVED = {"amrnb": range(9, 15), "amrwb": range(10, 14)}  # types of frames that no file may hold (RFC 4867, 4.3.2)


class MediaReader:
    """Reads blocks of the first sound track, shape (frames, channels), float32; refuses files that were cut off.

    Attributes
    ----------
    promised_s : seconds of the track, by the header, or of the file, which may hold longer ones; None without
    least_s : what must be there of the track; None where the header tells of the file alone
    has_other_tracks : whether more sound tracks than the first could be heard
    """

    is_exact = False  # codecs of these containers begin with what came before

    def __init__(self, file: BinaryIO, container_format: str, name: str) -> None:
        with needs_extra(f"{name}: sound in {_ENDINGS[container_format]} files", "media"):
            import av
        refuse_cut(file, name)
        refuse_joined(file, name)
        self._name = name
        self._error: type[Exception] = av.FFmpegError
        self._resampler = av.AudioResampler(format="flt")
        options = _MPEG_OPTIONS if container_format in _WITH_START else _OPTIONS
        try:
            self._container: Any = av.open(file, format=container_format, options=options, metadata_errors="ignore")
        except (av.FFmpegError, ValueError) as error:
            raise AudioError(f"{name}: damaged or cut off ({said_by(error)}). Export it again.") from error
        tracks = [track for track in self._container.streams.audio if track.codec_context is not None]
        if not tracks:
            self._container.close()
            raise AudioError(f"{name}: has no sound track that can be decoded. Export it as WAV or FLAC.")
        self._stream: Any = tracks[0]
        self.has_other_tracks = len(tracks) > 1
        self._stream.codec_context.thread_count = 1
        self.sample_rate_hz = int(self._stream.rate or 0)
        self.n_channels = int(self._stream.channels or 0)
        self.encoding = f"{container_format} {self._stream.codec_context.name}"
        self._decoder = self._chosen_decoder()
        self._reserved = _RESERVED.get(self._stream.codec_context.name, range(0))
        self.least_s, self._file_s = self._promises(container_format)
        self.promised_s = self._file_s if self.least_s is None else self.least_s
        has_start = container_format in _WITH_TIMES + _WITH_START
        self._starts_s = self._file_start_s() if has_start else None
        self._has_gaps = container_format in _WITH_TIMES

    def _chosen_decoder(self) -> Any:
        from av import CodecContext, codecs_available

        chosen = _DECODERS.get(self._stream.codec_context.name)
        return CodecContext.create(chosen, "r") if chosen in codecs_available else self._stream.codec_context

    def _promises(self, container_format: str) -> tuple[float | None, float | None]:
        """Return when the track ends, or else the file, by the header."""
        if container_format in _WITHOUT_LENGTH:
            return None, None
        if container_format == "avi":  # FFmpeg shortens the duration; empty frames before late sound count
            return None, float(self._stream.frames * self._stream.time_base) or None
        if self._stream.duration is None:
            return None, self._container.duration / 1e6 if self._container.duration else None
        lasts_s = float(self._stream.duration * self._stream.time_base)
        if container_format not in _WITH_TRACK_LENGTHS:
            return None, lasts_s
        starts_s = float((self._stream.start_time or 0) * self._stream.time_base)
        return starts_s - self._file_start_s() + lasts_s, None

    def _file_start_s(self) -> float:
        return (self._container.start_time or 0) / 1e6

    def go_to(self, n_frames: int) -> int:
        """Return 0: `blocks` begin at the first frame; see `earnest.audio.sound_file.SoundFileReader`."""
        return 0

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield decoded blocks of some seconds."""
        parts: list[npt.NDArray[np.float32]] = []
        n_values = 0
        try:
            for part in self._parts():
                parts.append(part)
                n_values += part.size
                if n_values >= _MEDIA_BLOCK_SAMPLES:
                    yield np.concatenate(parts)
                    parts, n_values = [], 0
            if parts:
                yield np.concatenate(parts)
        except (self._error, ValueError, IndexError) as error:  # the last: PyAV, where a track appears amid an .flv
            raise AudioError(f"{self._name}: damaged or cut off ({said_by(error)}). {AGAIN}") from error

    def _parts(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the samples of each packet of the track, mostly a thousand frames, and silence in its gaps."""
        ended_s, n_given = 0.0, 0
        for packet in self._container.demux():  # of all tracks: this one may begin later, have gaps and end sooner
            check_deadline()
            if packet.pts is not None:
                ended_s = max(ended_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream is self._stream:  # in a damaged .ts another one may have its index by now
                if packet.size and memoryview(packet)[0] >> 3 & 15 in self._reserved:
                    raise ValueError("an AMR frame of a reserved type")  # the decoder makes sound of it
                for frame in self._decoder.decode(packet):
                    for part in chain(self._silence(frame, n_given), self._converted(frame)):
                        n_given += len(part)
                        yield part
        yield from self._converted(None)  # what the resampler still holds
        if self._file_s is not None:
            check_end(self._name, ended_s, self._file_s)

    def _silence(self, frame: Any, n_given: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yield silence for a gap before a frame, so that times are those of the file, as a player shows them."""
        has_start = self._starts_s is not None and (self._has_gaps or not n_given)
        if not has_start or frame.time is None or frame.sample_rate != self.sample_rate_hz:
            return
        n_missing = round((frame.time - self._starts_s) * self.sample_rate_hz) - n_given
        if n_missing < _LEAST_GAP_S * self.sample_rate_hz:  # times are rounded, and clocks drift
            return
        for start in range(0, n_missing, self.sample_rate_hz):  # a wrong time may be days away
            check_deadline()
            yield np.zeros((min(self.sample_rate_hz, n_missing - start), self.n_channels), np.float32)

    def _converted(self, frame: Any) -> Iterator[npt.NDArray[np.float32]]:
        for part in self._resampler.resample(frame):
            yield np.asarray(part.to_ndarray(), np.float32).reshape(-1, self.n_channels)

    def close(self) -> None:
        """Close the container."""
        self._container.close()
