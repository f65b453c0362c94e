"""Gradient descent in Lightning's loop: its history, the best weights, exact resumption, one process or several.

Signs, seen after an epoch, that a network is not learning: `Health` tells each once, with what to do.
"""

import copy
import csv
import ctypes
import io
import logging
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from earnest.errors import CorpusError, RecipeError, counted, named
from earnest.files.writing import write_atomically
from earnest.models.classifier import Network
from earnest.progress import SILENT, Progress
from earnest.settings.recipe import Training
from earnest.training.batches import ALONE, Augmented, Ranks, train_batches
from earnest.training.examples import Example
from earnest.training.module import EmotionTraining
from earnest.training.record import CHECKPOINT, History

_log = logging.getLogger(__name__)
HISTORY_COLUMNS = ("epoch", "train_loss", "valid_loss", "valid_wa", "valid_ua", "learning_rate", "seconds")
"""What every history has; behind them come the columns of the heads beside the emotion, see `Head.measures`."""
EXPLODED = 10.0  # times the loss of constant answers
FEWEST_EPOCHS = 5  # before it is asked whether answers are better than chance


@dataclass
class Health:
    """Faults of one training, checked after each epoch.

    Attributes
    ----------
    epochs : planned
    n_classes : of the emotion
    chance_loss : of answers that don't depend on the utterance
    found : sign → sentence, in the order in which they were found
    """

    epochs: int
    n_classes: int
    chance_loss: float
    found: dict[str, str] = field(default_factory=dict)
    _constant_before: list[str] = field(default_factory=list)

    def state_dict(self) -> dict[str, object]:
        """Return the state for a resumed training."""
        return {"found": self.found, "constant_before": self._constant_before}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take over what was found before a kill."""
        found, constant = state["found"], state["constant_before"]
        assert isinstance(found, dict)
        assert isinstance(constant, list)
        self.found, self._constant_before = dict(found), list(constant)

    def check(
        self,
        history: Sequence[Mapping[str, float]],
        constant: Collection[str],
        dead: Collection[str],
        class_counts: Sequence[int],
    ) -> list[str]:
        """Return faults that an epoch shows for the first time.

        Parameters
        ----------
        history : of all epochs so far
        constant : answers that were the same for all validation utterances of this epoch, see `constant_answers`
        dead : weights that no gradient reached in this epoch, see `SilentWeights`
        class_counts : validation utterances of each class that has any
        """
        told = {
            "exploding": self._exploding(history[-1]),
            "constant": self._constant(history[-1], constant),
            "dead": _dead(history[-1], dead),
            "chance": self._chance(history, class_counts),
        }
        new = {sign: sentence for sign, sentence in told.items() if sentence and sign not in self.found}
        self.found |= new
        return list(new.values())

    def _exploding(self, row: Mapping[str, float]) -> str:
        if row["train_loss"] <= EXPLODED * self.chance_loss:
            return ""
        return (
            f"The loss explodes: in epoch {row['epoch']:.0f} it was {row['train_loss']:.3g}, where constant answers "
            f"have {self.chance_loss:.2g}. Try a smaller learning_rate, or gradient_clip = 1.0."
        )

    def _constant(self, row: Mapping[str, float], constant: Collection[str]) -> str:
        # Two epochs in a row: the first steps of a slow start may leave answers as good as equal.
        lasting = [name for name in constant if name in self._constant_before]
        self._constant_before = list(constant)
        if not lasting:
            return ""
        return (
            f"The answers are constant: in epoch {row['epoch']:.0f} all validation utterances got the same "
            f"{' and '.join(lasting)}. Try a smaller learning_rate, and less dropout."
        )

    def _chance(self, history: Sequence[Mapping[str, float]], class_counts: Sequence[int]) -> str:
        """Ask once, after a third of the epochs, whether it is no better than chance."""
        n_done = len(history)
        if n_done != max(FEWEST_EPOCHS, math.ceil(self.epochs / 3)) or len(class_counts) < 2:
            return ""
        return self._no_better(history, class_counts)

    def end(self, history: Sequence[Mapping[str, float]], class_counts: Sequence[int]) -> None:
        """Take back that a training was no better than chance, where the last half of all its epochs is."""
        if "chance" in self.found and not self._no_better(history, class_counts):
            del self.found["chance"]

    def _no_better(self, history: Sequence[Mapping[str, float]], class_counts: Sequence[int]) -> str:
        """Say where the mean UA of the last half of the epochs is that of guesses; "" where it is better."""
        n_done = len(history)
        # Guesses among C classes: each recall has mean 1/C and variance (1/C)·(1 − 1/C)/n_c; UA is the recalls' mean.
        share = 1 / self.n_classes
        deviation = math.sqrt(sum(share * (1 - share) / n for n in class_counts)) / len(class_counts)
        last = [row["valid_ua"] for row in history[n_done // 2 :]]
        mean = sum(last) / len(last)
        if mean > share + deviation:
            return ""
        return (
            f"No better than chance: after {n_done} of {self.epochs} epochs UA on validation utterances is "
            f"{100 * mean:.1f} %, guesses have {100 * share:.1f} ± {100 * deviation:.1f} %. "
            "Check labels and learning_rate."
        )


def _dead(row: Mapping[str, float], dead: Collection[str]) -> str:
    if not dead:
        return ""
    return (
        f"Dead layers: no gradient reached {named(sorted(dead))} in epoch {row['epoch']:.0f}. "
        "Try a smaller learning_rate, or another start."
    )


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames: a kill leaves the old checkpoint or the new one, never half of one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` to ``path``."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(Path(path), buffer.getvalue())


def csv_bytes(columns: Sequence[str], rows: Sequence[Mapping[str, float]]) -> bytes:
    """Return a CSV table in UTF-8; what a row lacks is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


