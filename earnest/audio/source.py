"""Where the bytes of a recording come from, and what to call it in messages; what callers hand over as a recording."""

import array
import math
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import iscoroutinefunction
from io import BytesIO, FileIO
from numbers import Integral, Real
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeGuard, cast

import numpy as np
import numpy.typing as npt

from earnest.errors import AudioError, EarnestError, counted, first_line, printable, said_by, shown

WholeSource: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | tuple[npt.ArrayLike, int]


@dataclass(frozen=True)
class Channel:
    """One channel of a recording by itself, such as one side of a phone call; in tables it is called ``call.wav#2``.

    A path that is written so means the channel, too, where ``call.wav`` is there.

    Raises `AudioError` when the number is none of a channel.

    Attributes
    ----------
    source : the recording
    number : 1 for the first one, which is the left one of two
    """

    source: "AudioInput"
    number: int

    def __post_init__(self) -> None:
        is_whole = isinstance(self.number, Integral) and not isinstance(self.number, bool)
        if not is_whole or not 1 <= self.number <= MAX_CHANNELS:
            expected = f"expected a whole number from 1 to {MAX_CHANNELS}; 1 is the first one"
            raise AudioError(f"{source_name(self.source)}: channel {shown(self.number)}, {expected}.")
        if isinstance(self.source, Channel | Part):
            what = "one channel" if isinstance(self.source, Channel) else "a part"
            raise AudioError(f"{source_name(self.source)}: is {what} already. Give the recording.")


@dataclass(frozen=True)
class Part:
    """A part of a recording by itself, such as one turn of a talk; in tables it is called ``talk.wav@12.5-14.25``.

    It is answered as a file that was cut out of the recording: nothing around it is heard, and times in its answer
    count from its start.

    Raises `AudioError` when its times are none.

    Attributes
    ----------
    source : the recording, or a `Channel` of it
    start_s, end_s : seconds from the recording's start; None is its end
    """

    source: "AudioInput"
    start_s: float
    end_s: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.source, Part):
            raise AudioError(f"{source_name(self.source)}: is a part already. Give the recording.")
        for moment in (self.start_s, self.start_s if self.end_s is None else self.end_s):
            if not isinstance(moment, Real) or isinstance(moment, bool) or not 0 <= moment < math.inf:
                expected = "expected seconds from the start of the recording"
                raise AudioError(f"{source_name(self.source)}: a part at {shown(moment)}, {expected}.")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise AudioError(f"{source_name(self)}: a part must end after it begins.")


Source: TypeAlias = WholeSource | Channel | Part
"""A path, the bytes of a file, an open binary file, or (array, sample rate in Hz) with shape (samples,) or
(samples, channels); integer arrays are scaled by their type's range. Or one `Channel` of these, or a `Part`."""

MAX_CHANNELS = 256
MAX_STREAM_BYTES, PIECE_BYTES = 4 * 2**30, 2**20  # of an open file
_Rate: TypeAlias = float | np.integer[Any] | np.floating[Any]  # a whole number, which `rate_of` checks
_Samples: TypeAlias = tuple[npt.ArrayLike, _Rate] | tuple[_Rate, npt.ArrayLike]
AudioInput: TypeAlias = Source | bytearray | memoryview | _Samples | Mapping[str, Any]
"""A path, the bytes of a file, an open binary file, (array, sample rate in Hz) in any order, or a dict as a column
``Audio`` of Hugging Face's datasets has: with "array" and "sampling_rate", or with "bytes" or "path"."""

