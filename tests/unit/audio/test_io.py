"""Good recordings of every form give their samples; every kind of bad one is one clear AudioError."""

import os
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from earnest.audio import sound_file
from earnest.audio.io import decode, load_waveform, open_audio
from earnest.audio.media_file import HEAD_BYTES, media_format
from earnest.audio.sound_file import is_joined
from earnest.audio.source import Part
from earnest.errors import AudioError, RecordingTooLongError

ID3 = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)


def tone(seconds: float = 1.0, sample_rate_hz: int = 16_000, n_channels: int = 1) -> npt.NDArray[np.float32]:
    """Return 440 Hz at a level of 0.25, shape (samples, channels); each channel is quieter than the one before."""
    time_s = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    wave = 0.25 * np.sin(2 * np.pi * 440 * time_s)
    return np.stack([wave / (channel + 1) for channel in range(n_channels)], axis=1).astype(np.float32)


def encoded(audio: npt.NDArray[np.float32], sample_rate_hz: int, container: str, coding: str) -> bytes:
    buffer = BytesIO()
    soundfile.write(buffer, audio, sample_rate_hz, format=container, subtype=coding)
    return buffer.getvalue()


WAV_CODINGS = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW", "MS_ADPCM"]
FORMS = [
    *[("WAV", coding, rate) for coding in WAV_CODINGS for rate in (8_000, 44_100)],
    ("WAV", "PCM_16", 192_000),
    ("WAV", "PCM_16", 11_127),
    ("WAVEX", "PCM_24", 48_000),
    ("RF64", "PCM_16", 48_000),
    ("W64", "PCM_16", 48_000),
    ("AIFF", "PCM_16", 22_050),
    ("AU", "ULAW", 8_000),
    ("CAF", "PCM_16", 44_100),
    ("NIST", "PCM_16", 16_000),
    ("FLAC", "PCM_16", 16_000),
    ("FLAC", "PCM_24", 96_000),
    ("OGG", "VORBIS", 44_100),
    ("OGG", "OPUS", 48_000),
    ("MP3", "MPEG_LAYER_III", 44_100),
    ("MP3", "MPEG_LAYER_III", 16_000),
]


@pytest.mark.parametrize(("container", "coding", "rate"), FORMS)
def test_every_format_gives_its_samples_at_the_rate_asked_for(container: str, coding: str, rate: int) -> None:
    data = encoded(tone(1.0, rate, 2), rate, container, coding)
    waveform = load_waveform(data, 16_000)
    expected = tone(1.0, 16_000, 2).mean(axis=1)
    assert waveform.dtype == np.float32
    assert abs(len(waveform) - 16_000) <= 800  # block codings pad the end
    middle = slice(4_000, 12_000)  # mp3, opus and soxr have edges; a lag of a sample would show at 440 Hz
    correlation = np.corrcoef(waveform[middle], expected[middle])[0, 1]
    assert correlation > 0.98
    assert np.std(waveform[middle]) == pytest.approx(np.std(expected[middle]), rel=0.1)


