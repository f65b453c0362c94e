"""Pooling and mixing behind an encoder."""

import torch

from earnest.models.layers import AttentiveStatistics, LayerMix, masked_mean, weighted_statistics


def steps(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(seed))


MASK = torch.tensor([[True] * 5, [True, True, False, False, False]])


def test_equal_weights_give_mean_and_deviation() -> None:
    found = weighted_statistics(steps(), torch.full((2, 5), 0.2))
    torch.testing.assert_close(found[:, :3], steps().mean(dim=1))
    torch.testing.assert_close(found[:, 3:], steps().std(dim=1, correction=0))


def test_weights_of_attention_sum_to_one_over_the_clips_own_steps() -> None:
    torch.manual_seed(0)
    pooling = AttentiveStatistics(3, 4)
    pooled, weights = pooling(steps(), MASK)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    assert not weights[1, 2:].any()
    alone, _ = pooling(steps()[1:, :2], MASK[1:, :2])
    torch.testing.assert_close(pooled[1:], alone)
    mean = (weights[0, :, None] * steps()[0]).sum(dim=0)
    second = (weights[0, :, None] * steps()[0] ** 2).sum(dim=0)
    torch.testing.assert_close(pooled[0], torch.cat([mean, (second - mean**2).sqrt()]), rtol=1e-4, atol=1e-5)


def test_the_mean_counts_only_the_clips_own_steps() -> None:
    torch.testing.assert_close(masked_mean(steps(), MASK)[1], steps()[1, :2].mean(dim=0))


def test_layers_are_mixed_by_a_softmax() -> None:
    mix = LayerMix(2)
    torch.testing.assert_close(mix([steps(0), steps(1)]), (steps(0) + steps(1)) / 2)
    with torch.no_grad():
        mix.scores.copy_(torch.tensor([3.0, 0.0]).log().clamp(min=-50))
    torch.testing.assert_close(mix([steps(0), steps(1)]), steps(0))
    assert mix.scores.requires_grad
    assert not LayerMix(1).scores.requires_grad  # nothing to learn
