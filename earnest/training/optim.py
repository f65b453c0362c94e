"""Optimisers and learning-rate schedules by name; which weights are trained, from which epoch on, and how fast."""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from earnest.errors import MissingExtraError, RecipeError, suggestion
from earnest.models.classifier import Network
from earnest.settings.training import Training


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
        raise RecipeError(f"training: the model has no layer called {names}. Set head.")
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
    """Say whether a dotted name is ``wanted`` or a part of it."""
    return name == wanted or name.startswith(f"{wanted}.")


Parameters: TypeAlias = Iterable[nn.Parameter] | list[dict[str, Any]]


def build_optimiser(parameters: Parameters, settings: Training) -> torch.optim.Optimizer:
    """Build the optimiser that ``settings`` name; groups of parameters may have learning rates of their own."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    if settings.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum, weight_decay=decay)
    try:
        from pytorch_optimizer import AdaBelief
    except ImportError:
        raise MissingExtraError("The optimiser AdaBelief", "train") from None
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
