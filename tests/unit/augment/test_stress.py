"""The conditions of the stress table: seeded by clip and condition, and as strong as their names say."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earnest.audio.waveform import Waveform
from earnest.augment.base import power
from earnest.augment.noise_files import NoiseFiles
from earnest.augment.stress import (
    LEVEL_DBFS,
    LEVELS_DB,
    StressChange,
    babble,
    clipped,
    first_order,
    padded,
    stress_changes,
    tilted,
    with_tone,
)
from earnest.evaluation.stress import LIMITS
from earnest.testing.sounds import voice, write_voice

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("voices")
    for seed in range(5):
        write_voice(folder / f"{seed}.wav", 2.0, seed=seed)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def conditions(voices: list[Path]) -> dict[str, StressChange]:
    noise = NoiseFiles(str(voices[0].parent), names=("3", "4"))
    return {condition.name: condition for condition in stress_changes(voices, noise)}


def clip() -> Waveform:
    return np.pad(voice(0.8, seed=9), (1600, 1600))


def test_the_same_clip_sounds_the_same_under_a_condition_and_no_file_is_written_twice(
    conditions: dict[str, StressChange],
) -> None:
    assert len({condition.file_name for condition in conditions.values()}) == len(conditions) == 31
    for condition in conditions.values():
        first, second = (condition.applied(clip(), "made-up/1", RATE_HZ) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.dtype == np.float32
        assert np.isfinite(first).all()
        assert len(first) != len(clip()) or not np.array_equal(first, clip())


def test_what_is_drawn_differs_between_clips_and_between_levels(conditions: dict[str, StressChange]) -> None:
    for name in ("recorded noise", "babble", "white noise"):
        added = [
            conditions[f"{name}, {level:g} dB"].applied(clip(), key, RATE_HZ) - clip()
            for level in LEVELS_DB
            for key in ("a", "b")
        ]
        shapes = [one / np.sqrt(power(one)) for one in added]
        likeness = np.corrcoef(shapes) - np.eye(len(shapes))
        assert likeness.max() < 0.99


@pytest.mark.parametrize("level", LEVELS_DB)
@pytest.mark.parametrize("name", ["recorded noise", "babble", "white noise"])
def test_noise_has_the_ratio_of_its_name(name: str, level: float, conditions: dict[str, StressChange]) -> None:
    added = conditions[f"{name}, {level:g} dB"].applied(clip(), "a", RATE_HZ) - clip()
    assert 10 * np.log10(power(clip()) / power(added)) == pytest.approx(level, abs=0.01)


@pytest.mark.parametrize(("name", "expected_db"), [("20 dB louder", 20), ("20 dB softer", -20)])
def test_gains_are_those_of_their_names(name: str, expected_db: float, conditions: dict[str, StressChange]) -> None:
    found = conditions[name].applied(clip(), "a", RATE_HZ)
    assert 10 * np.log10(power(found) / power(clip())) == pytest.approx(expected_db, abs=1e-3)


def test_ends_move_by_at_most_a_sixteenth_of_a_second_to_the_side_that_is_said(
    conditions: dict[str, StressChange],
) -> None:
    changes = {
        name: {len(conditions[name].applied(clip(), key, RATE_HZ)) - len(clip()) for key in "abcdefgh"}
        for name in ("zeros before", "zeros after", "cropped before", "cropped after")
    }
    assert changes["zeros before"] == changes["zeros after"] == {100, 500, 1000}
    assert changes["cropped before"] == changes["cropped after"] == {-100, -500, -1000}
    assert not conditions["zeros before"].applied(clip() + 1, "a", RATE_HZ)[:100].any()
    assert not conditions["zeros after"].applied(clip() + 1, "a", RATE_HZ)[-100:].any()


def test_rooms_differ_in_how_much_of_the_direct_sound_is_left(conditions: dict[str, StressChange]) -> None:
    def likeness(name: str) -> float:
        return float(np.corrcoef(conditions[name].applied(clip(), "a", RATE_HZ), clip())[0, 1])

    assert likeness("near in a small room") > likeness("far in a large room") + 0.1


def test_without_recordings_their_lines_are_left_out(voices: list[Path]) -> None:
    names = [condition.name for condition in stress_changes(voices)]
    assert len(names) == 27
    assert not any("recorded" in name for name in names)


def test_every_threshold_belongs_to_a_group_that_there_is(conditions: dict[str, StressChange]) -> None:
    assert set(LIMITS) <= {condition.group for condition in conditions.values()}


def test_babble_has_four_to_seven_voices_of_one_level(voices: list[Path]) -> None:
    n_voices = []
    for seed in range(40):
        found = babble(voices * 2, RATE_HZ, RATE_HZ, np.random.default_rng(seed))
        assert found.shape == (RATE_HZ,)
        n_voices.append(power(found) / 10 ** (LEVEL_DBFS / 10))
    assert 3 < np.mean(n_voices) < 9  # powers of voices that don't know of each other add up


def test_babble_of_a_single_recording_is_that_recording_several_times(voices: list[Path]) -> None:
    assert power(babble(voices[:1], RATE_HZ, RATE_HZ, np.random.default_rng(0))) > 0


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
