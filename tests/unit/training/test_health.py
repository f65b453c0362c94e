"""Each sign that a network does not learn is told once, with what to do; a training that learns is told nothing."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from earnest.corpora.manifest import Utterance
from earnest.models.classifier import Network, NetworkOutput
from earnest.settings.recipe import Training
from earnest.training.examples import Example
from earnest.training.loop import EpochKeeper, Health, fit
from earnest.training.module import Objective, SilentWeights, constant_answers

N_CLASSES, WIDTH = 4, 6
SETTINGS = Training(epochs=15, patience=15, batch_size=8, optimiser="sgd", momentum=0.0, learning_rate=0.3)
BALANCED = [10] * N_CLASSES


class Small(Network):
    """Two layers on each clip's first frame; ``bias`` of the first one kills it."""

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.output = nn.Linear(WIDTH, 8), nn.Linear(8, N_CLASSES)
        self.affect = nn.Linear(8, 3)
        nn.init.constant_(self.first.bias, bias)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        hidden = self.first(frames[:, :, 0]).relu()
        return NetworkOutput(self.output(hidden), hidden, affect=self.affect(hidden).relu())


def examples(seed: int = 0, loud: float = 1.0, is_learnable: bool = True) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for index in range(40):
        frames = 0.3 * torch.randn(WIDTH, 1, generator=generator)
        frames[index % N_CLASSES] += is_learnable
        row = Utterance(f"{seed}-{index}", Path("a.wav"), corpus="made-up")
        rated = (index % N_CLASSES) / N_CLASSES
        made.append(Example(row, loud * frames, index % N_CLASSES, 1.0, affect=(rated,) * 3))
    return made


def trained(folder: Path, network: Network, settings: Training = SETTINGS, **how: float) -> EpochKeeper:
    return fit(network, examples(0, **how), examples(1, **how), settings, folder, N_CLASSES)


def test_a_training_that_learns_is_told_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        keeper = trained(tmp_path, Small(), replace(SETTINGS, auxiliary=("affect",), affect_loss="mse"))
    assert keeper.history[-1]["valid_ua"] > 0.9
    assert keeper.health.found == {}
    assert not caplog.records


