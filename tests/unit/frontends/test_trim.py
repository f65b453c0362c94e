"""Where the speech is: EmoCatcher's gradient rule and the peak rule, against numpy, scipy and librosa."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from earnest.frontends.trim import GradientTrim, first_and_end, peak_trim

librosa = pytest.importorskip("librosa", reason="librosa is not installed")
ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is not installed")
Floats = npt.NDArray[np.float64]
N_MELS = 16


def energy_curve(rng: np.random.Generator, frames: int) -> Floats:
    """Loudness of speech between pauses, decibels, shape (frames,)."""
    pause, speech = rng.uniform(-75, -45), rng.uniform(-30, 0)
    start, end = sorted(rng.integers(0, frames, 2))
    curve = np.full(frames, pause)
    curve[start : end + 1] = speech
    syllables = 8 * np.sin(2 * np.pi * rng.uniform(0.05, 0.3) * np.arange(frames) + rng.uniform(0, 6))
    return np.asarray(curve + syllables + rng.normal(0, rng.uniform(0.5, 4), frames))


def spectrogram(seed: int) -> npt.NDArray[np.float32]:
    """Decibels of power, shape (n_mels, frames), 2 to 150 frames."""
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(2, 151))
    tilt = np.linspace(0, -rng.uniform(0, 30), N_MELS)[:, None]
    decibels = energy_curve(rng, frames) + tilt + rng.normal(0, 2, (N_MELS, frames))
    return np.maximum(decibels, decibels.max() - 80).astype(np.float32)


def directly(log_mel: npt.NDArray[np.float32]) -> tuple[int, int]:
    """EmoCatcher's rule in numpy, scipy and librosa, on what it takes for amplitudes: the power."""
    decibels = librosa.amplitude_to_db(10 ** (log_mel.astype(np.float64) / 10))
    energy = ((decibels - decibels.min()) / (decibels.max() - decibels.min())).sum(axis=0)
    smooth = ndimage.gaussian_filter1d(np.sort(energy), sigma=10)
    active = np.flatnonzero(energy > smooth[np.gradient(smooth).argmax()])
    return max(active[0] - 3, 0), min(active[-1] + 3, len(energy))


def padded(clips: list[npt.NDArray[np.float32]], fill: float = -100.0) -> tuple[Tensor, Tensor]:
    longest = max(clip.shape[1] for clip in clips)
    batch = [np.pad(clip, ((0, 0), (0, longest - clip.shape[1])), constant_values=fill) for clip in clips]
    return torch.from_numpy(np.stack(batch)), torch.tensor([clip.shape[1] for clip in clips])


def frames_of(rule: nn.Module, clips: list[npt.NDArray[np.float32]]) -> list[tuple[int, int]]:
    start, end = rule(*padded(clips))
    return list(zip(start.tolist(), end.tolist(), strict=True))


def test_gradient_trim_finds_the_frames_that_numpy_and_scipy_find_whatever_the_length() -> None:
    clips = [spectrogram(seed) for seed in range(400)]
    assert frames_of(GradientTrim(), clips) == [directly(clip) for clip in clips]


def test_gradient_trim_of_a_batch_is_that_of_its_clips() -> None:
    clips = [spectrogram(seed) for seed in range(30)]
    rule = GradientTrim()
    assert frames_of(rule, clips) == [frames_of(rule, [clip])[0] for clip in clips]


@pytest.mark.parametrize("level_db", [-100.0, -60.0, 0.0])
@pytest.mark.parametrize("frames", [1, 2, 200])
def test_gradient_trim_keeps_all_of_a_clip_that_is_the_same_throughout(level_db: float, frames: int) -> None:
    steady = np.full((N_MELS, frames), level_db, np.float32)
    assert frames_of(GradientTrim(), [steady]) == [(0, frames)]


def test_gradient_trim_always_keeps_a_frame() -> None:
    rng = np.random.default_rng(5)
    clips = [rng.uniform(-100, 0, (N_MELS, frames)).astype(np.float32) for frames in range(1, 60)]
    for (start, end), clip in zip(frames_of(GradientTrim(), clips), clips, strict=True):
        assert 0 <= start < end <= clip.shape[1]


def test_peak_trim_keeps_the_frames_that_librosa_keeps() -> None:
    rng = np.random.default_rng(1)
    for frames in (1, 2, 5, 40, 90):
        for below_db in (20.0, 40.0, 60.0):
            waveform = rng.normal(0, 1, 512 * frames - 1) * np.repeat(10 ** (energy_curve(rng, frames) / 20), 512)[1:]
            _, kept = librosa.effects.trim(waveform, top_db=below_db, frame_length=2048, hop_length=512)
            power = librosa.feature.rms(y=waveform, frame_length=2048, hop_length=512)[0] ** 2
            start, end = peak_trim(torch.from_numpy(power)[None], torch.tensor([len(power)]), below_db)
            # librosa gives samples, and ends the last frame with the clip.
            assert int(start) * 512 == kept[0]
            assert min(int(end) * 512, len(waveform)) == kept[1]


def test_peak_trim_ignores_what_lies_behind_a_clip() -> None:
    power = torch.tensor([[0.0, 1.0, 0.0, 99.0], [0.0, 1.0, 0.5, 0.0]])
    start, end = peak_trim(power, torch.tensor([3, 4]), 40.0)
    assert start.tolist() == [1, 1]
    assert end.tolist() == [2, 3]


def test_silence_is_kept_whole() -> None:
    start, end = peak_trim(torch.zeros(2, 6), torch.tensor([6, 2]), 40.0)
    assert start.tolist() == [0, 0]
    assert end.tolist() == [6, 2]


def test_first_and_end_frame_enclose_what_is_active() -> None:
    active = torch.tensor([[False, True, False, True, False], [False] * 5, [True] * 5])
    first, end = first_and_end(active, torch.tensor([5, 4, 5]))
    assert first.tolist() == [1, 0, 0]
    assert end.tolist() == [4, 4, 5]
