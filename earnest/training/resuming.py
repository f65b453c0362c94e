"""What distillation and fine-tuning share: a folder that is one run's, and a training that goes on after a kill."""

import logging
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from earnest.errors import RecipeError
from earnest.training.progress import CHECKPOINT, AtomicCheckpointIO, write_atomically


def claim(folder: Path, settings: str, what: str) -> None:
    """Write the settings into the folder as ``recipe.toml``, or refuse one that holds others."""
    path = folder / "recipe.toml"
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


def resuming_trainer(epochs: int, folder: Path, show_progress: bool, **more: Any) -> pl.Trainer:
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
        enable_progress_bar=show_progress,
        enable_model_summary=False,
        default_root_dir=folder,
        **more,
    )
