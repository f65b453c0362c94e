"""Live sound from a microphone or a pipe: a queue that never grows between the sound card and the listener."""

import struct
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from threading import Condition, Lock
from typing import Any, BinaryIO
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from earnest.audio.io import HIGHEST_HZ, LOWEST_HZ, check_channel
from earnest.audio.sound_file import UNKNOWN, is_wav, mp3_frame_bytes
from earnest.audio.source import MAX_CHANNELS
from earnest.errors import AudioError, MissingExtraError, counted

QUEUE_S = 10.0
CHUNK_S = 0.1
N_LOOKED, N_FLOATS = 1024, 64  # bytes of bare samples, and how many different floats these must be
LOOK_S = 0.5  # so that Ctrl-C is noticed on every system
N_LOOKS = 10  # in vain, then a microphone is gone: one that works gives silence, too, at its start after two seconds


@dataclass(frozen=True)
class Lost:
    """Seconds of sound that came while the queue was full."""

    seconds: float


class Feed:
    """Takes sound from one thread, never waiting, and gives it to another in order.

    When the listener is more than ``queue_s`` seconds behind, what comes is dropped and the listener is told how much.
    """

    def __init__(self, sample_rate_hz: int, queue_s: float = QUEUE_S) -> None:
        self._rate = sample_rate_hz
        self._most = round(queue_s * sample_rate_hz)
        self._waiting: deque[npt.NDArray[np.float32] | Lost] = deque()
        self._n_waiting = 0
        self._n_lost = 0
        self._changed = Condition()
        self._closed = False

    def put(self, chunk: npt.NDArray[np.float32]) -> None:
        """Add sound, shape (samples,) or (samples, channels); it is copied."""
        with self._changed:
            if self._n_waiting + len(chunk) > self._most:
                self._n_lost += len(chunk)
                return
            # Before the sound behind the gap: so the listener learns where it was.
            self._tell_loss()
            self._waiting.append(chunk.copy())
            self._n_waiting += len(chunk)
            self._changed.notify()

    def close(self) -> None:
        """End the feed: nothing more comes."""
        with self._changed:
            self._tell_loss()
            self._closed = True
            self._changed.notify()

    def _tell_loss(self) -> None:
        if self._n_lost:
            self._waiting.append(Lost(self._n_lost / self._rate))
            self._n_lost = 0

    def __iter__(self) -> Iterator[npt.NDArray[np.float32] | Lost]:
        """Yield chunks, and between them what was lost, until the feed is closed and empty.

        Raises `AudioError` when nothing comes any more, and nobody closed the feed.
        """
        while True:
            with self._changed:
                self._wait()
                if not self._waiting:
                    return
                item = self._waiting.popleft()
                self._n_waiting -= 0 if isinstance(item, Lost) else len(item)
            yield item

    def _wait(self) -> None:
        # Looks are counted, not seconds: those pass, too, where this process is stopped or the computer sleeps.
        n_looks = 0
        while not self._waiting and not self._closed:
            if n_looks == N_LOOKS:
                raise AudioError("The microphone stopped: no sound comes any more. Is it still connected?")
            self._changed.wait(LOOK_S)
            n_looks += 1


_INSTEAD = (
    "Send 16-bit WAV: ffmpeg -i RECORDING -c:a pcm_s16le -f wav - | earnest listen -. Or hear it as a whole: "
    "earnest timeline -."
)
_FLOATS = "Say so before: ffmpeg -f f32le -ar 16000 -i - -f wav - | earnest listen -"
_NO_STREAM = {
    **{b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"\x1a\x45\xdf\xa3": "WebM", b"FORM": "AIFF", b"ftyp": "MP4"},
    **{b"RF64": "RF64", b"BW64": "BW64", b"riff": "Wave64", b"caff": "CAF", b".snd": "AU", b"RIFX": "RIFX"},
    **{b"#!AMR": "AMR", b"\x30\x26\xb2\x75": "WMA", b"AVI ": "AVI"},
}  # by how they begin; MP4 after four bytes, AVI after eight


@dataclass(frozen=True)
class Pipe:
    """Sound from a pipe: 16-bit or float WAV by its header, else bare 16-bit little-endian samples."""

    sample_rate_hz: int
    n_channels: int
    dtype: str
    chunks: Iterator[npt.NDArray[np.float32]]

    def heard(self, channel: int | None) -> Iterator[npt.NDArray[np.float32]]:
        """Return the chunks, or one channel of them, from 1. Raises `AudioError` when there is no such channel."""
        if channel is None:
            return self.chunks
        check_channel("-", self.n_channels, channel)
        return (chunk[:, channel - 1] for chunk in self.chunks)


