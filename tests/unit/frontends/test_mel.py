"""Mel filters are librosa's."""

import numpy as np
import pytest

from earnest.frontends.mel import hz_to_mel, mel_filters, mel_to_hz

librosa = pytest.importorskip("librosa", reason="librosa is not installed")
SIZES = [
    (16_000, 512, 40, 0.0, 8_000.0),
    (16_000, 1024, 64, 50.0, 7_600.0),
    (16_000, 400, 80, 0.0, 8_000.0),
    (22_050, 4096, 64, 0.0, 6_000.0),
    (22_050, 2048, 128, 0.0, 11_025.0),
    (48_000, 2048, 128, 20.0, 16_000.0),
    (16_000, 1025, 64, 0.0, 8_000.0),  # an odd number of points has no bin at half the rate
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_filters_equal_librosa(sizes: tuple[int, int, int, float, float]) -> None:
    rate_hz, n_fft, n_mels, fmin_hz, fmax_hz = sizes
    expected = librosa.filters.mel(sr=rate_hz, n_fft=n_fft, n_mels=n_mels, fmin=fmin_hz, fmax=fmax_hz)
    found = mel_filters(*sizes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


def test_mels_and_hertz_are_converted_as_in_librosa_and_back() -> None:
    hz = np.array([0.0, 1.0, 440.0, 999.9, 1_000.0, 1_000.1, 6_400.0, 24_000.0])
    np.testing.assert_allclose(hz_to_mel(hz), librosa.hz_to_mel(hz), rtol=1e-12)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz, rtol=1e-12)
