"""The level says what is silence, and which part is not."""

import numpy as np
import pytest

from earnest.audio.quality import active_part, frame_levels_dbfs, is_silent


@pytest.mark.parametrize("level_db", [-6, -40, -64])
def test_the_level_of_a_sine_is_that_of_its_root_mean_square(level_db: float) -> None:
    sine = np.sqrt(2) * 10 ** (level_db / 20) * np.sin(2 * np.pi * 400 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(frame_levels_dbfs(sine.astype(np.float32) + 0.1, 16_000), level_db, atol=0.1)


def test_silence_is_below_65_dbfs_and_an_offset_is_no_sound() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 16_000).astype(np.float32)
    assert is_silent(frame_levels_dbfs(np.float32(10 ** (-67 / 20)) * noise + np.float32(0.5), 16_000))
    assert not is_silent(frame_levels_dbfs(np.float32(10 ** (-63 / 20)) * noise, 16_000))
    assert is_silent(frame_levels_dbfs(np.zeros(0, np.float32), 16_000))


def test_the_active_part_begins_and_ends_within_35_db_of_the_loudest() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 64_000).astype(np.float32)
    for part in (slice(0, 16_000), slice(32_000, 40_000), slice(56_000, 64_000)):  # a pause inside stays
        noise[part] *= np.float32(10 ** (-45 / 20))
    assert active_part(noise, 16_000) == pytest.approx((16_000, 56_000), abs=400)
    assert active_part(np.zeros(48_000, np.float32), 16_000) is None
    assert active_part(np.zeros(0, np.float32), 16_000) is None
