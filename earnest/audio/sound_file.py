"""The formats that libsndfile reads: WAV, FLAC, Ogg, MP3, AIFF and others."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from earnest.audio.truncation import missing_bytes
from earnest.errors import AudioError

# libsndfile also opens feature and matrix files (HTK, MAT4, MAT5 …) as if they were sound.
_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "NIST"})
_BLOCK_SAMPLES = 2**21  # of all channels together: 8 MB
_BLOCK_S = 60  # at a low rate fewer would be an hour, which grows when it is resampled
_UNKNOWN_FRAMES = 2**62
_FULL_SCALE_16 = np.float32(2**-15)


class SoundFileReader:
    """Reads blocks, shape (frames, channels), float32; refuses files that are shorter than their header says."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        import soundfile

        n_missing = missing_bytes(file)
        if n_missing:
            raise AudioError(f"{name}: cut off, {_promise(n_missing)}. Record or copy it again.")
        self._name = name
        self._error: type[Exception] = soundfile.LibsndfileError
        try:  # by descriptor where there is one: faster, and the name can't suggest a headerless format
            self._file: Any = soundfile.SoundFile(file if isinstance(file, BytesIO) else file.fileno(), closefd=False)
        except soundfile.LibsndfileError as error:
            raise AudioError(_why_not_sound(file, name, error.error_string)) from error
        if self._file.format not in _FORMATS:
            self.close()
            raise AudioError(f"{name}: {self._file.format} files are not read. Convert it to WAV or FLAC.")
        self.sample_rate_hz = int(self._file.samplerate)
        self.n_channels = int(self._file.channels)
        self.encoding = f"{self._file.format} {self._file.subtype}"
        known = 0 < self._file.frames < _UNKNOWN_FRAMES
        self.promised_s = self._file.frames / max(self.sample_rate_hz, 1) if known else None

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield decoded blocks of at most 8 MB and a minute."""
        n_frames = max(min(_BLOCK_SAMPLES // self.n_channels, _BLOCK_S * self.sample_rate_hz), 1)
        # libsndfile's own scaling gives the same numbers, in more than twice the time of all else that it does.
        scale = _FULL_SCALE_16 if self._file.subtype == "PCM_16" else None
        kind = "float32" if scale is None else "int16"
        try:
            while len(block := self._file.read(n_frames, dtype=kind, always_2d=True)):
                yield block if scale is None else block * scale
        except self._error as error:
            reason = getattr(error, "error_string", str(error)).strip(" .")
            raise AudioError(f"{self._name}: damaged or cut off ({reason}). Record or copy it again.") from error

    def close(self) -> None:
        """Close the decoder, not the file."""
        self._file.close()


def _promise(n_missing: int) -> str:
    return f"its header promises {n_missing:,} bytes more" if n_missing > 1 else "its last page is not whole"


def _why_not_sound(file: BinaryIO, name: str, reason: str) -> str:
    file.seek(0)
    head = file.read(64)
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return f"{name}: no sound but text, it begins with {head[:24].decode('ascii')!r}. Check what the file is."
    return f"{name}: not a recording that can be read ({reason.strip(' .')}). Convert it to WAV or FLAC."
