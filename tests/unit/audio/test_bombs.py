"""Recordings that cost much more than they weigh are refused from their header, or soon after what it promised."""

import contextlib
import io
import resource
import time
from io import FileIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from attacks import decoding
from earnest.audio.io import decode, open_audio
from earnest.audio.sound_file import missing_bytes
from earnest.audio.source import Part, Source
from earnest.errors import AudioError, RecordingTooLongError
from earnest.runtime.picture import read_picture

pytestmark = pytest.mark.long

TEN_MINUTES = 600.0
CPU_S = 15.0  # of the whole test; before, the first one took 34


def n_decoded(source: Source) -> int:
    """Return how many samples of all channels are decoded before a recording is over, or refused."""
    n_values = 0
    with open_audio(source, TEN_MINUTES) as stream:
        for block in stream.blocks:
            n_values += len(block) * stream.n_channels
    return n_values


def test_too_many_samples_of_all_channels_are_refused_from_the_header() -> None:
    with pytest.raises(RecordingTooLongError, match=r"8 channels at 1000000 Hz.*115,200,000.*one channel at 48 kHz"):
        open_audio(decoding.flac(590, 1_000_000, 8), TEN_MINUTES).__enter__()
    with pytest.raises(RecordingTooLongError, match=r"589\.5 s of 8 channels"):
        open_audio(decoding.media("mp4", 590, 192_000, 8), TEN_MINUTES).__enter__()
    with pytest.raises(RecordingTooLongError, match="longer than 600 s"):
        open_audio(decoding.flac(86_400, 8_000, 1), TEN_MINUTES).__enter__()


@pytest.mark.parametrize(
    "bomb",
    [
        decoding.flac(590, 1_000_000, 8, promised_s=0),
        decoding.media("matroska", 590, 655_350, 8),
    ],
    ids=["flac", "webm"],
)
def test_what_no_header_promises_is_counted(bomb: bytes) -> None:
    before = time.process_time()
    with pytest.raises(RecordingTooLongError, match="more sound than its header promises, at most 28,800,000"):
        n_decoded(bomb)
    assert time.process_time() - before < CPU_S


def test_four_hours_may_be_read_but_not_of_very_many_samples_a_second() -> None:
    for bomb in (decoding.flac(590, 1_000_000, 8), decoding.opus(20, 255)):
        with pytest.raises(RecordingTooLongError, match=r"at most 115,200,000"):
            decode(bomb)
    with pytest.raises(RecordingTooLongError, match=r"at most 28,800,000"):
        decode(decoding.flac(590, 1_000_000, 8, promised_s=0))
    with open_audio(decoding.flac(3_600, 48_000, 32 // 4)) as stream:
        assert next(stream.blocks).any()


def test_ten_minutes_of_stereo_at_192_khz_are_read() -> None:
    sound = decoding.flac(590, 192_000, 2)
    n_samples = round(590 * 192_000 / decoding.BLOCK) * decoding.BLOCK
    assert n_decoded(sound) == 2 * n_samples


def test_a_part_of_what_is_too_long_as_a_whole_is_read() -> None:
    from earnest.audio.io import load_waveform

    assert len(load_waveform(Part(decoding.flac(700, 8_000, 1), 1.0, 2.0), 8_000, TEN_MINUTES)) == 8_000


def test_blocks_of_a_low_rate_are_no_longer_than_a_minute() -> None:
    with open_audio(decoding.flac(3_000, 1_000, 1)) as stream:
        assert max(map(len, stream.blocks)) == 60_000


def test_a_container_of_very_many_tracks_is_refused_before_all_are_opened() -> None:
    bomb = decoding.many_tracks(200)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AudioError, match="damaged"):
        decode(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 100 * 1024  # 900 of them held 600 MB


@pytest.mark.parametrize("bomb", [decoding.many_samples(), decoding.large_atom()], ids=["table", "atom"])
def test_memory_that_a_header_asks_for_is_not_taken(bomb: bytes) -> None:
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(AudioError):
        assert n_decoded(bomb) < 10_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 100 * 1024


@pytest.mark.parametrize("parts", [decoding.chunks(2_000_000), decoding.pages(1_000_000)], ids=["chunks", "pages"])
def test_files_of_very_many_parts_are_not_walked_to_their_end(parts: bytes, tmp_path: Path) -> None:
    path = tmp_path / "parts"
    path.write_bytes(parts)
    before = time.process_time()
    with FileIO(path) as file:
        assert missing_bytes(file) == 0
        assert file.tell() == 0
    assert time.process_time() - before < 3


def test_pictures_of_too_many_pixels_or_too_much_text_are_refused() -> None:
    for bomb in (decoding.png(100_000, 100_000), decoding.png(3_000, 3_000), decoding.text_bomb(2**25)):
        with pytest.raises(AudioError):
            read_picture(bomb)


def test_the_makers_of_bombs_make_recordings() -> None:
    for sound, form in ((decoding.flac(10, 48_000, 2), "FLAC"), (decoding.mp3(10), "MP3"), (decoding.ogg(10), "OGG")):
        info = soundfile.info(io.BytesIO(sound))
        assert info.format == form
        assert np.isclose(info.duration, 10, atol=1)
    assert soundfile.info(io.BytesIO(decoding.opus(1.2, 8))).channels == 8
