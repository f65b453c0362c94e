"""A clip's spectrogram depends on its own samples alone, and every clip has one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from earnest.errors import RecipeError
from earnest.frontends.log_mel import FourierTransform, LogMel, TwoStageTransform, periodic_window
from earnest.settings.front_end import FrontEnd
from earnest.testing.sounds import voice

SMALL = FrontEnd(n_fft=512, win_length=400, hop_length=160, n_mels=40)
SETTINGS = {
    "plain": SMALL,
    "gradient": replace(SMALL, trim="gradient", decibel_reference="one"),
    "peak-rms": replace(SMALL, trim="peak", level="rms"),
    "peak-deviation": replace(SMALL, trim="peak", level="deviation"),
    "no-floor": replace(SMALL, top_db=None),
}
LENGTHS = (1, 2, 159, 160, 1_600, 8_000, 12_345)
each_setting = pytest.mark.parametrize("kind", sorted(SETTINGS))
each_form = pytest.mark.parametrize("exportable", [False, True], ids=["fourier", "convolution"])
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


def front_end_of(kind: str, exportable: bool = False) -> LogMel:
    front_end = LogMel(SETTINGS[kind])
    return front_end.exportable() if exportable else front_end


def clips() -> list[Tensor]:
    silence = torch.zeros(3_000)
    return [*(torch.from_numpy(voice(1, seed=seed)[:length]) for seed, length in enumerate(LENGTHS)), silence]


def alone(front_end: LogMel, clip: Tensor) -> Tensor:
    log_mel, n_frames = front_end(clip[None], torch.tensor([len(clip)]))
    return log_mel[0, :, : int(n_frames[0])]


def together(front_end: LogMel, waveforms: list[Tensor], garbage: float, spare: int = 500) -> list[Tensor]:
    longest = max(len(clip) for clip in waveforms) + spare
    batch = torch.full((len(waveforms), longest), garbage)
    for row, clip in zip(batch, waveforms, strict=True):
        row[: len(clip)] = clip
    log_mel, n_frames = front_end(batch, torch.tensor([len(clip) for clip in waveforms]))
    return [frames[:, :count] for frames, count in zip(log_mel, n_frames.tolist(), strict=True)]


@each_form
@each_setting
@pytest.mark.parametrize("garbage", [0.0, -1e6, float("inf"), float("nan")])
def test_neighbours_and_what_lies_behind_a_clip_change_nothing(kind: str, exportable: bool, garbage: float) -> None:
    front_end = front_end_of(kind, exportable)
    # How torch rounds a convolution depends on its size, and of one sample all bins but the lowest are rounding.
    within_db = 2e-3 if exportable else 1e-4
    for clip, batched in zip(clips(), together(front_end, clips(), garbage), strict=True):
        torch.testing.assert_close(batched, alone(front_end, clip), rtol=0, atol=within_db)


@each_form
@each_setting
def test_frames_behind_a_clip_lie_at_its_floor(kind: str, exportable: bool) -> None:
    front_end = front_end_of(kind, exportable)
    loud, short = torch.from_numpy(voice(0.5, seed=1)), torch.from_numpy(voice(0.1, seed=2))
    batch = torch.nn.utils.rnn.pad_sequence([loud, short], batch_first=True, padding_value=0.5)
    log_mel, n_frames = front_end(batch, torch.tensor([len(loud), len(short)]))
    behind = log_mel[1, :, int(n_frames[1]) :]
    assert behind.numel() > 0
    assert (behind == behind.min()).all()
    assert behind.min() <= log_mel[1, :, : int(n_frames[1])].min()


@each_form
@each_setting
@settings(max_examples=12, deadline=None)
@given(length=st.integers(1, 3_000), level=st.sampled_from([0.0, 1e-30, 1e-6, 0.1, 1.0, 1e4]), seed=st.integers(0, 99))
def test_every_clip_has_finite_frames(kind: str, exportable: bool, length: int, level: float, seed: int) -> None:
    waveform = level * np.random.default_rng(seed).normal(size=length).astype(np.float32)
    frames = alone(front_end_of(kind, exportable), torch.from_numpy(waveform.astype(np.float32)))
    assert frames.shape[0] == SMALL.n_mels
    assert 1 <= frames.shape[1] <= length // SMALL.hop_length + 1
    assert frames.isfinite().all()


@each_setting
def test_silence_is_one_level(kind: str) -> None:
    frames = alone(front_end_of(kind), torch.zeros(4_000))
    assert frames.shape == (SMALL.n_mels, 26)
    assert frames.unique().numel() == 1


def test_untrimmed_clips_have_a_frame_a_hop_and_one_more() -> None:
    front_end = front_end_of("plain")
    for length in LENGTHS:
        assert alone(front_end, torch.ones(length)).shape[1] == length // SMALL.hop_length + 1


def test_the_loudest_value_is_zero_and_the_floor_is_below_it_by_top_db() -> None:
    frames = alone(front_end_of("plain"), torch.from_numpy(voice(0.5)))
    assert float(frames.max()) == 0.0
    assert float(frames.min()) >= -80.0


@pytest.mark.parametrize("kind", ["plain", "peak-rms", "no-floor"])
def test_with_a_reference_in_the_clip_its_level_does_not_matter(kind: str) -> None:
    waveform = torch.from_numpy(voice(0.6, level=0.01))
    front_end = front_end_of(kind)
    torch.testing.assert_close(alone(front_end, 16 * waveform), alone(front_end, waveform), rtol=0, atol=1e-3)


def test_with_an_absolute_reference_the_level_is_kept() -> None:
    front_end = LogMel(replace(SMALL, decibel_reference="one"))
    waveform = torch.from_numpy(voice(0.6))
    louder = alone(front_end, 10 * waveform) - alone(front_end, waveform)
    torch.testing.assert_close(louder, torch.full_like(louder, 20.0), rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", ["gradient", "peak-rms"])
def test_trimming_takes_away_the_silence_around_a_voice(kind: str) -> None:
    quiet = 1e-4 * torch.randn(8_000, generator=torch.Generator().manual_seed(0))
    spoken = torch.from_numpy(voice(1.0))
    frames = alone(front_end_of(kind), torch.cat([quiet, spoken, quiet]))
    assert 90 <= frames.shape[1] <= 110  # of 201; the voice has 100


def test_the_waveform_is_left_as_it_was() -> None:
    waveform = torch.from_numpy(voice(0.2))[None]
    before = waveform.clone()
    front_end_of("peak-rms")(waveform, torch.tensor([1_000]))
    assert torch.equal(waveform, before)


@pytest.mark.parametrize(
    "settings",
    [FrontEnd(n_mels=400), FrontEnd(n_fft=64, win_length=64, hop_length=16, n_mels=8, fmin_hz=100, fmax_hz=150)],
)
def test_filters_that_no_bin_reaches_are_refused(settings: FrontEnd) -> None:
    with pytest.raises(RecipeError, match="Choose fewer n_mels, a wider band or a larger n_fft"):
        LogMel(settings)


@pytest.mark.parametrize("level_dbfs", [0.0, -26.0])
def test_the_level_asked_for_is_the_clips_own_not_the_batchs(level_dbfs: float) -> None:
    waveform = voice(0.4, level=0.03)
    levelled = waveform / np.sqrt(np.mean(waveform**2)) * 10 ** (level_dbfs / 20)
    plain = LogMel(replace(SMALL, decibel_reference="one"))
    front_end = LogMel(replace(SMALL, decibel_reference="one", level="rms", level_dbfs=level_dbfs))
    found = together(front_end, [torch.from_numpy(waveform), torch.from_numpy(voice(1.0, level=0.4))], garbage=0.0)
    torch.testing.assert_close(found[0], alone(plain, torch.from_numpy(levelled)), rtol=0, atol=1e-3)


def test_a_microphones_offset_changes_nothing_where_the_deviation_is_levelled() -> None:
    waveform = torch.from_numpy(voice(0.4, level=0.03))
    waveform = waveform - waveform.mean()
    longer = torch.from_numpy(voice(1.0, level=0.4))
    settings = replace(SMALL, decibel_reference="one", level="deviation", level_dbfs=-20.0, trim="peak")
    found = together(LogMel(settings), [waveform + 0.02, longer + 0.5], garbage=3.0)
    expected = alone(LogMel(replace(settings, level="rms")), waveform)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=0.01)
    moved = alone(LogMel(replace(settings, level="rms")), waveform + 0.02)
    assert moved.shape != expected.shape or float((moved - expected).abs().max()) > 1


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
