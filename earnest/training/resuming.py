"""What distillation and fine-tuning share: settings, held-out voices, a folder, and going on after a kill."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self, TypeVar

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import Sampler

from earnest.config import from_mapping
from earnest.errors import RecipeError
from earnest.front_end import with_preset
from earnest.progress import Progress
from earnest.reading import read_toml
from earnest.run_files import refuse_foreign, write_atomically
from earnest.training.progress import CHECKPOINT, AtomicCheckpointIO

WEIGHTS, HISTORY = "model.safetensors", "history.csv"
HELD_OUT = 15  # every fifteenth speaker is listened to without learning
T = TypeVar("T")


def read_settings(kind: type[T], path: Path) -> T:
    """Read and check settings: ``path`` may be a folder with ``recipe.toml``; the front end may begin from a preset."""
    values = read_toml(path / "recipe.toml" if path.is_dir() else path)
    if isinstance(values.get("front_end"), dict):
        values["front_end"] = with_preset(values["front_end"], f"{path}: front_end")
    if isinstance(values.get("corpus"), str):
        values["corpus"] = [values["corpus"]]
    return from_mapping(kind, values, str(path))


def held_out_speakers(speakers: Iterable[str]) -> list[str]:
    """Return every fifteenth by name."""
    return sorted(set(speakers))[HELD_OUT - 1 :: HELD_OUT]


class Remembering(pl.LightningModule):
    """A training whose checkpoint holds the epochs so far."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[dict[str, float]] = []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the epochs so far."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the epochs so far."""
        self.history = checkpoint["history"]


Batch_co = TypeVar("Batch_co", covariant=True)


class EpochBatches(Sampler[Batch_co]):
    """A batch sampler that knows the epoch."""

    epoch = 0

    @property
    def sampler(self) -> Self:
        """Itself: Lightning tells the epoch to a batch sampler's sampler only, and the first one too late."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch


def claim(folder: Path, settings: str, what: str) -> None:
    """Write the settings into the folder as ``recipe.toml``, or refuse one that holds others."""
    path = folder / "recipe.toml"
    refuse_foreign(folder, path.name, (WEIGHTS, HISTORY))
    if path.exists() and path.read_text(encoding="utf-8") != settings:
        raise RecipeError(f"{folder}: holds another {what}. Choose another --output, or remove the folder.")
    write_atomically(path, settings.encode())


def last_checkpoint(folder: Path) -> Path | None:
    """Return where a killed run goes on from."""
    path = folder / CHECKPOINT
    return path if path.exists() else None


def next_epoch(folder: Path) -> int:
    """Return the number, from 0, of the epoch that comes next: Lightning asks samplers for it before it tells them."""
    path = last_checkpoint(folder)
    return 0 if path is None else int(torch.load(path, map_location="cpu", weights_only=True)["epoch"]) + 1


def drop_checkpoint(folder: Path) -> None:
    """Remove it when the training is finished."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def resuming_trainer(epochs: int, folder: Path, progress: Progress, **more: Any) -> pl.Trainer:
    """Return a trainer that keeps the last epoch's checkpoint; ``more`` are options of Lightning's."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return pl.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=epochs,
        callbacks=[ModelCheckpoint(folder, filename=Path(CHECKPOINT).stem, save_top_k=1, enable_version_counter=False)],
        logger=False,
        plugins=[AtomicCheckpointIO()],
        num_sanity_val_steps=0,
        enable_progress_bar=progress.visible,
        enable_model_summary=False,
        default_root_dir=folder,
        **more,
    )
