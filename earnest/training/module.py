"""One training as Lightning sees it: its loss, a step, a validation, what a step draws; optimiser, schedule, freezing.

Which weights are trained, from which epoch on, and how fast: `Freezing`, `parameter_groups`, `build_optimiser` and
`build_schedule`.
"""

import logging
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any, TypeAlias

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from earnest.augment.spec_augment import mask_bands, mask_time, mix_up
from earnest.errors import CorpusError, RecipeError, needs_extra, suggestion
from earnest.models.classifier import Network, NetworkOutput, Segmented
from earnest.settings.recipe import Task, Training
from earnest.training.batches import ALONE, Batch, Ranks, SharedBatches, joined_outputs, plain_batches
from earnest.training.examples import Example
from earnest.training.heads import (
    EMOTION,
    Targets,
    balanced_weights,
    combination_of,
    divergence,
    heads_of,
    learned_tasks,
    one_hot,
    tasks_of,
)

_log = logging.getLogger(__name__)
SAME = 1e-3  # answers that differ by less, over all utterances, are one answer


class Objective(nn.Module):
    """Answers and targets to one number; learned loss weights are its parameters.

    Parameters
    ----------
    train : what is trained on, for class weights, and to leave out a task that nobody labelled
    """

    class_weights: Tensor | None

    def __init__(self, settings: Training, n_classes: int, train: Sequence[Example]) -> None:
        super().__init__()
        self.settings = settings
        weights = None
        if settings.class_weights == "balanced":
            weights = balanced_weights([example.target for example in train], n_classes)
        self.register_buffer("class_weights", weights, persistent=False)
        learned = learned_tasks(settings, train)
        self.heads = heads_of(n_classes, learned)
        self.combination = combination_of(settings, tasks_of(self.heads))
        _report_missing(settings, learned)

    def forward(self, answer: NetworkOutput, targets: Targets, noisy: NetworkOutput | None = None) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        noisy : answers to the same utterances augmented; each loss is then the mean of both sides, and their emotions'
            divergence is added
        """
        losses = self.losses(answer, targets)
        if noisy is not None:
            # L = ½·(L(clean) + L(noisy)) + w·KL(clean‖noisy): stability training (Zheng et al., 2016), with the
            # loss of both sides instead of the clean one alone.
            others = self.losses(noisy, targets)
            losses = {task: 0.5 * (loss + others[task]) for task, loss in losses.items()}
            apart = divergence(answer.logits, noisy.logits)
            losses[EMOTION] = losses[EMOTION] + self.settings.stability_weight * apart
        combined: Tensor = self.combination(losses)
        return combined

    def chance_loss(self) -> float:
        """Return about what the loss is where no answer depends on the utterance, before loss weights are learnt."""
        losses = {task: loss for head in self.heads for task, loss in head.chance_losses(self.settings).items()}
        with torch.no_grad():
            return float(self.combination({task: torch.tensor(loss) for task, loss in losses.items()}))

    def losses(self, output: NetworkOutput, targets: Targets) -> dict[str, Tensor]:
        """Return the loss of each task that the batch has labels for."""
        losses: dict[str, Tensor | None] = {}
        for head in self.heads:
            answer = head.answer(output)
            if answer is None:
                raise RecipeError(f"training: this model doesn't answer '{head.name}'. Take it out of auxiliary.")
            losses |= head.losses(answer, targets, self.settings, self.class_weights)
        return {task: loss for task, loss in losses.items() if loss is not None}


def _report_missing(settings: Training, learned: Sequence[Task]) -> None:
    """Warn of tasks that nobody labelled; refuse where none is left."""
    missing = [task for task in settings.auxiliary if task not in learned]
    hint = {"affect": " If there are ratings, set training.affect_range."}
    if missing and not learned:
        names, hints = "' or '".join(missing), "".join(hint.get(task, "") for task in missing)
        alone = "" if settings.multitask == "sum" else " --set training.multitask=sum"
        raise CorpusError(
            f"No training recording has a label for '{names}'. Learn the emotion alone: --set training.auxiliary=[]"
            f"{alone}.{hints}"
        )
    for task in missing:
        text = "No training recording has a label for '%s': the model won't answer it.%s"
        _log.warning(text, task, hint.get(task, ""))


def constant_answers(answers: Mapping[str, Tensor]) -> list[str]:
    """Return the names of answers that are the same for all utterances.

    Parameters
    ----------
    answers : name → (utterances, numbers), probabilities or values from 0 to 1
    """
    # max − min over utterances of each number, (numbers,)
    spread = {name: values.amax(dim=0) - values.amin(dim=0) for name, values in answers.items() if len(values) > 1}
    return [name for name, ranges in spread.items() if float(ranges.max()) < SAME]


class SilentWeights:
    """The weights that no gradient reached since the last epoch began, of those that are part of the loss."""

    def __init__(self, network: nn.Module, declared: Collection[str]) -> None:
        self.network, self.declared = network, declared
        self.names: set[str] = set()
        self._waiting: dict[str, nn.Parameter] = {}

    def begin(self) -> None:
        """Begin an epoch."""
        self._waiting = {
            name: weight
            for name, weight in self.network.named_parameters()
            if weight.requires_grad and not any(fnmatchcase(name, pattern) for pattern in self.declared)
        }
        self.names = set()

    def see(self) -> None:
        """Look at the gradients of one step; a weight that has had one isn't looked at again."""
        for name, weight in list(self._waiting.items()):
            if weight.grad is None:  # no part of the loss: a head that nobody labelled
                continue
            if bool(weight.grad.any()):
                del self._waiting[name]
                self.names.discard(name)
            else:
                self.names.add(name)


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
            # Two passes of the same utterances; each has its own dropout and its own statistics of batch normalisation.
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
        """Score the validation utterances, and step the schedule by the epoch's loss, the first rank's on all."""
        loss = float(self.ranks.mean(torch.stack(self._losses).mean()))
        measured = self._validated() if self.valid and self.ranks.is_first else {}
        self.train_loss, self.validation = self.ranks.told((loss, measured))
        self.log_dict({"train_loss": self.train_loss, **self.validation}, prog_bar=True)
        losses = {"train_loss": self.train_loss, **self.validation}
        # Without validation utterances a plateau is one of the training loss.
        advance(self.schedule, losses.get(self.settings.plateau_monitor, self.train_loss))

    def _validated(self) -> dict[str, float]:
        """Compute loss, WA and UA over all validation utterances, and how right the other heads are."""
        output, truth = self._answered()
        logits, targets = output.logits, truth.emotion
        wa, ua = accuracies(logits.argmax(dim=1) == targets, targets)
        validation = {"valid_loss": float(functional.cross_entropy(logits, targets)), "valid_wa": wa, "valid_ua": ua}
        self.class_counts = [count for count in targets.bincount().tolist() if count]
        self.constant = []
        for head in self.objective.heads:
            answer = head.answer(output)
            assert answer is not None
            validation |= head.measures(answer, truth)
            self.constant += constant_answers(head.shares(answer))
        return validation

    def _answered(self) -> tuple[NetworkOutput, Targets]:
        """Return the answers to all validation utterances, and what they should be."""
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
            image = self.network.image if isinstance(self.network, Segmented) else None
            n_versions = 1 if image is None else frames.shape[1] // image.n_bands
            frames = mask_bands(frames, n_frames, settings.mel_mask_bands, self.generator, n_versions)
        return frames, n_frames

    def _mixed(self, frames: Tensor, n_frames: Tensor, targets: Targets) -> tuple[Tensor, Tensor, Targets]:
        """Blend utterances and all that is known of them; what is unknown of one of two is unknown of the blend."""
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


