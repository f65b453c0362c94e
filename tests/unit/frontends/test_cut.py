"""Crops and blocks, checked frame by frame."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from earnest.errors import RecipeError
from earnest.frontends.trim import blocks, crop, floor_of
from earnest.settings.front_end import Segments

FLOOR = -7.0


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
