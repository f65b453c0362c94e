"""Files that hold sound: the formats of libsndfile (WAV, FLAC, Ogg, MP3, AIFF and others), by their headers.

Cut files are refused, and so are joined ones.
"""

import os
import re
import struct
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import wraps
from io import BufferedReader, BytesIO, FileIO
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from earnest.errors import AudioError, is_printable

T = TypeVar("T")

ZIP = b"PK\x03\x04"
OTHERS = {
    b"\x89PNG": "a PNG picture; of pictures, `earnest predict` reads those of `earnest spectrogram`",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"PAR1": "a Parquet table",
    b"MZ": "a Windows program",
    b"\x1f\x8b": "a gzip archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"version https://git-lfs": "a pointer of Git LFS, in whose place `git lfs pull` puts the recording",
    bytes(16): "a file that begins with zeros, as after a copy or download that was interrupted",
}
_WEB_PAGE = re.compile(r"\s*<(!doctype )?html\b", re.IGNORECASE)
_READ = "wav, flac, ogg, opus, mp3, aiff, m4a, mp4, webm and others are read"
# Writers that can't go back to fill in the size (a pipe) leave 0, 0xFFFFFFFF or about 2 GiB there.
UNKNOWN = 0x7FFF_0000
# Some writers count a header or a padding byte too much; that is below 2 ms and no cut.
_TOLERATED = 64
_MOST_PARTS = 2**16  # chunks or pages that are walked over; a file of more is not known to be cut off
_MP3_TOLERATED = 256  # half a frame, or a tag at the end that was taken off
_AVI_TOLERATED = 4096  # the index lies at the end; frames of sound are counted, too
MP3_FRAME_BYTES = 1441  # of the largest frame
_MP3_FRAMES = 2 * MP3_FRAME_BYTES  # a count may lack the header's own
_AVI = (b"AVI ", b"AVIX")  # the first part, and those that follow it
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")  # the GUID of a header, and that of what holds the packets
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_UNKNOWN_BYTES = 2**62  # a live stream's length may be 2^64 - 1
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # how a file begins: its mark, and the head of the first block
_FLAC_LAST = 0x80  # the flag of the last block before the sound
_FLAC_HEAD = 7  # bytes of it that may lie in one piece, without the eighth
_FLAC_READ = 2**16  # bytes at a time
_ID3V1_BYTES = 128  # of a tag at the end
_OGG_BEGINS, _OGG_ENDS = 2, 4  # the flags of a stream's first and last page


def _looks_at(look: Callable[[BinaryIO, int], T]) -> Callable[[BinaryIO], T]:
    """Decorate a function that looks at a file of so many bytes: it is told how many, and the file is rewound."""

    @wraps(look)
    def looked(file: BinaryIO) -> T:
        if isinstance(file, FileIO):
            buffered = BufferedReader(file)  # a file of many small parts is no file of many small reads
            try:
                return looked(buffered)
            finally:
                buffered.detach().seek(0)
        found = look(file, file.seek(0, os.SEEK_END))
        file.seek(0)
        return found

    return looked


@_looks_at
def missing_bytes(file: BinaryIO, size: int) -> int:
    """Return how many bytes of sound the header promises beyond the end of the file, 0 for none or unknown."""
    head = _at(file, 0, 16)
    tolerated = _TOLERATED
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        missing = _riff(file, size, ">" if head[:4] == b"RIFX" else "<")
    elif head[:4] == b"RIFF" and head[8:12] in _AVI:
        missing, tolerated = _avi(file, size), _AVI_TOLERATED
    elif head == _ASF:
        missing = _asf(file, size)
    elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        missing = _chunk(file, size, ">", b"SSND")
    elif head[:4] == b"riff":
        missing = _wave64(file, size)
    elif head[:4] == b".snd":
        start, promised = struct.unpack(">II", head[4:12]) if len(head) >= 12 else (0, 0)
        missing = 0 if promised >= UNKNOWN else start + promised - size
    elif head[:4] == b"caff":
        missing = _caf(file, size)
    elif head[:7] == b"NIST_1A":
        missing = _sphere(file, size)
    elif head[:4] == b"OggS":
        missing, tolerated = _ogg(file, size), 0
    else:
        missing, tolerated = _mp3(file, size), _MP3_TOLERATED
    return missing if missing > tolerated else 0