def accuracies(right: Tensor, targets: Tensor) -> tuple[float, float]:
    """Compute WA and UA, equal whenever the fractions are: rounding must not say which of two epochs is better.

    Parameters
    ----------
    right : whether each answer is, shape (utterances,), bool
    targets : class numbers, shape (utterances,), at least one
    """
    # WA = (1/N)·Σ [ŷ = y]; UA = (1/C)·Σ_c recall_c over the classes that have utterances.
    of_classes = [right[targets == index] for index in set(targets.tolist())]
    recalls = [Fraction(int(some.sum()), len(some)) for some in of_classes]
    return int(right.sum()) / len(right), float(sum(recalls) / len(recalls))


def in_float32(output: NetworkOutput) -> NetworkOutput:
    """Return an output for losses and scores, which bfloat16 is too coarse for."""
    return output._replace(**{name: part.float() for name, part in output._asdict().items() if part is not None})


class Freezing:
    """Keeps the weights that a recipe names as they are, until the epoch that it names.

    What the network itself doesn't train stays so. A module none of whose weights is trained is in evaluation mode: no
    dropout, and the statistics of its batch normalisation stay.
    """

    def __init__(self, network: Network, settings: Training) -> None:
        self.network, self.settings = network.inner, settings
        names = [name for name, _ in self.network.named_parameters()]
        for wanted in (*settings.freeze, *(name for step in settings.unfreeze for name in step.names)):
            if not any(below(name, wanted) for name in names):
                parents = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, 4)}
                raise RecipeError(f"training: no weights are called '{wanted}'.{suggestion(wanted, parents)}")
        self._trainable = [name for name, weight in self.network.named_parameters() if weight.requires_grad]
        if self.frozen(1).issuperset(self._trainable):
            raise RecipeError("training: freeze leaves nothing to learn in the first epoch. Freeze fewer layers.")

    def frozen(self, epoch: int) -> set[str]:
        """Return the names of the parameters that the recipe freezes in an epoch, the first being 1."""
        free = [name for step in self.settings.unfreeze if step.epoch <= epoch for name in step.names]
        return {
            name
            for name in self._trainable
            if any(below(name, frozen) for frozen in self.settings.freeze)
            and not any(below(name, wanted) for wanted in free)
        }

    def enter(self, epoch: int) -> None:
        """Set the network up for an epoch, the first being 1."""
        if not self.settings.freeze:
            return
        frozen = self.frozen(epoch)
        for name, weight in self.network.named_parameters():
            if name in self._trainable:
                weight.requires_grad_(name not in frozen)
                weight.grad = None if name in frozen else weight.grad
        self.network.train()  # what has thawed, too
        for prefix, module in self.network.named_modules():
            names = [f"{prefix}.{name}" if prefix else name for name, _ in module.named_parameters()]
            if names and all(name in frozen for name in names):
                module.eval()


