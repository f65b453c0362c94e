"""Loss and class weights against their definitions."""

import pytest
import torch

from earnest.training.losses import balanced_weights, cross_entropy


def test_label_smoothing_is_the_published_mixture() -> None:
    logits = torch.tensor([[2.0, 0.5, -1.0, 0.0], [0.1, 0.2, 0.3, 0.4]])
    targets = torch.tensor([0, 3])
    logs = logits.log_softmax(dim=1)
    wanted = 0.9 * torch.nn.functional.one_hot(targets, 4) + 0.1 / 4
    expected = -(wanted * logs).sum(dim=1).mean()
    torch.testing.assert_close(cross_entropy(logits, targets, 0.1), expected)


def test_shares_of_one_class_equal_its_index() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 1, 0])
    shares = torch.nn.functional.one_hot(targets, 3).float()
    torch.testing.assert_close(cross_entropy(logits, shares, 0.1), cross_entropy(logits, targets, 0.1))


def test_balanced_weights_make_every_class_count_the_same() -> None:
    targets = [0] * 6 + [1] * 3 + [3]
    weights = balanced_weights(targets, 4)
    totals = [float(weights[index]) * targets.count(index) for index in (0, 1, 3)]
    assert totals == pytest.approx([10 / 3] * 3)
    assert float(weights[2]) == 0.0
    assert float(weights[targets].mean()) == pytest.approx(1.0)
