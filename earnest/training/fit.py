"""Training of one network: there is no parameter through which test data could come."""

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn

from earnest.errors import CorpusError
from earnest.models.output import NetworkOutput
from earnest.progress import SILENT, Progress
from earnest.recipe import Training
from earnest.training.batches import train_batches
from earnest.training.data import Example, plain_batches
from earnest.training.lightning import EmotionTraining
from earnest.training.progress import CHECKPOINT, AtomicCheckpointIO, EpochKeeper, History


class EpochProgressBar(RichProgressBar):
    """Shows loss, WA and UA, without the logger's version number."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return what stands behind the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


def fit(  # noqa: PLR0913, PLR0917 - all that one training depends on
    network: nn.Module,
    train: Sequence[Example],
    valid: Sequence[Example],
    settings: Training,
    folder: Path,
    n_classes: int,
    progress: Progress = SILENT,
    stop_after: int | None = None,
    ends_now: Callable[[History], bool] = lambda _history: False,
) -> EpochKeeper:
    """Train ``network`` in place until validation stops improving, and leave it with the weights of the best epoch.

    Parameters
    ----------
    train, valid : examples; without ``valid`` all epochs are run and the last one counts. Only `Augmented` training
        clips are changed from epoch to epoch
    stop_after : epochs after which to stop, where it isn't all of the settings'; the schedule stays that of all
    ends_now : asked after each epoch, with the history so far; training ends when it says so
    folder : gets ``history.csv``, TensorBoard events and, until the end, a checkpoint from which a killed run resumes

    Returns
    -------
    the record of epochs, with the chosen one
    """
    if len(train) < 2:
        raise CorpusError(f"{folder}: training needs at least two clips, got {len(train)}.")
    folder.mkdir(parents=True, exist_ok=True)
    module = EmotionTraining(network, settings, n_classes, train)
    keeper = EpochKeeper(folder, settings.monitor, settings.patience, bool(valid), ends_now)
    epochs = stop_after or settings.epochs
    trainer = _trainer(epochs, folder, keeper, progress)
    checkpoint = folder / CHECKPOINT
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning.*")
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        if not _already_done(checkpoint, keeper, epochs):
            trainer.fit(
                module,
                train_batches(train, settings.batch_size, settings.seed, settings.oversample),
                plain_batches(valid) if valid else None,
                ckpt_path=checkpoint if checkpoint.exists() else None,
                weights_only=True,
            )
    network.load_state_dict(keeper.best_weights)
    network.eval()
    return keeper


def predict_logits(network: nn.Module, examples: Sequence[Example]) -> Tensor:
    """Return logits (examples, classes) in the order given."""
    return predict_outputs(network, examples).logits


def predict_outputs(network: nn.Module, examples: Sequence[Example]) -> NetworkOutput:
    """Return what a network gives for examples, in the order given; without attention, whose steps differ."""
    network.eval()
    with torch.no_grad():
        found: list[NetworkOutput] = [network(batch.frames, batch.n_frames) for batch in plain_batches(examples)]
    return NetworkOutput(
        logits=torch.cat([one.logits for one in found]),
        embedding=torch.cat([one.embedding for one in found]),
        gender=_stacked([one.gender for one in found]),
        affect=_stacked([one.affect for one in found]),
    )


def _stacked(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if known else None


def _already_done(checkpoint: Path, keeper: EpochKeeper, epochs: int) -> bool:
    """Take the record from a checkpoint of the last epoch; Lightning would go on where patience had run out."""
    if not checkpoint.exists():
        return False
    states: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)["callbacks"]
    keeper.load_state_dict(states[keeper.state_key])
    return keeper.has_stopped() or len(keeper.history) >= epochs


def _trainer(epochs: int, folder: Path, keeper: EpochKeeper, progress: Progress) -> pl.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    callbacks: list[Callback] = [keeper]
    if progress.visible:
        callbacks.append(EpochProgressBar(leave=False))
    return pl.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=epochs,
        callbacks=callbacks,
        logger=_tensorboard(folder),
        plugins=[AtomicCheckpointIO()],
        num_sanity_val_steps=0,
        enable_progress_bar=progress.visible,
        enable_model_summary=False,
        enable_checkpointing=True,
        log_every_n_steps=50,
        default_root_dir=folder,
    )


def _tensorboard(folder: Path) -> Logger:
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="", version="tensorboard", default_hp_metric=False)