LONGEST_PATH, SHOWN_OF_LONG = 4_096, 100  # of Linux, in letters; what is shown of what is longer
_WITH_RATE = "Give array and sample rate together: model.predict((array, 16000))."
RAW = "expected numbers, got bytes. Read them with np.frombuffer(data, np.int16)."
_ADDRESS = re.compile("[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # such as https://; a drive has one letter
_CHANNEL = re.compile(r"(.*\.[^./#]+|-|array|bytes|stream)#([1-9][0-9]{0,2})", re.DOTALL)
_PART = re.compile(r"(.*\.[^./@]+|-|array|bytes|stream)@([0-9]+(?:\.[0-9]+)?)-(?:[0-9]+(?:\.[0-9]+)?)?", re.DOTALL)
NOT_FILES = frozenset(("-", "array", "bytes", "stream"))  # paths of what has none, see `path_of`
_EXPECTED = "Give a path, bytes, an open binary file or (array, sample_rate_hz)."


class NamedBytes(bytes):
    """The bytes of a file whose name is known; an empty one is none."""

    name = ""


class NamedSamples(tuple[Any, int]):
    """(array, sample rate in Hz) of a file whose name is known; an empty one is none."""

    name = ""


def source_name(source: object) -> str:
    """Return the name of a source for messages and tables: printable, one line."""
    if isinstance(source, Part):
        return _part_path(source_name(source.source), source)
    if isinstance(source, Channel):
        told = source_name(source.source)
        return f"{told}, channel {source.number}" if _is_nameless(source.source) else channel_path(told, source.number)
    if _is_nameless(source):
        return f"recording of {counted(len(source), 'byte')}"
    return printable(path_of(source))


def renamed(error: str | None, source: object, name: str) -> str | None:
    """Return an error of a source as it is told where the source has another name; None for none."""
    return error and error.replace(source_name(source), printable(name), 1)


def _is_nameless(source: object) -> TypeGuard[bytes]:
    return isinstance(source, bytes) and not getattr(source, "name", "")


def channel_number(cell: str) -> int | None:
    """Return the number of a channel in a cell of a table, from 1; None for what is none."""
    number = cell.removesuffix(".0")  # as tables with gaps are saved
    is_number = number.isascii() and number.isdecimal() and 1 <= int(number[:9]) <= MAX_CHANNELS
    return int(number) if is_number else None


def channel_path(path: str, channel: int | None) -> str:
    """Return the name of a recording's channel, such as ``call.wav#2``; the path itself for all of them."""
    return f"{path}#{channel}" if channel else path


def _part_path(path: str, part: Part) -> str:
    """Return the name of a part of a recording, such as ``talk.wav@12.5-14.25``, to the millisecond."""
    start, end = (
        "" if moment is None else f"{moment:.3f}".rstrip("0").rstrip(".") for moment in (part.start_s, part.end_s)
    )
    return f"{path}@{start}-{end}"


def recording_and_start(path: str) -> tuple[str, float | None]:
    """Return the name of a recording, or its channel, and the seconds at which the part starts that `path_of` named."""
    found = _PART.fullmatch(path) if "@" in path else None  # a million names are asked, and few are parts
    return (found[1], float(found[2])) if found else (path, None)


def file_and_channel(path: str) -> tuple[str, int | None]:
    """Return the path of a recording, and the channel that a path of `channel_path` names."""
    found = _CHANNEL.fullmatch(path)
    return (found[1], int(found[2])) if found else (path, None)


def found_channel(path: str | os.PathLike[str]) -> tuple[str | os.PathLike[str], int | None]:
    """Return the file that a path means, and the channel that it names as tables do; None where a file is called so."""
    whole, channel = file_and_channel(os.fsdecode(path))
    is_channel = channel and os.path.isfile(whole) and not os.path.lexists(path)  # noqa: PTH113  # "\0" is none
    return (whole, channel) if is_channel else (path, None)


def is_file(path: Path) -> bool:
    """Whether there is such a file, or one whose channel is named; what can't be a name is none."""
    try:
        return Path(found_channel(path)[0]).is_file()
    except (OSError, ValueError):  # a name that is too long for the system, or holds a zero
        return False


def path_in(folder: Path, name: str) -> Path:
    """Return where a file is that a table names: as it is written there, else as another system writes that name.

    Windows parts folders by backslashes, and macOS may write é as two letters.
    """
    written = folder / name
    if (name.isascii() and "\\" not in name) or is_file(written):
        return written
    texts = (name, name.replace("\\", "/"))
    others = (folder / unicodedata.normalize(form, text) for text in texts for form in ("NFC", "NFD"))
    return next(filter(is_file, others), written)


def path_of(source: object) -> str:
    """Return the text for the column ``path``: the path as given, "-" for standard input, else the kind of source.

    A byte that is not UTF-8 becomes ``\\xff``, and a backslash before what looks so ``\\x5c``: no two files are called
    the same.
    """
    if isinstance(source, Part):
        return _part_path(path_of(source.source), source)
    if isinstance(source, Channel):
        return channel_path(path_of(source.source), source.number)
    if isinstance(source, str | os.PathLike):
        raw = _encoded(os.fspath(source))
        if os.sep == "/":  # elsewhere a backslash is no letter of a name
            raw = re.sub(rb"\\(?=x[0-9a-f]{2})", rb"\\x5c", raw)
        path = raw.decode("utf-8", "backslashreplace")
        return path if len(path) <= LONGEST_PATH else f"{path[:SHOWN_OF_LONG]}…"  # such as a recording in base64
    if isinstance(source, bytes | tuple):
        return path_of(getattr(source, "name", "") or ("array" if isinstance(source, tuple) else "bytes"))
    if hasattr(source, "__array__"):
        return "array"
    name = getattr(source, "name", None if hasattr(source, "read") else type(source).__name__)
    return "-" if name == "<stdin>" else str(name or "stream")


def _encoded(path: str | bytes) -> bytes:
    """Return the bytes of a path; what no file can be called keeps a name that can be written."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return str(path).encode("utf-8", "backslashreplace")


def place_of(path: str) -> str:
    """Return a recording's absolute path, however it is spelled: ``./a.wav`` and ``/here/a.wav`` are one recording."""
    return path if path in NOT_FILES or _ADDRESS.match(path) else os.path.abspath(path)  # noqa: PTH100


class _Buffer(BytesIO):
    """Bytes as a file; libsndfile tries positions before the start and expects a failed seek, not an exception."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()


class _File(FileIO):
    """A file that tolerates wrong positions too: FFmpeg tries those that damaged headers name."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError):
            return self.tell()


_GIVES_TEXT = "gives text, not bytes. Open it in binary mode."
_READ_ALREADY = "An open file is read from where it stands: perhaps it was read already"


@contextmanager
def opened(source: str | os.PathLike[str] | bytes | BinaryIO, name: str) -> Iterator[BinaryIO]:
    """Open the bytes of a recording for reading and seeking; a stream is read to its end first."""
    if isinstance(source, str | os.PathLike):
        with _opened_path(Path(source), name) as file:
            yield cast(BinaryIO, file)
        return
    if isinstance(source, bytes):
        data = source
    else:
        if hasattr(source, "samplerate"):  # soundfile.SoundFile
            raise AudioError(f"{name}: an open decoder, not a file. Give its path, or (file.read(), file.samplerate).")
        data = b"".join(_pieces(source, name))
    if not data:
        why = "It is empty" if isinstance(source, bytes) or name == "-" else _READ_ALREADY
        raise AudioError(f"{name}: no bytes. {why}.")
    yield _Buffer(data)


def _pieces(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield pieces of a file up to its end; one read of all would take as much memory as the most may be."""
    n_bytes = 0
    while piece := _read(file, name):
        if not isinstance(piece, bytes):
            raise AudioError(f"{name}: {_GIVES_TEXT}")
        n_bytes += len(piece)
        if n_bytes > MAX_STREAM_BYTES:
            raise AudioError(f"{name}: more than {MAX_STREAM_BYTES // 2**30} GiB. Cut it into parts.")
        yield piece


def _read(file: BinaryIO, name: str) -> bytes:
    if iscoroutinefunction(getattr(file, "read", None)):  # starlette's UploadFile, aiofiles
        instead = "Give await file.read(), or of an upload of FastAPI its file.file"
        raise AudioError(f"{name}: reading it must be awaited. {instead}.")
    try:
        return file.read(PIECE_BYTES)
    except EarnestError:
        raise
    except UnicodeDecodeError as error:  # opened as text, and it is none
        raise AudioError(f"{name}: {_GIVES_TEXT}") from error
    except Exception as error:  # a caller's object: what it raises is not known; one bad of many is one row
        why = first_line(error)[:200].rstrip(".")
        raise AudioError(f"{name}: reading it failed ({why}). Open it again, or give its bytes.") from error


def _opened_path(path: Path, name: str) -> FileIO:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            renamed = ", or rename the folder" if path.suffix else ""
            raise AudioError(f"{name}: a folder, not a recording. Name the files in it{renamed}.")
        if not stat.S_ISREG(mode):
            raise AudioError(f"{name}: not a regular file. Send what it holds to standard input and name the path '-'.")
        file = _File(path, "rb")  # without a buffer: libsndfile reads the descriptor itself
    except FileNotFoundError:
        instead = "Addresses are not fetched: download it first" if _ADDRESS.match(str(path)) else "Check the path"
        raise AudioError(f"{name}: no such file. {instead}.") from None
    except (OSError, ValueError) as error:
        raise AudioError(f"{name}: not readable ({said_by(error)}). Check the path and its permissions.") from error
    if os.fstat(file.fileno()).st_size == 0:
        file.close()
        raise AudioError(f"{name}: empty, no bytes at all. Record or copy it again.")
    return file


def source_of(given: object) -> Source:
    """Return the recording that a caller means.

    Beside `AudioInput` it takes decoders of torchcodec, which newer versions of datasets give. For what is no recording
    it raises `AudioError`, whose message says what to hand over.
    """
    if isinstance(given, Part):
        return Part(source_of(given.source), given.start_s, given.end_s)
    if isinstance(given, Channel):
        return Channel(_whole(given.source), given.number)
    return _whole(given)


def whole_and_channel(source: Source) -> tuple[WholeSource, int | None]:
    """Return a recording, the whole of a part too, and the channel that is asked for, from 1; None for all of them."""
    if isinstance(source, Part):
        return whole_and_channel(source_of(source.source))
    if isinstance(source, Channel):
        return _whole(source.source), int(source.number)
    return found_channel(source) if isinstance(source, str | os.PathLike) else (source, None)


def _whole(given: object) -> WholeSource:
    if isinstance(given, str | bytes | os.PathLike):
        if given == "":
            raise AudioError(f"An empty text names no recording. {_EXPECTED}")
        is_bytes = isinstance(given, os.PathLike) and isinstance(os.fspath(given), bytes)  # of os.scandir(b"…")
        return os.fsdecode(given) if is_bytes else given
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
    if isinstance(given, list) and given and not isinstance(given[0], Real | list):
        raise AudioError(f"Expected one recording, got a list of {len(given)}. model.predict_many(…) takes several.")
    if hasattr(given, "columns") or getattr(getattr(given, "dtype", None), "kind", "") in ("O", "U", "T"):
        raise AudioError(f"Expected one recording, got a {type(given).__name__}. model.predict_many(…) takes several.")
    if _is_array(given):
        raise AudioError(f"array: an array without its sample rate. {_WITH_RATE}")
    what = "None" if given is None else f"{type(given).__name__} {shown(given)}"
    raise AudioError(f"{what} is not a recording. {_EXPECTED}")


def common_folder(paths: Iterable[str]) -> str:
    """Return the folder that all paths lie in, as they spell it; "" for none, or where it is the root."""
    names = list(paths)
    try:
        common = os.path.commonpath({os.path.dirname(name) for name in names})  # noqa: PTH120
    except ValueError:  # there are none, or some begin at the root or at another drive, and others don't
        return ""
    return common if all(name.startswith(f"{common}{os.sep}") for name in names) else ""


def refuse_single(sources: object) -> None:
    """Raise `AudioError` for one recording where several are expected: a path would be read letter by letter."""
    is_pair = isinstance(sources, tuple) and len(sources) == 2 and any(isinstance(one, Real) for one in sources)
    kinds = (str, bytes, bytearray, memoryview, os.PathLike, Mapping, Channel, Part)
    if is_pair or isinstance(sources, kinds) or hasattr(sources, "read") or hasattr(sources, "get_all_samples"):
        raise AudioError("Expected several recordings, got one. Give a list, such as [recording].")
    if hasattr(sources, "columns"):  # of pandas, polars, pyarrow: iterating gives the names of its columns, or columns
        raise AudioError('Expected several recordings, got a table. Give its column of paths, such as table["path"].')
    if _holds_samples(sources):
        raise AudioError("Expected several recordings, got an array. Give a list such as [(array, 16000)].")
    if not hasattr(sources, "__iter__"):
        raise AudioError(f"Expected several recordings, got {shown(sources)}. Give a list of paths or arrays.")


def _holds_samples(sources: object) -> bool:
    """Whether these are numbers, not recordings; a tensor of torch, or a list, as well as an array."""
    if isinstance(sources, list | array.array):
        return all(isinstance(one, Real) for one in sources) and not all(map(math.isnan, sources))  # NaN: no path
    if not hasattr(sources, "__array__"):
        return False
    try:
        held = np.asarray(sources)
    except (TypeError, ValueError, RuntimeError):  # a tensor on a GPU or with gradients
        return True
    if held.dtype.kind in "OUT" or (held.dtype.kind == "f" and np.isnan(held).all()):  # paths, or none but missing ones
        return False
    return held.size > 0  # an empty column has any type


def rate_of(value: object, name: str = "array") -> int:
    """Return a sample rate in Hz as a whole number; bounds are checked where it is used.

    Raises `AudioError` when it is text, None, or no whole number.
    """
    if isinstance(value, Integral | Real) and not isinstance(value, bool) and float(value).is_integer():
        return int(float(value))
    if not isinstance(value, Real) and getattr(value, "ndim", None) == 0:  # an array of one number, or such a tensor
        return rate_of(cast(Any, value).item(), name)
    hint = f" Write {value}, without quotes." if isinstance(value, str) and value.isdecimal() else ""
    raise AudioError(f"{name}: the sample rate must be a whole number in Hz, got {shown(value)}.{hint}")


def _samples(pair: tuple[Any, ...], name: str = "") -> WholeSource:
    if len(pair) != 2:
        raise AudioError(f"array: expected (array, sample_rate_hz), got a tuple of {len(pair)}. {_WITH_RATE}")
    called = name or "array"
    array, rate_hz = pair
    if isinstance(array, Real) and _is_array(rate_hz):  # (rate, array): scipy.io.wavfile
        array, rate_hz = rate_hz, array
    if isinstance(array, bytes | bytearray | memoryview):  # as a microphone or a socket gives them
        raise AudioError(f"{called}: {RAW}")
    if not _is_array(array):
        raise AudioError(f"{called}: expected (array, sample_rate_hz), got {shown(array)} as array. {_EXPECTED}")
    samples = NamedSamples((array, rate_of(rate_hz, called)))
    samples.name = name
    return samples


def _cell(cell: Mapping[str, Any]) -> WholeSource:
    """Return the sound in a cell of an ``Audio`` column: samples, else the bytes of a file, else its path."""
    name = str(cell.get("path") or "")
    if cell.get("array") is not None and "sampling_rate" in cell:
        return _samples((cell["array"], cell["sampling_rate"]), name)
    if cell.get("bytes"):
        data = NamedBytes(cell["bytes"])
        data.name = name
        return data
    if name and cell.get("array") is None:
        return name
    keys = shown(list(cell))
    raise AudioError(f'A dict needs "array" and "sampling_rate", or "bytes", or "path"; this one has {keys}.')


def _is_array(value: object) -> bool:
    return hasattr(value, "__array__") or isinstance(value, list | array.array)
