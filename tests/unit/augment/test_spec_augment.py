"""Masks and mixup: seeded, bounded, and the inputs stay as they are."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from earnest.augment.spec_augment import mask_bands, mask_time, mix_up

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
