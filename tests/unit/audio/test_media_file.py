"""Containers through PyAV: sound at its time, also beside a picture; cut files are refused, pauses are heard."""

import sys
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from earnest.audio.io import decode
from earnest.audio.sound_file import is_joined
from earnest.errors import AudioError, MissingExtraError, RecordingTooLongError


def media_bytes(container: str, codec: str, rate: int, layout: str = "mono", **options: str) -> bytes:
    av = pytest.importorskip("av")
    buffer = BytesIO()
    with av.open(buffer, "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        n_frame = stream.codec_context.frame_size or 960
        shaped = av.AudioResampler(stream.codec_context.format, layout, rate, frame_size=n_frame)
        tone = 0.25 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
        frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        for part in [*shaped.resample(frame), None]:
            file.mux(stream.encode(part))
    return buffer.getvalue()


def matroska(*tracks: list[tuple[float, float]], **options: str) -> bytes:
    """Return a file whose tracks hold a tone from each of these times to the next one, in seconds."""
    av = pytest.importorskip("av")
    buffer, rate = BytesIO(), 16_000
    with av.open(buffer, "w", format="matroska", options=options) as file:
        streams = [file.add_stream("pcm_s16le", rate=rate, layout="mono") for _ in tracks]
        for stream, parts in zip(streams, tracks, strict=True):
            for place in (place for start_s, end_s in parts for place in range(round(start_s * 10), round(end_s * 10))):
                frame = av.AudioFrame.from_ndarray(
                    np.full((1, rate // 10), 8_192, np.int16), format="s16", layout="mono"
                )
                frame.sample_rate, frame.pts, frame.time_base = rate, place * rate // 10, Fraction(1, rate)
                file.mux(stream.encode(frame))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("mp4", "aac", 44_100), ("webm", "libopus", 48_000), ("flv", "aac", 44_100), ("caf", "adpcm_ima_qt", 16_000)],
)
def test_media_containers_are_read_through_pyav(
    container: str, codec: str, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = media_bytes(container, codec, rate)
    recording = decode(data)
    assert (recording.n_channels, recording.sample_rate_hz) == (1, rate)
    assert recording.duration_s == pytest.approx(2.0, abs=0.1)
    assert np.std(recording.waveform) == pytest.approx(0.25 / np.sqrt(2), rel=0.1)
    for end in range(12, int(0.9 * len(data)), len(data) // 40):
        with pytest.raises(AudioError):
            decode(data[:end])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=rf"sound in .*\.{container}\b.* files needs.* earnest\[media\]"):
        decode(data)


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mpegts", "aac", {}),
        ("mpegts", "mp2", {"mpegts_m2ts_mode": "1"}),  # of a camera
        ("mpeg", "mp2", {}),
    ],
)
def test_mpeg_streams_have_no_length_and_are_heard_as_far_as_they_go(
    container: str, codec: str, options: dict[str, str]
) -> None:
    data = media_bytes(container, codec, 48_000, **options)
    recording = decode(data)
    assert recording.duration_s == pytest.approx(2.0, abs=0.1)
    assert np.std(recording.waveform) == pytest.approx(0.25 / np.sqrt(2), rel=0.1)


def test_an_mp4_whose_index_is_cut_is_an_error_or_whole() -> None:
    data = media_bytes("mp4", "aac", 44_100)
    whole = decode(data).waveform
    refused = 0
    for end in range(len(data) - 1_500, len(data), 3):  # the index lies at the end, after it only names
        try:
            np.testing.assert_array_equal(decode(data[:end]).waveform, whole)
        except AudioError:
            refused += 1
    assert refused > 100


