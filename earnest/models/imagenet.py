"""Networks made for photographs (ImageNet): width, published weights, pooling to one size."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from earnest.errors import WeightsNotFoundError
from earnest.frontends.log_mel import InputKind
from earnest.models.classifier import Network
from earnest.models.pretrained import load_all_but
from earnest.settings.limits import Bounds, ShareBelowOne, Validated

_log = logging.getLogger(__name__)
WidthFactor: TypeAlias = Annotated[float, Bounds(gt=0, le=4)]


@dataclass(frozen=True)
class ImagenetSettings(Validated):
    """Settings of all ImageNet networks.

    Attributes
    ----------
    weights : file of tensors with torchvision's names (safetensors, or .pth as published), a folder that holds
        ``model.safetensors``, or a name below ``$EARNEST_MODELS``; "" for a random start
    width_factor : share of the published channels, for small experiments
    """

    weights: str = ""
    width_factor: WidthFactor = 1.0


@dataclass(frozen=True)
class DropoutSettings(ImagenetSettings):
    """The same with the dropout before the linear layers."""

    dropout: ShareBelowOne = 0.5


class ImagenetNetwork(Network):
    """A network on images whose layers are called as in torchvision, so that published tensors fit.

    Attributes
    ----------
    replaced : the layers sized from the label scheme: published tensors for them are left out
    """

    input: ClassVar[InputKind] = "image"
    reduced: ClassVar[Mapping[str, Any]] = {"width_factor": 0.125}
    replaced: ClassVar[str]

    def __init__(self, settings: ImagenetSettings) -> None:
        super().__init__()
        self.settings = settings
        self._origin = "random"

    @property
    def origin(self) -> str:
        """The file that was taken over, or "random"."""
        return self._origin

    def load_pretrained(self) -> None:
        """Take over the published tensors; without the file the start stays random, with a warning."""
        name = self.settings.weights
        if not name:
            return
        try:
            load_all_but(self, self.replaced, name, self.published_name)
        except WeightsNotFoundError as error:
            _log.warning("%s Training starts from random weights instead.", error)
            return
        self._origin = f"{name} (all but '{self.replaced}')"
        _log.info("Weights from '%s'; '%s' is sized from the label scheme and starts at random.", name, self.replaced)

    @staticmethod
    def published_name(name: str) -> str:
        """Return the name of a tensor here from its name in a file."""
        return name


def average_to(images: Tensor, cells: int) -> Tensor:
    """Average (batch, channels, rows, columns) to ``cells`` by ``cells``, as torch's adaptive pooling does."""
    rows, columns = (_shares(size, cells, images) for size in images.shape[2:])
    # (cells, rows) · (batch, channels, rows, columns) · (columns, cells): adaptive pooling for any size in a graph.
    return torch.matmul(torch.matmul(rows, images), columns.T)


def _shares(size: int, cells: int, like: Tensor) -> Tensor:
    """Return (cells, size): cell i averages from floor(i·size/cells) to below ceil((i + 1)·size/cells)."""
    steps = torch.arange(size, device=like.device)[None]
    numbers = torch.arange(cells, device=like.device)[:, None]
    first = torch.div(numbers * size, cells, rounding_mode="floor")
    end = -torch.div(-(numbers + 1) * size, cells, rounding_mode="floor")  # −⌊−x⌋ = ⌈x⌉
    return ((steps >= first) & (steps < end)).to(like.dtype) / (end - first)


def scaled(width: int, factor: float) -> int:
    """Return so many of ``width`` channels, at least four."""
    return max(4, round(width * factor))


def xavier(layer: nn.Module) -> None:
    """Start new layers as NTU did (Glorot and Bengio, 2010), biases at zero."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
