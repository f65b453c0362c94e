"""A spectrogram as a picture that can be read back: 16-bit grey PNG.

Time runs from left to right, one column a frame (``hop_length`` samples of the front end); frequency from bottom to
top, one row a band. Black is ``lowest_db``, white ``highest_db``, in steps of a 65,535th of the range between: with 80
dB a value is at most 0.0007 dB off. A text chunk called ``earnest`` holds these two and the front end's settings, as
JSON.
"""

import io
import json
import re
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from earnest.audio.source import Source, opened, source_name
from earnest.errors import AudioError, MissingExtraError, printable

if TYPE_CHECKING:
    from earnest.runtime.graph import LogMel

KEY = "earnest"
WHITE = 65_535
MAX_BYTES = 16 * 2**20
MAX_PIXELS = 4 * 2**20  # half a minute at 6 ms a frame, 512 bands: six times over
MAX_DB = 1_000.0
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, eq=False)
class Picture:
    """What a network sees of one recording.

    Attributes
    ----------
    log_mel : decibels, shape (rows, frames)
    front_end : settings that made it, as ``bundle.json`` says them
    duration_s : of the recording
    """

    log_mel: "LogMel"
    front_end: Mapping[str, Any]
    duration_s: float

    def to_png(self) -> bytes:
        """Return the file's bytes.

        Raises
        ------
        MissingExtraError
            Where Pillow is not installed.
        """
        image, info = _pillow()
        lowest, highest = float(self.log_mel.min()), float(self.log_mel.max())
        span = max(highest - lowest, 1e-6)
        greys = np.round((self.log_mel[::-1].astype(np.float64) - lowest) / span * WHITE).astype(np.uint16)
        facts = {"version": 1, "lowest_db": lowest, "highest_db": lowest + span, "duration_s": self.duration_s}
        chunks = info.PngInfo()
        chunks.add_text(KEY, json.dumps({**facts, "front_end": dict(self.front_end)}, allow_nan=False))
        stored = io.BytesIO()
        image.fromarray(greys).save(stored, "PNG", pnginfo=chunks)
        return stored.getvalue()


def is_picture(source: Source) -> bool:
    """Whether a source is meant as a picture: a path that ends in .png, or the bytes of a PNG file."""
    if isinstance(source, bytes):
        return source.startswith(_SIGNATURE)
    return isinstance(source, str | PathLike) and Path(source).suffix.lower() == ".png"


def read_picture(source: Source) -> Picture:
    """Read what `Picture.to_png` wrote.

    Raises
    ------
    AudioError
        When it is another picture, damaged, or larger than a spectrogram can be.
    MissingExtraError
        Where Pillow is not installed.
    """
    name = source_name(source)
    assert not isinstance(source, tuple)
    with opened(source, name) as file:
        return picture_of(*greys_of(file, name), name)


def greys_of(file: BinaryIO, name: str) -> tuple[Any, str]:
    """Decode a PNG file: return its greys, shape (rows, columns), uint16, and the text that `Picture.to_png` wrote."""
    image, _ = _pillow()
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise AudioError(f"{name}: larger than {MAX_BYTES >> 20} MB. No spectrogram is.")
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
    """Return what `greys_of` decoded as a spectrogram, or raise `AudioError`."""
    try:
        return _picture(greys, json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: BaseException) -> AudioError:
    return AudioError(f"{name}: not a readable spectrogram ({_said(error)}). Make it again.")


def _picture(greys: Any, facts: Any) -> Picture:
    lowest, highest, duration_s = (float(facts[key]) for key in ("lowest_db", "highest_db", "duration_s"))
    if facts["version"] != 1 or not isinstance(facts["front_end"], dict):
        raise ValueError("of another version")
    if not -MAX_DB <= lowest < highest <= MAX_DB or not 0 <= duration_s < float("inf"):
        raise ValueError("impossible numbers")
    log_mel = lowest + greys[::-1].astype(np.float64) * ((highest - lowest) / WHITE)
    return Picture(log_mel.astype(np.float32), facts["front_end"], duration_s)


def _said(error: BaseException) -> str:
    told = re.sub(r" <[^<>]* at 0x[0-9a-f]+>", "", str(error))  # Pillow's "cannot identify image file <…>"
    return printable(told.strip().partition("\n")[0][:100]) or type(error).__name__


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, PngImagePlugin
    except ImportError:
        raise MissingExtraError("A spectrogram's picture", "image") from None
    return Image, PngImagePlugin
