"""Settings of a server: models, limits, keys. Every limit but those of ``--keep`` holds for one process."""

from dataclasses import dataclass, field
from pathlib import Path

from earnest.bundle import DEFAULT_BUNDLE
from earnest.runtime.engine import Provider
from earnest.settings.limits import Count, Positive, Validated

MIB = 2**20


@dataclass(frozen=True)
class Limits(Validated):
    """Bounds; every one is above zero.

    Attributes
    ----------
    body_bytes : of one request, counted while they arrive
    held_bytes : of all requests together, so that memory is bounded whatever many clients send; of one client half
    header_s, body_s : a client must have sent the headers, the body within
    body_start_s, body_rate : after so many seconds a body must have brought so many bytes for each second more
    read_s : a client that reads nothing of its answer for so long is let go
    request_s : from the whole body to the answer, waiting included
    recording_s : decoded length of an utterance, which is held in memory
    timeline_s : decoded length of a timeline, which passes block by block
    batch_files : recordings in one ``POST /v1/batch``
    requests : whose body has come, worked on or waiting at a time
    client_requests : under way of one client (its key, else its address, of IPv6 the network /64), also those whose
        body is still coming
    connections, client_connections : open at a time, streams included, in all and of one address; those of a proxy
        whose word about addresses counts are not bounded by the second
    streams, client_streams : open at a time, in all and of one client
    stream_s : length of one stream
    stream_idle_s : a stream without sound for so long is closed
    stream_frame_bytes : of one WebSocket message
    stream_speed, stream_burst_s : sound may arrive this many times faster than real time, beyond so many seconds; what
        comes faster is read later
    heartbeat_s : between signs of life in a stream that has nothing to tell
    ticket_s : from giving a ticket for a stream to taking it
    keep_bytes, keep_days : what ``--keep`` stores, of all workers together, and for how long
    """

    body_bytes: Count = 64 * MIB
    held_bytes: Count = 512 * MIB
    header_s: Positive = 10.0
    body_s: Positive = 60.0
    body_start_s: Positive = 10.0
    body_rate: Positive = 512.0
    read_s: Positive = 60.0
    request_s: Positive = 60.0
    recording_s: Positive = 600.0
    timeline_s: Positive = 3600.0
    batch_files: Count = 100
    requests: Count = 64
    client_requests: Count = 32
    connections: Count = 2048
    client_connections: Count = 512
    streams: Count = 256
    client_streams: Count = 128
    stream_s: Positive = 4 * 3600.0
    stream_idle_s: Positive = 60.0
    stream_frame_bytes: Count = MIB // 4
    stream_speed: Positive = 8.0
    stream_burst_s: Positive = 30.0
    heartbeat_s: Positive = 10.0
    ticket_s: Positive = 30.0
    keep_bytes: Count = 1024 * MIB
    keep_days: Positive = 30.0


@dataclass(frozen=True)
class Settings:
    """Settings of one process.

    Attributes
    ----------
    models : names or folders of bundles; the first one answers where a request names none
    jobs : recordings that are worked on at a time, and as many pieces of streams
    micro_batch : windows of different requests that may share a run of the network; see `earnest.apps.server.engine`
    api_keys : SHA-256 of each key, in hexadecimal; where there are any, a request needs one
    keys_file : where they stand, to be read again at SIGHUP; None where they come from elsewhere
    cors_origins : origins of pages elsewhere that may ask
    host_names : names that ``Host`` may hold, beside those of this machine and where it listens
    keep : folder for recordings and their answers; None stores nothing
    isolate : whether recordings are decoded in ``jobs`` child processes, see `earnest.runtime.decoders`
    shared : folder of all workers, where each notes the tickets that it took; None where there is one
    """

    models: tuple[str, ...] = (DEFAULT_BUNDLE,)
    threads: int = 1
    provider: Provider = "cpu"
    jobs: int = 2
    micro_batch: int = 1
    limits: Limits = field(default_factory=Limits)
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    keys_file: Path | None = None
    cors_origins: tuple[str, ...] = ()
    host_names: tuple[str, ...] = ()
    keep: Path | None = None
    isolate: bool = True
    shared: Path | None = None
