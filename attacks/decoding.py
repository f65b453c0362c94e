"""Recordings and pictures that cost much more than they weigh, or end what decodes them."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from attacks import Attack

BLOCK = 65_535  # samples of each channel in one frame of FLAC, the most


def flac(seconds: float, sample_rate_hz: int, n_channels: int, promised_s: float | None = None) -> bytes:
    """Return FLAC in which every block is one number: 37 bytes hold 65,535 samples of eight channels.

    Parameters
    ----------
    promised_s : what the header says, 0 for nothing; None for the truth
    """
    n_blocks = max(round(seconds * sample_rate_hz / BLOCK), 1)
    promised = n_blocks * BLOCK if promised_s is None else round(promised_s * sample_rate_hz)
    form = sample_rate_hz << 44 | (n_channels - 1) << 41 | (16 - 1) << 36 | promised
    info = struct.pack(">HH6xQ16x", BLOCK, BLOCK, form)
    frames = (_flac_frame(number, n_channels) for number in range(n_blocks))
    return b"fLaC" + struct.pack(">I", 0x8000_0000 | len(info)) + info + b"".join(frames)


def _flac_frame(number: int, n_channels: int) -> bytes:
    # Sync, fixed size of blocks; 16 bits of size follow, rate as in the header; channels, 16 bits; number as UTF-8.
    head = struct.pack(">HBB", 0xFFF8, 0x70, (n_channels - 1) << 4 | 0b1000) + chr(number).encode(
        "utf-8", "surrogatepass"
    )
    head += struct.pack(">H", BLOCK - 1)
    body = head + bytes([_crc(head, 8, 0x07)]) + b"\0\0\1" * n_channels  # a constant: one
    return body + struct.pack(">H", _crc(body, 16, 0x8005))


def _crc(data: bytes, n_bits: int, polynomial: int) -> int:
    table, rest = _crc_table(n_bits, polynomial), 0
    for byte in data:
        rest = (rest << 8 & (1 << n_bits) - 1) ^ table[rest >> n_bits - 8 ^ byte]
    return rest


def _crc_table(n_bits: int, polynomial: int) -> list[int]:
    if (n_bits, polynomial) not in _TABLES:
        table = []
        for byte in range(256):
            rest = byte << n_bits - 8
            for _ in range(8):
                rest = (rest << 1 ^ (polynomial if rest >> n_bits - 1 else 0)) & (1 << n_bits) - 1
            table.append(rest)
        _TABLES[n_bits, polynomial] = table
    return _TABLES[n_bits, polynomial]


_TABLES: dict[tuple[int, int], list[int]] = {}


def mp3(seconds: float) -> bytes:
    """Return silence in MPEG 2.5 layer III at 8 kbit/s: 72 bytes hold 72 ms; no header tells how many there are."""
    frame = b"\xff\xe3\x18\xc0" + bytes(68)
    return frame * round(seconds / 0.072)


def ogg(seconds: float) -> bytes:
    """Return silence in Ogg Vorbis at 8 kHz."""
    import soundfile

    file = io.BytesIO()
    block = np.zeros(80_000, np.float32)
    with soundfile.SoundFile(file, "w", 8_000, 1, format="OGG", subtype="VORBIS") as written:
        for _ in range(round(seconds / 10)):
            written.write(block)
    return file.getvalue()


def opus(seconds: float, n_channels: int) -> bytes:
    """Return Ogg Opus of empty frames, which are heard as silence: three bytes hold 120 ms of one channel."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, n_channels, 0, 48_000, 0, 255)  # 255: channels that mean nothing
    head += bytes([n_channels, 0, *range(n_channels)])
    tags = b"OpusTags" + struct.pack("<I", 4) + b"none" + struct.pack("<I", 0)
    packet = b"\xfb\x06\0" * (n_channels - 1) + b"\xfb\x06"  # six frames of 20 ms; all but the last tell their length
    n_packets = round(seconds / 0.12)
    granules = ((number + 1) * 5760 for number in range(n_packets))
    parts = [_page(head, 0, 0, 2), _page(tags, 1, 0)]
    parts += [_page(packet, number, granule) for number, granule in enumerate(granules, 2)]
    return b"".join(parts)