def open_pipe(file: BinaryIO, sample_rate_hz: int, n_channels: int) -> Pipe:
    """Begin to read a pipe.

    Raises `AudioError` where nothing comes, or for a header that says something else than 16-bit or float WAV.

    Parameters
    ----------
    sample_rate_hz, n_channels : of sound without a header

    Returns
    -------
    ``chunks`` are of shape (samples, channels), a tenth of a second or what has come, float32
    """
    head = _exactly(file, 12)
    if not head:
        raise AudioError("-: no bytes. It is empty.")
    dtype, n_bytes, is_mp3 = "<i2", sys.maxsize, False
    if is_wav(head):
        (sample_rate_hz, n_channels, dtype), n_bytes = _wave_header(file)
        head = b""
    elif n_frame := mp3_frame_bytes(head):
        # Bare samples may look like one header, but hardly like another one just where the first says.
        head += _exactly(file, n_frame + 4 - len(head))
        is_mp3 = mp3_frame_bytes(head[n_frame:]) is not None
    if (known := "MP3" if is_mp3 else container_of(head)) is not None:
        raise AudioError(f"-: {known} can't be read as a stream. {_INSTEAD}")
    if head:
        head += _exactly(file, N_LOOKED - len(head))
        if are_floats(head):
            raise AudioError(f"-: these samples are 32-bit floats; without a header 16 bits are read. {_FLOATS}")
    return Pipe(sample_rate_hz, n_channels, dtype, _chunks(file, head, n_bytes, sample_rate_hz, n_channels, dtype))


