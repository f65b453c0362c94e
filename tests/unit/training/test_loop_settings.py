"""Training by each setting: what it promises, and that a killed run ends as one that was not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earnest.audio.waveform import Waveform
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, RecipeError
from earnest.frontends.log_mel import LogMel, compute_frames
from earnest.models.classifier import Network, NetworkOutput
from earnest.settings.front_end import FrontEnd
from earnest.settings.recipe import Recipe, Training, Unfreezing
from earnest.training.batches import Augmented, plain_batches, predict_outputs
from earnest.training.examples import Example, kept
from earnest.training.heads import learned_tasks
from earnest.training.learn import Clips, learner_for
from earnest.training.loop import EpochKeeper, fit
from earnest.training.module import EmotionTraining

pytestmark = pytest.mark.long

N_MELS, N_CLASSES = 20, 3
FRONT_END = LogMel(FrontEnd(n_fft=512, win_length=400, hop_length=160, n_mels=N_MELS))
QUICK = Training(epochs=4, patience=4, batch_size=6, optimiser="adamw", learning_rate=0.02)
TASKS = replace(QUICK, auxiliary=("gender", "affect"))


class AllTasks(Network):
    """A shared layer on the mean frame and a head a task."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden = nn.Sequential(nn.Linear(N_MELS, 8), nn.BatchNorm1d(8), nn.Dropout(0.2))
        self.output, self.gender, self.affect = nn.Linear(8, N_CLASSES), nn.Linear(8, 2), nn.Linear(8, 3)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        inside = torch.arange(frames.shape[2])[None, None] < n_frames[:, None, None]
        hidden = self.hidden((frames * inside).sum(dim=2) / n_frames[:, None] / 40 + 1)
        affect = self.affect(hidden).sigmoid()
        return NetworkOutput(self.output(hidden), hidden, None, self.gender(hidden), affect)


def made(count: int, seed: int = 0) -> list[Example]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        waveform = (0.02 * rng.normal(size=int(rng.integers(3_000, 5_000)))).astype(np.float32)
        waveform += (0.1 * np.sin(np.arange(len(waveform)) * (0.1 + 0.2 * (number % N_CLASSES)))).astype(np.float32)
        rating = tuple(rng.random(3)) if number % 4 else (np.nan,) * 3
        row = Utterance(f"{seed}-{number}", Path("a.wav"), corpus="made-up")
        frames = compute_frames(FRONT_END, waveform)
        found.append(Example(row, frames, number % N_CLASSES, 0.2, number % 3 - 1, rating, kept(waveform)))
    return found


TRAIN, VALID = made(14), made(6, seed=1)


def noisy(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    return (waveform + rng.normal(0, 0.05, len(waveform))).astype(np.float32)


def augmented(settings: Training, train: list[Example] = TRAIN) -> Augmented:
    return Augmented(train, FRONT_END, noisy, settings)


def trained(settings: Training, folder: Path, augment: bool = False) -> tuple[AllTasks, EpochKeeper]:
    network = AllTasks()
    train = augmented(settings) if augment else TRAIN
    return network, fit(network, train, VALID, settings, folder, N_CLASSES)


def losses(keeper: EpochKeeper) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in keeper.history]


class KilledError(Exception):
    pass


RESUMED: dict[str, tuple[Training, bool]] = {
    **{
        how: (replace(TASKS, multitask=how, optimiser="adabelief"), False)  # type: ignore[arg-type]
        for how in ("uncertainty", "weighted")
    },
    "augmented": (replace(QUICK, clean_share=0.2, oversample="balanced", time_mask_frames=3), True),
    "stability": (replace(QUICK, stability_weight=0.5), True),
    "rising": (replace(QUICK, schedule="cosine", warmup_epochs=2, gradient_clip=0.5), False),
    "thawing": (
        replace(QUICK, freeze=("hidden",), unfreeze=(Unfreezing(3, ("hidden.0",)),), layer_decay=0.5),
        False,
    ),
    "mixed": (replace(TASKS, mixup="plain", mixup_alpha=0.5), False),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_killed_training_ends_with_the_same_bits(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, augment = RESUMED[name]
    network, keeper = trained(settings, tmp_path / "whole", augment)
    end_epoch = EpochKeeper.on_train_epoch_end

    def killed(self: EpochKeeper, *arguments: Any) -> None:
        end_epoch(self, *arguments)
        raise KilledError

    for _ in range(2):
        monkeypatch.setattr(EpochKeeper, "on_train_epoch_end", killed)
        with pytest.raises(KilledError):
            trained(settings, tmp_path / "killed", augment)
    monkeypatch.setattr(EpochKeeper, "on_train_epoch_end", end_epoch)
    resumed, other = trained(settings, tmp_path / "killed", augment)
    assert losses(other) == losses(keeper)
    checkpoints = [tmp_path / part / "last.ckpt" for part in ("whole", "killed")]
    states = [torch.load(checkpoint, weights_only=True)["state_dict"] for checkpoint in checkpoints]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), resumed.parameters(), strict=True))