@pytest.mark.parametrize(("container", "coding", "rate"), FORMS)
def test_a_cut_file_is_refused_not_shortened(container: str, coding: str, rate: int) -> None:
    data = encoded(tone(2.0, rate, 2), rate, container, coding)
    for share in (0.2, 0.5, 0.9):
        with pytest.raises(AudioError, match=r"cut off|can't|can be read"):
            decode(data[: int(share * len(data))])


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG"])
def test_the_error_of_a_cut_file_says_how_to_hear_what_is_there(container: str) -> None:
    data = encoded(tone(2.0, 16_000, 1), 16_000, container, "VORBIS" if container == "OGG" else "PCM_16")
    with pytest.raises(AudioError, match=r"cut off.* To hear what is there, save it first \(ffmpeg -i broken\.wav"):
        decode(data[: len(data) // 2])


def test_an_ogg_file_that_ends_in_zeros_is_cut_off_unless_its_last_page_is_there() -> None:
    data = encoded(tone(10.0, 16_000, 1), 16_000, "OGG", "OPUS")
    assert len(decode(data + bytes(1_000)).waveform) == 160_000
    for share in (0.3, 0.6):  # a recorder lost power: the file has its length, but not all of its sound
        there = data[: int(share * len(data))]
        with pytest.raises(AudioError, match="cut off"):
            decode(there + bytes(len(data) - len(there)))


@pytest.mark.parametrize(("container", "coding", "rate"), [("WAV", "PCM_16", 16_000), *FORMS[-4:]])
@pytest.mark.parametrize("tag", [b"", b"TAG".ljust(128, b"\0")], ids=["bare", "tagged"])
def test_joined_recordings_are_refused_not_heard_in_part(container: str, coding: str, rate: int, tag: bytes) -> None:
    data = encoded(tone(2.0, rate, 1), rate, container, coding)
    tag = tag if container == "MP3" else b""
    assert len(decode(data + tag).waveform) >= 2 * rate
    with pytest.raises(AudioError, match=r"several recordings in one file, .* \(ffmpeg -i joined\.mp3 whole\.wav\)"):
        decode(data + tag + data)


def test_joined_flac_files_are_refused_not_heard_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(tone(2.0, 16_000, 1), 16_000, "FLAC", "PCM_16")
    inside = data[:42] + b"\2" + len(data).to_bytes(3, "big") + data + data[42:]  # one in a block of an application
    for n_bytes in 1000, 1 << 20:
        monkeypatch.setattr(sound_file, "_FLAC_READ", n_bytes)
        for one in data, inside:
            assert len(decode(one).waveform) == 2 * 16_000
        for second in data, ID3 + data:
            with pytest.raises(AudioError, match=r"several recordings in one file, .* give the files themselves"):
                decode(data + second)
    for place in range(len(data) - 1000, len(data)):
        monkeypatch.setattr(sound_file, "_FLAC_READ", place)
        assert is_joined(BytesIO(data + data))


@pytest.mark.parametrize("tag", [b"", ID3], ids=["bare", "tagged"])
def test_joined_mp3_files_are_refused_where_the_second_has_no_header_of_its_own(tag: bytes) -> None:
    data = encoded(tone(2.0, 44_100, 1), 44_100, "MP3", "MPEG_LAYER_III")
    second = data[data.index(b"\xff\xfb", 4) :]  # its first frame is the header
    assert b"Xing" not in second and b"Info" not in second
    with pytest.raises(AudioError, match="several recordings in one file"):
        decode(data + tag + second)
    assert not is_joined(BytesIO(data + second[:1441]))  # of a header that doesn't count its own frame


@pytest.mark.parametrize(("container", "coding", "rate"), [FORMS[0], FORMS[-5], FORMS[-4], FORMS[-3], FORMS[-1]])
def test_bytes_path_and_stream_give_the_same(container: str, coding: str, rate: int, tmp_path: Path) -> None:
    data = encoded(tone(0.7, rate, 2), rate, container, coding)
    path = tmp_path / "clip.bin"
    path.write_bytes(data)
    from_path = decode(path)
    for source in (data, str(path), BytesIO(data)):
        again = decode(source)
        np.testing.assert_array_equal(again.waveform, from_path.waveform)
        assert again.sample_rate_hz == from_path.sample_rate_hz == rate


@pytest.mark.parametrize("container", ["WAV", "W64", "AIFF", "CAF", "NIST", "FLAC"])
def test_whole_numbers_of_16_bits_are_scaled_as_libsndfile_does(container: str) -> None:
    data = encoded(np.linspace(-1, 1, 70_000, dtype=np.float32)[:, None], 16_000, container, "PCM_16")
    wanted, _ = soundfile.read(BytesIO(data), dtype="float32")
    assert len(wanted) == 70_000 and np.array_equal(load_waveform(data, 16_000), wanted)


def test_eight_channels_are_averaged() -> None:
    audio = tone(0.5, 16_000, 8)
    recording = decode(encoded(audio, 16_000, "WAV", "FLOAT"))
    assert recording.n_channels == 8
    np.testing.assert_allclose(recording.waveform, audio.mean(axis=1), atol=1e-7)


def test_float_samples_beyond_full_scale_are_kept() -> None:
    audio = 6 * tone(0.5)
    np.testing.assert_array_equal(decode(encoded(audio, 16_000, "WAV", "FLOAT")).waveform, audio[:, 0])


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint8])
def test_integer_arrays_are_scaled_like_integer_files(kind: type[np.integer]) -> None:
    largest = np.iinfo(kind).max
    middle = (largest + 1) // 2 if np.iinfo(kind).min == 0 else 0
    samples = np.array([middle, largest, np.iinfo(kind).min] * 1000, kind)
    waveform = decode((samples, 16_000)).waveform
    assert waveform[:3] == pytest.approx([0, 1, -1], abs=0.01)


def test_an_array_of_more_than_two_rows_the_other_way_round_is_refused() -> None:
    with pytest.raises(AudioError, match=r"\(samples, channels\), got \(3, 16000\).*predict_many"):
        decode((tone(1.0, 16_000, 3).T, 16_000))


