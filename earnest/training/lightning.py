"""The network inside Lightning's loop: one step, one validation, and exact resumption."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LRScheduler

from earnest.augment.spec_augment import mask_bands, mask_time, mix_up
from earnest.recipe import Training
from earnest.training.data import Batch, Example
from earnest.training.losses import one_hot
from earnest.training.objective import Objective, Targets
from earnest.training.optim import advance, build_optimiser, build_schedule
from earnest.training.parameters import Freezing, parameter_groups


class EmotionTraining(pl.LightningModule):
    """A network on frames, trained by a recipe's ``[training]`` table.

    Every random draw of a step (dropout, masks, mixup) depends on the seed and the numbers of epoch and step alone, so
    a run that is killed and resumed goes through the same numbers as one that is not.

    Parameters
    ----------
    train : what it is trained on, for class weights and to see which labels there are
    """

    def __init__(self, network: nn.Module, settings: Training, n_classes: int, train: Sequence[Example]) -> None:
        super().__init__()
        self.network = network
        self.n_classes = n_classes
        self.settings = settings
        self.objective = Objective(settings, n_classes, train)
        self.freezing = Freezing(network, settings)
        self.generator = torch.Generator()
        self.schedule: LRScheduler | None = None
        self.train_loss = 0.0
        self._losses: list[Tensor] = []
        self._scored: list[tuple[Tensor, Tensor]] = []
        self.validation: dict[str, float] = {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build the optimiser; we step the schedule, because Lightning would do so after the epoch's checkpoint."""
        groups = parameter_groups(self.network, self.settings)
        if learned := list(self.objective.parameters()):
            groups.append({"params": learned, "lr": self.settings.learning_rate, "weight_decay": 0.0})
        optimiser = build_optimiser(groups, self.settings)
        self.schedule = build_schedule(optimiser, self.settings)
        return optimiser

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch's losses; freeze and thaw."""
        self._losses.clear()
        self.freezing.enter(self.current_epoch + 1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        self._seed_step(batch_idx)
        targets = Targets(batch.targets, one_hot(batch.genders, 2), batch.affect)
        if batch.noisy_frames is None or batch.n_noisy_frames is None:
            frames, n_frames = self._masked(batch.frames, batch.n_frames)
            if self.settings.mixup_alpha:
                frames, n_frames, targets = self._mixed(frames, n_frames, targets)
            loss: Tensor = self.objective(self.network(frames, n_frames), targets)
        else:
            clean = self.network(batch.frames, batch.n_frames)
            noisy = self.network(*self._masked(batch.noisy_frames, batch.n_noisy_frames))
            loss = self.objective(clean, targets, noisy)
        self._losses.append(loss.detach())
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Shorten the network's gradient; learned loss weights don't count."""
        if self.settings.gradient_clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's scores."""
        self._scored.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score one batch of validation clips."""
        self._scored.append((self.network(batch.frames, batch.n_frames).logits, batch.targets))

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
        """Step the schedule by the epoch's loss."""
        self.train_loss = float(torch.stack(self._losses).mean())
        self.log("train_loss", self.train_loss, prog_bar=True)
        losses = {"train_loss": self.train_loss, **self.validation}
        advance(self.schedule, losses.get(self.settings.plateau_monitor, self.train_loss))

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

    def _masked(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        settings = self.settings
        if settings.time_mask_frames:
            frames = mask_time(frames, n_frames, settings.time_mask_frames, self.generator)
        if settings.mel_mask_bands:
            frames = mask_bands(frames, n_frames, settings.mel_mask_bands, self.generator)
        return frames, n_frames

    def _mixed(self, frames: Tensor, n_frames: Tensor, targets: Targets) -> tuple[Tensor, Tensor, Targets]:
        """Blend clips and all that is known of them; what is unknown of one of two is unknown of the blend."""
        settings = self.settings
        widths = [self.n_classes, targets.gender.shape[1], targets.affect.shape[1]]
        shares = functional.one_hot(targets.emotion, self.n_classes).float()
        known = torch.cat([shares, targets.gender, targets.affect], dim=1)
        is_dominant = settings.mixup == "dominant"
        frames, n_frames, known = mix_up(frames, n_frames, known, settings.mixup_alpha, self.generator, is_dominant)
        return frames, n_frames, Targets(*torch.split(known, widths, dim=1))

    def _seed_step(self, step: int) -> None:
        # Not once an epoch: how often Lightning and the data loader draw in between differs after resuming.
        seed = ((self.settings.seed * 1_000_003 + self.current_epoch) * 100_003 + step) % 2**63
        torch.manual_seed(seed)
        self.generator.manual_seed(seed)
