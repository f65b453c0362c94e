"""Traffic for `soak.py`: good and bad clients, each a function that does one thing once.

An actor returns a word for how it ended: a status ("200"), "closed" where the server closed the connection without an
answer, "end" for a stream that was told its end. What words are fine for whom is in `ACTORS`; all others are surprises.
"""

import http.client
import io
import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from soak_watch import decoders_of
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

Clip = tuple[str, bytes]
"""Content type and file."""
PATIENCE_S = 90.0
STREAM_HZ = 16_000
FORMATS = (
    ("wav", "WAV", "PCM_16", 16_000, 1),
    ("wav", "WAV", "FLOAT", 48_000, 2),
    ("wav", "WAV", "ULAW", 8_000, 1),
    ("flac", "FLAC", "PCM_16", 22_050, 1),
    ("ogg", "OGG", "VORBIS", 44_100, 1),
    ("mpeg", "MP3", "MPEG_LAYER_III", 32_000, 2),
    ("aiff", "AIFF", "PCM_24", 11_025, 1),
)
REFUSED = ("413", "415", "422")


class Sounds:
    """Sounds to send: files in several formats, long ones, and samples for streams; all from the demo recordings."""

    def __init__(self, folder: Path) -> None:
        read = [soundfile.read(path, dtype="float32") for path in sorted(folder.glob("*.flac"))]
        self.samples = np.concatenate([resampled(sound, rate, STREAM_HZ) for sound, rate in read])
        clip = self.samples[: 3 * STREAM_HZ]
        self.clips = [written(clip, *words) for words in FORMATS]
        self.timeline = written(np.tile(self.samples, 3)[: 60 * STREAM_HZ], *FORMATS[3])


