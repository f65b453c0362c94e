"""Optimisers and learning-rate schedules by name."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau

from earnest.errors import MissingExtraError
from earnest.recipe import Training


def build_optimiser(parameters: Iterable[nn.Parameter], settings: Training) -> torch.optim.Optimizer:
    """Build the optimiser that ``settings`` name."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    if settings.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay)
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
    """Build the schedule that ``settings`` name; it is stepped once an epoch."""
    if settings.schedule == "plateau":
        return ReduceLROnPlateau(
            optimiser,
            factor=settings.plateau_factor,
            patience=settings.plateau_patience,
            cooldown=settings.plateau_cooldown,
            threshold=settings.plateau_threshold,
            min_lr=settings.lowest_learning_rate,
        )
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimiser, T_max=settings.epochs, eta_min=settings.lowest_learning_rate)
    return None
