"""Where the speech is: EmoCatcher's gradient rule and the peak rule, against numpy, scipy and librosa."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from earnest.errors import RecipeError
from earnest.frontends.trim import GradientTrim, blocks, crop, first_and_end, floor_of, peak_trim
from earnest.settings.front_end import Segments

librosa = pytest.importorskip("librosa", reason="librosa is not installed")
ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is not installed")
Floats = npt.NDArray[np.float64]
N_MELS = 16
FLOOR = -7.0


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


def numbered(frames: int) -> Tensor:
    """One clip of two bands: 0, 1, 2 … and the same times ten."""
    line = torch.arange(float(frames))
    return torch.stack([line, 10 * line])[None]


def cut(frames: Tensor, n_frames: int, length: int, place: float | None = None) -> list[float]:
    where = None if place is None else torch.tensor([place])
    found = crop(frames, torch.tensor([n_frames]), length, torch.full((1, 1, 1), FLOOR), where)
    assert found.shape == (1, 2, length)
    return found[0, 0].tolist()


def test_a_crop_lies_in_the_middle() -> None:
    assert cut(numbered(10), 9, 3) == [3, 4, 5]
    assert cut(numbered(10), 10, 3) == [3, 4, 5]


def test_a_short_clip_is_continued_at_both_ends() -> None:
    assert cut(numbered(10), 2, 5) == [FLOOR, FLOOR, 0, 1, FLOOR]


@given(n_frames=st.integers(1, 40), length=st.integers(1, 40), place=st.floats(0, 1, exclude_max=True, width=32))
def test_a_random_crop_holds_a_whole_stretch_of_the_clip(n_frames: int, length: int, place: float) -> None:
    found = cut(numbered(40), n_frames, length, place)
    own = [value for value in found if value != FLOOR]
    assert len(own) == min(n_frames, length)
    assert own == list(range(int(own[0]), int(own[0]) + len(own)))
    assert own[-1] < n_frames


def test_random_crops_reach_both_ends() -> None:
    assert cut(numbered(10), 10, 3, 0.0)[0] == 0
    assert cut(numbered(10), 10, 3, 0.999)[-1] == 9
    assert cut(numbered(10), 2, 4, 0.0)[:2] == [0, 1]
    assert cut(numbered(10), 2, 4, 0.999)[2:] == [0, 1]


@given(n_frames=st.lists(st.integers(1, 40), min_size=1, max_size=4), length=st.integers(1, 15))
def test_blocks_hold_every_frame_once(n_frames: list[int], length: int) -> None:
    frames = numbered(max(n_frames)).expand(len(n_frames), -1, -1)
    padding = torch.full((len(n_frames), 1, 1), FLOOR)
    pieces, live = blocks(frames, torch.tensor(n_frames), length, padding)
    assert pieces.shape == (len(n_frames), live.shape[1], 2, length)
    for clip, kept, count in zip(pieces, live, n_frames, strict=True):
        needed = max(1, -(-(count - 1) // length))
        assert kept.tolist() == [number < needed for number in range(live.shape[1])]
        line = clip[kept][:, 0].flatten().tolist()
        own = min(count, needed * length)  # the frame on the very end needs no block for it alone
        assert line == [*range(own)] + [FLOOR] * (needed * length - own)


def test_the_floor_is_that_of_the_clips_own_frames() -> None:
    frames = numbered(6) + 3
    frames[0, 0, 4] = -99
    assert floor_of(frames, torch.tensor([4])).flatten().tolist() == [3.0]


@pytest.mark.parametrize(
    ("segments", "rate_hz", "hop", "frames"),
    [
        (Segments("crop", 2.1), 22_050, 512, 91),
        (Segments("blocks", 3.0), 16_000, 160, 300),
        (Segments("crop", 1), 8_000, 1, 8_001),
    ],
)
def test_published_lengths(segments: Segments, rate_hz: int, hop: int, frames: int) -> None:
    assert segments.frames(rate_hz, hop) == frames


@pytest.mark.parametrize("wrong", [("whole", 1.0), ("crop", 0.0), ("blocks", float("nan")), ("blocks", 1e9)])
def test_impossible_segments_are_refused(wrong: tuple[str, float]) -> None:
    with pytest.raises(RecipeError, match="length_s"):
        Segments(*wrong)  # type: ignore[arg-type]
