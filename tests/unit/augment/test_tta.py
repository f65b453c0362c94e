"""Variants for test-time augmentation: the clip first, the same every time."""

import numpy as np
import pytest

from earnest.augment.tta import VARIANTS, variants_of
from earnest.errors import EarnestError
from earnest.testing.sounds import voice


@pytest.mark.parametrize("name", VARIANTS)
def test_the_clip_itself_comes_first_and_no_variant_is_there_twice(name: str) -> None:
    clip = voice()
    found = variants_of(clip, name)
    assert found[0] is clip
    assert len({item.tobytes() for item in found}) == len(VARIANTS[name])
    assert all(item.dtype == np.float32 for item in found)


def test_variants_differ_by_the_gain_and_the_speed_that_they_name() -> None:
    clip = voice()
    plain, softer, louder, slower, faster = variants_of(clip, "gain-and-speed")
    np.testing.assert_allclose(softer, plain * 10**-0.3, rtol=1e-5)
    np.testing.assert_allclose(louder, plain * 10**0.3, rtol=1e-5)
    assert (len(slower), len(faster)) == (round(len(clip) / 0.95), round(len(clip) / 1.05))


def test_variants_are_the_same_every_time_and_leave_the_clip_alone() -> None:
    clip = voice()
    first, second = variants_of(clip, "gain-and-speed"), variants_of(clip, "gain-and-speed")
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    np.testing.assert_array_equal(clip, voice())


def test_another_name_is_an_error_with_the_nearest() -> None:
    with pytest.raises(EarnestError, match="Did you mean 'speed'"):
        variants_of(voice(), "sped")
