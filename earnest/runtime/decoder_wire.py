"""Messages between a decoder process and its parent, over a socket.

The parent sends a job: four bytes (length), JSON, and with them the descriptor of an open file; a length of 0 is the
wish that the job under way ends. The child answers with messages of
five bytes (kind, length) and a payload. The parent trusts neither: kinds, lengths, numbers and texts are checked, and
what is no sound is an error.
"""

import enum
import json
import struct
from typing import Any, Protocol

from earnest.errors import AudioError, EarnestError, MissingExtraError, RecordingTooLongError, printable

MOST_PAYLOAD = 2**24  # a block is half of that, a picture as well
MOST_TEXT, MOST_LETTERS = 2**16, 1_000  # bytes of JSON; letters of each text of an error
LENGTH = struct.Struct(">I")  # before a job
STOP = LENGTH.pack(0)
_HEAD = struct.Struct(">cI")  # kind, length of the payload


class Reader(Protocol):
    """A source of messages."""

    def read(self, n_bytes: int, /) -> bytes:
        """Return so many bytes, or fewer where there are no more."""


class Kind(enum.Enum):
    """The kind of a child's message."""

    READY = b"r"  # words of `earnest.audio.confinement.confine`, once, as soon as it can work
    OPENED = b"o"  # what a recording is: rate, channels, encoding
    BLOCK = b"b"  # mono samples, float32
    PICTURE = b"p"  # the text and the shape of a picture
    GREYS = b"g"  # its pixels, uint16
    ERROR = b"e"  # the job is over: it can't be read
    DONE = b"d"  # the job is over; of a recording whether its channels are separate


_KINDS = {kind.value: kind for kind in Kind}


class WireError(EarnestError):
    """The other side went away, or said what is none of the above."""


def packed(kind: Kind, n_bytes: int) -> bytes:
    """Return the head of a message."""
    return _HEAD.pack(kind.value, n_bytes)


def as_json(values: dict[str, Any]) -> bytes:
    """Return a payload."""
    return json.dumps(values).encode()


def read_message(link: Reader) -> tuple[Kind, bytes]:
    """Read one message of the child.

    Raises
    ------
    WireError
        When there is none, or it is no message.
    """
    head = link.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise WireError("the process ended")
    kind, n_bytes = _HEAD.unpack(head)
    # Before memory is taken for it: the length is the child's word alone.
    if n_bytes > MOST_PAYLOAD or kind not in _KINDS:
        raise WireError("it said what is no message")
    payload = link.read(n_bytes)
    if len(payload) < n_bytes:
        raise WireError("the process ended")
    return _KINDS[kind], payload


def values_of(payload: bytes) -> dict[str, Any]:
    """Unpack a payload of `as_json`."""
    try:
        values = json.loads(payload) if len(payload) <= MOST_TEXT else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise WireError("it said what is no message")
    return values


def error_payload(error: BaseException, name: str) -> bytes:
    """Return the payload about a child's error; of an unforeseen one its kind alone."""
    if isinstance(error, MissingExtraError):
        return as_json({"type": "MissingExtraError", "what": error.what, "extra": error.extra})
    if isinstance(error, EarnestError):
        kind = "RecordingTooLongError" if isinstance(error, RecordingTooLongError) else "AudioError"
        return as_json({"type": kind, "told": str(error)})
    if isinstance(error, MemoryError):
        told = f"{name}: needs too much memory to be decoded. Convert it to a WAV file of one channel."
        return as_json({"type": "AudioError", "told": told})
    told = f"{name}: can't be decoded ({type(error).__name__}). Export it again."
    return as_json({"type": "AudioError", "told": told})


def error_of(payload: bytes) -> EarnestError:
    """Return the error that `error_payload` packed, its texts fit for a terminal."""
    values = {name: printable(str(value))[:MOST_LETTERS] for name, value in values_of(payload).items()}
    if values.get("type") == "MissingExtraError":
        return MissingExtraError(values.get("what", ""), values.get("extra", ""))
    kind = RecordingTooLongError if values.get("type") == "RecordingTooLongError" else AudioError
    return kind(values.get("told", "can't be decoded"))