@pytest.mark.parametrize("how", ["uncertainty", "weighted"])
def test_learned_loss_weights_move_and_are_kept_in_the_checkpoint_not_in_the_network(how: str, tmp_path: Path) -> None:
    settings = replace(TASKS, multitask=how)  # type: ignore[arg-type]
    network, keeper = trained(settings, tmp_path)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    (learned,) = (value for key, value in state.items() if key.startswith("objective"))
    assert len(set(learned.tolist())) > 1
    assert not any("objective" in key for key in (*network.state_dict(), *keeper.best_weights))


def test_all_tasks_learn(tmp_path: Path) -> None:
    start, (network, _) = AllTasks(), trained(replace(TASKS, multitask="uncertainty"), tmp_path)
    for head in ("output", "gender", "affect"):
        assert not torch.equal(network.get_submodule(head).weight, start.get_submodule(head).weight)  # type: ignore[arg-type]


def test_augmentation_is_for_training_clips_only(tmp_path: Path) -> None:
    heard: list[int] = []

    def counted(waveform: Waveform, rng: np.random.Generator) -> Waveform:
        heard.append(len(waveform))
        return noisy(waveform, rng)

    network = AllTasks()
    settings = replace(QUICK, monitor="valid_loss")
    train = Augmented(TRAIN, FRONT_END, counted, settings)
    keeper = fit(network, train, VALID, settings, tmp_path, N_CLASSES)
    lengths = [len(example.waveform) for example in TRAIN if example.waveform is not None]
    assert sorted(heard) == sorted(lengths * settings.epochs)
    plain = nn.functional.cross_entropy(
        predict_outputs(network, VALID).logits, torch.tensor([one.target for one in VALID])
    )
    assert float(plain) == pytest.approx(min(row["valid_loss"] for row in keeper.history), rel=1e-5)


def test_validation_clips_with_waveforms_are_scored_as_they_are(tmp_path: Path) -> None:
    settings = replace(QUICK, monitor="valid_loss")
    silent = [replace(example, waveform=None) for example in VALID]
    one = fit(AllTasks(), augmented(settings), VALID, settings, tmp_path / "one", N_CLASSES)
    other = fit(AllTasks(), augmented(settings), silent, settings, tmp_path / "other", N_CLASSES)
    assert losses(one) == losses(other)


def test_augmentation_and_its_settings_change_what_is_learned(tmp_path: Path) -> None:
    variants = {"plain": (QUICK, False), "noisy": (QUICK, True), "other": (replace(QUICK, seed=1), True)}
    variants |= {"stable": (replace(QUICK, stability_weight=1.0), True)}
    keepers = [trained(settings, tmp_path / name, augment)[1] for name, (settings, augment) in variants.items()]
    histories = [losses(keeper) for keeper in keepers]
    assert all(one != other for index, one in enumerate(histories) for other in histories[:index])


def test_a_long_gradient_is_shortened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lengths: list[float] = []
    shorten = EmotionTraining.on_before_optimizer_step

    def watched(self: EmotionTraining, optimizer: torch.optim.Optimizer) -> None:
        shorten(self, optimizer)
        found = [weight.grad for weight in self.network.parameters() if weight.grad is not None]
        lengths.append(float(torch.cat([gradient.flatten() for gradient in found]).norm()))

    monkeypatch.setattr(EmotionTraining, "on_before_optimizer_step", watched)
    trained(QUICK, tmp_path / "long")
    assert max(lengths) > 0.1
    lengths.clear()
    trained(replace(QUICK, gradient_clip=0.05), tmp_path / "short")
    assert max(lengths) == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("monitor", ["train_loss", "valid_loss"])
