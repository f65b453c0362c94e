"""Emotion, gender and affect from one configurable network with parameter-free attention."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from earnest.front_end import PRESETS
from earnest.frontends.build import InputKind
from earnest.frontends.image import ImageSize
from earnest.image import Image
from earnest.models.classifier import MODELS, NetworkOutput, Usage
from earnest.models.imagenet import scaled
from earnest.models.multitask_settings import AFFECT, REFERENCES, MultitaskSettings, PooledSettings

# The whole clip, however long, becomes 128 by 128.
MULTITASK = Usage(PRESETS["multitask"], 8, image=Image(height=128, width=128, scaling="fixed", normalise="statistics"))
LAMBDA = 1e-4


class SimAm(nn.Module):
    """Gates every value by how much it stands out in its channel (Yang et al., 2021)."""

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to the same shape."""
        squares = (images - images.mean(dim=(2, 3), keepdim=True)).square()
        variance = squares.sum(dim=(2, 3), keepdim=True) / max(1, images.shape[2] * images.shape[3] - 1)
        gated: Tensor = images * torch.sigmoid(squares / (4 * (variance + LAMBDA)) + 0.5)
        return gated


@MODELS.register("multitask-cnn")
class MultitaskCnn(nn.Module):
    """Convolutions, shared hidden layers, one head a task.

    As published it counts 126,041,741 weights. The published 126,041,745 include the four learned weights of its loss,
    which training holds (`earnest.training.multitask.WeightedSoftmax`), for no answer depends on them.
    """

    settings_type: ClassVar[type[MultitaskSettings]] = MultitaskSettings
    input: ClassVar[InputKind] = "image"
    paper = (
        "Multitask attention CNN, Arch 8 (MohammadUmarAsif, github.com/MohammadUmarAsif/speech-emotion-recognition); "
        "SimAM: Yang et al., 2021; 126,041,745 parameters with the four weights of its loss"
    )
    usage = MULTITASK
    presets = REFERENCES
    zero_gradient: ClassVar[dict[str, str]] = {}
    reduced: ClassVar[Mapping[str, Any]] = {"width_factor": 0.125, "dropout": 0.1}

    def __init__(self, size: ImageSize, n_classes: int, settings: MultitaskSettings) -> None:
        super().__init__()
        self.settings = settings
        self.features, size = _convolutions(size, settings)
        width = size.channels if settings.ending == "mean" else size.channels * size.height * size.width
        self.hidden, width = _hidden(width, settings.hidden, settings)
        outputs = {"emotion": n_classes, "gender": 2}
        self.task_hidden, self.heads = nn.ModuleDict(), nn.ModuleDict()
        for task in ("emotion", *settings.tasks):
            self.task_hidden[task], own_width = _hidden(width, settings.task_hidden, settings)
            self.heads[task] = nn.Linear(own_width, outputs.get(task, 1))
        self.apply(_initialise)
        for task in AFFECT if "valence" in settings.tasks and settings.affect_range == "relu" else ():
            nn.init.constant_(self.heads[task].get_parameter("bias"), 0.5)  # the middle: a rectifier starts alive

    def forward(self, images: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map images (batch, channels, height, width) to the outputs of all heads."""
        found = self.features(images)
        shared = self.hidden(found.mean(dim=(2, 3)) if self.settings.ending == "mean" else found.flatten(1))
        own = {task: layers(shared) for task, layers in self.task_hidden.items()}
        outputs = {task: head(own[task]) for task, head in self.heads.items()}
        affect = None
        if "valence" in outputs:
            affect = torch.cat([outputs[task] for task in AFFECT], dim=1)
            affect = affect.relu() if self.settings.affect_range == "relu" else affect.sigmoid()
        return NetworkOutput(outputs["emotion"], own["emotion"], gender=outputs.get("gender"), affect=affect)


@MODELS.register("multitask-cnn-pooled")
class MultitaskCnnPooled(MultitaskCnn):
    """The same idea in a size that data of this kind can fill; affect through a sigmoid, which can't die."""

    settings_type = PooledSettings
    paper = "After the multitask attention CNN (MohammadUmarAsif), with channel means instead of its largest layer"


def _convolutions(size: ImageSize, settings: MultitaskSettings) -> tuple[nn.Sequential, ImageSize]:
    layers: list[nn.Module] = []
    columns = (settings.channels, settings.kernels, settings.strides, settings.paddings, settings.pools)
    for channels, kernel, stride, padding, pool, pool_stride in zip(*columns, settings.pool_strides, strict=True):
        width = scaled(channels, settings.width_factor)
        bias = not settings.batch_norm  # the norm would take it away again
        layers.append(nn.Conv2d(size.channels, width, kernel, stride, padding, bias=bias))
        size = size.after(width, kernel, stride, padding)
        if settings.batch_norm:
            layers.append(nn.BatchNorm2d(width))
        layers.append(_activation(settings))
        if pool:
            kind = nn.MaxPool2d if settings.pooling == "max" else nn.AvgPool2d
            layers.append(kind(pool, pool_stride))
            size = size.after(width, pool, pool_stride)
    if settings.attention == "simam":
        layers.append(SimAm())
    return nn.Sequential(*layers), size


def _hidden(width: int, widths: tuple[int, ...], settings: MultitaskSettings) -> tuple[nn.Sequential, int]:
    """Return layers, each behind dropout, with dropout behind the last one, and the width that comes out."""
    layers: list[nn.Module] = []
    for published in widths:
        following = scaled(published, settings.width_factor)
        layers += [nn.Dropout(settings.dropout), nn.Linear(width, following), _activation(settings)]
        width = following
    return nn.Sequential(*layers, *([nn.Dropout(settings.dropout)] if widths else [])), width


def _activation(settings: MultitaskSettings) -> nn.Module:
    return nn.ReLU() if settings.activation == "relu" else nn.LeakyReLU()


def _initialise(module: nn.Module) -> None:
    """Start as He et al. (2015)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