def _page(packet: bytes, number: int, granule: int, flags: int = 0) -> bytes:
    lengths = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    head = b"OggS" + struct.pack("<BBQII", 0, flags, granule, 1, number)
    count = bytes([len(lengths)]) + lengths
    checksum = struct.pack("<I", _crc(head + bytes(4) + count + packet, 32, 0x04C1_1DB7))
    return head + checksum + count + packet


def wav(seconds: float, sample_rate_hz: int, n_channels: int = 1) -> bytes:
    """Return silence in 8-bit WAV."""
    n_bytes = round(seconds * sample_rate_hz) * n_channels
    form = struct.pack("<HHIIHH", 1, n_channels, sample_rate_hz, sample_rate_hz * n_channels, n_channels, 8)
    head = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", n_bytes)
    return b"RIFF" + struct.pack("<I", len(head) + n_bytes) + head + b"\x80" * n_bytes


def media(container: str, seconds: float, sample_rate_hz: int, n_channels: int) -> bytes:
    """Return the FLAC of `flac` in a container of FFmpeg's, "matroska" without a duration, as browsers write it."""
    import av

    file = io.BytesIO()
    options = {"live": "1"} if container == "matroska" else {}
    with (
        av.open(io.BytesIO(flac(seconds, sample_rate_hz, n_channels)), format="flac") as read,
        av.open(file, "w", format=container, container_options=options) as written,
    ):
        track = written.add_stream_from_template(read.streams.audio[0])
        for packet in read.demux(read.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = track
                written.mux(packet)
    return file.getvalue()


def many_tracks(n_tracks: int) -> bytes:
    """Return MP4 of one short recording and many tracks more that hold nothing."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as written:
        tracks = [written.add_stream("aac", rate=16_000, layout="mono") for _ in range(n_tracks)]
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16_000
        for track in tracks:
            for packet in track.encode(frame):
                written.mux(packet)
            for packet in track.encode(None):
                written.mux(packet)
    return file.getvalue()


def large_atom(promised: int = 2**31 - 16) -> bytes:
    """Return MP4 whose description of the sound promises two gigabytes."""
    good = many_tracks(1)
    place = good.index(b"esds")
    return good[: place - 4] + struct.pack(">I", promised) + good[place:]


def many_samples(n_samples: int = 2**28) -> bytes:
    """Return MP4 whose table promises a size for each of 268 million packets."""
    good = many_tracks(1)
    place = good.index(b"stsz")
    return good[: place + 12] + struct.pack(">I", n_samples) + good[place + 16 :]


def chunks(n_chunks: int) -> bytes:
    """Return WAV of chunks that hold nothing."""
    body = b"WAVE" + b"junk\0\0\0\0" * n_chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


def pages(n_pages: int) -> bytes:
    """Return an Ogg recording, and behind it pages that hold nothing."""
    return ogg(10) + (b"OggS" + bytes(22) + b"\0") * n_pages


def png(width: int, height: int, text: bytes = b"", data: bytes | None = None) -> bytes:
    """Return a 16-bit grey PNG of zeros; ``text`` is a compressed chunk called earnest."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = zlib.compress(bytes(min((2 * width + 1) * height, 2**24))) if data is None else data
    words = chunk(b"zTXt", b"earnest\0\0" + text) if text else b""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + words + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def text_bomb(n_bytes: int = 2**28) -> bytes:
    """Return a small picture with so much text in few bytes."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(n_bytes >> 20))
    return png(8, 8, packed + packer.flush())


def bombs() -> Iterator[tuple[str, bytes]]:
    """Yield recordings that a server with its own limits (ten minutes) refuses, each with a name."""
    yield "FLAC, 8 channels at 1 MHz, 590 s", flac(590, 1_000_000, 8)
    yield "FLAC, 8 channels at 1 MHz, no length in its header", flac(590, 1_000_000, 8, 0)
    yield "FLAC, 8 channels at 1 MHz, its header promises one second", flac(590, 1_000_000, 8, 1)
    yield "FLAC, a day at 8 kHz", flac(86_400, 8_000, 1)
    yield "FLAC, a day at 8 kHz, no length in its header", flac(86_400, 8_000, 1, 0)
    yield "MP3, five hours at 8 kbit/s", mp3(18_000)
    yield "Ogg Vorbis, an hour of silence", ogg(3_600)
    yield "Ogg Opus, 255 channels, 20 s", opus(20, 255)
    yield "WAV, 256 channels at 1 MHz", wav(0.24, 1_000_000, 256)
    yield "WAV, 8 kHz, two hours", wav(7_200, 8_000)
    yield "MP4 with FLAC, 8 channels at 192 kHz, 590 s", media("mp4", 590, 192_000, 8)
    yield "WebM with FLAC, 8 channels at 655 kHz, no length", media("matroska", 590, 655_350, 8)
    yield "MP4 with 900 tracks", many_tracks(900)
    yield "MP4, a description of 2 GB", large_atom()
    yield "MP4, a table of 268 million packets", many_samples()
    yield "WAV of 4 million chunks", chunks(4_000_000)
    yield "Ogg with 2 million empty pages", pages(2_000_000)
    yield "PNG of 100,000 by 100,000 pixels", png(100_000, 100_000)
    yield "PNG with 256 MB of text", text_bomb()


BOMBS = "tests/unit/audio/test_bombs.py"
POOL = "tests/unit/runtime/test_decoders.py"
DEADLINES = "tests/unit/apps/server/test_engine.py"
SERVER = "tests/integration/test_server_decoders.py"

# Seconds of CPU and MiB beyond what the process held before, of one decoding with a server's limit of ten minutes.
ATTACKS = (
    Attack(
        "FLAC of 8 channels at 1 MHz, 590 s in 322 KB",
        "decoded, 34 s of CPU in a thread of the server; two of them and nobody was answered",
        "refused from its header, less than 0.01 s",
        f"{BOMBS}::test_too_many_samples_of_all_channels_are_refused_from_the_header",
    ),
    Attack(
        "the same, its header tells no length",
        "decoded for 35 s of CPU, then a wrong error",
        "refused while it is decoded, 0.3 s, +31 MiB",
        f"{BOMBS}::test_what_no_header_promises_is_counted",
    ),
    Attack(
        "WebM with FLAC of 8 channels at 655 kHz, without a length",
        "decoded, 14 s",
        "refused while it is decoded, 0.2 s, +18 MiB",
        f"{BOMBS}::test_what_no_header_promises_is_counted",
    ),
    Attack(
        "MP4 with FLAC of 8 channels at 192 kHz, 590 s in 68 KB",
        "decoded, 4.4 s",
        "refused from its header, 0.01 s",
        f"{BOMBS}::test_too_many_samples_of_all_channels_are_refused_from_the_header",
    ),
    Attack(
        "Ogg Opus of 255 channels, 20 s in 133 KB",
        "decoded, 1.7 s",
        "refused from its header, 0.02 s",
        f"{BOMBS}::test_four_hours_may_be_read_but_not_of_very_many_samples_a_second",
    ),
    Attack(
        "FLAC at 1 kHz, an hour in a few KB",
        "blocks of 35 minutes, each 134 MB once resampled",
        "blocks of a minute at most",
        f"{BOMBS}::test_blocks_of_a_low_rate_are_no_longer_than_a_minute",
    ),
    Attack(
        "MP4 with 900 tracks, 538 KB",
        "all were opened: 0.8 s, +627 MiB",
        "refused from 65 tracks on, less than 0.01 s, +2 MiB",
        f"{BOMBS}::test_a_container_of_very_many_tracks_is_refused_before_all_are_opened",
    ),
    Attack(
        "MP4 whose header asks for 2 GB, or for 268 million packets",
        "not taken by FFmpeg, 0.01 s, +13 MiB",
        "the same; a decoder process has 128 MiB to take",
        f"{BOMBS}::test_memory_that_a_header_asks_for_is_not_taken",
    ),
    Attack(
        "WAV of 4 million empty chunks, 32 MB",
        "walked over in Python, 3.6 s",
        "65,536 of them are, 0.1 s",
        f"{BOMBS}::test_files_of_very_many_parts_are_not_walked_to_their_end",
    ),
    Attack(
        "Ogg with 2 million empty pages, 54 MB",
        "walked over in Python, 2.9 s",
        "65,536 of them are, 0.2 s",
        f"{BOMBS}::test_files_of_very_many_parts_are_not_walked_to_their_end",
    ),
    Attack(
        "PNG of 10 billion pixels, or with 256 MB of text in 261 KB",
        "refused in the server's own process, 0.01 s",
        "refused in a decoder process, 0.01 s",
        f"{POOL}::test_bad_pictures_are_the_same_errors",
    ),
    Attack(
        "a recording that makes its decoder crash",
        "ended the server, or one of its workers, with all that it was doing",
        "ends a decoder process: one 422 or one row with an error; the process is replaced",
        f"{SERVER}::test_killed_decoders_cost_one_request_each_at_most",
    ),
    Attack(
        "a recording that takes a decoder over",
        "had the rights of the server: files, network, other people's recordings",
        "has a socket to a parent that checks all it says; no files, network, processes, threads",
        "tests/unit/audio/test_confinement.py::test_files_network_processes_and_memory_are_gone",
    ),
    Attack(
        "a decoder that hangs",
        "its turn was lost until the server was started anew",
        "is ended at the deadline, its turn given back",
        f"{DEADLINES}::test_a_decoder_that_hangs_is_ended_at_the_deadline",
    ),
    Attack(
        "a network whose loop does not end (ONNX Loop)",
        "ran for ever, its turn was lost",
        "is terminated at the deadline",
        f"{DEADLINES}::test_a_run_of_the_network_that_does_not_end_is_stopped",
    ),
    Attack(
        "recordings of ever new lengths, 1,500 of them, at `small`",
        "onnxruntime kept a plan of memory for each: 9.8 MiB more in use (malloc), without an end",
        "keeps none (`enable_mem_pattern` is off since commit 3b2c3b3): 0.4 MiB more",
        "tests/unit/runtime/test_engine.py::test_a_graph_keeps_nothing_for_each_length_that_it_heard",
    ),
    Attack(
        "the same, 600 of them, with `--backend openvino`",
        "OpenVINO kept 5,000 prepared layers: 539 MiB more",
        "keeps 64 (since commit 5267426): 105 MiB more, and comes to rest there",
        "tests/unit/runtime/test_openvino.py::test_only_few_lengths_are_remembered",
    ),
    Attack(
        "work that fills all turns and does not end",
        "/readyz said ready",
        "/readyz says 503 once no turn can be expected",
        f"{DEADLINES}::test_a_server_whose_turns_are_all_lost_is_not_ready",
    ),
    Attack(
        "SIGTERM while a thread hangs",
        "the process waited for the thread: 3 min 34 s with two of the first one above",
        "ends within what the limits promise, and 5 s",
        f"{SERVER}::test_the_end_comes_when_it_was_promised_though_a_thread_hangs",
    ),
    Attack(
        "180 s of Vorbis coded in one write (libsndfile 1.2.2)",
        "ended the process: segmentation fault",
        "is written in blocks of 16 s",
        "tests/unit/augment/test_channels.py::test_minutes_are_coded_without_ending_the_process",
    ),
)
