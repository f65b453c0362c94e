"""Reverberation: the time asked for, the direct sound where it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earnest.augment.base import power
from earnest.augment.reverb import reverberated, room_response
from earnest.testing.sounds import voice

RATE_HZ = 16_000


def response(rt60_s: float = 0.5, direct_db: float = 0.0, seed: int = 0, rate_hz: int = RATE_HZ) -> np.ndarray:
    return room_response(rt60_s, direct_db, rate_hz, np.random.default_rng(seed))


def measured_rt60(tail: np.ndarray, rate_hz: int) -> float:
    """Schroeder's backward integral, from -5 to -35 dB, extended to 60."""
    left_db = 10 * np.log10(np.cumsum(tail[::-1].astype(np.float64) ** 2)[::-1] / np.sum(tail.astype(np.float64) ** 2))
    part = (left_db < -5) & (left_db > -35)
    return float(-60 / np.polyfit(np.flatnonzero(part) / rate_hz, left_db[part], 1)[0])


@settings(max_examples=30)
@given(rt60_s=st.floats(0.15, 2.0), seed=st.integers(0, 10_000), rate_hz=st.sampled_from([8_000, 16_000, 22_050]))
def test_the_reverberation_time_is_the_one_asked_for(rt60_s: float, seed: int, rate_hz: int) -> None:
    assert measured_rt60(response(rt60_s, 0, seed, rate_hz)[1:], rate_hz) == pytest.approx(rt60_s, rel=0.12)


def test_over_many_rooms_the_reverberation_time_is_right_on_average() -> None:
    found = [measured_rt60(response(0.5, 0, seed)[1:], RATE_HZ) for seed in range(200)]
    assert np.mean(found) == pytest.approx(0.5, rel=0.01)


@given(direct_db=st.floats(-20, 20), rt60_s=st.floats(0.05, 1.0))
def test_direct_and_reverberant_energy_have_the_ratio_asked_for(direct_db: float, rt60_s: float) -> None:
    taps = response(rt60_s, direct_db).astype(np.float64)
    assert np.sum(taps**2) == pytest.approx(1, abs=1e-5)
    assert 10 * np.log10(taps[0] ** 2 / np.sum(taps[1:] ** 2)) == pytest.approx(direct_db, abs=0.01)


@pytest.mark.parametrize("direct_db", [0.0, 10.0])
def test_the_direct_sound_stays_where_it_was(direct_db: float) -> None:
    click = np.zeros(8_000, np.float32)
    click[3_000] = 1
    wet = reverberated(click, response(0.4, direct_db))
    assert np.abs(wet).argmax() == 3_000
    assert np.abs(wet[:3_000]).max() < 1e-6
    assert np.abs(wet[3_001:3_030]).max() < 1e-6  # the first reflection comes 2 ms later


@given(seed=st.integers(0, 1_000))
def test_the_level_is_kept(seed: int) -> None:
    wet = reverberated(voice(0.5, seed=seed), response(0.8, -5, seed))
    assert power(wet) == pytest.approx(power(voice(0.5, seed=seed)), rel=1e-4)


def test_the_sound_is_the_convolution_with_the_response() -> None:
    clip, taps = voice(0.2), response(0.1, 0)
    expected = np.convolve(clip.astype(np.float64), taps)[: len(clip)]
    wet = reverberated(clip, taps)
    np.testing.assert_allclose(wet * np.sqrt(power(expected) / power(clip)), expected, atol=1e-6)