def parameter_groups(network: Network, settings: Training) -> list[dict[str, Any]]:
    """Return the weights with their learning rates, the last layers first.

    See `layers_of`. The layer that ``settings.head`` names, by default the network's ``output``, learns at the head's
    rate, what lies before it slower by ``layer_decay`` a layer.
    """
    rate, head_rate = settings.learning_rate, settings.head_learning_rate
    if settings.layer_decay == 1 and head_rate is None:
        return [{"params": list(network.parameters()), "lr": rate}]
    bodies: list[list[nn.Parameter]] = []
    heads: list[list[nn.Parameter]] = []
    last = network.last_layer("output")
    output = {id(weight) for weight in last.parameters()} if last else set()
    for layer in layers_of(network.inner):
        is_head = any(below(name, wanted) for name in layer for wanted in settings.head)
        is_head = is_head or (not settings.head and any(id(weight) in output for weight in layer.values()))
        (heads if is_head else bodies).append(list(layer.values()))
    if not heads:
        names = " or ".join(settings.head or ("output",))
        own = ", ".join(dict.fromkeys(name.partition(".")[0] for layer in layers_of(network.inner) for name in layer))
        raise RecipeError(f"training: the model has no layer called {names}. Set head to one of: {own}.")
    # rate_d = rate·γ^d, d layers before the head (discriminative fine-tuning; Howard and Ruder, 2018): general features
    # in front change least.
    steps = enumerate(reversed(bodies), start=1)
    groups = [{"params": weights, "lr": rate * settings.layer_decay**depth} for depth, weights in steps]
    return [*groups, {"params": [weight for head in heads for weight in head], "lr": head_rate or rate}]


def layers_of(network: nn.Module) -> list[dict[str, nn.Parameter]]:
    """Return the weights of each layer by their names, from the first layer to the last.

    Layers are the network's children in the order of their definition, those of a list one by one. One that holds no
    matrix (a normalisation) belongs to the layer before it.
    """
    layers: list[dict[str, nn.Parameter]] = []
    for weights in map(dict, _layers(network, "")):
        if layers and all(weight.ndim < 2 for weight in weights.values()):
            layers[-1].update(weights)
        elif weights:
            layers.append(weights)
    return layers