def test_a_part_is_cut_by_time() -> None:
    audio = np.linspace(0, 0.5, 16_000, dtype=np.float32)[:, None]
    data = encoded(audio, 16_000, "WAV", "FLOAT")
    np.testing.assert_array_equal(load_waveform(Part(data, 0.25, 0.75), 16_000), audio[4_000:12_000, 0])
    assert len(load_waveform(Part(data, 0.5), 8_000)) == 4_000
    assert len(load_waveform(Part(data, 0.5, 0.500_001), 16_000)) == 1
    for start_s in (1.0, 2.0):
        with pytest.raises(AudioError, match=rf"bytes@{start_s:g}-: the recording has ended before this part begins"):
            load_waveform(Part(data, start_s), 16_000)


def bad_sample(value: float) -> bytes:
    audio = tone()
    audio[500] = value
    return encoded(audio, 16_000, "WAV", "FLOAT")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no bytes"),
        (bad_sample(np.nan), "NaN or infinite"),
        (bad_sample(np.inf), "NaN or infinite"),
        (bad_sample(1e30), r"samples reach 1\.0e\+30"),
        (encoded(tone(0), 16_000, "WAV", "PCM_16"), "has a header, but no sound"),
        (encoded(tone(), 16_000, "FLAC", "PCM_16")[:90], "not a recording|damaged or cut off"),
        (b"just some words, again and again " * 50, "no sound but text, it begins with 'just some words"),
        (("\ufeff" + "Käufer möchte Rückruf " * 50).encode(), "no sound but text, it begins with 'Käufer möchte"),
        (("a" + "пока" * 50).encode(), "no sound but text"),  # byte 64 is half of a letter
        (b"PK\x03\x04" + bytes(2000), r"a ZIP archive.* Unpack it\.$"),
        (b"a.wav\nb.wav\n", r"no sound but text, .*\. Check what the file is\.$"),
        (b"PAR1" + bytes(2000), "not a recording but a Parquet table"),
        (bytes(range(256)) * 20, "not a recording that can be read .*mp3.* are read"),
        (b"RIFF", "text|can be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(2000), "a PNG picture; .*`earnest predict` reads .*mp3.* are read"),
        (b"\xff\xd8\xff\xe0" + bytes(2000), "not a recording but a JPEG picture"),
        (b"%PDF-1.4\n" + bytes(2000), "not a recording but a PDF document"),
        (b"MZ\x90\x00" + bytes(2000), "not a recording but a Windows program"),
        (b"\x1f\x8b\x08" + bytes(range(256)), "not a recording but a gzip archive"),
        (b"Rar!\x1a\x07" + bytes(2000), "not a recording but a RAR archive"),
        (b"7z\xbc\xaf" + bytes(2000), "not a recording but a 7-Zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "a pointer of Git LFS.*`git lfs pull`"),
        (b"\n<!DOCTYPE html><html><head>" * 50, "not a recording but a web page"),
        (b"<HTML><body>" * 50, "not a recording but a web page"),
        (bytes(2000), "begins with zeros, as after a copy or download that was interrupted"),
        ("Datei;Stimmung\r\na.wav;froh\r\n".encode("utf-16"), "no sound but text, it begins with 'Datei;Stimmung"),
        (b"MATLAB 5.0 MAT-file" + bytes(3000), "not a recording|not read"),
    ],
)
def test_what_is_no_recording_is_an_error_that_says_why(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.wav"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(AudioError, match=message) as caught:
            decode(source)
        assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(("rate", "n_channels"), [(0, 1), (5, 1), (4_000_000_000, 1), (16_000, 0), (16_000, 1000)])
def test_a_header_that_lies_is_refused(rate: int, n_channels: int) -> None:
    data = bytearray(encoded(tone(), 16_000, "WAV", "PCM_16"))
    data[22:28] = struct.pack("<HI", n_channels, rate)
    with pytest.raises(AudioError, match=r"sample rate|channels|can be read"):
        decode(bytes(data))


def test_a_wav_that_was_piped_has_no_size_in_its_header_and_is_read() -> None:
    data = bytearray(encoded(tone(), 16_000, "WAV", "PCM_16"))
    for unknown in (0xFFFF_FFFF, 0x7FFF_F000):
        data[40:44] = struct.pack("<I", unknown)
        assert len(decode(bytes(data)).waveform) == 16_000


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize("whole_size", [0, 36])
def test_a_wav_whose_recorder_crashed_is_said_to_be_unfinished(form: str, whole_size: int, tmp_path: Path) -> None:
    data = bytearray(encoded(tone(), 16_000, form, "FLOAT"))
    place = data.index(b"data") + 4
    data[4:8], data[place : place + 4] = struct.pack("<I", whole_size), bytes(4)
    path = tmp_path / "crashed.wav"
    path.write_bytes(data)
    for source in (bytes(data), path):
        with pytest.raises(AudioError, match=r"never finished.*but 64,000 bytes follow.*ffmpeg -i broken\.wav -c copy"):
            decode(source)


def test_a_wav_of_no_sound_but_a_title_is_not_said_to_be_unfinished() -> None:
    data = encoded(tone(0), 16_000, "WAV", "PCM_16") + b"LIST\x1a\0\0\0INFOINAM\x0e\0\0\0nothing at all"
    with pytest.raises(AudioError, match="has a header, but no sound"):
        decode(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])


