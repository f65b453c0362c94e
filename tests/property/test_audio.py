"""What holds for recordings of any length, rate and number of channels."""

from io import BytesIO

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from earnest.audio.io import decode, load_waveform, resampled
from earnest.errors import AudioError

RATES = st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
SEEDS = st.integers(0, 2**32 - 1)


@given(n_samples=st.integers(1, 30_000), from_hz=RATES, to_hz=RATES)
def test_resampling_keeps_the_duration_to_a_sample(n_samples: int, from_hz: int, to_hz: int) -> None:
    waveform = load_waveform((np.zeros(n_samples, np.float32), from_hz), to_hz)
    assert abs(len(waveform) - n_samples * to_hz / from_hz) <= 1


@given(seed=SEEDS, ends=st.lists(st.integers(0, 5_000), max_size=5), from_hz=RATES, to_hz=RATES)
def test_where_blocks_end_changes_no_resampled_sample(seed: int, ends: list[int], from_hz: int, to_hz: int) -> None:
    whole = np.random.default_rng(seed).normal(0, 0.1, 5_000).astype(np.float32)
    in_blocks = np.concatenate(list(resampled(iter(np.split(whole, sorted(ends))), from_hz, to_hz)))
    np.testing.assert_array_equal(in_blocks, np.concatenate(list(resampled(iter([whole]), from_hz, to_hz))))


@given(seed=SEEDS, n_channels=st.integers(1, 12), coding=st.sampled_from(["FLOAT", "DOUBLE", "PCM_24"]))
def test_mono_is_the_mean_of_the_channels(seed: int, n_channels: int, coding: str) -> None:
    audio = np.random.default_rng(seed).uniform(-1, 1, (500, n_channels)).astype(np.float32)
    buffer = BytesIO()
    soundfile.write(buffer, audio, 16_000, format="WAV", subtype=coding)
    np.testing.assert_allclose(decode(buffer.getvalue()).waveform, audio.mean(axis=1), atol=3e-7)


def small_file(container: str) -> bytes:
    buffer = BytesIO()
    noise = np.random.default_rng(0).normal(0, 0.1, 4_000)
    soundfile.write(buffer, noise, 16_000, format=container, subtype="VORBIS" if container == "OGG" else None)
    return buffer.getvalue()


FILES = {container: small_file(container) for container in ("WAV", "FLAC", "OGG", "AIFF", "AU", "CAF", "W64", "RF64")}


@settings(max_examples=200)
@given(
    container=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6),
    end=st.integers(0, 12_000),
)
def test_damaged_bytes_give_finite_samples_or_an_audio_error(
    container: str, changes: list[tuple[int, int]], end: int
) -> None:
    data = bytearray(FILES[container])
    for position, value in changes:
        data[min(position, len(data) - 1)] = value
    try:
        waveform = decode(bytes(data[:end]), max_seconds=60).waveform
    except AudioError as error:
        assert "\n" not in str(error)
        return
    assert np.isfinite(waveform).all()
    assert len(waveform) > 0


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\x20ftypM4A ",
        b"\x1a\x45\xdf\xa3",
        b"\xff\xf1\x50\x80",
        b"#!AMR\n\x4c",
        b"#!AMR-WB\n\x54",
        b"RIFFxxxxAVI ",
    ],
)
@given(rest=st.binary(max_size=300))
@settings(max_examples=20)
def test_damaged_media_containers_are_an_audio_error(head: bytes, rest: bytes) -> None:
    pytest.importorskip("av")
    with pytest.raises(AudioError):
        decode(head + rest)


@given(rest=st.binary(max_size=300))
@settings(max_examples=20)
def test_damaged_amr_is_an_audio_error_or_finite_sound_since_most_bytes_may_begin_a_frame(rest: bytes) -> None:
    pytest.importorskip("av")
    try:
        waveform = decode(b"#!AMR\n" + rest).waveform
    except AudioError:
        return
    assert np.isfinite(waveform).all()