def _layers(module: nn.Module, prefix: str) -> Iterator[Iterable[tuple[str, nn.Parameter]]]:
    yield [(prefix + name, weight) for name, weight in module.named_parameters(recurse=False)]
    for name, child in module.named_children():
        is_list = isinstance(child, nn.ModuleList | nn.Sequential)
        if is_list or any(isinstance(part, nn.ModuleList) for part in child.children()):
            yield from _layers(child, f"{prefix}{name}.")
        else:
            yield [(f"{prefix}{name}.{inner}", weight) for inner, weight in child.named_parameters()]


def below(name: str, wanted: str) -> bool:
    """Whether a dotted name is ``wanted`` or a part of it."""
    return name == wanted or name.startswith(f"{wanted}.")


Parameters: TypeAlias = Iterable[nn.Parameter] | list[dict[str, Any]]


def build_optimiser(parameters: Parameters, settings: Training) -> torch.optim.Optimizer:
    """Build the optimiser that ``settings`` name; groups of parameters may have learning rates of their own."""
    rate, decay = settings.learning_rate, settings.weight_decay
    # Fused: each weight is read and written once a step; for AlexNet's 57 million a fifth of the time.
    if settings.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)
    if settings.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum, weight_decay=decay, fused=True)
    with needs_extra("The optimiser AdaBelief", "train"):
        from pytorch_optimizer import AdaBelief
    # As EmoCatcher uses it: weight decay inside the gradient, no rectification (Zhuang et al., 2020).
    optimiser = AdaBelief(
        parameters, lr=rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay, weight_decouple=False, rectify=False
    )
    assert isinstance(optimiser, torch.optim.Optimizer)
    return optimiser


def build_schedule(optimiser: torch.optim.Optimizer, settings: Training) -> LRScheduler | None:
    """Build the schedule that ``settings`` name; it is stepped once an epoch, with the loss if it is a plateau's."""
    if settings.schedule == "plateau":
        # Below the best by a share of ``plateau_threshold``, or it does not count as better.
        return ReduceLROnPlateau(
            optimiser,
            factor=settings.plateau_factor,
            patience=settings.plateau_patience,
            cooldown=settings.plateau_cooldown,
            threshold=settings.plateau_threshold,
            min_lr=settings.lowest_learning_rate,
        )
    if not settings.warmup_epochs:
        return _plain(optimiser, settings)
    warmup = settings.warmup_epochs
    # rate·(k + 1)/(w + 1) in epoch k = 0 … w: the first is not zero, the last is the whole rate.
    rising = LinearLR(optimiser, start_factor=1 / (warmup + 1), total_iters=warmup)
    following = _plain(optimiser, settings)
    return rising if following is None else SequentialLR(optimiser, [rising, following], [warmup])


def _plain(optimiser: torch.optim.Optimizer, settings: Training) -> LRScheduler | None:
    """Build what comes after the warm-up; its epochs are counted from there, so milestones are moved."""
    warmup = settings.warmup_epochs
    if settings.schedule == "cosine":
        lowest = settings.lowest_learning_rate
        # rate(k) = low + ½·(high − low)·(1 + cos(π·k/T)) (Loshchilov and Hutter, 2017, eq. 5, without restarts).
        return CosineAnnealingLR(optimiser, T_max=settings.epochs - warmup, eta_min=lowest)
    if settings.schedule == "multistep":
        # rate·f^(number of milestones passed)
        milestones = [max(epoch - warmup, 0) for epoch in settings.milestones]
        return MultiStepLR(optimiser, milestones, settings.step_factor)
    return None


def advance(schedule: LRScheduler | None, loss: float) -> None:
    """Step a schedule by an epoch whose loss was ``loss``."""
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(loss)
    elif schedule is not None:
        with warnings.catch_warnings():
            # torch's own sequence of schedules steps its parts in a way that it warns of.
            warnings.filterwarnings("ignore", message="The epoch parameter in `scheduler.step")
            schedule.step()