def is_wav(head: bytes) -> bool:
    """Whether bytes are the beginning of a WAV file, in its usual form."""
    return head[:4] == b"RIFF" and head[8:12] == b"WAVE"


def _at(file: BinaryIO, position: int, n_bytes: int) -> bytes:
    file.seek(position)
    return file.read(n_bytes)


def _riff(file: BinaryIO, size: int, order: str) -> int:
    if _at(file, 0, 4) == b"RF64" and _at(file, 12, 4) == b"ds64":
        # The chunk ds64 begins with eight bytes for the file's size, then eight for that of the sound.
        promised = int.from_bytes(_at(file, 28, 8), "little")
        start = _chunk_start(file, size, "<", b"data")
        return 0 if start is None else start + promised - size
    return _chunk(file, size, order, b"data")


def _avi(file: BinaryIO, size: int) -> int:
    """Walk the parts of at most a gigabyte; the first is the whole of a shorter film."""
    end = 0
    for _ in range(_MOST_PARTS):
        head = _at(file, end, 12)
        if head[:4] != b"RIFF" or head[8:] not in _AVI:
            break
        promised = int.from_bytes(head[4:8], "little")
        if not 0 < promised < UNKNOWN:
            return 0
        end += 8 + promised + promised % 2
    return end - size


def _asf(file: BinaryIO, size: int) -> int:
    """Compare with the length of the second object, which holds the packets; an index may follow it."""
    start = int.from_bytes(_at(file, 16, 8), "little")
    data = _at(file, start, 24) if start < size else b""
    promised = int.from_bytes(data[16:], "little") if data[:16] == _ASF_DATA else 0
    return start + promised - size if promised < _UNKNOWN_BYTES else 0


def _chunk(file: BinaryIO, size: int, order: str, wanted: bytes) -> int:
    start = _chunk_start(file, size, order, wanted)
    if start is None:
        return 0
    (promised,) = struct.unpack(f"{order}I", _at(file, start - 4, 4))
    return 0 if promised >= UNKNOWN else start + int(promised) - size


def _chunk_start(file: BinaryIO, size: int, order: str, wanted: bytes) -> int | None:
    position = 12
    for _ in range(_MOST_PARTS):
        if position + 8 > size:
            break
        name, length = struct.unpack(f"{order}4sI", _at(file, position, 8))
        if name == wanted:
            return position + 8
        position += 8 + length + length % 2  # chunks begin at even places
    return None


def _unfinished_bytes(file: BinaryIO) -> int:
    """Return how many bytes lie behind a WAV header whose sizes were not filled in when its recorder ended, else 0."""
    size = file.seek(0, os.SEEK_END)
    head = _at(file, 0, 12)
    if not is_wav(head):
        return 0
    start = _chunk_start(file, size, "<", b"data")
    # Behind sound of no length other chunks may lie; then the first size counts them.
    if start is None or 8 + int.from_bytes(head[4:8], "little") > start:
        return 0
    return size - start


def _wave64(file: BinaryIO, size: int) -> int:
    position = 40  # "riff" and its size, "wave": 16 + 8 + 16 bytes
    for _ in range(_MOST_PARTS):
        if position + 24 > size:
            break
        header = _at(file, position, 24)
        length = int.from_bytes(header[16:], "little")  # counts its own 24 bytes
        if header[:4] == b"data":
            return position + length - size
        if length < 24:
            return 0
        position += (length + 7) // 8 * 8  # at multiples of eight here
    return 0


def _caf(file: BinaryIO, size: int) -> int:
    position = 8
    for _ in range(_MOST_PARTS):
        if position + 12 > size:
            break
        name, length = struct.unpack(">4sq", _at(file, position, 12))
        position += 12 + max(length, 0)
        if name == b"data":
            return 0 if length < 0 else position - size  # −1: up to the end of the file
    return 0


def _sphere(file: BinaryIO, size: int) -> int:
    header = _at(file, 0, 1024)
    fields = dict(re.findall(rb"^(sample_count|channel_count|sample_n_bytes) -i (\d{1,12})", header, re.MULTILINE))
    n_samples = int(fields.get(b"sample_count", 0)) * int(fields.get(b"channel_count", 1))
    return 1024 + n_samples * int(fields.get(b"sample_n_bytes", 0)) - size


