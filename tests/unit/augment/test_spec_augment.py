"""Masks and mixup: seeded, bounded, and the inputs stay as they are."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from earnest.augment import spec_augment
from earnest.augment.spec_augment import changed, mask_bands, mask_time, mix_up, reverberant, with_noise
from earnest.errors import RecipeError
from earnest.settings.recipe import FrameChanges

N_MELS = 20
MASKS = [mask_time, mask_bands]
each_mask = pytest.mark.parametrize("mask", MASKS)
Mask = Callable[[Tensor, Tensor, int, torch.Generator], Tensor]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(seed: int = 0, size: int = 6, frames: int = 50) -> tuple[Tensor, Tensor, Tensor]:
    generator = seeded(seed)
    n_frames = torch.randint(1, frames + 1, (size,), generator=generator)
    n_frames[0] = frames
    targets = torch.nn.functional.one_hot(torch.arange(size) % 4, 4).float()
    return torch.randn(size, N_MELS, frames, generator=generator), n_frames, targets


@each_mask
def test_a_mask_is_the_same_for_the_same_seed_and_leaves_its_input_alone(mask: Mask) -> None:
    frames, n_frames, _ = batch()
    before = frames.clone()
    first, second, other = (mask(frames, n_frames, 12, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(frames, before)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), longest=st.integers(1, 60))
def test_time_masks_are_one_stretch_of_at_most_a_fifth_of_the_clip(seed: int, longest: int) -> None:
    frames, n_frames, _ = batch(seed)
    changed = (mask_time(frames, n_frames, longest, seeded(seed)) != frames).any(dim=1)
    for row, count in zip(changed, n_frames.tolist(), strict=True):
        hidden = row.nonzero()[:, 0].tolist()
        assert len(hidden) <= min(longest, count / 5 + 0.5)
        assert hidden == list(range(hidden[0], hidden[0] + len(hidden))) if hidden else True
        assert not hidden or hidden[-1] < count


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), most=st.integers(1, N_MELS))
def test_band_masks_are_neighbouring_bands_and_no_more_than_asked_for(seed: int, most: int) -> None:
    frames, n_frames, _ = batch(seed)
    changed = (mask_bands(frames, n_frames, most, seeded(seed)) != frames).any(dim=2)
    for row in changed:
        hidden = row.nonzero()[:, 0].tolist()
        assert len(hidden) <= most
        assert hidden == list(range(hidden[0], hidden[0] + len(hidden))) if hidden else True


def test_of_several_versions_of_an_utterance_the_same_bands_are_hidden() -> None:
    frames, n_frames, _ = batch(size=40)
    three = torch.cat([frames, frames + 1, frames - 1], dim=1)
    changed = (mask_bands(three, n_frames, 8, seeded(0), 3) != three).any(dim=2)
    plain = (mask_bands(frames, n_frames, 8, seeded(0)) != frames).any(dim=2)
    assert torch.equal(changed, plain.repeat(1, 3))


@each_mask
def test_what_is_hidden_takes_the_mean_of_the_clips_own_frames(mask: Mask) -> None:
    frames, n_frames, _ = batch()
    masked = mask(frames, n_frames, 12, seeded(3))
    changed = masked != frames
    assert changed.any()
    for row, count in enumerate(n_frames.tolist()):
        mean = frames[row, :, :count].mean()
        hidden = masked[row][changed[row]]
        torch.testing.assert_close(hidden, mean.expand_as(hidden))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([0.05, 0.2, 0.4, 1.0, 8.0]))
def test_mixed_targets_sum_to_one_and_the_clip_itself_keeps_the_larger_share(seed: int, alpha: float) -> None:
    frames, n_frames, targets = batch(seed)
    mixed, both, shares = mix_up(frames, n_frames, targets, alpha, seeded(seed))
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(len(frames)))
    assert (shares >= 0).all()
    assert (shares[targets.bool()] >= 0.5).all()
    assert (both >= n_frames).all()
    assert mixed.shape == frames.shape
    assert mixed.isfinite().all()


def test_plain_mixup_leaves_the_larger_share_to_chance() -> None:
    own = torch.eye(4)
    frames, n_frames, _ = batch(size=4)
    shares = [mix_up(frames, n_frames, own, 0.5, seeded(seed), dominant=False)[2].diagonal() for seed in range(100)]
    smaller = (torch.stack(shares) < 0.5).float().mean()
    assert 0.3 < float(smaller) < 0.5  # half, but for clips that are their own partner


def test_what_is_unknown_of_one_is_unknown_of_the_mixture() -> None:
    frames, n_frames, _ = batch(size=4)
    targets = torch.cat([torch.eye(4), torch.tensor([[0.5], [torch.nan], [0.1], [0.2]])], dim=1)
    _, _, mixed = mix_up(frames, n_frames, targets, 0.4, seeded(1))
    involved = mixed[:, 1] > 0
    assert torch.equal(mixed[:, 4].isnan(), involved)
    assert mixed[:, :4].isfinite().all()


def test_a_mixture_is_of_clip_and_partner_in_the_shares_of_its_targets() -> None:
    frames, n_frames, _ = batch(size=4)
    own = torch.eye(4)
    mixed, both, shares = mix_up(frames, n_frames, own, 0.4, seeded(0))
    torch.testing.assert_close(mixed, torch.einsum("ij,jmt->imt", shares, frames))
    for row in range(4):
        assert int(both[row]) == max(int(n_frames[index]) for index in shares[row].nonzero()[:, 0])


def test_mixup_is_seeded_and_leaves_its_inputs_alone() -> None:
    inputs = batch()
    before = [tensor.clone() for tensor in inputs]
    first, second = (mix_up(*inputs, 0.4, seeded(7)) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(inputs, before, strict=True))
    assert not torch.equal(first[0], inputs[0])


def test_all_is_computed_where_the_frames_are() -> None:
    frames, n_frames, targets = (tensor.to("meta") for tensor in batch())
    made = [mask(frames, n_frames, 12, seeded(0)) for mask in MASKS]
    made += mix_up(frames, n_frames, targets, 0.2, seeded(0))
    assert {tensor.device.type for tensor in made} == {"meta"}


NEVER = FrameChanges(crop=0, stretch=0, noisy=0, narrow=0, masked=0)


def frames(n_frames: int = 60, seed: int = 0) -> Tensor:
    return torch.randn(80, n_frames, generator=torch.Generator().manual_seed(seed)) * 8 - 20


def power(decibels: Tensor) -> Tensor:
    return torch.pow(10.0, decibels / 10)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 12.5])
def test_powers_add_at_the_ratio_of_means(snr_db: float) -> None:
    clip, noise = frames(), frames(40, seed=1)
    mixed = with_noise(clip, noise, snr_db, math.inf, start=30)
    added = power(mixed) - power(clip)
    assert 10 * math.log10(power(clip).mean() / added.mean()) == pytest.approx(snr_db, abs=0.05)
    heard = noise[:, (30 + torch.arange(60)) % 40]
    ratio = added / power(heard)
    assert float(ratio.max() / ratio.min()) == pytest.approx(1.0, abs=0.1)


def test_nothing_lies_further_down_than_the_floor() -> None:
    clip = frames()
    clip[:, :10] = -500.0
    mixed = with_noise(clip, torch.full((80, 5), -500.0), 60.0, top_db=80.0)
    assert float(mixed.min()) == pytest.approx(float(mixed.max()) - 80.0)


def test_without_changes_a_clip_is_itself() -> None:
    assert torch.equal(changed(frames(), NEVER, [frames()], 80.0, np.random.default_rng(0)), frames())


def test_the_same_seed_gives_the_same_and_what_came_in_stays() -> None:
    clip, always = frames(), FrameChanges(crop=1, stretch=1, noisy=1, narrow=1, masked=1)
    once, again, other = (changed(clip, always, [frames(30, 2)], 80.0, np.random.default_rng(s)) for s in (1, 1, 2))
    assert torch.equal(once, again)
    assert once.shape != other.shape or not torch.equal(once, other)
    assert torch.equal(clip, frames())


def test_a_crop_is_a_part_and_a_stretch_is_in_range() -> None:
    clip = torch.arange(100.0).expand(80, 100)
    for seed in range(30):
        part = changed(clip, replace(NEVER, crop=1), [], 80.0, np.random.default_rng(seed))
        assert 60 <= part.shape[1] <= 100
        assert torch.equal(part, clip[:, int(part[0, 0]) : int(part[0, 0]) + part.shape[1]])
        rng = np.random.default_rng(seed)
        stretched = changed(clip, replace(NEVER, stretch=1, stretch_range=(0.8, 1.2)), [], 80.0, rng)
        assert 80 <= stretched.shape[1] <= 120


def test_a_narrow_band_is_at_the_floor_above() -> None:
    for seed in range(20):
        narrow = changed(frames(), replace(NEVER, narrow=1), [], 80.0, np.random.default_rng(seed))
        n_kept = int((narrow == frames()).all(dim=1).sum())
        assert 50 <= n_kept <= 62
        assert torch.equal(narrow[:n_kept], frames()[:n_kept])
        assert (narrow[n_kept:] == frames().max() - 80.0).all()


def test_a_narrow_band_without_a_floor_is_as_low_as_anything() -> None:
    narrow = changed(frames(), replace(NEVER, narrow=1), [], math.inf, np.random.default_rng(0))
    assert (narrow[62:] == frames().min()).all()


def test_masks_hide_no_more_than_they_may() -> None:
    for seed in range(20):
        masked = changed(frames(), replace(NEVER, masked=1), [], 80.0, np.random.default_rng(seed))
        hidden = masked == frames().mean()
        assert 1 <= hidden.all(dim=1).sum() <= 10
        assert 1 <= hidden.all(dim=0).sum() <= 20


def test_a_clip_is_played_backwards() -> None:
    backward = changed(frames(), replace(NEVER, backward=1), [], 80.0, np.random.default_rng(0))
    assert torch.equal(backward, frames().flip(1))


def test_pieces_of_others_take_places_in_a_spliced_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec_augment, "MOST_PIECES", 1)
    monkeypatch.setattr(spec_augment, "PIECE_FRAMES", (5, 200))
    clip, other = torch.zeros(80, 60), torch.arange(1.0, 41.0).expand(80, 40)
    always = replace(NEVER, spliced=1)
    for seed in range(20):
        spliced = changed(clip, always, [], 80.0, np.random.default_rng(seed), [other])
        piece = spliced[0][spliced[0] > 0]
        assert spliced.shape == clip.shape
        assert 5 <= len(piece) <= 40
        assert torch.equal(piece.diff(), torch.ones(len(piece) - 1))
    assert (clip == 0).all()
    assert torch.equal(changed(clip, always, [], 80.0, np.random.default_rng(0)), clip)


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_a_warp_moves_bands_and_keeps_the_level(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec_augment, "WARP_RANGE", (factor, factor))
    clip = torch.full((80, 30), -60.0)
    clip[40] = 0.0
    always = replace(NEVER, warped=1)
    warped = changed(clip, always, [], 80.0, np.random.default_rng(0))
    assert int(warped[:, 0].argmax()) == round(40 / factor)
    assert float(power(warped).mean()) == pytest.approx(float(power(clip).mean()), rel=1e-3)


def test_an_expander_makes_what_is_quiet_quieter() -> None:
    clip = torch.cat([torch.zeros(80, 30), torch.full((80, 30), -60.0)], dim=1)
    expanded = changed(clip, replace(NEVER, expanded=1), [], 80.0, np.random.default_rng(0))
    assert float(expanded[:, :30].mean()) == pytest.approx(0.0, abs=0.01)
    assert -80.0 <= float(expanded[:, 30:].max()) < -60.0


def test_another_microphone_is_the_same_in_every_frame() -> None:
    coloured = changed(frames(), replace(NEVER, coloured=1), [], math.inf, np.random.default_rng(0))
    gains = coloured - frames()
    torch.testing.assert_close(gains, gains[:, :1].expand_as(gains), atol=1e-3, rtol=0)
    assert float(gains[:, 0].std()) > 1
    assert float(power(coloured).mean()) == pytest.approx(float(power(frames()).mean()), rel=1e-3)


def test_what_a_recipe_leaves_out_does_not_change_what_it_draws() -> None:
    drawn = np.random.default_rng(0)
    changed(frames(), FrameChanges(), [frames()], 80.0, drawn, [frames()])
    same = np.random.default_rng(0)
    changed(frames(), FrameChanges(), [frames()], 80.0, same, [])
    assert drawn.random() == same.random()


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop": 1.5},
        {"stretch_range": (1.2, 0.9)},
        {"snr_db": (9.0, 3.0)},
        {"spliced": -0.1},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        FrameChanges(**wrong)


def test_a_room_lets_a_click_die_away_by_60_decibels_and_keeps_the_level() -> None:
    click = torch.full((4, 200), -120.0)
    click[:, 20] = 0.0
    heard = reverberant(click, rt60_frames=100, direct_db=0.0, top_db=math.inf)
    tail = heard[0, 21:121]
    assert float(tail[0] - tail[-1]) == pytest.approx(60 * 99 / 100, abs=0.5)
    power, before = (10 ** (frames / 10) for frames in (heard, click))
    assert float(power.mean()) == pytest.approx(float(before.mean()), rel=1e-3)
    assert float(power[0, 20] / power[0, 21:].sum()) == pytest.approx(1.0, rel=0.01)  # as much directly as not
    assert torch.all(heard[:, :20] < -70)  # nothing is heard before it sounds
    assert torch.equal(reverberant(click[:, :1], 100, 0.0, math.inf), click[:, :1])