class EpochKeeper(Checkpoint):
    """Writes ``history.csv``, keeps the weights of the best epoch on validation data, stops when none got better.

    Attributes
    ----------
    ends_now : asked after each epoch, with the history so far; training ends when it says so
    best_epoch : number of the chosen epoch, from 1; 0 before the first
    best_weights : its weights
    """

    def __init__(
        self,
        folder: Path,
        monitor: str,
        patience: int,
        health: Health,
        choose: bool = True,
        ends_now: Callable[[History], bool] = lambda _history: False,
        ranks: Ranks = ALONE,
    ) -> None:
        self.ranks = ranks
        self.folder, self.monitor, self.patience, self.choose = folder, monitor, patience, choose
        self.ends_now, self.health = ends_now, health
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        self.best_value = -float("inf")
        self.best_weights: dict[str, Tensor] = {}
        self._started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a resumed run."""
        names = ("history", "best_epoch", "best_value", "best_weights")
        return {name: getattr(self, name) for name in names} | {"health": self.health.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what a killed run had."""
        for name, value in state_dict.items():
            if name == "health":
                self.health.load_state_dict(value)
            else:
                setattr(self, name, value)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch, compare it with the best one, save a checkpoint."""
        assert isinstance(pl_module, EmotionTraining)
        epoch = trainer.current_epoch + 1
        if not all(map(math.isfinite, (pl_module.train_loss, *pl_module.validation.values()))):
            raise RecipeError(
                f"{self.folder}: the loss of epoch {epoch} is not finite. Try a smaller learning_rate. Where none "
                "helps, the network gives NaN for a recording."
            )
        self.history.append(
            {
                "epoch": epoch,
                "train_loss": pl_module.train_loss,
                **pl_module.validation,
                "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
                "seconds": round(time.monotonic() - self._started, 3),
            }
        )
        self._compare(epoch, pl_module)
        columns = dict.fromkeys([*HISTORY_COLUMNS, *(name for row in self.history for name in row)])
        write_atomically(self.folder / "history.csv", csv_bytes(tuple(columns), self.history))
        for sentence in self.health.check(
            self.history, pl_module.constant, pl_module.silent.names, pl_module.class_counts
        ):
            _log.warning("%s: %s", self.folder, sentence)
        # Before the checkpoint is written, so that a resumed run ends where this one would have.
        if epoch - self.best_epoch >= self.patience:
            trainer.should_stop = True
        trainer.save_checkpoint(self.folder / CHECKPOINT)
        if self.ends_now(self.history):
            trainer.should_stop = True
        self.ranks.told(trainer.should_stop)

    def has_stopped(self) -> bool:
        """Return whether patience had run out when the checkpoint was written."""
        return bool(self.history) and int(self.history[-1]["epoch"]) - self.best_epoch >= self.patience

    @property
    def stop_reason(self) -> str:
        """Why there were no more epochs: "patience" had run out, or all "epochs" were run."""
        return "patience" if self.choose and self.has_stopped() else "epochs"

    def _compare(self, epoch: int, module: EmotionTraining) -> None:
        if self.choose:
            # Larger is better: a loss changes its sign. An equal epoch does not replace an earlier one.
            measured = module.validation[self.monitor]
            value = -measured if self.monitor.endswith("loss") else measured
            if value <= self.best_value:
                return
            self.best_value = value
        self.best_epoch = epoch
        # A copy: the optimiser changes the tensors in place.
        self.best_weights = copy.deepcopy(module.network.state_dict())


class EpochFollower(Checkpoint):
    """Does beside the first rank's `EpochKeeper` what all ranks have to do together."""

    def __init__(self, folder: Path, ranks: Ranks) -> None:
        self.folder, self.ranks = folder, ranks

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let the first rank save a checkpoint, and stop when it does."""
        trainer.save_checkpoint(self.folder / CHECKPOINT)  # which only the first one writes
        trainer.should_stop = self.ranks.told(None)


class EpochProgressBar(RichProgressBar):
    """Shows loss, WA and UA, without the logger's version number."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the metrics behind the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