def are_floats(head: bytes) -> bool:
    """Whether samples are 32-bit floats from -1 to 1; of 16-bit sound every second one would lie in a narrow band."""
    head = head[:N_LOOKED]
    values = np.frombuffer(head[: len(head) // 4 * 4], "<f4")
    values = np.unique(np.abs(values[values != 0]))
    return len(values) >= N_FLOATS and bool(np.all((values > 1e-9) & (values <= 1)))


def container_of(head: bytes) -> str | None:
    """Name the kind of file that begins so and is no stream of samples, None for any other bytes."""
    known = _NO_STREAM.items()
    return next((name for start, name in known if start in (head[: len(start)], head[4:8], head[8:])), None)


def _wave_header(file: BinaryIO) -> tuple[tuple[int, int, str], int]:
    """Return rate, channels and samples' type, and how many bytes are sound: all that come, of a live stream."""
    form: tuple[int, int, str] | None = None
    while True:
        # A pipe that has ended gives zeros, which no chunk is called.
        name, size = struct.unpack("<4sI", _exactly(file, 8).ljust(8, b"\0"))
        if name == b"data" and form is not None:
            return form, size if 0 < size < UNKNOWN else sys.maxsize
        content = _exactly(file, min(size + size % 2, 65_536))  # chunks begin at even places
        if name == b"fmt " and len(content) >= 16:
            form = _wave_form(content)
        if name in (b"data", b"\0\0\0\0") or len(content) < size:
            raise AudioError("-: a WAV header without sound. Send WAV (ffmpeg -f wav -) or bare 16-bit samples.")


def _wave_form(content: bytes) -> tuple[int, int, str]:
    tag, n_channels, sample_rate_hz, _, _, n_bits = struct.unpack("<HHIIHH", content[:16])
    tag = int.from_bytes(content[24:26], "little") if tag == 0xFFFE else tag  # WAVE_FORMAT_EXTENSIBLE
    dtype = {(1, 16): "<i2", (1, 32): "<i4", (3, 32): "<f4"}.get((tag, n_bits))
    if dtype is None or not 1 <= n_channels <= MAX_CHANNELS or not LOWEST_HZ <= sample_rate_hz <= HIGHEST_HZ:
        coding = {6: "A-law", 7: "µ-law"}.get(tag) or counted(n_bits, "bit")
        found = f"{coding}, {counted(n_channels, 'channel')}, {sample_rate_hz} Hz"
        raise AudioError(f"-: WAV of {found} can't be read as a stream. {_INSTEAD}")
    return sample_rate_hz, n_channels, dtype


def _chunks(
    file: BinaryIO, head: bytes, n_bytes: int, sample_rate_hz: int, n_channels: int, dtype: str
) -> Iterator[npt.NDArray[np.float32]]:
    n_frame = np.dtype(dtype).itemsize * n_channels
    n_wanted = max(round(CHUNK_S * sample_rate_hz), 1) * n_frame
    rest = b""
    for part in chain([head], _parts(file, n_bytes, n_wanted)):
        data = rest + part
        n_whole = len(data) // n_frame * n_frame
        rest = data[n_whole:]  # a pipe breaks anywhere, also inside a sample
        if not n_whole:
            continue
        samples = np.frombuffer(data[:n_whole], dtype).reshape(-1, n_channels)
        scale = 1.0 if dtype == "<f4" else -float(np.iinfo(dtype).min)  # 2^15 or 2^31
        yield (samples / scale).astype(np.float32)


def _parts(file: BinaryIO, n_bytes: int, n_most: int) -> Iterator[bytes]:
    """Yield pieces of at most ``n_most`` bytes until the end or ``n_bytes``: bytes behind these are no sound."""
    while n_bytes and (part := _some(file, min(n_most, n_bytes))):
        n_bytes -= len(part)
        yield part


def _some(file: BinaryIO, n_bytes: int) -> bytes:
    """Read the bytes that have come, at most ``n_bytes``; wait for the first byte; empty at the end."""
    read1 = getattr(file, "read1", file.read)
    return bytes(read1(n_bytes))


def _exactly(file: BinaryIO, n_bytes: int) -> bytes:
    parts = b""
    while len(parts) < n_bytes and (part := _some(file, n_bytes - len(parts))):
        parts += part
    return parts


@contextmanager
def microphone(sample_rate_hz: int, device: str | None = None) -> Iterator[Feed]:
    """Open a microphone; the feed fills while the block lasts.

    Raises `MissingExtraError` where sounddevice is not installed; `AudioError` when PortAudio or the device is missing,
    or refuses the rate.

    Parameters
    ----------
    device : number or part of a name, None for the system's default
    """
    sounddevice = portaudio()
    feed = Feed(sample_rate_hz)

    def heard(data: Any, _frames: int, _time: Any, _status: Any) -> None:
        feed.put(data)  # in a thread of PortAudio's, which must not wait

    try:
        stream = sound_stream(
            sounddevice.InputStream,
            samplerate=sample_rate_hz,
            channels=1,
            dtype="float32",
            blocksize=round(CHUNK_S * sample_rate_hz),
            device=int(device) if device and device.isdigit() else device,
            callback=heard,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        if device is None and not _recording(sounddevice):
            raise AudioError("There is no microphone: this computer has no device that records.") from error
        reason = str(error).strip().splitlines()[0]
        raise AudioError(
            f"The microphone can't be opened ({reason}). List devices: earnest listen --devices."
        ) from error
    with stream:
        try:
            yield feed
        finally:
            feed.close()


_opening = Lock()
_opened: WeakSet[Any] = WeakSet()


def sound_stream(kind: Any, **settings: Any) -> Any:
    """Return a stream of a kind of sounddevice's, which keeps the list of devices as it is until it is closed."""
    with _opening:
        stream = kind(**settings)
        _opened.add(stream)
    return stream


def microphones() -> list[tuple[int, str]]:
    """Return number and full name of each device that can record; while one records or plays, of those from before."""
    sounddevice = portaudio()
    with _opening:
        if all(stream.closed for stream in _opened):  # PortAudio looks for devices only where it begins
            with suppress(sounddevice.PortAudioError):  # it did not begin the last time
                sounddevice._terminate()
            sounddevice._initialize()
        return _recording(sounddevice)


def _recording(sounddevice: Any) -> list[tuple[int, str]]:
    systems = [item["name"] for item in sounddevice.query_hostapis()]  # on Windows a device is in several
    named = ((f"{item['name']}, {systems[item['hostapi']]}", item) for item in sounddevice.query_devices())
    return [(number, name) for number, (name, item) in enumerate(named) if item["max_input_channels"] > 0]


def portaudio(what: str = "the microphone", extra: str = "live") -> Any:
    """Return the module sounddevice, or raise what `microphone` does; ``what`` needs ``extra``."""
    try:
        import sounddevice
    except ImportError:
        raise MissingExtraError(what, extra) from None
    except OSError as error:  # the package is there, PortAudio is not
        raise AudioError(f"{error}. Install PortAudio (Debian, Ubuntu: apt install libportaudio2).") from error
    return sounddevice
