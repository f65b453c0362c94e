"""What every model is: a front end, a network on its frames, and class probabilities."""

import copy
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn

from earnest.config import from_mapping
from earnest.frontends.log_mel import LogMel
from earnest.recipe import Recipe
from earnest.registry import Registry


class NetworkOutput(NamedTuple):
    """What a network gives for a batch.

    Attributes
    ----------
    logits : (batch, classes)
    embedding : (batch, width), what the last linear layer sees
    attention : (batch, steps) weights over time that sum to one, or None
    gender : (batch, 2) logits of female and male, or None
    affect : (batch, 3) valence, arousal and dominance, 0 to 1 over the scale of the training labels, or None
    """

    logits: Tensor
    embedding: Tensor
    attention: Tensor | None = None
    gender: Tensor | None = None
    affect: Tensor | None = None


class Network(Protocol):
    """A class that `MODELS` holds.

    Attributes
    ----------
    settings_type : dataclass of the recipe's ``[network]`` table
    paper : where the architecture was published
    zero_gradient : parameter names whose gradient is zero by construction → reason
    """

    settings_type: type[Any]
    paper: str
    zero_gradient: dict[str, str]

    def __init__(self, n_mels: int, n_classes: int, settings: Any) -> None: ...

    def __call__(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map (batch, n_mels, frames) and the number of valid frames (batch,) to outputs."""
        ...


MODELS: Registry[Any] = Registry("MODELS", "model", "earnest.models")


class SpeechClassifier(nn.Module):
    """Waveform to class probabilities: the graph that is trained, exported and run everywhere."""

    temperature: Tensor

    def __init__(self, front_end: LogMel, network: nn.Module, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.front_end = front_end
        self.network = network
        self.classes = classes
        self.register_buffer("temperature", torch.ones(()))

    def exportable(self) -> Self:
        """Return a copy in evaluation mode whose operators every runtime has."""
        other = copy.deepcopy(self).eval()
        other.front_end = self.front_end.exportable()
        return other

    def n_parameters(self) -> int:
        """Count the network's parameters, frozen ones too."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def forward(self, waveform: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return the outputs by the names they have in the graph.

        Parameters
        ----------
        waveform : (batch, samples) float32 at the front end's rate
        lengths : (batch,) int64
        """
        output = self.network(*self.front_end(waveform, lengths))
        named = {
            "logits": output.logits,
            "probabilities": (output.logits / self.temperature).softmax(dim=1),
            "embedding": output.embedding,
        }
        return named if output.attention is None else {**named, "attention": output.attention}


def build_network(name: str, n_mels: int, n_classes: int, settings: dict[str, Any]) -> nn.Module:
    """Build the network called ``name`` with random weights (torch's global generator)."""
    network_type = MODELS.get(name)
    network = network_type(n_mels, n_classes, from_mapping(network_type.settings_type, settings, "[network]"))
    assert isinstance(network, nn.Module)
    return network


def build_classifier(recipe: Recipe, classes: tuple[str, ...], seed: int) -> SpeechClassifier:
    """Build a recipe's model; the random start depends on ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(recipe.model, recipe.front_end.n_mels, len(classes), dict(recipe.network))
    return SpeechClassifier(LogMel(recipe.front_end), network, classes)
