"""Several processes that learn one model: the weights of one process, whoever began and whoever goes on."""

import contextlib
import os
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import forked
from patience import PATIENCE_S
from ports import free_port
from torch import Tensor, nn

from earnest.corpora.manifest import Utterance
from earnest.models.classifier import Network, NetworkOutput
from earnest.settings.recipe import Training
from earnest.training.batches import joined_ranks
from earnest.training.examples import Example
from earnest.training.loop import History, fit, follow

EPOCHS, N_CLASSES, BANDS = 4, 3, 6
# 27 clips: batches of 12, 12 and 3, of which the last one is too small for two ranks; 16 of the validation's speakers.
SETTINGS = Training(epochs=EPOCHS, batch_size=12, learning_rate=0.03, optimiser="adam", plateau_patience=0)


class MeanPool(Network):
    """Without dropout and batch normalisation, so that slices of a batch give the gradient of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(BANDS, N_CLASSES)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        mean = frames.sum(dim=2) / n_frames[:, None]
        return NetworkOutput(self.output(mean), mean)


def clips(count: int, seed: int) -> list[Example]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        frames = rng.normal(number % N_CLASSES, 2.0, (BANDS, 5)).astype(np.float32)
        row = Utterance(f"clip-{number}", Path("a.wav"), corpus="made-up", emotion="happy")
        made.append(Example(row, torch.from_numpy(frames), number % N_CLASSES, 1.0))
    return made


TRAIN, VALID = clips(29, seed=1), clips(9, seed=2)  # batches of 12, 12 and 5: slices that differ by one clip


def learn(rank: int, size: int, port: int, folder: Path, dies_after: int) -> None:
    """Be one of the processes that torchrun would start; the first one kills itself after an epoch's checkpoint."""
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in told.items()}
    if size > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "test"}
    torch.set_num_threads(1)

    def ends_now(history: History) -> bool:
        if len(history) == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    with (folder / f"said-{rank}.txt").open("w") as said, contextlib.redirect_stderr(said):
        try:
            with joined_ranks() as ranks:
                if ranks.is_first:
                    torch.manual_seed(5)
                    network = MeanPool()
                    fit(network, TRAIN, VALID, SETTINGS, folder, N_CLASSES, ends_now=ends_now, ranks=ranks)
                    torch.save(network.state_dict(), folder / "weights.pt")
                else:
                    follow(ranks)
        except Exception as error:
            said.write(f"{type(error).__name__}: {error}")
            raise


def ended(folder: Path, size: int, dies_after: int = 0) -> list[int | None]:
    """Learn by so many processes; return how they ended."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    processes: list[BaseProcess] = [forked(learn, rank, size, port, folder, dies_after) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(4 * PATIENCE_S)
    return [process.exitcode for process in processes]


def result(folder: Path) -> tuple[dict[str, Tensor], list[list[float]]]:
    """Return the weights of the best epoch, and the history without learning rates' and seconds' last digits."""
    rows = np.genfromtxt(folder / "history.csv", delimiter=",", skip_header=1)
    return torch.load(folder / "weights.pt", weights_only=True), rows[:, :6].round(4).tolist()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    assert ended(folder, 1) == [0]
    return folder


def assert_same(folder: Path, alone: Path) -> None:
    (weights, history), (expected, expected_history) = result(folder), result(alone)
    assert history == expected_history
    assert [row[0] for row in history] == [1, 2, 3, 4]
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-5)


def test_two_processes_learn_what_one_does(alone: Path, tmp_path: Path) -> None:
    assert ended(tmp_path, 2) == [0, 0]
    assert_same(tmp_path, alone)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"history.csv", "tensorboard", "weights.pt", "said-0.txt", "said-1.txt", "last.ckpt"}


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_killed_training_goes_on_with_another_number_of_processes(
    before: int, after: int, alone: Path, tmp_path: Path
) -> None:
    first, *others = ended(tmp_path, before, dies_after=2)
    assert first == -signal.SIGKILL
    for rank, code in enumerate(others, start=1):
        assert code == 1
        assert "EarnestError: Process 1 of 2: another one has ended" in (tmp_path / f"said-{rank}.txt").read_text()
    assert ended(tmp_path, after) == [0] * after
    assert_same(tmp_path, alone)
