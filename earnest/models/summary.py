"""Costs of every architecture, counted from the instantiated network."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from earnest.errors import EarnestError, MissingExtraError
from earnest.models.classifier import MODELS, Usage, assembled, build_front_end
from earnest.settings.recipe import Recipe

CLIP_S = 3.0
BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class NetworkSummary:
    """One architecture as published.

    Attributes
    ----------
    parameters : of the network, without the front end; None where the network can't be built here
    megabytes : of the parameters as float32
    multiply_adds : for an utterance of three seconds: matrix products and convolutions of the network and what it sees,
        as torch's `FlopCounterMode` counts them (two operations are one multiply-add), without the front end
    note : why there are no numbers
    """

    name: str
    paper: str
    n_classes: int
    parameters: int | None = None
    megabytes: float | None = None
    multiply_adds: int | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def summaries() -> list[NetworkSummary]:
    """Count every registered network, by name."""
    return [summary_of(name) for name in MODELS.names()]


def summary_of(name: str) -> NetworkSummary:
    """Count one network with the settings, classes and front end that it was published with."""
    try:
        network_type = MODELS.get(name)
    except EarnestError as error:  # of a package that can't be imported
        return NetworkSummary(name, paper="", n_classes=0, note=str(error))
    published = NetworkSummary(name, network_type.paper, getattr(network_type.usage, "n_classes", 0))
    try:
        parameters, multiply_adds = _counts(name, network_type.usage)
    except MissingExtraError as error:
        return replace(published, note=str(error))
    except Exception as error:  # code of strangers: it may raise anything
        return replace(published, note=f"It can't be counted ({type(error).__name__}: {error}).")
    megabytes = round(parameters * BYTES_PER_PARAMETER / 1e6, 1)
    return replace(published, parameters=parameters, megabytes=megabytes, multiply_adds=multiply_adds)


def _counts(name: str, usage: Usage) -> tuple[int, int]:
    recipe = Recipe("none", name, front_end=usage.front_end, segments=usage.segments, image=usage.image)
    front_end = build_front_end(recipe)
    with torch.device("meta"):
        network = assembled(recipe, front_end, usage.n_classes).eval()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    device = "meta"
    is_ours = type(network.inner).__module__.startswith("earnest.")
    if not is_ours or any(isinstance(module, nn.RNNBase) for module in network.modules()):
        # Recurrent layers are counted while they run, and code of strangers may ask how long an utterance is.
        network, device = network.to_empty(device="cpu"), "cpu"
    n_frames = front_end.n_frames(round(CLIP_S * recipe.front_end.sample_rate_hz))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, front_end.n_rows, n_frames, device=device), torch.tensor([n_frames], device=device))
    return parameters, counter.get_total_flops() // 2
