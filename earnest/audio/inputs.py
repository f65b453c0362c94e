"""What callers hand over as a recording → a `Source`, or one sentence that says what to hand over instead."""

import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np

from earnest.audio.source import NamedBytes, NamedSamples, Source
from earnest.errors import AudioError, shown

AudioInput: TypeAlias = Source | bytearray | memoryview | Mapping[str, Any]
"""A path, the bytes of a file, an open binary file, (array, sample rate in Hz), or a dict as an ``Audio`` column of
Hugging Face's datasets has: with "array" and "sampling_rate", or with "bytes" or "path"."""

_WITH_RATE = "Hand array and sample rate over together: model.predict((array, 16000))."
_EXPECTED = "Hand over a path, bytes, an open binary file or (array, sample_rate_hz)."


def source_of(given: object) -> Source:
    """Return the recording that a caller means.

    Beside `AudioInput` it takes (sample rate, array) as scipy reads it, and decoders of torchcodec, which newer
    versions of datasets give.

    Raises
    ------
    AudioError
        For what is no recording; the message says what to hand over.
    """
    if isinstance(given, str | bytes | os.PathLike):
        return given
    if isinstance(given, bytearray | memoryview):
        return bytes(given)
    if isinstance(given, tuple):
        return _samples(given)
    if isinstance(given, Mapping):
        return _cell(given)
    if hasattr(given, "get_all_samples"):  # torchcodec.decoders.AudioDecoder
        decoded = given.get_all_samples()
        return _samples((decoded.data, decoded.sample_rate))
    if hasattr(given, "read"):
        return given  # type: ignore[return-value]  # what it gives is checked when it is read
    if _is_array(given):
        raise AudioError(f"array: an array without its sample rate. {_WITH_RATE}")
    what = "None" if given is None else f"{type(given).__name__} {shown(given)}"
    raise AudioError(f"{what} is no recording. {_EXPECTED}")


def refuse_single(sources: object) -> None:
    """Raise `AudioError` for one recording where several are expected: a path would be read letter by letter."""
    is_pair = isinstance(sources, tuple) and len(sources) == 2 and any(isinstance(one, Real) for one in sources)
    kinds = (str, bytes, bytearray, memoryview, os.PathLike, Mapping, np.ndarray)
    if is_pair or isinstance(sources, kinds) or hasattr(sources, "read") or hasattr(sources, "get_all_samples"):
        told = "one recording" if is_pair or not isinstance(sources, np.ndarray) else "one array"
        raise AudioError(f"Expected several recordings, got {told}. Hand over a list of them, or use model.predict(…).")
    if not hasattr(sources, "__iter__"):
        raise AudioError(f"Expected several recordings, got {shown(sources)}. Hand over a list of paths or arrays.")


def rate_of(value: object, name: str = "array") -> int:
    """Return a sample rate in Hz as a whole number; bounds are checked where it is used.

    Raises
    ------
    AudioError
        When it is text, None, or no whole number.
    """
    if isinstance(value, Integral | Real) and not isinstance(value, bool) and float(value).is_integer():
        return int(float(value))
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return rate_of(value.item(), name)
    hint = f" Write {value}, without quotes." if isinstance(value, str) and value.isdecimal() else ""
    raise AudioError(f"{name}: the sample rate must be a whole number in Hz, got {shown(value)}.{hint}")


def _samples(pair: tuple[Any, ...], name: str = "") -> Source:
    if len(pair) != 2:
        raise AudioError(f"array: expected (array, sample_rate_hz), got a tuple of {len(pair)}. {_WITH_RATE}")
    called = name or "array"
    array, rate_hz = pair
    if isinstance(array, Real) and _is_array(rate_hz):  # (rate, array): scipy.io.wavfile
        array, rate_hz = rate_hz, array
    if not _is_array(array):
        raise AudioError(f"{called}: expected (array, sample_rate_hz), got {shown(array)} as array. {_EXPECTED}")
    return NamedSamples.of(array, rate_of(rate_hz, called), name)


def _cell(cell: Mapping[str, Any]) -> Source:
    """Return what a cell of an ``Audio`` column holds: samples, else the bytes of a file, else its path."""
    name = str(cell.get("path") or "")
    if cell.get("array") is not None:
        return _samples((cell["array"], cell.get("sampling_rate")), name)
    if cell.get("bytes"):
        return NamedBytes.of(bytes(cell["bytes"]), name)
    if name:
        return name
    keys = shown(list(cell))
    raise AudioError(f'A dict needs "array" and "sampling_rate", or "bytes", or "path"; this one has {keys}.')


def _is_array(value: object) -> bool:
    return hasattr(value, "__array__") or isinstance(value, list)