def fit(  # noqa: PLR0913, PLR0917 - all that one training depends on
    network: Network,
    train: Sequence[Example],
    valid: Sequence[Example],
    settings: Training,
    folder: Path,
    n_classes: int,
    progress: Progress = SILENT,
    stop_after: int | None = None,
    ends_now: Callable[[History], bool] = lambda _history: False,
    ranks: Ranks = ALONE,
) -> EpochKeeper:
    """Train ``network`` in place until validation stops improving, and leave it with the weights of the best epoch.

    Parameters
    ----------
    train, valid : examples; without ``valid`` all epochs are run and the last one counts. Only `Augmented` training
        utterances are changed from epoch to epoch
    stop_after : epochs after which to stop, where it isn't all of the settings'; the schedule stays that of all
    ends_now : asked after each epoch, with the history so far; training ends when it says so
    ranks : the processes that learn together; the others of them are in `follow`
    folder : gets ``history.csv``, TensorBoard events and, until the end, a checkpoint from which a killed run resumes

    Returns
    -------
    the record of epochs, with the chosen one
    """
    if len(train) < 2:
        raise CorpusError(f"{folder}: training needs at least two recordings, got {len(train)}.")
    if len({example.target for example in train}) < 2:
        raise CorpusError(f"{folder}: its training recordings are of one class. Choose another --fold or --protocol.")
    if min(settings.batch_size, len(train)) < 2 * ranks.size:
        raise RecipeError(
            f"batch_size {settings.batch_size}, {counted(len(train), 'recording')}: too few for {ranks.size} "
            "processes. Each process needs two recordings of every batch. Start fewer processes."
        )
    folder.mkdir(parents=True, exist_ok=True)
    module = EmotionTraining(network, settings, n_classes, train, valid, ranks)
    epochs = stop_after or settings.epochs
    health = Health(epochs, n_classes, module.objective.chance_loss())
    keeper = EpochKeeper(folder, settings.monitor, settings.patience, health, bool(valid), ends_now, ranks)
    checkpoint = folder / CHECKPOINT
    if not _already_done(checkpoint, keeper, epochs):
        if ranks.size > 1:
            _lead(ranks, module, train, epochs, checkpoint)
        callbacks = [keeper, *([EpochProgressBar(leave=False)] if progress.visible else [])]
        trainer = _trainer(network, epochs, folder, callbacks, ranks, enable_progress_bar=progress.visible)
        _run(trainer, module, train, checkpoint)
    health.end(keeper.history, list(Counter(example.target for example in valid).values()))
    # Statistics of batch normalisation are part of them.
    network.load_state_dict(keeper.best_weights)
    network.eval()
    return keeper


def _run(trainer: pl.Trainer, module: EmotionTraining, train: Sequence[Example], checkpoint: Path) -> None:
    settings, network = module.settings, module.network
    batches = train_batches(train, settings.batch_size, settings.seed, settings.oversample, module.ranks)
    with freed_memory_kept(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning.*")
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        convert_conv2d_weight_memory_format(network, _layout(network))
        try:
            trainer.fit(module, batches, ckpt_path=checkpoint if checkpoint.exists() else None, weights_only=True)
        except SystemExit:  # Lightning's own end at Ctrl-C; the command has more to say
            raise KeyboardInterrupt from None
        convert_conv2d_weight_memory_format(network, torch.contiguous_format)  # as files of weights want them


@dataclass(frozen=True)
class Led:
    """One training, as the first rank tells it to the others before the utterances.

    Attributes
    ----------
    augmented : what makes `Augmented` utterances of them, without utterances; None where they stay as they are
    checkpoint : from which a killed run goes on
    """

    network: Network
    settings: Training
    n_classes: int
    epochs: int
    augmented: Augmented | None
    checkpoint: bytes | None


def _lead(ranks: Ranks, module: EmotionTraining, train: Sequence[Example], epochs: int, checkpoint: Path) -> None:
    augmented = train.of(()) if isinstance(train, Augmented) else None
    held = checkpoint.read_bytes() if checkpoint.exists() else None
    ranks.told(Led(module.network, module.settings, module.n_classes, epochs, augmented, held))
    ranks.told_all(train)


def follow(ranks: Ranks) -> None:
    """Learn beside the first rank, one training after the other, until it has no more."""
    logging.getLogger("earnest").setLevel(logging.ERROR)  # the first one says it
    while (led := ranks.told(None)) is not None:
        assert isinstance(led, Led)
        train: Sequence[Example] = ranks.told_all(())
        if led.augmented is not None:
            train = led.augmented.of(train)
        with TemporaryDirectory(prefix="earnest-rank-") as folder:
            checkpoint = Path(folder) / CHECKPOINT
            if led.checkpoint is not None:
                checkpoint.write_bytes(led.checkpoint)
            module = EmotionTraining(led.network, led.settings, led.n_classes, train, ranks=ranks)
            trainer = _trainer(led.network, led.epochs, Path(folder), [EpochFollower(Path(folder), ranks)], ranks)
            _run(trainer, module, train, checkpoint)


def _already_done(checkpoint: Path, keeper: EpochKeeper, epochs: int) -> bool:
    """Take the record from a checkpoint of the last epoch; Lightning would go on where patience had run out."""
    if not checkpoint.exists():
        return False
    states: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)["callbacks"]
    keeper.load_state_dict(states[keeper.state_key])
    return keeper.has_stopped() or len(keeper.history) >= epochs


