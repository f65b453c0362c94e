"""The network inside Lightning's loop: one step, one validation, and exact resumption."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from earnest.augment.spec_augment import mask_bands, mask_time, mix_up
from earnest.recipe import Training
from earnest.training.losses import cross_entropy
from earnest.training.optim import build_optimiser, build_schedule

Batch = tuple[Tensor, Tensor, Tensor]


class EmotionTraining(pl.LightningModule):
    """A network on frames, trained by a recipe's ``[training]`` table.

    Every random draw of a step (dropout, masks, mixup) depends on the seed and the numbers of epoch and step alone, so
    a run that is killed and resumed goes through the same numbers as one that is not.
    """

    def __init__(
        self, network: nn.Module, settings: Training, n_classes: int, class_weights: Tensor | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.n_classes = n_classes
        self.settings = settings
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.averaged: AveragedModel | None = None
        if settings.ema_decay:
            follow = get_ema_multi_avg_fn(settings.ema_decay)  # type: ignore[no-untyped-call]
            self.averaged = AveragedModel(network, multi_avg_fn=follow, use_buffers=True)
        self.generator = torch.Generator()
        self.schedule: LRScheduler | None = None
        self.train_loss = 0.0
        self._losses: list[Tensor] = []
        self._scored: list[tuple[Tensor, Tensor]] = []
        self.validation: dict[str, float] = {}

    @property
    def scored_network(self) -> nn.Module:
        """The weights that are validated and kept: the moving average where there is one."""
        if self.averaged is None:
            return self.network
        module = self.averaged.module
        assert isinstance(module, nn.Module)
        return module

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build the optimiser; we step the schedule, because Lightning would do so after the epoch's checkpoint."""
        optimiser = build_optimiser(self.network.parameters(), self.settings)
        self.schedule = build_schedule(optimiser, self.settings)
        return optimiser

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch's losses."""
        self._losses.clear()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        frames, n_frames, targets = batch
        settings = self.settings
        self._seed_step(batch_idx)
        if settings.time_mask_frames:
            frames = mask_time(frames, n_frames, settings.time_mask_frames, self.generator)
        if settings.mel_mask_bands:
            frames = mask_bands(frames, n_frames, settings.mel_mask_bands, self.generator)
        if settings.mixup_alpha:
            shares = functional.one_hot(targets, self.n_classes).float()
            frames, n_frames, targets = mix_up(frames, n_frames, shares, settings.mixup_alpha, self.generator)
        logits = self.network(frames, n_frames).logits
        loss = cross_entropy(logits, targets, settings.label_smoothing, self._weights())
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Follow the weights with their moving average."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's scores."""
        self._scored.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score one batch of validation clips."""
        frames, n_frames, targets = batch
        self._scored.append((self.scored_network(frames, n_frames).logits, targets))

    def on_validation_epoch_end(self) -> None:
        """Compute loss, WA and UA over all validation clips."""
        logits = torch.cat([scores for scores, _ in self._scored])
        targets = torch.cat([truth for _, truth in self._scored])
        right = (logits.argmax(dim=1) == targets).float()
        recalls = [float(right[targets == index].mean()) for index in set(targets.tolist())]
        self.validation = {
            "valid_loss": float(functional.cross_entropy(logits, targets)),
            "valid_wa": float(right.mean()),
            "valid_ua": sum(recalls) / len(recalls),
        }
        self.log_dict(self.validation, prog_bar=True)

    def on_train_epoch_end(self) -> None:
        """Step the schedule by the epoch's mean training loss."""
        self.train_loss = float(torch.stack(self._losses).mean())
        self.log("train_loss", self.train_loss, prog_bar=True)
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(self.train_loss)
        elif self.schedule is not None:
            self.schedule.step()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the schedule's state beside the optimiser's."""
        checkpoint["schedule"] = self.schedule.state_dict() if self.schedule is not None else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember the schedule's state until the schedule exists."""
        self._resumed_schedule = checkpoint["schedule"]

    def on_train_start(self) -> None:
        """Bring the schedule to where the resumed run left it."""
        state = self.__dict__.pop("_resumed_schedule", None)
        if state is not None and self.schedule is not None:
            self.schedule.load_state_dict(state)

    def _seed_step(self, step: int) -> None:
        # Not once an epoch: how often Lightning and the data loader draw in between differs after resuming.
        seed = ((self.settings.seed * 1_000_003 + self.current_epoch) * 100_003 + step) % 2**63
        torch.manual_seed(seed)
        self.generator.manual_seed(seed)

    def _weights(self) -> Tensor | None:
        weights = self.class_weights
        assert weights is None or isinstance(weights, Tensor)
        return weights
