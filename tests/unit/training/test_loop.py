"""Training: what it is given, what it keeps, when it stops."""

import inspect
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from csv_tables import rows_of
from torch import Tensor, nn

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, RecipeError
from earnest.models.classifier import Network, NetworkOutput
from earnest.settings.recipe import Training
from earnest.training.batches import predict_outputs
from earnest.training.examples import Example
from earnest.training.loop import EpochKeeper, Health, History, fit, freed_memory_kept

pytestmark = pytest.mark.long

N_CLASSES = 3
QUICK = Training(epochs=4, patience=4, batch_size=4, optimiser="adamw", learning_rate=0.02)


class Mean(Network):
    """The smallest network: a linear layer on each clip's mean frame, with dropout so that seeds matter."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(5, N_CLASSES)
        nn.init.zeros_(self.output.weight)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        inside = torch.arange(frames.shape[2])[None, None] < n_frames[:, None, None]
        mean = (frames * inside).sum(dim=2) / n_frames[:, None]
        return NetworkOutput(self.output(self.dropout(mean)), mean)


def examples(count: int, seed: int = 0, learnable: bool = True) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for index in range(count):
        frames = torch.randn(5, int(torch.randint(3, 9, (), generator=generator)), generator=generator)
        target = index % N_CLASSES
        frames[target] += 2.0 * learnable
        made.append(Example(Utterance(f"{seed}-{index}", Path("a.wav"), corpus="made-up"), frames, target, 1.0))
    return made


def history_without_seconds(folder: Path) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows_of(folder / "history.csv")]


def test_there_is_no_parameter_through_which_test_data_could_come() -> None:
    assert list(inspect.signature(fit).parameters) == [
        "network",
        "train",
        "valid",
        "settings",
        "folder",
        "n_classes",
        "progress",
        "stop_after",
        "ends_now",  # hears about epochs, gives no data
        "ranks",
    ]


def test_it_learns_and_leaves_the_network_ready_to_predict(tmp_path: Path) -> None:
    network = Mean()
    fit(network, examples(24), examples(12, seed=1), replace(QUICK, epochs=15, patience=15), tmp_path, N_CLASSES)
    assert not network.training
    unseen = examples(30, seed=2)
    right = predict_outputs(network, unseen).logits.argmax(dim=1) == torch.tensor(
        [example.target for example in unseen]
    )
    assert float(right.float().mean()) > 0.8


def test_the_kept_weights_are_those_of_the_best_validation_epoch(tmp_path: Path) -> None:
    valid = examples(12, seed=1)
    network = Mean()
    keeper = fit(network, examples(24), valid, replace(QUICK, monitor="valid_loss"), tmp_path, N_CLASSES)
    losses = [row["valid_loss"] for row in keeper.history]
    assert keeper.best_epoch == 1 + losses.index(min(losses))
    targets = torch.tensor([example.target for example in valid])
    kept = nn.functional.cross_entropy(predict_outputs(network, valid).logits, targets)
    assert float(kept) == pytest.approx(min(losses), rel=1e-5)


def test_of_equally_good_epochs_the_first_is_kept(tmp_path: Path) -> None:
    settings = replace(QUICK, learning_rate=1e-9, schedule="none")
    keeper = fit(Mean(), examples(12), examples(12, seed=1), settings, tmp_path, N_CLASSES)
    assert len({row["valid_ua"] for row in keeper.history}) == 1
    assert keeper.best_epoch == 1


def test_it_stops_when_patience_runs_out(tmp_path: Path) -> None:
    settings = replace(QUICK, epochs=50, patience=3, learning_rate=1e-9)
    keeper = fit(Mean(), examples(12), examples(12, seed=1), settings, tmp_path, N_CLASSES)
    assert len(keeper.history) == 4
    assert keeper.has_stopped()


def test_it_ends_when_it_is_told_to_and_says_how_far_it_came(tmp_path: Path) -> None:
    lengths: list[int] = []

    def ends_now(history: History) -> bool:
        lengths.append(len(history))
        return history[-1]["epoch"] == 2

    keeper = fit(Mean(), examples(12), examples(12, seed=1), QUICK, tmp_path, N_CLASSES, ends_now=ends_now)
    assert lengths == [1, 2]
    assert len(keeper.history) == 2 < QUICK.epochs


def test_without_validation_all_epochs_are_run_and_the_last_counts(tmp_path: Path) -> None:
    network = Mean()
    keeper = fit(network, examples(12), (), replace(QUICK, patience=1), tmp_path, N_CLASSES)
    assert (keeper.best_epoch, len(keeper.history)) == (4, 4)
    assert torch.equal(network.output.weight, keeper.best_weights["output.weight"])
    assert {row["valid_ua"] for row in history_without_seconds(tmp_path)} == {""}


@pytest.mark.parametrize("settings", [QUICK, replace(QUICK, mixup_alpha=0.3, time_mask_frames=3)])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(settings: Training, tmp_path: Path) -> None:
    found = []
    for name, seed in (("one", 7), ("again", 7), ("other", 8)):
        torch.manual_seed(len(found))  # what was drawn before must not matter
        network = Mean()
        network.output.reset_parameters()
        nn.init.zeros_(network.output.weight)
        nn.init.zeros_(network.output.bias)
        fit(network, examples(14), examples(6, seed=1), replace(settings, seed=seed), tmp_path / name, N_CLASSES)
        found.append(network.output.weight.detach())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_the_largest_seed_is_a_seed(tmp_path: Path) -> None:
    fit(Mean(), examples(6), (), replace(QUICK, epochs=2, seed=2**31 - 1), tmp_path, N_CLASSES)


def test_history_has_a_row_an_epoch_with_the_rate_that_the_schedule_left(tmp_path: Path) -> None:
    settings = replace(QUICK, schedule="cosine", lowest_learning_rate=0.001)
    fit(Mean(), examples(12), examples(6, seed=1), settings, tmp_path, N_CLASSES)
    rows = history_without_seconds(tmp_path)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.001)


def test_the_plateau_schedule_follows_the_training_loss(tmp_path: Path) -> None:
    settings = replace(QUICK, epochs=8, patience=8, learning_rate=1e-5, plateau_threshold=0.5)
    fit(Mean(), examples(12), examples(6, seed=1), settings, tmp_path, N_CLASSES)
    rates = [float(row["learning_rate"]) for row in history_without_seconds(tmp_path)]
    # Best in the first epoch; patience 2 is over after the fourth; then three epochs of cooldown.
    assert rates == pytest.approx([1e-5] * 3 + [7e-6] * 5)


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first = fit(Mean(), examples(12), examples(6, seed=1), QUICK, tmp_path, N_CLASSES)
    network = Mean()
    again = fit(network, examples(12), examples(6, seed=1), QUICK, tmp_path, N_CLASSES)
    assert again.history == first.history
    assert torch.equal(network.output.weight, first.best_weights["output.weight"])


@pytest.mark.parametrize("count", [2, 3, 5, 8, 9])
def test_any_number_of_clips_from_two_can_be_trained_on(count: int, tmp_path: Path) -> None:
    keeper = fit(Mean(), examples(count), (), replace(QUICK, epochs=1), tmp_path, N_CLASSES)
    assert keeper.history[0]["train_loss"] > 0


def test_one_clip_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="at least two recordings, got 1"):
        fit(Mean(), examples(1), (), QUICK, tmp_path, N_CLASSES)


def test_clips_of_one_class_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="its training recordings are of one class"):
        fit(Mean(), [replace(clip, target=1) for clip in examples(4)], (), QUICK, tmp_path, N_CLASSES)


def test_half_a_checkpoint_is_never_seen(tmp_path: Path) -> None:
    fit(Mean(), examples(12), examples(6, seed=1), QUICK, tmp_path, N_CLASSES)
    assert {path.name for path in tmp_path.iterdir()} == {"history.csv", "last.ckpt", "tensorboard"}


def test_patience_is_counted_from_the_best_epoch(tmp_path: Path) -> None:
    keeper = EpochKeeper(tmp_path, "valid_ua", 2, Health(9, N_CLASSES, 1.0))
    assert not keeper.has_stopped()
    keeper.best_epoch, keeper.history = 3, [{"epoch": 4.0}]
    assert not keeper.has_stopped()
    keeper.history = [{"epoch": 5.0}]
    assert keeper.has_stopped()


def test_a_training_that_diverges_is_explained(tmp_path: Path) -> None:
    diverging = replace(QUICK, optimiser="sgd", learning_rate=9.9, monitor="valid_loss", epochs=400, patience=400)
    loud = [replace(example, frames=1e18 * example.frames) for example in examples(12)]
    with pytest.raises(RecipeError, match=r"is not finite\. Try a smaller learning_rate"):
        fit(Mean(), loud, loud[:6], diverging, tmp_path, N_CLASSES)


class Seeing(Mean):
    """The same behind a convolution, said to see images; how it computes is kept."""

    input = "image"

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 2, 3, padding=1)
        self.coarse: set[bool] = set()
        self.channels_last: set[bool] = set()

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        self.coarse.add(torch.is_autocast_enabled(frames.device.type))
        self.channels_last.add(self.convolution.weight.is_contiguous(memory_format=torch.channels_last))
        found = self.convolution(torch.stack([frames, frames], dim=1))
        return super().forward(frames + found.mean(dim=1), n_frames)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU computes all networks in bfloat16")
@pytest.mark.parametrize("quick", [True, False])
def test_images_are_computed_in_bfloat16_where_a_processor_multiplies_it(
    quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("earnest.training.loop.bfloat16_is_quick", lambda _: quick)
    network = Seeing()
    fit(network, examples(24), examples(9, seed=1), replace(QUICK, epochs=2), tmp_path, N_CLASSES)
    assert network.coarse == {quick}


@pytest.mark.parametrize("has_amx", [True, False])
def test_weights_over_images_have_channels_last_while_they_learn_where_that_is_safe(
    has_amx: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    network = Seeing()
    fit(network, examples(24), examples(9, seed=1), replace(QUICK, epochs=2), tmp_path, N_CLASSES)
    assert network.channels_last == {has_amx or torch.cuda.is_available()}
    assert network.convolution.weight.is_contiguous()  # as files of weights want them


def test_in_bfloat16_the_weights_stay_in_float32_and_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earnest.training.loop._precision", lambda network: "bf16-mixed")  # as on a GPU
    network = Mean()
    keeper = fit(network, examples(24), examples(9, seed=1), QUICK, tmp_path, N_CLASSES)
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    assert keeper.history[-1]["train_loss"] < keeper.history[0]["train_loss"]
    assert keeper.history[-1]["valid_ua"] > 0.5


def faults_of_steps() -> int:
    """Return how many pages the system had to give for twenty steps that each need 64 MiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_a_step_uses_the_memory_of_the_step_before_while_a_network_learns() -> None:
    outside = faults_of_steps()
    with freed_memory_kept():
        inside = faults_of_steps()
    assert inside < outside / 5


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_after_a_training_the_system_has_the_memory_back() -> None:
    with freed_memory_kept():
        torch.ones(2**27)
        kept = resident_bytes()
    assert resident_bytes() < kept - 2**28


def test_a_training_keeps_memory_and_gives_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []

    @contextmanager
    def noted() -> Iterator[None]:
        kept.append(True)
        yield
        kept.append(False)

    monkeypatch.setattr("earnest.training.loop.freed_memory_kept", noted)
    fit(Mean(), examples(24), examples(9, seed=1), replace(QUICK, epochs=1), tmp_path, N_CLASSES)
    assert kept == [True, False]
