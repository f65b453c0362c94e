"""The process that decodes: one job after another, with no files, no network, little memory; see `DecoderPool`.

Started as ``python -c "from earnest.runtime.decoder_child import main; main()" PARENT``; its standard input is the
socket on which jobs come. The parent sends four bytes (length), JSON, and with them the descriptor of an open file; a
length of 0 is the wish that the job under way ends. The child answers with messages of five bytes (kind, length) and a
payload. The parent trusts neither: kinds, lengths, numbers and texts are checked, and what is no sound is an error.
"""

import enum
import io
import json
import socket
import struct
import sys
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import numpy.typing as npt

from earnest.audio.confinement import allow_cpu, confine, die_with_parent
from earnest.audio.io import AudioStream, Frames, open_audio_file, open_file_frames
from earnest.errors import AudioError, EarnestError, MissingExtraError, RecordingTooLongError, printable
from earnest.runtime.picture import greys_of

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
    BLOCK = b"b"  # samples, float32: mono, or of a recording that is read for its parts all channels
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
    """Read one message of the child. Raises `WireError` when there is none, or it is no message."""
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


MORE_BYTES = 128 * 2**20  # of memory beyond what a process holds that has decoded nothing
_TOGETHER = 2**20  # bytes that are sent at once: a short recording is one letter
_SILENT_AAC = 3 * b"\xff\xf1`@\x01\x7f\xfc\x01\x18 \x07"  # three ADTS frames of 11 bytes: AAC-LC at 16 kHz, one channel
MOST_DESCRIPTORS = 8  # three standard streams, and the file that a job is about


def main() -> None:
    """Prepare all that will be needed, give up the rest, then work until the parent goes away."""
    die_with_parent(int(sys.argv[1]))
    link = socket.socket(fileno=0)
    _rehearse()
    words = confine(MORE_BYTES, MOST_DESCRIPTORS)  # behind this line no file can be opened
    first = _Mail(link)
    first.add(Kind.READY, as_json({"confined": words}))
    first.send()
    while _work(link):
        pass


def _rehearse() -> None:
    """Decode next to nothing in every way: what is imported on the way can't be imported later."""
    # Text, zeros, AAC and a broken MP4: each is read, or refused, by another branch of the readers.
    for data in (b"no sound", bytes(64), _SILENT_AAC, b"\0\0\0\x18ftypM4A \0\0\0\0"):
        with suppress(EarnestError), open_audio_file(io.BytesIO(data), "", 1.0) as stream:
            deque(stream.blocks, maxlen=0)
    with suppress(EarnestError):
        greys_of(io.BytesIO(b"\x89PNG\r\n\x1a\n"), "")


def _work(link: socket.socket) -> bool:
    """Do one job; False when there are no more."""
    head, descriptors, _, _ = socket.recv_fds(link, LENGTH.size, 1)
    if head == STOP:  # meant for a job that had ended by itself
        return True
    # The parent went away.
    if not head or not descriptors:
        return False
    job: dict[str, Any] = json.loads(_received(link, *LENGTH.unpack(head)))
    allow_cpu(job["cpu_s"])
    with io.FileIO(descriptors[0], "rb") as raw:
        file = cast(BinaryIO, raw)
        mail = _Mail(link)
        try:
            ended = Kind.DONE, as_json(_answer(mail, file, job))
        except BrokenPipeError:
            return False
        except Exception as error:
            ended = Kind.ERROR, error_payload(error, job["name"])
    mail.add(*ended)
    mail.send()
    return True


def _received(link: socket.socket, n_bytes: int) -> bytes:
    data = b""
    while len(data) < n_bytes and (more := link.recv(n_bytes - len(data))):
        data += more
    return data


def _answer(mail: "_Mail", file: BinaryIO, job: dict[str, Any]) -> dict[str, Any]:
    """Send what a recording or a picture holds; return what is known at its end."""
    name = job["name"]
    if job["picture"]:
        greys, text = greys_of(file, name)
        mail.add(Kind.PICTURE, as_json({"text": text, "shape": greys.shape}))
        mail.add(Kind.GREYS, greys.astype("<u2", order="C").reshape(-1).view(np.uint8).data)
        return {}
    if job["from_s"] is not None:
        with open_file_frames(file, name, job["max_seconds"], job["from_s"]) as frames:
            places = ("first", "is_exact", "has_other_tracks")
            mail.add(Kind.OPENED, as_json(_form(frames) | {place: getattr(frames, place) for place in places}))
            _send_blocks(mail, frames.blocks)
        return {}
    with open_audio_file(file, name, job["max_seconds"], job["channel"]) as stream:
        mail.add(Kind.OPENED, as_json(_form(stream)))
        _send_blocks(mail, stream.blocks)
        return {"notes": stream.notes()}


def _form(sound: AudioStream | Frames) -> dict[str, Any]:
    return {"sample_rate_hz": sound.sample_rate_hz, "n_channels": sound.n_channels, "encoding": sound.encoding}


def _send_blocks(mail: "_Mail", blocks: Iterable[npt.NDArray[np.float32]]) -> None:
    for block in blocks:
        mail.add(Kind.BLOCK, block.astype("<f4", order="C", copy=False).reshape(-1).view(np.uint8).data)
        if mail.is_told_to_stop():
            break


class _Mail:
    """Messages on their way to the parent; waits while it has no room."""

    def __init__(self, link: socket.socket) -> None:
        self._link, self._parts, self._n_bytes = link, list[Any](), 0

    def add(self, kind: Kind, payload: Any) -> None:
        """Send one message, maybe together with those after it."""
        self._parts += [packed(kind, len(payload)), payload]
        self._n_bytes += len(payload)
        if self._n_bytes >= _TOGETHER:
            self.send()

    def send(self) -> None:
        """Send what is left."""
        parts, self._parts, self._n_bytes = [memoryview(part) for part in self._parts if len(part)], [], 0
        while parts:
            # A call may take a part of it: what was taken is left out, the rest goes on.
            n_sent = self._link.sendmsg(parts)
            while parts and n_sent >= len(parts[0]):
                n_sent -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][n_sent:]

    def is_told_to_stop(self) -> bool:
        """Whether the parent wants no more of what was sent."""
        # Asked after a sending alone, so that small blocks cost no call of the system.
        if self._parts:
            return False
        try:
            return self._link.recv(LENGTH.size, socket.MSG_DONTWAIT) == STOP
        except BlockingIOError:
            return False