def test_a_cut_avi_is_refused_not_shortened() -> None:
    data = media_bytes("avi", "pcm_s16le", 16_000)
    assert len(decode(data).waveform) == 31_680  # whole frames
    with pytest.raises(AudioError, match="cut off"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("size", [0, 2**32 - 1])  # of a writer that can't go back
@pytest.mark.parametrize("codec", ["pcm_s16le", "libmp3lame"])
def test_a_cut_avi_of_unknown_size_is_refused_by_its_count_of_frames(codec: str, size: int) -> None:
    data = media_bytes("avi", codec, 16_000)
    unknown = data[:4] + size.to_bytes(4, "little") + data[8:]
    np.testing.assert_array_equal(decode(unknown).waveform, decode(data).waveform)
    with pytest.raises(AudioError, match=r"cut off, \d\.\d\d of"):
        decode(unknown[: len(data) // 2])


@pytest.mark.parametrize("n_too_many", [100, 2_048])
def test_an_avi_whose_size_is_somewhat_too_large_is_whole(n_too_many: int) -> None:
    data = media_bytes("avi", "pcm_s16le", 16_000)
    size = int.from_bytes(data[4:8], "little") + n_too_many
    assert len(decode(data[:4] + size.to_bytes(4, "little") + data[8:]).waveform) == 31_680


@pytest.mark.parametrize(("codec", "layout"), [("pcm_s16le", "4.0"), ("ac3", "5.1")])
def test_an_avi_of_many_channels_may_be_as_long_as_any(codec: str, layout: str) -> None:
    data = media_bytes("avi", codec, 48_000, layout)
    assert decode(data, max_seconds=2.1).duration_s == pytest.approx(2.0, abs=0.1)


def test_joined_mp4_files_are_refused_not_heard_in_part_and_fragments_are_one_recording() -> None:
    data = media_bytes("mp4", "aac", 44_100)
    with pytest.raises(AudioError, match=r"several recordings in one file, .* give the files themselves"):
        decode(data + data)
    fragments = media_bytes("mp4", "aac", 44_100, movflags="frag_keyframe+empty_moov", frag_duration="500000")
    assert fragments.count(b"moof") > 1 and len(decode(fragments).waveform) > 1.9 * 44_100
    assert not is_joined(BytesIO(fragments[: fragments.index(b"moof") - 4] + fragments))


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([[(0, 1)], [(0, 5)]], [(0, 1)]),  # the other track is longer
        ([[(2, 3)], [(0, 3)]], [(2, 3)]),  # begins later than the other one, as a microphone beside a screen
        ([[(0, 1), (2, 3)]], [(0, 1), (2, 3)]),  # nothing was sent while nobody spoke
        ([[(7, 8)]], [(0, 1)]),  # a part of a broadcast: the file itself begins there
    ],
)
def test_a_track_of_a_film_is_heard_at_the_times_that_a_player_shows(
    tracks: list[list[tuple[float, float]]], expected: list[tuple[float, float]]
) -> None:
    data = matroska(*tracks)
    wave = np.zeros(round(expected[-1][1] * 16_000), np.float32)
    for start_s, end_s in expected:
        wave[round(start_s * 16_000) : round(end_s * 16_000)] = 0.25
    np.testing.assert_array_equal(decode(data).waveform, wave)
    with pytest.raises(AudioError, match="cut off"):
        decode(data[: len(data) * 2 // 3])


def test_a_gap_of_days_is_refused_as_too_long() -> None:
    with pytest.raises(RecordingTooLongError):
        decode(matroska([(0, 1), (200_000, 200_001)], live="1"), max_seconds=60)  # no header tells of it


def film(path: Path, container: str, picture: str, codec: str, scale: int = 1) -> bytes:
    """Return 9 s of picture, and sound of 1 s that begins after 6 s; at a scale of 5 after more than 5 MB."""
    av = pytest.importorskip("av")
    rate, options = 16_000, {"movflags": "faststart"} if container == "mp4" else {}
    with av.open(str(path), "w", format=container, options=options) as file:
        shown, heard = file.add_stream(picture, rate=25), file.add_stream(codec, rate=rate, layout="mono")
        heard.bit_rate = 32_000
        shown.width, shown.height, shown.pix_fmt = 64 * scale, 48 * scale, "yuv420p"
        shown.bit_rate = 400_000 * scale**2
        shaped = av.AudioResampler(heard.codec_context.format, "mono", rate, heard.codec_context.frame_size or 1_600)
        rng = np.random.default_rng(0)
        for place in range(225):
            frame = av.VideoFrame.from_ndarray(
                rng.integers(0, 256, (48 * scale, 64 * scale, 3), np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = place, Fraction(1, 25)
            file.mux(shown.encode(frame))
            if place in range(150, 175):
                tone = 0.25 * np.sin(2 * np.pi * 440 * np.arange(place * rate // 25, (place + 1) * rate // 25) / rate)
                sound = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
                sound.sample_rate, sound.pts, sound.time_base = rate, place * rate // 25, Fraction(1, rate)
                for part in shaped.resample(sound):
                    file.mux(heard.encode(part))
        for stream in (shown, heard):
            file.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("container", "picture", "codec", "starts_s"),
    [
        ("asf", "wmv2", "wmav2", 6),
        ("matroska", "mpeg4", "aac", 6),
        ("mp4", "mpeg4", "aac", 6),
        ("mpegts", "mpeg2video", "mp2", 6),
        ("mpeg", "mpeg1video", "mp2", 6),
        ("avi", "mpeg4", "mp3", 0),  # FFmpeg's players begin it there, too
    ],
)
def test_sound_that_begins_later_than_its_film_and_ends_sooner_is_whole_and_at_its_time(
    tmp_path: Path, container: str, picture: str, codec: str, starts_s: float
) -> None:
    data = film(tmp_path / "film", container, picture, codec)
    recording = decode(data)
    level = np.abs(recording.waveform) > 0.05
    assert np.flatnonzero(level)[0] / 16_000 == pytest.approx(starts_s, abs=0.1)
    assert recording.duration_s == pytest.approx(starts_s + 1, abs=0.15)
    for share in np.linspace(0.1, 0.75, 20) if "mpeg" not in container[:4] else ():  # MPEG streams tell no length
        with pytest.raises(AudioError):
            decode(data[: int(share * len(data))])


@pytest.mark.parametrize(("container", "picture"), [("mpegts", "mpeg2video"), ("mpeg", "mpeg1video")])
def test_sound_that_begins_after_megabytes_of_a_camera_s_picture_is_heard_at_its_time(
    tmp_path: Path, container: str, picture: str
) -> None:
    data = film(tmp_path / "film", container, picture, "mp2", scale=5)
    assert len(data) > 9 / 6 * 5_000_000
    assert decode(data).duration_s == pytest.approx(7, abs=0.15)


@pytest.mark.parametrize(
    ("head", "speech", "pauses", "rate"),
    [
        (b"#!AMR\n", b"\x04" + bytes(12), (b"\x44" + bytes(5), b"\x7c"), 8_000),
        (b"#!AMR-WB\n", b"\x04" + bytes(17), (b"\x4c" + bytes(5), b"\x7c"), 16_000),
    ],
    ids=["AMR", "AMR-WB"],
)
def test_pauses_of_amr_are_heard_as_long_as_they_are(
    head: bytes, speech: bytes, pauses: tuple[bytes, bytes], rate: int
) -> None:
    """Telephones and dictaphones send a frame of noise (SID) now and then, and frames without anything (NO_DATA)."""
    av = pytest.importorskip("av")
    if not {"libopencore_amrnb", "libopencore_amrwb"} <= av.codecs_available:
        pytest.skip("this PyAV has only FFmpeg's own decoders, which know no pauses")
    recording = decode(head + 10 * speech + 20 * (pauses[0] + 7 * pauses[1]) + 10 * speech)
    assert (recording.sample_rate_hz, recording.duration_s) == (rate, 180 * 0.02)


@pytest.mark.parametrize(
    ("head", "frame", "rate", "reserved"),
    [
        (b"#!AMR\n", b"\x04" + bytes(12), 8_000, range(9, 15)),
        (b"#!AMR-WB\n", b"\x04" + bytes(17), 16_000, range(10, 14)),
    ],
    ids=["AMR", "AMR-WB"],
)
def test_amr_in_3gp_is_heard_at_its_time_and_reserved_frames_are_damage(
    head: bytes, frame: bytes, rate: int, reserved: range
) -> None:
    """The first track begins after a second and pauses for one; the other one goes on."""
    av = pytest.importorskip("av")
    buffer = BytesIO()
    with av.open(BytesIO(head + frame), format="amr") as one, av.open(buffer, "w", format="3gp") as file:
        streams = [file.add_stream_from_template(one.streams[0]) for _ in range(2)]
        for place in range(200):
            for stream in streams if place // 50 in (1, 3) else streams[1:]:
                packet = av.Packet(frame if stream is streams[0] else frame[:1] + b"\1" * len(frame[1:]))
                packet.stream, packet.time_base = stream, Fraction(1, rate)
                packet.pts = packet.dts = place * rate // 50
                packet.duration = rate // 50
                file.mux(packet)
    data = buffer.getvalue()
    assert decode(data).duration_s == pytest.approx(4.0, abs=0.02)
    first = data.index(frame)
    for damaged in (head + frame + b"%c", data[:first] + b"%c" + data[first + 1 :]):
        for kind in reserved:
            with pytest.raises(AudioError, match="damaged"):
                decode(damaged.replace(b"%c", bytes([kind << 3 | 4])))
