"""The transform's own bins, waveforms, and the clip in three versions."""

from dataclasses import replace

import pytest
import torch

from earnest.errors import RecipeError
from earnest.frontends.log_mel import LogMel, NoiseAndReverb, RawWaveform, front_end_for
from earnest.settings.front_end import PRESETS, FrontEnd, Image
from earnest.testing.sounds import voice


@pytest.mark.parametrize(
    ("fmin", "fmax", "rows"),
    [(0, 4_000, 200), (0, 3_999, 200), (0, 4_001, 201), (0, None, 400), (100, 200, 5), (101, 200, 4)],
)
def test_linear_limits_are_in_hertz(fmin: float, fmax: float | None, rows: int) -> None:
    settings = replace(PRESETS["ntu-logspec"], fmin_hz=float(fmin), fmax_hz=fmax)
    assert settings.n_bands == LogMel(settings).n_rows == rows
    found, _ = LogMel(settings)(torch.randn(1, 4_000), torch.tensor([4_000]))
    assert found.shape[1] == rows


def test_the_row_of_a_tone_is_its_frequency() -> None:
    settings = replace(PRESETS["ntu-logspec"], fmin_hz=500.0)
    tone = torch.sin(2 * torch.pi * 1_000 * torch.arange(8_000) / 16_000)[None]
    found, _ = LogMel(settings)(tone, torch.tensor([8_000]))
    assert int(found.mean(dim=2).argmax()) == (1_000 - 500) // 20


def test_a_band_between_two_bins_is_refused() -> None:
    with pytest.raises(RecipeError, match="no bin of the transform"):
        FrontEnd(scale="linear", n_fft=512, win_length=512, hop_length=160, fmin_hz=10.0, fmax_hz=20.0)


def test_a_raw_waveform_is_levelled_and_silent_behind_its_end() -> None:
    front_end = RawWaveform(FrontEnd(level="rms", level_dbfs=-20.0))
    waveform = torch.cat([torch.from_numpy(voice(0.5))[None], 9 * torch.ones(1, 100)], dim=1)
    frames, n_frames = front_end(waveform, torch.tensor([8_000]))
    assert (frames.shape, n_frames.tolist()) == ((1, 1, 8_100), [8_000])
    assert float(frames[0, 0, :8_000].square().mean().sqrt()) == pytest.approx(0.1, rel=1e-3)
    assert not frames[0, 0, 8_000:].any()
    assert front_end.n_frames(8_000) == 8_000


def test_a_raw_waveform_is_not_trimmed() -> None:
    with pytest.raises(RecipeError, match=r'trim = "peak" looks at a spectrogram'):
        RawWaveform(FrontEnd(trim="peak"))


def test_the_three_versions_are_clean_noisy_and_in_a_room() -> None:
    settings = FrontEnd(n_mels=40, n_fft=512, win_length=400, hop_length=160, decibel_reference="one", top_db=None)
    front_end = NoiseAndReverb(LogMel(settings))
    waveform = torch.from_numpy(voice(0.5))[None]
    silent = torch.cat([waveform, torch.zeros(1, 4_000)], dim=1)
    found, n_frames = front_end(silent, torch.tensor([12_000]))
    clean, noisy, roomy = found.unflatten(1, (3, 40))[0]
    torch.testing.assert_close(clean, LogMel(settings)(silent, torch.tensor([12_000]))[0][0])
    assert (found.shape[1], int(n_frames)) == (120, front_end.n_frames(12_000))
    # In the silence: the noise has its level, the room its echo, 60 dB down after a quarter of a second.
    late = slice(60, 70)
    assert float(clean[:, late].max()) < -90
    white = LogMel(settings)(
        0.002 * torch.randn(1, 12_000, generator=torch.Generator().manual_seed(0)), torch.tensor([12_000])
    )[0]
    assert float(noisy[:, late].mean()) == pytest.approx(float(white.mean()), abs=2)
    assert -90 < float(roomy[:, late].mean()) < float(clean[:, 20:40].mean())


def test_noise_and_echo_never_vary_and_know_no_neighbours() -> None:
    front_end = NoiseAndReverb(LogMel(FrontEnd()))
    waveform = torch.from_numpy(voice(0.6))
    batch = torch.stack([waveform, waveform.flip(0)])
    first, again = (front_end(batch, torch.tensor([9_600, 4_000]))[0] for _ in range(2))
    assert torch.equal(first, again)
    alone, n_frames = NoiseAndReverb(LogMel(FrontEnd()))(batch[1:, :4_000], torch.tensor([4_000]))
    torch.testing.assert_close(first[1:, :, : int(n_frames)], alone, rtol=0, atol=1e-3)


def test_three_versions_are_not_trimmed_apart() -> None:
    with pytest.raises(RecipeError, match="trim"):
        front_end_for("image", FrontEnd(trim="peak"), Image(3, "noise-reverb"))


def test_the_front_end_is_the_one_that_the_network_needs() -> None:
    plain, noisy = Image(), Image(3, "noise-reverb")
    kinds = [
        type(front_end_for(kind, FrontEnd(), image))
        for kind, image in (("frames", plain), ("image", plain), ("image", noisy), ("waveform", plain))
    ]
    assert kinds == [LogMel, LogMel, NoiseAndReverb, RawWaveform]
