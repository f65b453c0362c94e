"""Windows join to the whole again; the level says what is silence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earnest.audio.segment import frame_levels_dbfs, is_silent, speech_seconds, windows


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(1, 40))
def test_windows_hold_every_sample_once_whatever_the_blocks(block_lengths: list[int], n_samples: int) -> None:
    whole = np.arange(sum(block_lengths), dtype=np.float32)
    blocks = np.split(whole, np.cumsum(block_lengths)[:-1]) if block_lengths else []
    cut = list(windows(iter(blocks), n_samples))
    assert np.concatenate([*cut, np.empty(0, np.float32)]).tolist() == whole.tolist()
    assert all(len(window) == n_samples for window in cut[:-1])
    assert all(0 < len(window) <= n_samples for window in cut[-1:])


@pytest.mark.parametrize("level_db", [-6, -40, -64])
def test_the_level_of_a_sine_is_that_of_its_root_mean_square(level_db: float) -> None:
    sine = np.sqrt(2) * 10 ** (level_db / 20) * np.sin(2 * np.pi * 400 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(frame_levels_dbfs(sine.astype(np.float32) + 0.1, 16_000), level_db, atol=0.1)


def test_silence_is_below_65_dbfs_and_an_offset_is_no_sound() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 16_000).astype(np.float32)
    assert is_silent(frame_levels_dbfs(np.float32(10 ** (-67 / 20)) * noise + np.float32(0.5), 16_000))
    assert not is_silent(frame_levels_dbfs(np.float32(10 ** (-63 / 20)) * noise, 16_000))
    assert is_silent(frame_levels_dbfs(np.zeros(0, np.float32), 16_000))


def test_seconds_of_speech_are_those_within_35_db_of_the_loudest() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    noise[16_000:32_000] *= np.float32(10 ** (-45 / 20))
    assert speech_seconds(frame_levels_dbfs(noise, 16_000)) == pytest.approx(2.0, abs=0.05)
    assert speech_seconds(frame_levels_dbfs(np.zeros(48_000, np.float32), 16_000)) == 0
