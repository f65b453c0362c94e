"""The two forms of the power spectrum are one."""

import numpy as np
import pytest
import torch

from earnest.frontends.log_mel import FourierTransform, TwoStageTransform, periodic_window

SIZES = [  # n_fft, window, hop, bins
    (512, 400, 160, 257),
    (512, 512, 128, 100),
    (400, 400, 160, 201),
    (1024, 700, 300, 513),
    (64, 33, 7, 20),
    (251, 251, 16, 126),
    (250, 249, 50, 1),
    (4096, 2048, 1364, 1115),
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_two_stages_and_fourier_transform_give_the_same_spectra(sizes: tuple[int, int, int, int]) -> None:
    padded = torch.randn(3, 5_500, generator=torch.Generator().manual_seed(0))
    fourier, staged = FourierTransform(*sizes)(padded), TwoStageTransform(*sizes)(padded)
    assert fourier.shape == (3, sizes[3], 1 + (5_500 - sizes[1]) // sizes[2])
    torch.testing.assert_close(staged, fourier, rtol=1e-4, atol=1e-6 * float(fourier.max()))


def test_two_stages_take_far_fewer_products_than_one() -> None:
    transform = TwoStageTransform(400, 400, 160, 201)
    n_first, n_columns = transform.turns.shape
    assert transform.q == 16
    products = 2 * n_first * (400 + 2 * transform.q * n_columns)
    assert products < 0.2 * 2 * 201 * 400


def test_the_fourier_transform_is_that_of_windowed_frames() -> None:
    waveform = np.random.default_rng(0).normal(size=1_000)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([waveform[start : start + 400] * hann for start in (0, 160, 320, 480)], axis=1)
    expected = np.abs(np.fft.rfft(frames, n=512, axis=0)) ** 2
    found = FourierTransform(512, 400, 160, 257)(torch.from_numpy(waveform.astype(np.float32))[None])
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-3, atol=1e-4)


def test_the_window_has_the_period_of_its_length() -> None:
    window = periodic_window("hann", 400)
    assert window.shape == (400,)
    assert (float(window[0]), float(window[200])) == (0.0, 1.0)
    torch.testing.assert_close(window[1:], window[1:].flip(0))  # the zero at the end belongs to the next period
