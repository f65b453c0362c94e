"""What moves in time, and in pitch: shift, align, stretch, speed, pitch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earnest.augment.align import Align, aligned
from earnest.augment.pitch_shift import pitch_shifted
from earnest.augment.speed import at_speed
from earnest.augment.time_shift import TimeShift, shifted
from earnest.augment.time_stretch import stretched
from earnest.testing.sounds import voice

RATE_HZ = 16_000
CLIP = np.arange(1, 6, dtype=np.float32)


def vowel(pitch_hz: float, seconds: float = 1.0, sample_rate_hz: int = RATE_HZ) -> np.ndarray:
    time_s = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    wave = sum(np.sin(2 * np.pi * pitch_hz * number * time_s) / number for number in range(1, 8))
    return (0.1 * wave).astype(np.float32)


def pitch_of(waveform: np.ndarray, sample_rate_hz: int = RATE_HZ) -> float:
    """The strongest partial of the middle; in `vowel` the lowest one is."""
    middle = waveform[len(waveform) // 8 : -len(waveform) // 8]
    powers = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 2**19))
    return float(powers.argmax() * sample_rate_hz / 2**19)


@pytest.mark.parametrize(
    ("n_samples", "fill", "expected"),
    [
        (2, "circular", [4, 5, 1, 2, 3]),
        (-1, "circular", [2, 3, 4, 5, 1]),
        (7, "circular", [4, 5, 1, 2, 3]),
        (0, "zeros", [1, 2, 3, 4, 5]),
        (2, "zeros", [0, 0, 1, 2, 3]),
        (-2, "zeros", [3, 4, 5, 0, 0]),
        (9, "zeros", [0, 0, 0, 0, 0]),
    ],
)
def test_a_shift_moves_samples_and_fills_what_is_left(n_samples: int, fill: str, expected: list[float]) -> None:
    assert shifted(CLIP, n_samples, fill).tolist() == expected  # type: ignore[arg-type]


def test_shifts_are_whole_steps_of_a_fifth_of_a_second_up_to_four() -> None:
    clip = np.zeros(2 * RATE_HZ, np.float32)
    clip[RATE_HZ] = 1
    starts = {int(TimeShift().apply(clip, RATE_HZ, np.random.default_rng(seed)).argmax()) for seed in range(200)}
    assert starts == {RATE_HZ + step * RATE_HZ // 5 for step in range(-4, 5)}


def test_with_zeros_half_of_a_short_clip_stays() -> None:
    augmentation = TimeShift(fill="zeros")
    for seed in range(20):
        assert np.count_nonzero(augmentation.apply(CLIP, RATE_HZ, np.random.default_rng(seed))) >= 3


@pytest.mark.parametrize(
    ("n_samples", "side", "expected"),
    [
        (7, "left", [1, 2, 3, 4, 5, 0, 0]),
        (7, "right", [0, 0, 1, 2, 3, 4, 5]),
        (3, "left", [1, 2, 3]),
        (3, "right", [3, 4, 5]),
        (5, "right", [1, 2, 3, 4, 5]),
    ],
)
def test_a_clip_is_put_at_the_end_that_was_asked_for(n_samples: int, side: str, expected: list[float]) -> None:
    assert aligned(CLIP, n_samples, side).tolist() == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("length_s", "n_samples"), [(None, 26_000), (2.1, 33_600), (0.5, 8_000)])
def test_aligned_speech_begins_with_the_clip_or_ends_with_it(length_s: float | None, n_samples: int) -> None:
    speech = 0.1 + np.abs(voice(1.0))
    clip = np.pad(speech, (4_000, 6_000)).astype(np.float32)
    rng = np.random.default_rng(0)
    left = Align(sides=("left",), length_s=length_s).apply(clip, RATE_HZ, rng)
    right = Align(sides=("right",), length_s=length_s).apply(clip, RATE_HZ, rng)
    n_kept = min(len(speech), n_samples)
    assert len(left) == len(right) == n_samples
    np.testing.assert_array_equal(left[:n_kept], speech[:n_kept].astype(np.float32))
    np.testing.assert_array_equal(right[n_samples - n_kept :], speech[-n_kept:].astype(np.float32))
    assert not left[n_kept:].any()
    assert not right[: n_samples - n_kept].any()


@settings(max_examples=40)
@given(rate=st.floats(0.5, 2.0), n_samples=st.integers(1, 20_000))
def test_stretch_and_speed_change_the_length_by_the_factor(rate: float, n_samples: int) -> None:
    clip = np.resize(voice(0.5), n_samples)
    expected = max(round(n_samples / rate), 1)
    assert len(stretched(clip, rate, RATE_HZ)) == expected
    assert len(at_speed(clip, rate)) == expected


@settings(max_examples=25)
@given(rate=st.floats(0.6, 1.7), pitch_hz=st.floats(85, 400))
def test_stretching_keeps_the_pitch_and_the_level(rate: float, pitch_hz: float) -> None:
    clip = vowel(pitch_hz)
    found = stretched(clip, rate, RATE_HZ)
    assert abs(12 * np.log2(pitch_of(found) / pitch_hz)) < 0.1
    assert 20 * np.log10(found.std() / clip.std()) == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize("rate", [0.7, 0.9, 1.1, 1.4])
def test_stretching_moves_every_moment_to_its_place(rate: float) -> None:
    clip = vowel(150, 3.0)
    bursts_s = (0.4, 1.1, 1.9, 2.6)
    time_s = np.arange(len(clip)) / RATE_HZ
    envelope = sum(np.exp(-(((time_s - moment) / 0.05) ** 2)) for moment in bursts_s)
    found = stretched((clip * envelope).astype(np.float32), rate, RATE_HZ)
    for moment in bursts_s:
        around = slice(round((moment / rate - 0.2) * RATE_HZ), round((moment / rate + 0.2) * RATE_HZ))
        powers = found[around].astype(np.float64) ** 2
        centre_s = np.sum(powers * np.arange(len(powers))) / powers.sum() / RATE_HZ - 0.2
        assert abs(centre_s) < 0.010


def test_at_a_rate_of_one_stretching_changes_nothing() -> None:
    np.testing.assert_allclose(stretched(voice(), 1.0, RATE_HZ), voice(), atol=1e-6)


@settings(max_examples=25)
@given(semitones=st.floats(-6, 6), pitch_hz=st.floats(100, 300), rate_hz=st.sampled_from([8_000, 16_000, 22_050]))
def test_the_pitch_moves_by_the_semitones_and_the_length_stays(semitones: float, pitch_hz: float, rate_hz: int) -> None:
    clip = vowel(pitch_hz, sample_rate_hz=rate_hz)
    found = pitch_shifted(clip, semitones, rate_hz)
    assert len(found) == len(clip)
    assert 12 * np.log2(pitch_of(found, rate_hz) / pitch_hz) == pytest.approx(semitones, abs=0.1)


@pytest.mark.parametrize("rate", [0.9, 1.1, 1.5])
def test_speed_moves_the_pitch_with_it(rate: float) -> None:
    assert pitch_of(at_speed(vowel(200), rate)) == pytest.approx(200 * rate, rel=1e-3)
