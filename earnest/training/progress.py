"""What happens between epochs: history, the best weights so far, and a checkpoint that survives a kill."""

import copy
import csv
import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from earnest.errors import RecipeError
from earnest.run_files import write_atomically
from earnest.training.lightning import EmotionTraining

CHECKPOINT = "last.ckpt"
History: TypeAlias = Sequence[dict[str, float]]
"""One row an epoch, with the names of ``HISTORY_COLUMNS``."""
HISTORY_COLUMNS = ("epoch", "train_loss", "valid_loss", "valid_wa", "valid_ua", "learning_rate", "seconds")


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
        choose: bool = True,
        ends_now: Callable[[History], bool] = lambda _history: False,
    ) -> None:
        self.folder, self.monitor, self.patience, self.choose = folder, monitor, patience, choose
        self.ends_now = ends_now
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        self.best_value = -float("inf")
        self.best_weights: dict[str, Tensor] = {}
        self._started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        names = ("history", "best_epoch", "best_value", "best_weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what a killed run had."""
        for name, value in state_dict.items():
            setattr(self, name, value)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch, compare it with the best one, save a checkpoint."""
        assert isinstance(pl_module, EmotionTraining)
        epoch = trainer.current_epoch + 1
        if not all(map(math.isfinite, (pl_module.train_loss, *pl_module.validation.values()))):
            raise RecipeError(f"{self.folder}: the loss of epoch {epoch} is not finite. Try a smaller learning_rate.")
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
        write_atomically(self.folder / "history.csv", csv_bytes(HISTORY_COLUMNS, self.history))
        if epoch - self.best_epoch >= self.patience:
            trainer.should_stop = True
        trainer.save_checkpoint(self.folder / CHECKPOINT)
        if self.ends_now(self.history):
            trainer.should_stop = True

    def has_stopped(self) -> bool:
        """Return whether patience had run out when the checkpoint was written."""
        return bool(self.history) and int(self.history[-1]["epoch"]) - self.best_epoch >= self.patience

    @property
    def stop_reason(self) -> str:
        """Why there were no more epochs: "patience" had run out, or all "epochs" were run."""
        return "patience" if self.choose and self.has_stopped() else "epochs"

    def _compare(self, epoch: int, module: EmotionTraining) -> None:
        if self.choose:
            measured = module.validation[self.monitor]
            value = -measured if self.monitor.endswith("loss") else measured
            if value <= self.best_value:
                return
            self.best_value = value
        self.best_epoch = epoch
        self.best_weights = copy.deepcopy(module.network.state_dict())