def _ogg_pages(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Yield the flags of each page and where it ends; one whose header is not whole ends behind the file."""
    position = 0
    for _ in range(_MOST_PARTS):
        header = _at(file, position, 27)
        if position >= size or not header.startswith(b"OggS"[: len(header)]):
            return  # the end, or something else that was appended to the stream
        n_segments = header[26] if len(header) == 27 else 0
        segments = file.read(n_segments)
        is_whole = len(header) == 27 and len(segments) == n_segments
        # Each byte of the table is a segment's length.
        position = position + 27 + n_segments + sum(segments) if is_whole else size + 1
        yield header[5] if is_whole else 0, position


def _ogg(file: BinaryIO, size: int) -> int:
    """Walk the pages; the last one must end inside the file, and no zeros may follow one that isn't marked as the last.

    Where a recorder lost power, its file may have its full length and end in zeros.
    """
    flags, end = max(_ogg_pages(file, size), key=itemgetter(1), default=(_OGG_ENDS, size))
    is_blank = not flags & _OGG_ENDS and not any(_at(file, end, 27))
    return abs(end - size) if is_blank else end - size


def _mp3(file: BinaryIO, size: int) -> int:
    """Compare with the byte count of a Xing or Info header, where the file has one."""
    end = _mp3_end(file, 0)
    return 0 if end is None else end - size


def _mp3_end(file: BinaryIO, start: int) -> int | None:
    """Return where the sound that begins at ``start`` ends, as a Xing or Info header counts it; None without one."""
    start = _behind_id3(file, start)
    frame = _at(file, start, 64)
    if not is_mp3_frame(frame):
        return None
    place = max(frame.find(b"Xing"), frame.find(b"Info"))
    if place < 0 or len(frame) < place + 16:
        return None
    # Bit 0: a number of frames follows; bit 1: a number of bytes, behind that.
    flags, first, second = struct.unpack(">III", frame[place + 4 : place + 16])
    return start + int(second if flags & 1 else first) if flags & 2 else None


def is_mp3_frame(data: bytes) -> bool:
    return len(data) >= 4 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2  # frame sync, layer III


_MP3_KBIT_S = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # version 1: ISO/IEC 11172-3, layer III
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # 2 and 2.5: ISO/IEC 13818-3
}
_MP3_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def mp3_frame_bytes(head: bytes) -> int | None:
    """Return the length of the layer III frame that begins here, None where none does (ISO 11172-3, 2.4.1.3)."""
    if not is_mp3_frame(head):
        return None
    version, rate, place = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version not in _MP3_HZ or not 0 < rate < 15 or place == 3:
        return None
    # 1,152 samples a frame (576 in MPEG-2), of 8 bits a byte: 144 or 72 times the bits a sample, and a padding byte.
    n_bytes = (144_000 if version == 3 else 72_000) * _MP3_KBIT_S[version == 3][rate - 1] // _MP3_HZ[version][place]
    return n_bytes + (head[2] >> 1 & 1)


def _behind_id3(file: BinaryIO, start: int) -> int:
    """Return where the tag that begins at ``start`` ends, ``start`` itself without one."""
    head = _at(file, start, 10)
    if head[:3] != b"ID3" or len(head) < 10:
        return start
    # Four bytes of seven bits each ("synchsafe"): none looks like a frame's beginning.
    return start + 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))


def _is_joined_flac(file: BinaryIO, size: int, position: int) -> bool:
    """Whether another file begins behind the blocks before the sound of the one at ``position``.

    The sound itself is searched: its frames don't say how long they are.
    """
    position += 4
    for _ in range(_MOST_PARTS):
        if position >= size:
            return False
        block = _at(file, position, 4)
        position += 4 + int.from_bytes(block[1:], "big")
        if block[0] >= _FLAC_LAST:
            break
    file.seek(position)
    before = b""
    while data := file.read(_FLAC_READ):
        if _FLAC.search(before + data):
            return True
        before = data[-_FLAC_HEAD:]
    return False


def _is_joined_mp4(file: BinaryIO, size: int) -> bool:
    """Whether a second index is there; fragments, which may each have one, are one recording."""
    position = 0
    names: list[bytes] = []
    while position < size and len(names) < _MOST_PARTS:
        head = _at(file, position, 16)  # length, name, and the length again where 32 bits are too few for it
        length = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
        names.append(head[4:8])
        position = position + length if length >= 8 else size  # 0: up to the end of the file
    return names.count(b"moov") > 1 and b"moof" not in names


@_looks_at
def is_joined(file: BinaryIO, size: int) -> bool:
    """Whether recordings of FLAC, MP3, MP4, Ogg or WAV follow each other, as after ``cat a.mp3 b.mp3``.

    Decoders end with the first. Unknown where the first MP3 has no header.
    """
    head, start = _at(file, 0, 12), _behind_id3(file, 0)
    if is_wav(head):
        return _chunk_start(file, size, "<", b"RIFF") is not None
    if _at(file, start, 4) == b"fLaC":
        return _is_joined_flac(file, size, start)
    if head[4:8] == b"ftyp":
        return _is_joined_mp4(file, size)
    if head[:4] == b"OggS":
        begins = [flags & _OGG_BEGINS for flags, _ in _ogg_pages(file, size)]
        return any(now and not before for before, now in pairwise(begins))  # streams beside each other begin together
    end = _mp3_end(file, 0)
    if end is None:
        return False
    if _at(file, end, 3) == b"TAG":
        end += _ID3V1_BYTES
    start = _behind_id3(file, end)
    is_sound = size - start > _MP3_FRAMES and is_mp3_frame(_at(file, start, 4))
    return is_sound or _mp3_end(file, end) is not None


# libsndfile also opens feature and matrix files (HTK, MAT4, MAT5 …) as if they were sound.
_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "NIST"})
_BLOCK_SAMPLES = 2**21  # of all channels together: 8 MB
_PART_BLOCK_S = 10  # where a part may be all that is wanted; not of MP3: its last bits depend on it
LONGEST_BLOCK_S = 60  # at a low rate fewer would be an hour, which grows when it is resampled
_INEXACT = frozenset({"MP3", "OGG"})  # decoders that begin amid them give other samples; Vorbis, at the end, wrong ones
_UNKNOWN_FRAMES = 2**62  # libsndfile says 2^63 − 1
_FULL_SCALE_16 = np.float32(2**-15)
_JOIN = (
    "Make one of them first (ffmpeg -i joined.mp3 whole.wav). Of joined FLAC, MP4 or WAV files give the files "
    "themselves."
)
AGAIN = "Record or copy it again. To hear what is there, save it first (ffmpeg -i broken.wav mended.wav)."


def check_end(name: str, there_s: float, promised_s: float) -> None:
    """Refuse what ends before its header says.

    Containers round, and MP3 decoders leave out their delay: a tenth of a second may be missing.
    """
    if there_s < 0.99 * promised_s - 0.1:
        raise AudioError(f"{name}: cut off, {there_s:.2f} of {promised_s:.2f} s are there. {AGAIN}")


def refuse_cut(file: BinaryIO, name: str) -> None:
    if n_missing := missing_bytes(file):
        what = f"its header promises {n_missing:,} bytes more" if n_missing > 1 else "its last page is not whole"
        raise AudioError(f"{name}: cut off, {what}. {AGAIN}")


def refuse_joined(file: BinaryIO, name: str) -> None:
    if is_joined(file):
        raise AudioError(f"{name}: several recordings in one file, and the first alone would be heard. {_JOIN}")


class SoundFileReader:
    """Reads blocks, shape (frames, channels), float32; refuses files that are shorter than their header says.

    Attributes
    ----------
    promised_s : seconds, by the header; None where it doesn't tell
    least_s : what must be there of them
    is_exact : whether reading can begin at any frame, see `go_to`
    """

    has_other_tracks = False

    def __init__(self, file: BinaryIO, name: str) -> None:
        import soundfile

        refuse_cut(file, name)
        refuse_joined(file, name)
        self._name, self._source = name, file
        self._error: type[Exception] = soundfile.LibsndfileError
        try:
            self._file = self._opened()
        except soundfile.LibsndfileError as error:
            raise AudioError(_why_not_sound(file, name, error.error_string)) from error
        if self._file.format not in _FORMATS:
            self.close()
            raise AudioError(f"{name}: {self._file.format} files are not read. Convert it to WAV or FLAC.")
        self.sample_rate_hz = int(self._file.samplerate)
        self.n_channels = int(self._file.channels)
        self.encoding = f"{self._file.format} {self._file.subtype}"
        if not self._file.frames and (n_bytes := _unfinished_bytes(file)):
            self.close()
            what = f"its header was never finished: it promises no sound, but {n_bytes:,} bytes follow"
            raise AudioError(f"{name}: {what}. Mend it, such as with: ffmpeg -i broken.wav -c copy mended.wav")
        known = 0 < self._file.frames < _UNKNOWN_FRAMES
        self.promised_s = self._file.frames / max(self.sample_rate_hz, 1) if known else None
        self.least_s = self.promised_s
        self._longest_s = LONGEST_BLOCK_S
        self.is_exact = known and self._file.seekable() and self._file.format not in _INEXACT

    def _opened(self) -> Any:
        import soundfile

        self._source.seek(0)
        # By descriptor where there is one: faster, and the name can't suggest a headerless format.
        is_bytes = isinstance(self._source, BytesIO)
        return soundfile.SoundFile(self._source if is_bytes else self._source.fileno(), closefd=False)

    def go_to(self, n_frames: int) -> int:
        """Have `blocks` begin at this frame, where that changes no sample of it; return at which one they do."""
        if not self.is_exact:
            return 0
        self._longest_s = _PART_BLOCK_S
        try:
            return int(self._file.seek(min(n_frames, self._file.frames)))
        except self._error:  # damaged on the way there, perhaps; what is read from the start on is what is there
            self.close()
            self._file = self._opened()
            return 0

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield decoded blocks of at most 8 MB and a minute."""
        n_frames = max(min(_BLOCK_SAMPLES // self.n_channels, self._longest_s * self.sample_rate_hz), 1)
        # libsndfile's own scaling gives the same numbers, in more than twice the time of all else that it does.
        scale = _FULL_SCALE_16 if self._file.subtype == "PCM_16" else None
        kind = "float32" if scale is None else "int16"
        try:
            while len(block := self._file.read(n_frames, dtype=kind, always_2d=True)):
                yield block if scale is None else block * scale
        except self._error as error:
            reason = getattr(error, "error_string", str(error)).strip(" .")
            raise AudioError(f"{self._name}: damaged or cut off ({reason}). {AGAIN}") from error

    def close(self) -> None:
        """Close the decoder, not the file."""
        self._file.close()


def length_by_header_s(path: Path) -> float:
    """Return the length of a file by its header, NaN where libsndfile can't read it, it was cut, or it has no sound."""
    try:
        # Unbuffered: libsndfile goes on where the file's descriptor stands.
        with path.open("rb", buffering=0) as file, closing(SoundFileReader(file, path.name)) as reader:
            return reader.promised_s or float("nan")
    except (AudioError, OSError):
        return float("nan")


def _why_not_sound(file: BinaryIO, name: str, reason: str) -> str:
    file.seek(0)
    head = file.read(64)
    if is_wav(head) and "'fmt ' chunk" in reason:
        convert = "Convert it, such as with: ffmpeg -i old.wav new.wav"
        return f"{name}: a WAV file of a coding that can't be read, or damaged ({reason.strip(' .')}). {convert}"
    if head.startswith(ZIP):
        return f"{name}: a ZIP archive, or a document of Excel or Word. Unpack it."
    text = text_in(head)
    other = "a web page, such as a login or an error" if _WEB_PAGE.match(text) else ""
    if other := next((what for begin, what in OTHERS.items() if head.startswith(begin)), other):
        return f"{name}: not a recording but {other}. Give a recording: {_READ}."
    if text:
        return f"{name}: no sound but text, it begins with {text[:24]!r}. Check what the file is."
    return f"{name}: not a recording that can be read ({reason.strip(' .')}). Convert it to WAV or FLAC; {_READ}."


def text_in(head: bytes) -> str:
    """Return the text that a file begins with, "" where it is none; its last letter may be cut off."""
    encoding = "utf-16" if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return ""
    return text if all(letter in "\t\n\r" or is_printable(letter) for letter in text) else ""
