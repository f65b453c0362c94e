"""The conditions of the stress table: seeded by clip and condition, and as strong as their names say."""

from pathlib import Path

import numpy as np
import pytest

from earnest.audio.waveform import Waveform
from earnest.augment.level import power
from earnest.augment.noise_files import NoiseFiles
from earnest.augment.stress import LEVEL_DBFS, LEVELS_DB, StressChange, babble, stress_changes
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
