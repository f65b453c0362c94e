"""Clipping, tones, gentle filters, tilts and ends: each does what it says, to the sample or the decibel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earnest.audio.waveform import Waveform
from earnest.augment.level import power
from earnest.augment.stress import clipped, first_order, padded, tilted, with_tone
from earnest.testing.sounds import voice

RATE_HZ = 16_000


def tone(frequency_hz: float) -> Waveform:
    return np.sin(2 * np.pi * frequency_hz * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)


def gain_db(before: Waveform, after: Waveform) -> float:
    middle = slice(RATE_HZ // 4, -RATE_HZ // 4)  # away from the ends, where filters see silence
    return 10 * np.log10(power(after[middle]) / power(before[middle]))


@given(share=st.floats(0.001, 0.5))
def test_as_many_samples_are_clipped_as_the_share_says_and_no_other(share: float) -> None:
    clip = np.random.default_rng(0).normal(0, 0.1, 10_000).astype(np.float32)
    found = clipped(clip, share)
    changed = found != clip
    assert changed.mean() == pytest.approx(share, abs=0.001)
    assert np.abs(clip[changed]).min() >= np.abs(clip[~changed]).max()
    assert np.abs(found).max() <= np.abs(clip[changed]).min()


@pytest.mark.parametrize("below_peak_db", [40, 50])
def test_a_tone_is_so_far_below_the_peak_and_where_it_should_be(below_peak_db: float) -> None:
    clip = voice(1.0)
    added = with_tone(clip, 6000, below_peak_db, RATE_HZ) - clip
    assert 20 * np.log10(np.abs(clip).max() / np.abs(added).max()) == pytest.approx(below_peak_db, abs=0.05)
    spectrum = np.abs(np.fft.rfft(added))
    assert np.fft.rfftfreq(len(added), 1 / RATE_HZ)[spectrum.argmax()] == pytest.approx(6000, abs=2)


def test_a_first_order_filter_halves_the_power_at_its_cutoff_and_falls_by_six_decibels_an_octave() -> None:
    assert gain_db(tone(1000), first_order(tone(1000), "low-pass", 1000, RATE_HZ)) == pytest.approx(-3.01, abs=0.02)
    assert gain_db(tone(1000), first_order(tone(1000), "high-pass", 1000, RATE_HZ)) == pytest.approx(-3.01, abs=0.02)
    assert gain_db(tone(4000), first_order(tone(4000), "low-pass", 250, RATE_HZ)) == pytest.approx(-24.1, abs=0.1)
    assert gain_db(tone(100), first_order(tone(100), "high-pass", 1600, RATE_HZ)) == pytest.approx(-24.1, abs=0.1)
    assert gain_db(tone(100), first_order(tone(100), "low-pass", 7000, RATE_HZ)) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("db_per_khz", [1.5, -1.5])
def test_a_tilt_moves_high_against_low_by_so_many_decibels_a_kilohertz_and_keeps_the_level(db_per_khz: float) -> None:
    clip = tone(1000) + tone(5000)
    found = tilted(clip, db_per_khz, RATE_HZ)
    bins = np.abs(np.fft.rfft(found * np.hanning(RATE_HZ)))
    assert 20 * np.log10(bins[5000] / bins[1000]) == pytest.approx(4 * db_per_khz, abs=0.1)
    assert power(found) == pytest.approx(power(clip), rel=1e-4)


def test_silence_stays_silence() -> None:
    silence = np.zeros(1000, np.float32)
    for found in (clipped(silence, 0.1), with_tone(silence, 6000, 40, RATE_HZ), tilted(silence, 1.5, RATE_HZ)):
        assert found.shape == (1000,)
        assert not found.any()


def test_ends_are_added_and_cropped_to_the_sample() -> None:
    clip = np.arange(1, 6, dtype=np.float32)
    assert padded(clip, 2, 0).tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert padded(clip, 0, 1).tolist() == [1, 2, 3, 4, 5, 0]
    assert padded(clip, -2, 0).tolist() == [3, 4, 5]
    assert padded(clip, 0, -2).tolist() == [1, 2, 3]
    assert padded(clip, 0, 0).tolist() == clip.tolist()
    assert not np.shares_memory(padded(clip, 0, 0), clip)


@pytest.mark.parametrize("ends", [(-9, 0), (0, -9), (-9, -9)])
def test_a_clip_shorter_than_what_is_cropped_keeps_a_sample(ends: tuple[int, int]) -> None:
    assert len(padded(np.ones(5, np.float32), *ends)) == 1
