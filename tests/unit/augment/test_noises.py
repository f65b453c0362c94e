"""Noise: the level that was asked for, and the colour."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earnest.augment.base import mix_at_snr, power
from earnest.augment.coloured_noise import SLOPES, Colour, ColouredNoise, coloured_noise
from earnest.augment.gaussian_noise import GaussianNoise, reference_level, with_gaussian_noise
from earnest.errors import RecipeError
from earnest.testing.sounds import voice

RATE_HZ = 16_000
COLOURS: tuple[Colour, ...] = ("white", "pink", "brown", "blue")


def snr_of(mixture: np.ndarray, speech: np.ndarray) -> float:
    return float(10 * np.log10(power(speech) / power(mixture.astype(np.float64) - speech)))


@given(snr_db=st.floats(-10, 40), seed=st.integers(0, 2**32 - 1))
def test_the_mixture_has_the_snr_that_was_asked_for(snr_db: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    speech, noise = rng.normal(0, 0.1, (2, 16_000)).astype(np.float32)
    assert snr_of(mix_at_snr(speech, noise, snr_db), speech) == pytest.approx(snr_db, abs=0.05)


@given(snr_db=st.floats(-10, 40), louder_db=st.floats(-50, 30))
def test_the_level_of_the_noise_recording_does_not_matter(snr_db: float, louder_db: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    mixture = mix_at_snr(voice(), (noise * 10 ** (louder_db / 20)).astype(np.float32), snr_db)
    assert snr_of(mixture, voice()) == pytest.approx(snr_db, abs=0.05)


@pytest.mark.parametrize(("speech", "noise"), [(voice(), np.zeros(16_000)), (np.zeros(16_000), voice())])
def test_without_speech_or_noise_there_is_no_ratio_and_nothing_is_added(speech: np.ndarray, noise: np.ndarray) -> None:
    np.testing.assert_array_equal(mix_at_snr(speech, noise, 10), speech)


@pytest.mark.parametrize("colour", COLOURS)
@given(seed=st.integers(0, 10_000))
def test_the_power_of_coloured_noise_goes_with_frequency_as_its_name_says(colour: Colour, seed: int) -> None:
    noise = coloured_noise(2**16, RATE_HZ, colour, np.random.default_rng(seed))
    powers = np.abs(np.fft.rfft(noise)) ** 2
    frequencies_hz = np.fft.rfftfreq(len(noise), 1 / RATE_HZ)
    octaves_hz = 62.5 * 2.0 ** np.arange(8)
    bands = [powers[(frequencies_hz >= low) & (frequencies_hz < low * 2)].mean() for low in octaves_hz[:-1]]
    slope = np.polyfit(np.log2(octaves_hz[:-1]), np.log2(bands), 1)[0]
    assert slope == pytest.approx(SLOPES[colour], abs=0.1)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("n_samples", [16_000, 48_000, 100_003])
def test_coloured_noise_has_a_root_mean_square_near_one(colour: Colour, n_samples: int) -> None:
    noise = coloured_noise(n_samples, RATE_HZ, colour, np.random.default_rng(1))
    assert noise.shape == (n_samples,)
    assert np.sqrt(power(noise)) == pytest.approx(1, abs=0.3 if colour == "brown" else 0.1)


def test_coloured_noise_is_mixed_at_a_ratio_from_the_range() -> None:
    augmentation = ColouredNoise(colours=("pink",), snr_db=(12, 18))
    found = [snr_of(augmentation.apply(voice(), RATE_HZ, np.random.default_rng(seed)), voice()) for seed in range(60)]
    assert 12 - 0.05 <= min(found) < 13
    assert 17 < max(found) <= 18 + 0.05


@pytest.mark.parametrize(
    ("relative_to", "deviation", "expected"),
    [
        ("clip", 0.075, 0.075 * np.sqrt(power(voice(4)))),
        ("peak", 0.01, 0.01 * np.abs(voice(4)).max()),
        ("one", 0.1, 0.1),
    ],
)
def test_gaussian_noise_has_the_deviation_that_was_asked_for(
    relative_to: str, deviation: float, expected: float
) -> None:
    augmentation = GaussianNoise(deviation=(deviation, deviation), relative_to=relative_to)  # type: ignore[arg-type]
    added = augmentation.apply(voice(4), RATE_HZ, np.random.default_rng(0)).astype(np.float64) - voice(4)
    assert added.std() == pytest.approx(expected, rel=0.02)
    assert abs(np.corrcoef(added[1:], added[:-1])[0, 1]) < 0.02


def test_three_quarters_of_a_tenth_of_the_clip_are_22_5_db() -> None:
    deviation = 0.075 * reference_level(voice(4), "clip")
    mixture = with_gaussian_noise(voice(4), deviation, np.random.default_rng(0))
    assert snr_of(mixture, voice(4)) == pytest.approx(22.5, abs=0.1)


@pytest.mark.parametrize("snr_db", [(5, 0), (float("nan"), 5), (0, 500), (0,), (0, 1, 2)])
def test_a_range_that_is_none_is_refused(snr_db: tuple[float, float]) -> None:
    with pytest.raises(RecipeError, match=r"snr_db must be \[low, high\]"):
        ColouredNoise(snr_db=snr_db)
