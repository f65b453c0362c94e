"""Gain and level: exact to the decibel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earnest.augment.base import power
from earnest.augment.gain import Gain, with_gain
from earnest.augment.level import Level, at_level
from earnest.testing.sounds import voice


@given(gain_db=st.floats(-60, 60))
def test_gain_changes_the_level_by_so_many_decibels(gain_db: float) -> None:
    change_db = 10 * np.log10(power(with_gain(voice(0.3), gain_db)) / power(voice(0.3)))
    assert change_db == pytest.approx(gain_db, abs=1e-4)


@given(level_dbfs=st.floats(-100, 20), gain_db=st.floats(-60, 60))
def test_the_level_is_reached_from_any_other(level_dbfs: float, gain_db: float) -> None:
    found = at_level(with_gain(voice(0.3), gain_db), level_dbfs)
    assert 10 * np.log10(power(found)) == pytest.approx(level_dbfs, abs=1e-4)


def test_a_level_of_zero_is_a_root_mean_square_of_one() -> None:
    assert np.sqrt(power(Level(level_dbfs=(0, 0)).apply(voice(), 16_000, np.random.default_rng(0)))) == pytest.approx(1)


def test_silence_stays_silence() -> None:
    assert not at_level(np.zeros(100, np.float32), -20).any()


def test_gains_are_drawn_from_the_whole_range() -> None:
    factors = [Gain(gain_db=(-6, 6)).apply(voice(0.1), 16_000, np.random.default_rng(seed)) for seed in range(200)]
    found_db = [10 * np.log10(power(item) / power(voice(0.1))) for item in factors]
    assert -6.001 <= min(found_db) < -5.5
    assert 5.5 < max(found_db) <= 6.001
