"""What a head can learn and what nobody rated; losses against written-out formulas, and their combinations."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from earnest.corpora.manifest import Utterance
from earnest.settings.recipe import Training
from earnest.training.examples import Example
from earnest.training.heads import (
    AffectHead,
    EmotionHead,
    Targets,
    Uncertainty,
    WeightedSoftmax,
    balanced_weights,
    ccc_loss,
    combination_of,
    divergence,
    gender_loss,
    heads_of,
    one_hot,
    squared_error,
    tasks_of,
)


def emotion_loss(logits: Tensor, targets: Tensor) -> Tensor:
    truth = Targets(targets, torch.empty(0), torch.empty(0))
    loss = EmotionHead(logits.shape[1]).losses(logits, truth, Training(label_smoothing=0.1), None)["emotion"]
    assert loss is not None
    return loss


def test_label_smoothing_is_the_published_mixture() -> None:
    logits = torch.tensor([[2.0, 0.5, -1.0, 0.0], [0.1, 0.2, 0.3, 0.4]])
    targets = torch.tensor([0, 3])
    logs = logits.log_softmax(dim=1)
    wanted = 0.9 * torch.nn.functional.one_hot(targets, 4) + 0.1 / 4
    expected = -(wanted * logs).sum(dim=1).mean()
    torch.testing.assert_close(emotion_loss(logits, targets), expected)


def test_shares_of_one_class_equal_its_index() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 1, 0])
    shares = torch.nn.functional.one_hot(targets, 3).float()
    torch.testing.assert_close(emotion_loss(logits, shares), emotion_loss(logits, targets))


def test_balanced_weights_make_every_class_count_the_same() -> None:
    targets = [0] * 6 + [1] * 3 + [3]
    weights = balanced_weights(targets, 4)
    totals = [float(weights[index]) * targets.count(index) for index in (0, 1, 3)]
    assert totals == pytest.approx([10 / 3] * 3)
    assert float(weights[2]) == 0.0
    assert float(weights[targets].mean()) == pytest.approx(1.0)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [0.0, 1.0, 40.0])
def test_answers_that_agree_don_t_diverge_at_all(scale: float) -> None:
    logits = scale * drawn(5, 4)
    assert float(divergence(logits, logits.clone())) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_answers_that_differ_diverge_by_the_published_sum(seed: int) -> None:
    clean, noisy = drawn(5, 4, seed=seed), drawn(5, 4, seed=seed + 100)
    p, q = clean.softmax(dim=1), noisy.softmax(dim=1)
    expected = (p * (p / q).log()).sum(dim=1).mean()
    assert float(expected) > 0
    torch.testing.assert_close(divergence(clean, noisy), expected)


def test_the_clean_answer_is_the_goal_and_not_pulled() -> None:
    clean, noisy = drawn(5, 4).requires_grad_(), drawn(5, 4, seed=1).requires_grad_()
    divergence(clean, noisy).backward()
    assert clean.grad is None
    assert noisy.grad is not None and bool(noisy.grad.any())


def test_gender_is_learned_from_clips_that_have_one() -> None:
    logits = drawn(4, 2).requires_grad_()
    loss = gender_loss(logits, one_hot(torch.tensor([1, -1, 0, -1]), 2))
    assert loss is not None
    known = torch.nn.functional.cross_entropy(logits[[0, 2]], torch.tensor([1, 0]))
    torch.testing.assert_close(loss, known)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum(dim=1).gt(0).tolist() == [True, False, True, False]
    assert gender_loss(logits, one_hot(torch.tensor([-1, -1, -1, -1]), 2)) is None


def test_concordance_is_perfect_only_where_all_is_the_same() -> None:
    rated = torch.tensor([0.1, 0.4, 0.5, 0.9])
    losses = [ccc_loss(predicted, rated) for predicted in (rated, rated + 0.1, 0.5 * rated, 1 - rated)]
    assert losses[0] is not None and float(losses[0]) == pytest.approx(0, abs=1e-6)
    # Lin's definition: 2·s_xy / (s_x² + s_y² + (m_x − m_y)²), with the deviation over n.
    variance = float(rated.var(unbiased=False))
    expected = [1 - 2 * variance / (2 * variance + 0.01), 1 - variance / (1.25 * variance + (0.475 / 2) ** 2)]
    assert [float(loss) for loss in losses[1:3] if loss is not None] == pytest.approx(expected, rel=1e-4)
    assert losses[3] is not None and float(losses[3]) > 1


@pytest.mark.parametrize("measure", [ccc_loss, squared_error])
def test_clips_without_a_rating_say_nothing(measure: Callable[[Tensor, Tensor], Tensor | None]) -> None:
    predicted = drawn(5).requires_grad_()
    rated = torch.tensor([0.2, torch.nan, 0.9, torch.nan, 0.4])
    loss, alone = measure(predicted, rated), measure(predicted[[0, 2, 4]], rated[[0, 2, 4]])
    assert loss is not None and alone is not None
    torch.testing.assert_close(loss, alone)
    loss.backward()
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()
    assert predicted.grad[[1, 3]].eq(0).all()
    assert measure(predicted, torch.full((5,), torch.nan)) is None


def test_concordance_of_constants_is_finite() -> None:
    predicted = torch.full((3,), 0.5, requires_grad=True)
    loss = ccc_loss(predicted, torch.full((3,), 0.5))
    assert loss is not None
    loss.backward()
    assert predicted.grad is not None and predicted.grad.isfinite().all()


ALL = Training(auxiliary=("gender", "affect"))
NAMES = ("emotion", "gender", "valence", "arousal", "dominance")
LOSSES = {name: torch.tensor(value) for name, value in zip(NAMES, (1.5, 0.7, 0.3, 0.2, 0.1), strict=True)}


def test_tasks_follow_from_the_settings() -> None:
    assert tasks_of(heads_of(8, ())) == ("emotion",)
    assert tasks_of(heads_of(8, ("gender",))) == ("emotion", "gender")
    assert tasks_of(heads_of(8, ALL.auxiliary)) == NAMES


def test_the_emotion_alone_is_its_own_loss() -> None:
    loss = torch.tensor(0.123)
    assert torch.equal(combination_of(Training(), ("emotion",))({"emotion": loss}), loss)


def test_sum_and_fixed_weights() -> None:
    assert float(combination_of(ALL, NAMES)(LOSSES)) == pytest.approx(2.8)
    fixed = Training(auxiliary=("gender", "affect"), multitask="fixed", gender_weight=2.0, affect_weight=0.5)
    assert float(combination_of(fixed, NAMES)(LOSSES)) == pytest.approx(1.5 + 1.4 + 0.3)


def test_uncertainty_is_least_where_each_s_is_the_logarithm_of_its_loss() -> None:
    combination = Uncertainty(NAMES)
    assert combination(LOSSES).item() == pytest.approx(2.8)  # e^0·L + 0
    optimiser = torch.optim.Adam(combination.parameters(), lr=0.1)
    for _ in range(400):
        optimiser.zero_grad()
        combination(LOSSES).backward()
        optimiser.step()
    expected = [math.log(float(loss)) for loss in LOSSES.values()]
    assert combination.log_variances.tolist() == pytest.approx(expected, abs=1e-2)


def test_the_published_weighted_form_and_that_its_regulariser_is_constant() -> None:
    combination = WeightedSoftmax(NAMES)
    quarter = math.exp(-0.25)
    assert combination(LOSSES).item() == pytest.approx(1.5 + quarter * 1.3 + 1)
    nothing = {name: torch.zeros(()) for name in NAMES}
    nn.init.normal_(combination.values, generator=torch.Generator().manual_seed(0))
    value = combination(nothing)
    assert value.item() == pytest.approx(1)
    value.backward()
    assert combination.values.grad is not None
    assert combination.values.grad.abs().max() < 1e-6


def test_a_task_without_labels_in_a_batch_is_not_learned_from_it() -> None:
    combination = Uncertainty(NAMES)
    combination({"emotion": LOSSES["emotion"]}).backward()
    assert combination.log_variances.grad is not None
    assert combination.log_variances.grad.ne(0).tolist() == [True, False, False, False, False]


def rated(*affect: float) -> Example:
    utterance = Utterance("a", Path("a.wav"), corpus="made-up")
    return Example(utterance, torch.zeros(4, 2), 0, 1.0, affect=affect)  # type: ignore[arg-type]


def test_a_dimension_that_nobody_rated_is_known_beside_others() -> None:
    one, other = rated(0.5, math.nan, math.nan), rated(math.nan, 0.2, math.nan)
    assert AffectHead().can_learn([one])
    assert AffectHead.unrated([one, other]) == ("dominance",)
    assert AffectHead.unrated([one]) == ("arousal", "dominance")
