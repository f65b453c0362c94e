"""A spectrogram as a picture that can be read back: 16-bit grey PNG.

Time runs from left to right, one column a frame (``hop_length`` samples of the front end); frequency from bottom to
top, one row a band. Black is ``lowest_db``, white ``highest_db``, in steps of a 65,535th of the range between: with 80
dB a value is at most 0.0007 dB off. A text chunk called ``earnest`` holds these two and the front end's settings, as
JSON.

Of a recording that the network hears in windows (longer than 4 s), the windows stand side by side; the chunk also holds
which part of the recording each stands for.
"""

import io
import json
import re
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from earnest.audio.source import Channel, Part, Source, opened, source_name, whole_and_channel
from earnest.errors import AudioError, needs_extra, printable

if TYPE_CHECKING:
    from earnest.runtime.graph import LogMel

KEY = "earnest"
WHITE = 65_535
MAX_BYTES = 16 * 2**20
MAX_PIXELS = 4 * 2**20  # half a minute at 6 ms a frame, 512 bands: six times over
MAX_DB = 1_000.0
MOST_WINDOWS = 1_000  # half a minute has 28, and a window more for each pause
MOST_SAMPLES = 2**40
MOST_S = 1e6
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class SeenWindow(NamedTuple):
    """Columns of a picture, and the part of the recording that they stand for, in samples at the model's rate."""

    start: int
    end: int
    n_frames: int


class SeenSegment(NamedTuple):
    """A segment of speech, in samples at the model's rate, and its windows in their order."""

    start: int
    end: int
    windows: tuple[SeenWindow, ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """The log-mel spectrogram of one recording, as a network sees it.

    Attributes
    ----------
    log_mel : decibels, shape (rows, frames)
    front_end : settings that made it, as ``bundle.json`` says them
    duration_s : of the recording
    segments : where the recording is heard in windows, those that stand side by side in ``log_mel``; else none
    """

    log_mel: "LogMel"
    front_end: Mapping[str, Any]
    duration_s: float
    segments: tuple[SeenSegment, ...] = ()

    def to_png(self) -> bytes:
        """Return the file's bytes. Raises `MissingExtraError` where Pillow is not installed."""
        image, info = _pillow()
        lowest, highest = float(self.log_mel.min()), float(self.log_mel.max())
        span = max(highest - lowest, 1e-6)
        # g = 65,535·(L − lowest)/(highest − lowest); the first row of a picture is its uppermost, hence [::-1].
        greys = np.round((self.log_mel[::-1].astype(np.float64) - lowest) / span * WHITE).astype(np.uint16)
        facts: dict[str, Any] = {"version": 1, "lowest_db": lowest, "highest_db": lowest + span}
        facts["duration_s"] = self.duration_s
        if self.segments:
            facts |= {"version": 2, "segments": self.segments}
        chunks = info.PngInfo()
        chunks.add_text(KEY, json.dumps({**facts, "front_end": dict(self.front_end)}, allow_nan=False))
        stored = io.BytesIO()
        image.fromarray(greys).save(stored, "PNG", pnginfo=chunks)
        return stored.getvalue()


def is_picture(source: Source) -> bool:
    """Whether a source is meant as a picture or a part of one: a path that ends in .png, or the bytes of a PNG file."""
    whole, _ = whole_and_channel(source)
    if isinstance(whole, bytes):
        return whole.startswith(_SIGNATURE)
    return isinstance(whole, str | PathLike) and Path(whole).suffix.lower() == ".png"


def read_picture(source: Source) -> Picture:
    """Read a picture of `Picture.to_png`.

    Raises `AudioError` when it is another picture, damaged, or larger than a spectrogram can be; `MissingExtraError`
    where Pillow is not installed.
    """
    name = source_name(source)
    assert not isinstance(source, tuple | Channel | Part)
    with opened(source, name) as file:
        return picture_of(*greys_of(file, name), name)


def greys_of(file: BinaryIO, name: str) -> tuple[Any, str]:
    """Decode a PNG file: return its greys, shape (rows, columns), uint16, and the text that `Picture.to_png` wrote."""
    image, _ = _pillow()
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise AudioError(f"{name}: larger than {MAX_BYTES >> 20} MB. A spectrogram of earnest is smaller.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of decompression bombs
            with image.open(io.BytesIO(data), formats=["PNG"]) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    raise AudioError(f"{name}: {width} by {height} pixels, at most {MAX_PIXELS} are read.")
                text = picture.info.get(KEY)
                if picture.mode != "I;16" or not isinstance(text, str):
                    raise AudioError(f"{name}: not made by `earnest spectrogram`; only its pictures can be read back.")
                return np.array(picture), text
    except (OSError, ValueError, TypeError, KeyError, SyntaxError, EOFError, Warning) as error:
        raise _unreadable(name, error) from error
    except (struct.error, zlib.error, image.DecompressionBombError) as error:
        raise AudioError(f"{name}: a damaged picture ({_said(error)}). Make it again.") from error


def picture_of(greys: Any, text: str, name: str) -> Picture:
    """Decode the grey values of `greys_of` to a spectrogram, or raise `AudioError`."""
    try:
        return _picture(greys, json.loads(text))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: BaseException) -> AudioError:
    return AudioError(f"{name}: not a readable spectrogram ({_said(error)}). Make it again.")


def _picture(greys: Any, facts: Any) -> Picture:
    lowest, highest, duration_s = (float(facts[key]) for key in ("lowest_db", "highest_db", "duration_s"))
    if facts["version"] not in (1, 2) or not isinstance(facts["front_end"], dict):
        raise ValueError("of another version")
    if not -MAX_DB <= lowest < highest <= MAX_DB or not 0 <= duration_s < MOST_S:
        raise ValueError("impossible numbers")
    # L = lowest + g·(highest − lowest)/65,535, (rows, frames), the lowest band first again.
    log_mel = lowest + greys[::-1].astype(np.float64) * ((highest - lowest) / WHITE)
    segments = _segments(facts["segments"], log_mel.shape[1]) if facts["version"] == 2 else ()
    return Picture(log_mel.astype(np.float32), facts["front_end"], duration_s, segments)


def _segments(told: Any, n_columns: int) -> tuple[SeenSegment, ...]:
    """Check what a file says of its windows: they lie in their segments, and share out the picture's columns."""
    segments = tuple(
        SeenSegment(_whole(start), _whole(end), tuple(SeenWindow(*map(_whole, window)) for window in windows))
        for start, end, windows in told
    )
    windows = [window for segment in segments for window in segment.windows]
    is_right = (
        len(segments) <= len(windows) <= MOST_WINDOWS
        and all(0 <= start < end for start, end, _ in (*segments, *windows))
        and all(before.end <= after.start for before, after in pairwise(segments))
        and all(one.start <= window.start and window.end <= one.end for one in segments for window in one.windows)
        and all(window.n_frames > 0 for window in windows)
        and sum(window.n_frames for window in windows) == n_columns
    )
    if not is_right:
        raise ValueError("impossible windows")
    return segments


def _whole(value: Any) -> int:
    """Return a number of samples or columns."""
    if type(value) is not int or abs(value) > MOST_SAMPLES:
        raise ValueError("no whole number")
    return value


def _said(error: BaseException) -> str:
    told = re.sub(r" <[^<>]* at 0x[0-9a-f]+>", "", str(error))  # Pillow's "cannot identify image file <…>"
    return printable(told.strip().partition("\n")[0][:100]) or type(error).__name__


def _pillow() -> tuple[Any, Any]:
    with needs_extra("A spectrogram's picture", "image"):
        from PIL import Image, PngImagePlugin
    return Image, PngImagePlugin