def resampled(sound: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Change the rate by straight lines between samples, which is good enough to have something to decode."""
    at = np.arange(0, len(sound) - 1, from_hz / to_hz)
    return np.interp(at, np.arange(len(sound)), sound).astype(np.float32)


def written(sound: NDArray[np.float32], kind: str, format_: str, subtype: str, rate_hz: int, n_channels: int) -> Clip:
    """Write a mono sound of 16 kHz as a file of another rate."""
    samples = np.repeat(resampled(sound, STREAM_HZ, rate_hz)[:, None], n_channels, axis=1)
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=format_, subtype=subtype)
    return f"audio/{kind}", file.getvalue()


class Visitor:
    """One client: knows where the server is, what to send, and draws from numbers of its own.

    Attributes
    ----------
    latencies_s : of answered recordings, taken away by who writes them down
    """

    def __init__(self, port: int, server: int, body_bytes: int, sounds: Sounds, seed: int) -> None:
        self.port, self.server, self.body_bytes, self.sounds = port, server, body_bytes, sounds
        self.rng = np.random.default_rng(seed)
        self.latencies_s: list[float] = []
        self.over = threading.Event()

    def clip(self) -> str:
        """Ask about one recording: three seconds in any of the formats, or, as often, a WAV file of any length."""
        kind, sound = self.sounds.clips[self.rng.integers(len(self.sounds.clips))]
        if self.rng.random() < 0.5:
            n_samples = int(self.rng.integers(STREAM_HZ, 8 * STREAM_HZ))
            start = int(self.rng.integers(len(self.sounds.samples) - n_samples))
            kind, sound = written(self.sounds.samples[start : start + n_samples], *FORMATS[0])
        started = time.monotonic()
        status = self.asked("/v1/predict", sound, kind)
        if status == "200":
            self.latencies_s.append(time.monotonic() - started)
        return status

    def timeline(self) -> str:
        """Ask for the timeline of a minute."""
        form = ("json", "srt", "csv")[self.rng.integers(3)]
        kind, sound = self.sounds.timeline
        return self.asked(f"/v1/predict?kind=timeline&format={form}", sound, kind)

    def batch(self) -> str:
        """Send a form with good files and a broken one."""
        parts = [*(sound for _, sound in self.sounds.clips[:3]), self.broken_file()]
        edge = "soak-and-soak"
        head = '--{}\r\nContent-Disposition: form-data; name="file"; filename="{}"\r\n\r\n'
        body = b"".join(head.format(edge, n).encode() + part + b"\r\n" for n, part in enumerate(parts))
        return self.asked("/v1/batch", body + f"--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}")

    def broken(self) -> str:
        """Send a file that is damaged, cut, or no sound at all."""
        return self.asked("/v1/predict", self.broken_file(), "audio/wav")

    def broken_file(self) -> bytes:
        """Damage one of the recordings."""
        sound = bytearray(self.sounds.clips[self.rng.integers(len(self.sounds.clips))][1])
        way = self.rng.integers(3)
        if way == 0:
            return bytes(sound[: self.rng.integers(1, len(sound))])
        if way == 1:
            return self.rng.bytes(int(self.rng.integers(1, 20_000)))
        for place in self.rng.integers(0, min(len(sound), 2000), 40):
            sound[place] = self.rng.integers(256)
        return bytes(sound)

    def oversized(self) -> str:
        """Send more than is taken, without saying how much it will be."""
        block = b"%x\r\n%b\r\n" % (2**18, self.rng.bytes(2**18))
        with self.connected() as connection:
            try:
                connection.sendall(self.head("Transfer-Encoding: chunked"))
                for _ in range(self.body_bytes // 2**18 + 2):
                    connection.sendall(block)
                connection.sendall(b"0\r\n\r\n")
            except OSError:
                pass  # refused on the way: the answer may be there nevertheless
            return status_of(connection)

    def slow(self) -> str:
        """Send a body byte by byte, until the server has had enough."""
        with self.connected() as connection:
            connection.sendall(self.head("Content-Length: 100000"))
            connection.settimeout(0.5)
            for _ in range(int(2 * PATIENCE_S)):
                if self.over.is_set():
                    return "left"
                try:
                    connection.sendall(b"x")
                    connection.recv(1, socket.MSG_PEEK)
                    break
                except TimeoutError:
                    continue
                except OSError:
                    return "closed"
            return status_of(connection)

    def aborted(self) -> str:
        """Go away, in the middle of the body or before the answer; sometimes with a reset."""
        kind, sound = self.sounds.clips[0]
        with self.connected() as connection:
            sent = sound if self.rng.random() < 0.5 else sound[: len(sound) // 2]
            connection.sendall(self.head(f"Content-Length: {len(sound)}", kind) + sent)
            if self.rng.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return "left"

    def stream(self) -> str:
        """Hold a stream of a few seconds, in pieces of any size; sometimes hang up in the middle."""
        sound = self.pcm(float(self.rng.uniform(2, 12)))
        hangs_up = self.rng.random() < 0.2
        try:
            with connect(self.stream_address(), open_timeout=PATIENCE_S, close_timeout=5) as stream:
                while sound:
                    n_bytes = 2 * int(self.rng.integers(1, 20_000))
                    stream.send(sound[:n_bytes])
                    sound = sound[n_bytes:]
                    if hangs_up and self.rng.random() < 0.2:
                        return "left"
                stream.send('{"type": "finish"}')
                return last_event(stream)
        except (WebSocketException, OSError) as error:
            return type(error).__name__

    def long_stream(self) -> str:
        """Speak in real time for as long as the soak lasts."""
        try:
            with connect(self.stream_address(), open_timeout=PATIENCE_S, close_timeout=10) as stream:
                reader = threading.Thread(target=lambda: heard.append(last_event(stream)), daemon=True)
                heard: list[str] = []
                reader.start()
                sound, at = self.pcm(len(self.sounds.samples) / STREAM_HZ), 0
                while not self.over.wait(0.1) and not heard:
                    stream.send(sound[at : at + STREAM_HZ // 5])
                    at = (at + STREAM_HZ // 5) % (len(sound) - STREAM_HZ // 5) // 2 * 2
                stream.send('{"type": "finish"}')
                reader.join(PATIENCE_S)
                return heard[0] if heard else "silent"
        except (WebSocketException, OSError) as error:
            return type(error).__name__

    def kill(self) -> str:
        """Kill a process that decodes, where there is one."""
        found = decoders_of(self.server)
        if not found:
            return "none"
        os.kill(int(self.rng.choice(found)), signal.SIGKILL)
        return "killed"

    def asked(self, path: str, body: bytes, kind: str) -> str:
        """Send one request on a connection of its own and return the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("POST", path, body, {"Content-Type": kind})
            with connection.getresponse() as answer:
                answer.read()
                return str(answer.status)
        except (OSError, http.client.HTTPException):
            return "closed"
        finally:
            connection.close()

    def head(self, length: str, kind: str = "audio/wav") -> bytes:
        """Begin a request whose body is sent by hand."""
        return f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n{length}\r\n\r\n".encode()

    def connected(self) -> socket.socket:
        """Return a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def stream_address(self) -> str:
        """Return where streams are opened."""
        return f"ws://127.0.0.1:{self.port}/v1/stream?sample_rate_hz={STREAM_HZ}"

    def pcm(self, seconds: float) -> bytes:
        """Return samples of 16 bits from anywhere in the demo recordings."""
        n_samples = min(int(seconds * STREAM_HZ), len(self.sounds.samples))
        start = int(self.rng.integers(len(self.sounds.samples) - n_samples + 1))
        return (self.sounds.samples[start : start + n_samples] * 32_767).astype("<i2").tobytes()


def status_of(connection: socket.socket) -> str:
    """Return the status that a server sends."""
    connection.settimeout(PATIENCE_S)
    try:
        said = connection.recv(65_536)
    except OSError:
        return "closed"
    return said[9:12].decode("ascii", "replace") if said.startswith(b"HTTP/1.1 ") else "closed"


def last_event(stream: object) -> str:
    """Read a stream until it ends; return the name of its last event."""
    name = "closed"
    try:
        for message in stream:  # type: ignore[attr-defined]
            name = json.loads(message)["event"]
            if name in ("end", "error"):
                return str(name)
    except (WebSocketException, OSError):
        pass
    return name


@dataclass(frozen=True)
class Actor:
    """A kind of client.

    Attributes
    ----------
    n_at_once : clients of this kind
    pause_s : mean rest between two things it does
    fine : how it may end
    """

    act: Callable[[Visitor], str]
    n_at_once: int
    pause_s: float
    fine: tuple[str, ...]


ACTORS = {
    "clip": Actor(Visitor.clip, 3, 0.3, ("200",)),
    "timeline": Actor(Visitor.timeline, 1, 8.0, ("200",)),
    "batch": Actor(Visitor.batch, 1, 5.0, ("200",)),
    "broken": Actor(Visitor.broken, 1, 0.5, ("200", *REFUSED)),
    "oversized": Actor(Visitor.oversized, 1, 5.0, ("413", "closed")),
    "slow": Actor(Visitor.slow, 2, 1.0, ("408", "closed", "left")),
    "aborted": Actor(Visitor.aborted, 1, 1.0, ("left",)),
    "stream": Actor(Visitor.stream, 2, 2.0, ("end", "left")),
    "long stream": Actor(Visitor.long_stream, 1, 1.0, ("end",)),
    "killer of decoders": Actor(Visitor.kill, 1, 20.0, ("killed", "none")),
}