def test_a_loss_that_explodes_is_told_once_with_the_one_of_constant_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        keeper = trained(tmp_path, Small(), replace(SETTINGS, label_smoothing=0.0, epochs=6), loud=30.0)
    assert keeper.history[0]["train_loss"] > 10 * 1.4
    told = [record.getMessage() for record in caplog.records if "explodes" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith(f"{tmp_path}: The loss explodes: in epoch 1 it was ")
    assert told[0].endswith("where constant answers have 1.4. Try a smaller learning_rate, or gradient_clip = 1.0.")


def test_a_layer_that_no_gradient_reaches_is_told_by_name(tmp_path: Path) -> None:
    sentence = trained(tmp_path, Small(bias=-100.0)).health.found["dead"]
    assert "no gradient reached first.bias, first.weight" in sentence
    assert "output.weight" in sentence  # nothing comes out of the first
    assert "affect" not in sentence  # no part of the loss


def test_answers_that_are_the_same_for_all_clips_are_told(tmp_path: Path) -> None:
    found = trained(tmp_path, Small(bias=-100.0)).health.found
    assert "in epoch 2 all validation utterances got the same emotion." in found["constant"]


def test_a_rectifier_that_died_is_told_by_its_answer(tmp_path: Path) -> None:
    network = Small()
    nn.init.constant_(network.affect.bias, -100.0)
    settings = replace(SETTINGS, auxiliary=("affect",), affect_loss="mse")
    found = trained(tmp_path, network, settings).health.found
    assert "the same valence and arousal and dominance." in found["constant"]
    assert "affect.weight" in found["dead"]
    assert "chance" not in found  # the emotion is learnt


@pytest.mark.parametrize(("is_learnable", "expected"), [(True, set()), (False, {"chance"})])
def test_chance_level_after_a_third_of_the_epochs_is_told(
    is_learnable: bool, expected: set[str], tmp_path: Path
) -> None:
    assert set(trained(tmp_path, Small(), is_learnable=is_learnable).health.found) == expected


def test_chance_is_asked_after_a_third_of_the_epochs_and_five_at_least() -> None:
    def told_at(epochs: int) -> list[int]:
        health, history, at = Health(epochs, N_CLASSES, 1.4), [], []
        for epoch in range(1, epochs + 1):
            history.append({"epoch": epoch, "train_loss": 1.4, "valid_ua": 0.25})
            at += [epoch] * len(health.check(history, (), (), BALANCED))
        return at

    assert (told_at(60), told_at(12), told_at(4)) == ([20], [5], [])


@pytest.mark.parametrize(("ua", "is_told"), [(0.31, True), (0.33, False)])
def test_chance_has_the_deviation_of_guesses(ua: float, is_told: bool) -> None:
    # √(4 · ¼ · ¾ / 10) / 4 = 0.068: guesses among four classes of ten clips have 25 ± 6.8 %.
    history = [{"epoch": epoch, "train_loss": 1.4, "valid_ua": ua} for epoch in range(1, 6)]
    found = Health(15, N_CLASSES, 1.4).check(history, (), (), BALANCED)
    assert bool(found) == is_told
    assert all(
        "after 5 of 15 epochs UA on validation utterances is 31.0 %, guesses have 25.0 ± 6.8 %." in one for one in found
    )


@pytest.mark.parametrize(("ua", "is_told"), [(0.31, True), (0.6, False)])
def test_a_slow_start_is_no_result_at_chance(ua: float, is_told: bool) -> None:
    rows = [{"epoch": epoch, "train_loss": 1.4, "valid_ua": 0.25 if epoch < 8 else ua} for epoch in range(1, 16)]
    health = Health(15, N_CLASSES, 1.4)
    assert len(health.check(rows[:5], (), (), BALANCED)) == 1
    health.end(rows, BALANCED)
    assert ("chance" in health.found) == is_told


def test_what_was_found_survives_a_kill() -> None:
    row = {"epoch": 1, "train_loss": 99.0, "valid_ua": 0.9}
    health = Health(15, N_CLASSES, 1.4)
    assert len(health.check([row], ("emotion",), (), BALANCED)) == 1
    resumed = Health(15, N_CLASSES, 1.4)
    resumed.load_state_dict(health.state_dict())
    (new,) = resumed.check([row, row | {"epoch": 2}], ("emotion",), (), BALANCED)
    assert "constant" in new  # the second epoch in a row, and the loss isn't told again


def test_one_epoch_of_equal_answers_may_be_a_slow_start() -> None:
    health, row = Health(15, N_CLASSES, 1.4), {"epoch": 1, "train_loss": 1.4, "valid_ua": 0.9}
    assert [health.check([row], constant, (), BALANCED) for constant in (["emotion"], [], ["emotion"])] == [[]] * 3


def test_answers_are_constant_where_all_numbers_of_all_clips_agree() -> None:
    rows = torch.tensor([[0.2, 0.8], [0.2004, 0.7996]])
    assert constant_answers({"same": rows, "other": torch.tensor([[0.2, 0.8], [0.3, 0.7]]), "one": rows[:1]}) == [
        "same"
    ]


def test_a_declared_weight_may_be_silent() -> None:
    network = Small(bias=-100.0)
    silent = SilentWeights(network, ["*.weight"])
    silent.begin()
    network(torch.ones(2, WIDTH, 1), torch.ones(2)).logits.sum().backward()
    silent.see()
    assert silent.names == {"first.bias"}


@pytest.mark.parametrize(
    ("settings", "loss"),
    [
        ({}, 1.386),
        ({"auxiliary": ("affect",), "affect_loss": "mse"}, 1.386 + 0.75),
        ({"auxiliary": ("affect",), "affect_loss": "ccc", "multitask": "uncertainty"}, 1.386 + 3),
    ],
)
def test_the_loss_of_constant_answers_is_that_of_the_combination(settings: dict[str, object], loss: float) -> None:
    objective = Objective(Training(**settings), N_CLASSES, examples())
    assert objective.chance_loss() == pytest.approx(loss, abs=0.001)