def test_the_plateau_is_that_of_the_loss_that_is_named(monitor: str, tmp_path: Path) -> None:
    patience = {"plateau_patience": 0, "plateau_cooldown": 0, "plateau_threshold": 0.0}
    settings = replace(QUICK, epochs=8, patience=8, learning_rate=0.5, **patience)  # type: ignore[arg-type]
    settings = replace(settings, plateau_monitor=monitor)  # type: ignore[arg-type]
    best, rate = float("inf"), 0.5
    for row in trained(settings, tmp_path)[1].history:
        rate = rate if row[monitor] < best else 0.7 * rate
        best = min(best, row[monitor])
        assert row["learning_rate"] == pytest.approx(rate)
    assert rate < 0.5


def test_why_it_ended(tmp_path: Path) -> None:
    assert trained(QUICK, tmp_path / "all")[1].stop_reason == "epochs"
    patient = replace(QUICK, epochs=30, patience=2, learning_rate=1e-9)
    keeper = trained(patient, tmp_path / "patience")[1]
    assert keeper.stop_reason == "patience"
    assert keeper.best_epoch == len(keeper.history) - 2 < 28


def test_a_task_that_the_model_or_the_clips_lack_is_refused(tmp_path: Path) -> None:
    class EmotionOnly(AllTasks):
        def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
            return super().forward(frames, n_frames)._replace(gender=None, affect=None)

    settings = replace(QUICK, auxiliary=("gender",))
    with pytest.raises(RecipeError, match="doesn't answer 'gender'"):
        fit(EmotionOnly(), TRAIN, VALID, settings, tmp_path / "model", N_CLASSES)
    unlabelled = [replace(example, gender=-1) for example in TRAIN]
    with pytest.raises(CorpusError, match=r"label for 'gender'\. .* --set training\.auxiliary=\[\]\."):
        fit(AllTasks(), unlabelled, VALID, settings, tmp_path / "clips", N_CLASSES)
    neither = [replace(example, affect=(np.nan,) * 3) for example in unlabelled]
    weighted = replace(TASKS, multitask="weighted")
    with pytest.raises(CorpusError, match=r"for 'gender' or 'affect'\. .*multitask=sum\. .* set training.affect_range"):
        fit(AllTasks(), neither, VALID, weighted, tmp_path / "neither", N_CLASSES)


@pytest.mark.parametrize("how", ["sum", "uncertainty", "weighted"])
def test_a_task_that_nobody_labelled_is_left_out_beside_one_that_somebody_did(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unrated = [replace(example, affect=(np.nan,) * 3) for example in TRAIN]
    settings = replace(TASKS, multitask=how)  # type: ignore[arg-type]
    start, network = AllTasks(), AllTasks()
    fit(network, unrated, VALID, settings, tmp_path, N_CLASSES)
    assert "No training recording has a label for 'affect': the model won't answer it." in caplog.text
    assert learned_tasks(settings, unrated) == ("gender",)
    for head, moves in (("output", True), ("gender", True), ("affect", False)):
        moved = not torch.equal(network.get_submodule(head).bias, start.get_submodule(head).bias)  # type: ignore[arg-type]
        assert moved == moves
    assert all(weight.isfinite().all() for weight in network.parameters())


def taught(settings: Training, train: list[Example]) -> tuple[str, ...]:
    return learner_for(Recipe("made-up", "cabg", training=settings), Clips({})).tasks(train)


def test_a_closed_form_teaches_gender_where_both_were_heard() -> None:
    assert taught(TASKS, TRAIN) == ("gender", "affect")
    closed = replace(TASKS, method="discriminant", auxiliary=("gender",))
    assert taught(closed, TRAIN) == ("gender",)
    assert taught(replace(closed, auxiliary=()), TRAIN) == ()
    women = [replace(example, gender=min(example.gender, 0)) for example in TRAIN]
    assert {example.gender for example in women} >= {0}
    assert taught(closed, women) == ()
    assert taught(replace(TASKS, auxiliary=("gender",)), women) == ("gender",)


def test_a_closed_form_refuses_affect() -> None:
    with pytest.raises(RecipeError, match='"discriminant" learns classes: of auxiliary tasks, "gender" alone'):
        replace(TASKS, method="discriminant")


def test_batches_of_validation_are_plain() -> None:
    (batch,) = plain_batches(augmented(QUICK))
    assert batch.noisy_frames is None
    count = int(batch.n_frames[0])
    assert torch.equal(batch.frames[0, :, :count], TRAIN[0].frames)