def test_folders_missing_files_and_pipes_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "x.wav"
    folder.mkdir()
    with pytest.raises(AudioError, match=r"x\.wav: a folder, not a recording"):
        decode(folder)
    with pytest.raises(AudioError, match=r"gone\.wav: no such file"):
        decode(tmp_path / "gone.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="not a regular file"):
        decode(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="not readable"):
        decode("a\0b.wav")


def test_a_file_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(encoded(tone(), 16_000, "WAV", "PCM_16"))

    def refuse(*_: object, **__: object) -> None:  # the tests may run as root, who reads every file
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("earnest.audio.source._File", refuse)
    with pytest.raises(AudioError, match=r"secret\.wav: not readable \(Permission denied\)"):
        decode(path)


def test_a_name_with_escapes_and_line_breaks_stays_one_harmless_line(tmp_path: Path) -> None:
    path = tmp_path / "a\n\x1b[31mb.wav"
    path.write_bytes(b"no")
    with pytest.raises(AudioError) as caught:
        decode(path)
    assert str(caught.value).isprintable()


def test_decoded_seconds_are_bounded_while_reading() -> None:
    silence = encoded(np.zeros((16_000 * 600, 1), np.float32), 16_000, "FLAC", "PCM_16")
    assert len(silence) < 100_000  # ten minutes in a file that passes any size check
    with pytest.raises(AudioError, match="longer than 60 s"):
        decode(silence, max_seconds=60)
    with open_audio(silence) as stream:
        assert max(len(block) for block in stream.blocks) <= 2**21


@pytest.mark.parametrize("has_length", [True, False])
def test_a_recording_is_too_long_by_one_rule_before_and_after_it_is_decoded(has_length: bool) -> None:
    """A hundredth and a tenth of a second more than the limit pass, since headers round."""

    def recording(seconds: float) -> bytes:
        data = bytearray(encoded(tone(seconds), 16_000, "WAV", "PCM_16"))
        if not has_length:
            data[40:44] = struct.pack("<I", 0xFFFF_FFFF)
        return bytes(data)

    assert decode(recording(10.15), max_seconds=10).duration_s == pytest.approx(10.15)
    with pytest.raises(RecordingTooLongError, match="longer than 10 s"):
        decode(recording(10.25), max_seconds=10)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_an_mp3_that_begins_amid_a_frame_is_heard_from_the_next_one(rate: int) -> None:
    """Parts of a broadcast or of a longer file begin anywhere."""
    whole = encoded(tone(5.0, rate), rate, "MP3", "MPEG_LAYER_III")
    parts = [decode(whole[start:]) for start in range(1_001, 2_500, 100)]
    lengths = [part.duration_s for part in parts]
    assert 2.0 < min(lengths) < max(lengths) < 5.1
    assert lengths == sorted(lengths, reverse=True)
    for part in parts:
        assert np.std(part.waveform[-rate:]) == pytest.approx(0.25 / np.sqrt(2), rel=0.1)
    assert media_format(whole[:HEAD_BYTES]) is None  # libsndfile reads it
    rng = np.random.default_rng(0)
    assert not any(media_format(b"\0" + rng.bytes(HEAD_BYTES)) for _ in range(2_000))
    assert media_format(b"RIFF\0\0\0\0WAVEfmt " + whole[1_001:]) is None  # WAV may hold MP3
    with pytest.raises(AudioError, match="ZIP archive"):
        decode(b"PK\x03\x04" + whole[1_001:])


@pytest.mark.parametrize("tag", [0x28F, 0x45, 0x50], ids=["G.722", "G.726", "MPEG layer II"])
def test_wav_of_a_coding_that_is_not_read_says_how_to_convert_it(tag: int) -> None:
    data = bytearray(encoded(tone(), 16_000, "WAV", "PCM_16"))
    data[20:22] = struct.pack("<H", tag)
    with pytest.raises(AudioError, match=r"a WAV file of a coding that can't be read.*ffmpeg -i old\.wav new\.wav"):
        decode(bytes(data))


def test_an_empty_array_is_called_so() -> None:
    with pytest.raises(AudioError, match=r"^array: an empty array, no samples\."):
        decode((np.zeros(0, np.float32), 16_000))
