"""One training as Lightning sees it: a step, a validation, what a step draws, and the schedule."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LRScheduler

from earnest.augment.spec_augment import mask_bands, mask_time, mix_up
from earnest.models.classifier import Network, NetworkOutput
from earnest.settings.recipe import Training
from earnest.training.batches import SharedBatches
from earnest.training.examples import Batch, Example, plain_batches
from earnest.training.heads import Objective, Targets
from earnest.training.health import SilentWeights, constant_answers
from earnest.training.losses import one_hot
from earnest.training.optim import Freezing, advance, build_optimiser, build_schedule, parameter_groups
from earnest.training.ranks import ALONE, Ranks

SEEDS_APART = 0x9E37_79B9_7F4A_7C15  # between ranks: 2^64 over the golden ratio, far from any sum of epochs and steps


class EmotionTraining(pl.LightningModule):
    """A network on frames, trained by a recipe's ``[training]`` table.

    Every random draw of a step (dropout, masks, mixup) depends on the seed and the numbers of epoch and step alone, so
    a run that is killed and resumed goes through the same numbers as one that is not.

    Parameters
    ----------
    train : what it is trained on, for class weights and to see which labels there are
    valid : what the first rank scores after each epoch, while others wait
    """

    def __init__(
        self,
        network: Network,
        settings: Training,
        n_classes: int,
        train: Sequence[Example],
        valid: Sequence[Example] = (),
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__()
        self.network = network
        self.n_classes = n_classes
        self.settings = settings
        self.valid, self.ranks = valid, ranks
        self.objective = Objective(settings, n_classes, train)
        self.freezing = Freezing(network, settings)
        self.generator = torch.Generator()
        self.schedule: LRScheduler | None = None
        self.train_loss = 0.0
        self._losses: list[Tensor] = []
        self.validation: dict[str, float] = {}
        self.constant: list[str] = []
        self.class_counts: list[int] = []
        self.silent = SilentWeights(network.inner, network.inner.zero_gradient)

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
        self.silent.begin()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        self._seed_step(batch_idx)
        # Unknown genders are rows of NaN, which `gender_loss` leaves out.
        targets = Targets(batch.targets, one_hot(batch.genders, 2), batch.affect)
        if batch.noisy_frames is None or batch.n_noisy_frames is None:
            frames, n_frames = self._masked(batch.frames, batch.n_frames)
            if self.settings.mixup_alpha:
                frames, n_frames, targets = self._mixed(frames, n_frames, targets)
            loss: Tensor = self.objective(in_float32(self.network(frames, n_frames)), targets)
        else:
            # Two passes of the same clips; each has its own dropout and its own statistics of batch normalisation.
            clean = in_float32(self.network(batch.frames, batch.n_frames))
            noisy = in_float32(self.network(*self._masked(batch.noisy_frames, batch.n_noisy_frames)))
            loss = self.objective(clean, targets, noisy)
        if self.ranks.size > 1:
            loader: Any = self.trainer.train_dataloader
            batches: SharedBatches = loader.batch_sampler
            loss = loss * batches.weight(batch_idx, len(batch.targets))
        self._losses.append(loss.detach())
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Shorten the network's gradient; learned loss weights don't count."""
        self.silent.see()
        if self.settings.gradient_clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)

    def on_train_epoch_end(self) -> None:
        """Score the validation clips, and step the schedule by the epoch's loss; all ranks go by the first one's."""
        loss = float(self.ranks.mean(torch.stack(self._losses).mean()))
        measured = self._validated() if self.valid and self.ranks.is_first else {}
        self.train_loss, self.validation = self.ranks.told((loss, measured))
        self.log_dict({"train_loss": self.train_loss, **self.validation}, prog_bar=True)
        losses = {"train_loss": self.train_loss, **self.validation}
        # Without validation clips a plateau is one of the training loss.
        advance(self.schedule, losses.get(self.settings.plateau_monitor, self.train_loss))

    def _validated(self) -> dict[str, float]:
        """Compute loss, WA and UA over all validation clips, and how right the other heads are."""
        output, truth = self._answered()
        logits, targets = output.logits, truth.emotion
        # WA = (1/N)·Σ [ŷ = y]; UA = (1/C)·Σ_c recall_c over the classes that have validation clips.
        right = (logits.argmax(dim=1) == targets).float()
        recalls = [float(right[targets == index].mean()) for index in set(targets.tolist())]
        validation = {
            "valid_loss": float(functional.cross_entropy(logits, targets)),
            "valid_wa": float(right.mean()),
            "valid_ua": sum(recalls) / len(recalls),
        }
        self.class_counts = [count for count in targets.bincount().tolist() if count]
        self.constant = []
        for head in self.objective.heads:
            answer = head.answer(output)
            assert answer is not None
            validation |= head.measures(answer, truth)
            self.constant += constant_answers(head.shares(answer))
        return validation

    def _answered(self) -> tuple[NetworkOutput, Targets]:
        """Return the answers to all validation clips, and what they should be."""
        trained = [module for module in self.network.modules() if module.training]  # frozen modules stay as they are
        self.network.eval()
        found, known = [], []
        with torch.no_grad(), self.trainer.precision_plugin.forward_context():
            for clips in plain_batches(self.valid):
                batch = self.trainer.strategy.batch_to_device(clips)
                found.append(in_float32(self.network(batch.frames, batch.n_frames)))
                known.append(Targets(batch.targets, one_hot(batch.genders, 2), batch.affect))
        for module in trained:
            module.training = True
        return joined_outputs(found), Targets(*map(torch.cat, zip(*known, strict=True)))

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
        # One tensor (batch, classes + 2 + 3), so that all labels are blended by the same shares.
        widths = [self.n_classes, targets.gender.shape[1], targets.affect.shape[1]]
        shares = functional.one_hot(targets.emotion, self.n_classes).float()
        known = torch.cat([shares, targets.gender, targets.affect], dim=1)
        is_dominant = settings.mixup == "dominant"
        # x̃ = λ·x_i + (1 − λ)·x_j and ỹ alike, λ from Beta(α, α) (Zhang et al., 2018); NaN plus anything is NaN,
        # so what is unknown of one stays unknown.
        frames, n_frames, known = mix_up(frames, n_frames, known, settings.mixup_alpha, self.generator, is_dominant)
        return frames, n_frames, Targets(*torch.split(known, widths, dim=1))

    def _seed_step(self, step: int) -> None:
        # Not once an epoch: how often Lightning and the data loader draw in between differs after resuming.
        # A number of its own for each (seed, epoch, step), for fewer than 100 003 steps and 1 000 003 epochs.
        seed = (self.settings.seed * 1_000_003 + self.current_epoch) * 100_003 + step
        seed = (seed + self.ranks.rank * SEEDS_APART) % 2**63  # slices of one batch are not dropped out alike
        torch.manual_seed(seed)
        self.generator.manual_seed(seed)


def joined_outputs(found: Sequence[NetworkOutput]) -> NetworkOutput:
    """Put the outputs of batches below one another; without attention, whose steps differ."""
    return NetworkOutput(
        logits=torch.cat([one.logits for one in found]),
        embedding=torch.cat([one.embedding for one in found]),
        gender=_stacked([one.gender for one in found]),
        affect=_stacked([one.affect for one in found]),
    )


def in_float32(output: NetworkOutput) -> NetworkOutput:
    """Return an output for losses and scores, which bfloat16 is too coarse for."""
    return output._replace(**{name: part.float() for name, part in output._asdict().items() if part is not None})


def _stacked(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if known else None
