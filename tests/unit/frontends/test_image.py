"""Spectrograms as images, against torch's and librosa's own."""

import librosa
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from earnest.errors import CorpusError, RecipeError
from earnest.frontends.image import ImageSize, SpectrogramImage
from earnest.settings.front_end import Image


def decibels(frames: int, bands: int = 24, seed: int = 0) -> Tensor:
    return 20 * torch.randn(1, bands, frames, generator=torch.Generator().manual_seed(seed)) - 40


def image_of(settings: Image, frames: Tensor, length: int = 0) -> Tensor:
    stage = SpectrogramImage(settings, frames.shape[1], length)
    found: Tensor = stage(frames, torch.tensor([frames.shape[2]]))
    assert found.shape[1:] == tuple(stage.size)
    return found


@pytest.mark.parametrize(
    ("frames", "height", "width"), [(50, 64, 96), (200, 12, 30), (7, 24, 33), (1, 5, 9), (31, 24, 31)]
)
def test_resizing_is_torchs_bilinear_one(frames: int, height: int, width: int) -> None:
    spectrogram = decibels(frames)
    found = image_of(Image(height=height, width=width, low_at_bottom=False), spectrogram)
    expected = functional.interpolate(spectrogram[None], (height, width), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


def test_each_clip_of_a_batch_is_resized_from_its_own_length() -> None:
    stage = SpectrogramImage(Image(height=16, width=20), 24, 0)
    batch = torch.cat([decibels(40), decibels(40, seed=1)])
    both = stage(batch, torch.tensor([40, 13]))
    torch.testing.assert_close(both[1:], stage(batch[1:, :, :13], torch.tensor([13])))


@pytest.mark.parametrize("frames", [5, 10, 47])
def test_deltas_are_librosas(frames: int) -> None:
    spectrogram = decibels(frames)
    found = image_of(Image(3, "deltas", low_at_bottom=False), spectrogram, length=frames)[0].numpy()
    plain = spectrogram[0].double().numpy()
    np.testing.assert_allclose(found[0], plain, rtol=1e-6)
    for order in (1, 2):
        np.testing.assert_allclose(found[order], librosa.feature.delta(plain, width=5, order=order), atol=1e-4)


def test_deltas_of_a_clip_shorter_than_their_window_are_finite_and_know_no_neighbours() -> None:
    stage = SpectrogramImage(Image(3, "deltas", width=10), 24, 0)
    long, short = decibels(30), decibels(30, seed=1)
    both = stage(torch.cat([long, short]), torch.tensor([30, 2]))
    assert both.isfinite().all()
    torch.testing.assert_close(both[1:], stage(short[:, :, :2], torch.tensor([2])))


def test_low_frequencies_come_last() -> None:
    rising = torch.arange(24.0)[None, :, None].expand(1, 24, 8)
    assert image_of(Image(), rising, length=8)[0, 0, :, 0].tolist() == list(range(23, -1, -1))
    assert image_of(Image(low_at_bottom=False), rising, length=8)[0, 0, :, 0].tolist() == list(range(24))


def test_fixed_scaling_clips_at_both_ends() -> None:
    values = torch.tensor([-100.0, -80.0, -60.0, 0.0, 20.0])[None, None].expand(1, 4, 5)
    found = image_of(Image(scaling="fixed"), values, length=5)
    torch.testing.assert_close(found[0, 0, 0], torch.tensor([0.0, 0.0, 0.25, 1.0, 1.0]))


def test_per_bin_scaling_takes_each_frequencys_range_from_the_training_clips() -> None:
    clips = [decibels(30, seed=seed)[0] for seed in range(3)]
    stage = SpectrogramImage(Image(scaling="per-bin", low_at_bottom=False), 24, 30).fit(clips)
    together = torch.cat(clips, dim=1)
    low, high = together.amin(dim=1)[:, None], together.amax(dim=1)[:, None]
    torch.testing.assert_close(stage(clips[0][None], torch.tensor([30]))[0, 0], (clips[0] - low) / (high - low))
    beyond = stage(clips[0][None] + 500, torch.tensor([30]))
    assert float(beyond.min()) == float(beyond.max()) == 1.0
    assert {"lowest", "highest"} == set(stage.state_dict())


def test_a_frequency_without_range_becomes_zero_not_infinite() -> None:
    constant = torch.full((24, 30), -80.0)
    stage = SpectrogramImage(Image(scaling="per-bin"), 24, 30).fit([constant])
    assert stage(constant[None], torch.tensor([30])).abs().max() == 0


def test_statistics_make_the_training_clips_mean_zero_and_deviation_one() -> None:
    clips = [decibels(30 + 5 * seed, seed=seed)[0] for seed in range(3)]
    settings = Image(3, "deltas", scaling="per-bin", normalise="statistics")
    stage = SpectrogramImage(settings, 24, 30).fit(clips)
    # Every frame once, as it was counted: the stage itself takes any length.
    found = torch.cat([stage(clip[None], torch.tensor([clip.shape[1]])) for clip in clips], dim=3)
    torch.testing.assert_close(found.mean(dim=(0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.std(dim=(0, 2, 3)), torch.ones(3), rtol=0, atol=1e-3)


def test_imagenets_numbers_are_taken_off_each_channel() -> None:
    found = image_of(Image(3, scaling="fixed", normalise="imagenet"), torch.full((1, 24, 6), -40.0), length=6)
    expected = (0.5 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(found[0, :, 0, 0], expected)


def test_nothing_is_fitted_without_need_and_nothing_on_no_clips() -> None:
    assert not SpectrogramImage(Image(), 24, 6).fit([]).state_dict()
    with pytest.raises(CorpusError, match="no training recordings"):
        SpectrogramImage(Image(scaling="per-bin"), 24, 6).fit([])


def test_images_need_one_width() -> None:
    with pytest.raises(RecipeError, match=r"\[image\]: width must be set, or \[segments\] needs a length"):
        SpectrogramImage(Image(), 24, 0)


def test_the_size_behind_a_convolution() -> None:
    assert ImageSize(1, 128, 91).after(96, 11, 4, 2) == ImageSize(96, 31, 22)


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 1, "channels_from": "deltas"},
        {"channels": 1, "normalise": "imagenet"},
        {"channels": 3, "channels_from": "deltas", "scaling": "fixed"},
        {"lowest_db": 0.0, "highest_db": 0.0},
        {"lowest_db": float("nan")},
        {"height": -1},
        {"width": 10_000},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        Image(**wrong)  # type: ignore[arg-type]
