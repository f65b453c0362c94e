"""Channels: what they let through, what they lose, and that they delay nothing."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earnest.augment.bandwidth import band_limited, fast_length, filtered
from earnest.augment.base import build_chain, power
from earnest.augment.codec import Format, coded
from earnest.augment.telephone import mu_law, over_telephone
from earnest.errors import RecipeError
from earnest.testing.sounds import voice

RATE_HZ = 16_000
FORMATS: tuple[Format, ...] = ("mp3", "vorbis", "opus")


def tone(frequency_hz: float, seconds: float = 1.0, sample_rate_hz: int = RATE_HZ) -> np.ndarray:
    time_s = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    return (0.3 * np.sin(2 * np.pi * frequency_hz * time_s) * np.hanning(len(time_s))).astype(np.float32)


def change_db(after: np.ndarray, before: np.ndarray) -> float:
    return float(10 * np.log10(power(after) / power(before)))


def delay_of(after: np.ndarray, before: np.ndarray) -> int:
    return int(np.correlate(after, before, mode="full").argmax()) - (len(before) - 1)


@pytest.mark.parametrize(("highest_hz", "rate_hz"), [([8_000, 9_000], 16_000), ([4_000, 7_000], 8_000)])
def test_a_bandwidth_that_changes_nothing_is_told(highest_hz: list[int], rate_hz: int) -> None:
    with pytest.raises(RecipeError, match=rf"augment 1 \(bandwidth\): highest_hz: .* end at {rate_hz // 2} Hz"):
        build_chain([{"name": "bandwidth", "highest_hz": highest_hz}], rate_hz)
    some = build_chain([{"name": "bandwidth", "highest_hz": [highest_hz[0] - 1, highest_hz[1]]}], rate_hz)
    assert some(voice(0.4, rate_hz), np.random.default_rng(0)).shape == voice(0.4, rate_hz).shape


@pytest.mark.parametrize("frequency_hz", [320, 500, 1_000, 2_500, 3_350])
def test_the_telephone_lets_the_voice_band_through(frequency_hz: float) -> None:
    assert change_db(over_telephone(tone(frequency_hz), RATE_HZ), tone(frequency_hz)) == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize("frequency_hz", [50, 150, 3_900, 5_000, 7_000])
def test_the_telephone_stops_what_is_outside(frequency_hz: float) -> None:
    assert change_db(over_telephone(tone(frequency_hz), RATE_HZ) + 1e-9, tone(frequency_hz)) < -40


@pytest.mark.parametrize("sample_rate_hz", [8_000, 16_000, 22_050, 44_100])
def test_the_telephone_delays_nothing(sample_rate_hz: int) -> None:
    clip = voice(0.4, sample_rate_hz)
    assert delay_of(over_telephone(clip, sample_rate_hz), clip) == 0


def test_the_telephone_scales_what_is_beyond_full_scale_instead_of_clipping_it() -> None:
    loud = 4 * tone(1_000)
    assert change_db(over_telephone(loud, RATE_HZ), loud) == pytest.approx(0, abs=0.3)


@given(level_db=st.floats(-30, -3), seed=st.integers(0, 1_000))
def test_mu_law_is_about_38_db_below_the_sound_at_any_level(level_db: float, seed: int) -> None:
    sound = np.clip(np.random.default_rng(seed).normal(0, 0.3, 20_000) * 10 ** (level_db / 20), -1, 1)
    error_db = change_db(mu_law(sound) - sound, sound)
    assert -40 < error_db < -33


@given(st.floats(-1, 1, width=32))
def test_mu_law_has_255_values_and_rounding_twice_changes_nothing(sample: float) -> None:
    once = mu_law(np.array([sample], np.float32))
    np.testing.assert_allclose(mu_law(once), once, rtol=1e-5)
    assert len(np.unique(mu_law(np.linspace(-1, 1, 100_001)))) == 255


def test_mu_law_keeps_silence_and_full_scale() -> None:
    np.testing.assert_allclose(mu_law(np.array([-2, -1, 0, 1, 5], np.float32)), [-1, -1, 0, 1, 1], atol=1e-6)


@settings(max_examples=30)
@given(highest_hz=st.floats(1_000, 6_500))
def test_band_limiting_keeps_what_is_below_and_removes_what_is_above(highest_hz: float) -> None:
    below, above = tone(0.97 * highest_hz), tone(1.13 * highest_hz)
    assert change_db(band_limited(below, highest_hz, RATE_HZ), below) == pytest.approx(0, abs=0.05)
    assert change_db(band_limited(above, highest_hz, RATE_HZ) + 1e-12, above) < -50


def test_a_filter_does_not_move_sound_from_one_end_to_the_other() -> None:
    clip = np.zeros(4_096, np.float32)  # as it is a quick length to transform
    clip[:20] = 1
    assert np.abs(filtered(clip, RATE_HZ, lambda hz: (hz < 1_000).astype(float))[-300:]).max() < 0.02


@given(n=st.integers(1, 10**7))
def test_a_fast_length_is_long_enough_and_at_most_a_third_longer(n: int) -> None:
    assert n <= fast_length(n) <= max(4 * n / 3 + 1, 8)


@pytest.mark.parametrize("codec", FORMATS)
@pytest.mark.parametrize("sample_rate_hz", [8_000, 16_000, 22_050, 44_100, 96_000])
def test_a_codec_keeps_length_level_and_time(codec: Format, sample_rate_hz: int) -> None:
    clip = voice(0.4, sample_rate_hz)
    found = coded(clip, sample_rate_hz, codec, 0.9)
    assert len(found) == len(clip)
    assert change_db(found, clip) == pytest.approx(0, abs=1)
    assert abs(delay_of(found, clip)) / sample_rate_hz < 1e-4


@pytest.mark.parametrize("codec", FORMATS)
def test_more_compression_loses_more(codec: Format) -> None:
    clip = voice(1.0)
    errors_db = [change_db(coded(clip, RATE_HZ, codec, level) - clip, clip) for level in (0.0, 0.6, 0.98)]
    assert errors_db == sorted(errors_db)
    assert errors_db[-1] > errors_db[0] + 3


@pytest.mark.parametrize("codec", FORMATS)
def test_a_codec_scales_what_is_beyond_full_scale_instead_of_clipping_it(codec: Format) -> None:
    loud = 6 * tone(500)
    assert change_db(coded(loud, RATE_HZ, codec, 0.5), loud) == pytest.approx(0, abs=0.5)


def test_minutes_are_coded_without_ending_the_process() -> None:
    code = "import numpy as np; from earnest.augment.codec import coded; "
    code += "print(len(coded(np.zeros(200 * 16_000, np.float32) + 0.1, 16_000, 'vorbis', 0.9)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "3200000\n")
