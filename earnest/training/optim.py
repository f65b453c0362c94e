"""Optimisers and learning-rate schedules by name."""

import warnings
from collections.abc import Iterable
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

from earnest.errors import MissingExtraError
from earnest.training_settings import Training

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
    rising = LinearLR(optimiser, start_factor=1 / (warmup + 1), total_iters=warmup)
    following = _plain(optimiser, settings)
    return rising if following is None else SequentialLR(optimiser, [rising, following], [warmup])


def _plain(optimiser: torch.optim.Optimizer, settings: Training) -> LRScheduler | None:
    """Build what comes after the warm-up; its epochs are counted from there, so milestones are moved."""
    warmup = settings.warmup_epochs
    if settings.schedule == "cosine":
        lowest = settings.lowest_learning_rate
        return CosineAnnealingLR(optimiser, T_max=settings.epochs - warmup, eta_min=lowest)
    if settings.schedule == "multistep":
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