def _trainer(
    network: Network,
    epochs: int,
    folder: Path,
    callbacks: list[Callback],
    ranks: Ranks,
    enable_progress_bar: bool = False,
) -> pl.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    on_gpu = torch.cuda.is_available()
    together: dict[str, Any] = {"accelerator": "auto", "devices": 1}
    if ranks.size > 1:
        # Heads without labels, and weights that are frozen now and thaw later, have no part in some steps.
        strategy = DDPStrategy(find_unused_parameters=True)
        nodes = ranks.size // ranks.local_size
        together = {"accelerator": "gpu" if on_gpu else "cpu", "devices": ranks.local_size, "num_nodes": nodes}
        # torch's synchronised batch normalisation is for GPUs; elsewhere each rank has the statistics of its slice.
        together |= {"strategy": strategy, "use_distributed_sampler": False, "sync_batchnorm": on_gpu}
    return pl.Trainer(
        **together,
        precision=_precision(network),
        max_epochs=epochs,
        callbacks=callbacks,
        logger=ranks.is_first and TensorBoardLogger(folder, "", "tensorboard", default_hp_metric=False),
        plugins=[AtomicCheckpointIO()],
        num_sanity_val_steps=0,
        enable_progress_bar=enable_progress_bar,
        enable_model_summary=False,
        enable_checkpointing=True,
        log_every_n_steps=50,
        default_root_dir=folder,
    )


def _precision(network: Network) -> Literal["bf16-mixed", "32-true"]:
    """Return how forward passes compute; weights, losses and scores are in float32 anyway.

    On a processor in bfloat16 those of images alone, where convolutions take nearly all of the time.
    """
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    coarse = network.inner.input == "image" and bfloat16_is_quick(torch.device("cpu"))
    return "bf16-mixed" if coarse else "32-true"


def _layout(network: Network) -> torch.memory_format:
    """Return how weights lie in memory while they learn.

    With channels last, convolutions over images take a sixth to a half less time in bfloat16. On processors without
    AMX oneDNN 3.12 then writes beyond its memory: the gradient of the weights of convolutions of 1 · 1 with a stride
    of 2 and up to 8 channels, in bfloat16 and float32, which ends the process or changes what is not its own.
    """
    is_safe = torch.cuda.is_available() or torch.cpu._is_amx_tile_supported()
    return torch.channels_last if network.inner.input == "image" and is_safe else torch.contiguous_format


def bfloat16_is_quick(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16; what a processor must emulate takes many times as long as float32."""
    if device.type != "cpu":
        return True
    there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(there and torch.ops.mkldnn._is_mkldnn_bf16_supported())


# Parameters of glibc's mallopt (malloc.h): what they are while a network learns, and what they are at first.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_KEPT = {_TRIM_THRESHOLD: (-1, 128 * 1024), _TOP_PAD: (2**26, 128 * 1024), _MMAP_MAX: (0, 2**16), _ARENA_MAX: (1, 0)}


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let glibc keep what one step frees for the next, and give all back in the end.

    Otherwise it returns large tensors to the system, which zeroes each page before it hands it out again: an eighth of
    the time that networks of images take on processors. Other systems' C libraries stay as they are.
    """
    if sys.platform != "linux" or not hasattr(library := ctypes.CDLL(None), "mallopt"):
        yield
        return
    for parameter, (kept, _) in _KEPT.items():
        library.mallopt(parameter, kept)
    try:
        yield
    finally:
        for parameter, (_, first) in _KEPT.items():
            library.mallopt(parameter, first)
        library.malloc_trim(0)
