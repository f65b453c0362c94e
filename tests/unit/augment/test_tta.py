"""Variants for test-time augmentation: the clip first, the same every time."""

import numpy as np
import pytest

from earnest.augment.bandwidth import fast_length
from earnest.augment.tta import MASKED, VARIANTS, variants_of
from earnest.errors import EarnestError
from earnest.testing.sounds import voice

RATE_HZ = 16_000


@pytest.mark.parametrize("name", VARIANTS)
def test_the_clip_itself_comes_first_and_no_variant_is_there_twice(name: str) -> None:
    clip = voice()
    found = variants_of(clip, name, RATE_HZ)
    assert found[0] is clip
    assert len({item.tobytes() for item in found}) == len(VARIANTS[name])
    assert all(item.dtype == np.float32 for item in found)


def test_variants_differ_by_the_gain_and_the_speed_that_they_name() -> None:
    clip = voice()
    plain, softer, louder, slower, faster = variants_of(clip, "gain-and-speed", RATE_HZ)
    np.testing.assert_allclose(softer, plain * 10**-0.3, rtol=1e-5)
    np.testing.assert_allclose(louder, plain * 10**0.3, rtol=1e-5)
    assert (len(slower), len(faster)) == (round(len(clip) / 0.95), round(len(clip) / 1.05))


def test_noise_is_22_decibels_below_the_clip() -> None:
    plain, noisy = variants_of(voice(), "noise", RATE_HZ)
    below_db = 10 * np.log10(np.mean(plain**2) / np.mean((noisy - plain) ** 2))
    assert below_db == pytest.approx(22.5, abs=0.1)


def test_stretched_variants_are_longer_and_shorter_and_shifted_ones_as_long() -> None:
    clip = voice()
    assert [len(one) for one in variants_of(clip, "stretch", RATE_HZ)[1:]] == [
        round(len(clip) / 0.75),
        round(len(clip) / 1.25),
    ]
    assert {len(one) for one in variants_of(clip, "pitch", RATE_HZ)} == {len(clip)}


def test_masks_take_one_band_and_one_stretch_away() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 2 * RATE_HZ).astype(np.float32)
    plain, banded, silenced = variants_of(noise, "masks", RATE_HZ)
    share = np.mean(silenced == 0)
    assert share == pytest.approx(MASKED, abs=0.001)
    assert np.flatnonzero(silenced == 0)[0] == pytest.approx(0.4 * len(noise), abs=2)
    n_fft = fast_length(len(noise) + RATE_HZ)
    gain = np.abs(np.fft.rfft(banded, n_fft)) ** 2
    frequencies = np.fft.rfftfreq(n_fft, 1 / RATE_HZ)
    inside = (frequencies > 1_250) & (frequencies < 1_600)  # 0.4 to 0.478 of the mel scale: 1,218 to 1,635 Hz
    assert gain[inside].mean() < 1e-3 * gain[frequencies > 2_000].mean()
    assert len(banded) == len(plain)


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_are_the_same_every_time_and_leave_the_clip_alone(name: str) -> None:
    clip = voice()
    first, second = variants_of(clip, name, RATE_HZ), variants_of(clip, name, RATE_HZ)
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    np.testing.assert_array_equal(clip, voice())


def test_another_name_is_an_error_with_the_nearest() -> None:
    with pytest.raises(EarnestError, match="Did you mean 'speed'"):
        variants_of(voice(), "sped", RATE_HZ)
