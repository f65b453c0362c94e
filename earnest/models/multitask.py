"""Emotion, gender and affect from one configurable network with parameter-free attention; presets of references."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from earnest.frontends.image import ImageSize
from earnest.frontends.log_mel import InputKind
from earnest.labels import AFFECT, Affect
from earnest.models.classifier import MODELS, Network, NetworkOutput, Usage
from earnest.models.imagenet import WidthFactor, scaled
from earnest.settings.front_end import PRESETS, Image
from earnest.settings.limits import Count, NotEmpty, NumberFromZero, ShareBelowOne, Validated, require

Task = Literal["gender", Affect]


@dataclass(frozen=True)
class MultitaskSettings(Validated):
    """Convolutions, hidden layers and heads; the defaults are the published "Arch 8".

    Attributes
    ----------
    channels, kernels, strides, paddings : one number a convolution
    pools, pool_strides : size and step of the pooling behind each convolution, 0 for none
    pooling : "max" or "average"
    activation : behind every convolution and hidden layer
    batch_norm : behind every convolution
    attention : behind the last pooling
    ending : what the hidden layers see: every value, or each channel's mean
    hidden : widths of the layers that all tasks share
    task_hidden : widths of the layers that each task has for itself
    tasks : heads beside emotion; valence, arousal and dominance come together
    affect_range : what holds valence, arousal and dominance in their range: "relu" as published (an output that falls
        below zero for all utterances never learns again), or "sigmoid"
    initialisation : of all layers: "torch", its own small uniform weights (the notebooks of Arch 8 say "Weight Init –
        False"), or "he" (He et al., 2015), which suits batch normalisation. Without it, and with dropout of 0.8, He's
        weights answer affect with values around 4 instead of 0.5, and the first steps end all learning
    """

    channels: Annotated[tuple[Count, ...], NotEmpty()] = (32, 64)
    kernels: tuple[Count, ...] = (7, 5)
    strides: tuple[Count, ...] = (1, 1)
    paddings: tuple[NumberFromZero, ...] = (3, 2)
    pools: tuple[NumberFromZero, ...] = (4, 3)
    pool_strides: tuple[Count, ...] = (2, 2)
    pooling: Literal["max", "average"] = "max"
    activation: Literal["relu", "leaky"] = "relu"
    batch_norm: bool = False
    attention: Literal["none", "simam"] = "simam"
    ending: Literal["flatten", "mean"] = "flatten"
    # Images of 128 by 128 leave 64 · 31 · 31 = 61,504 values: times 2,048 they are 126 of the 126 million weights.
    hidden: tuple[Count, ...] = (2048,)
    task_hidden: tuple[Count, ...] = ()
    tasks: tuple[Task, ...] = ("gender", *AFFECT)
    affect_range: Literal["relu", "sigmoid"] = "relu"
    initialisation: Literal["torch", "he"] = "torch"
    dropout: ShareBelowOne = 0.8
    width_factor: WidthFactor = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        count = len(self.channels)
        for name in ("kernels", "strides", "paddings", "pools", "pool_strides"):
            found = len(getattr(self, name))
            require(found == count, f"{name} must have {count} numbers, one for each of the channels, got {found}")
        together = set(self.tasks) & set(AFFECT) in (set(), set(AFFECT))
        right = together and len(set(self.tasks)) == len(self.tasks)
        require(right, f"tasks: valence, arousal and dominance come together, each task once, got {list(self.tasks)}")


@dataclass(frozen=True)
class PooledSettings(MultitaskSettings):
    """Four convolutions and channel means instead of one layer of 126 million weights."""

    channels: Annotated[tuple[Count, ...], NotEmpty()] = (32, 64, 128, 256)
    kernels: tuple[Count, ...] = (7, 5, 3, 3)
    strides: tuple[Count, ...] = (1, 1, 1, 1)
    paddings: tuple[NumberFromZero, ...] = (3, 2, 1, 1)
    pools: tuple[NumberFromZero, ...] = (4, 3, 3, 3)
    pool_strides: tuple[Count, ...] = (2, 2, 2, 2)
    batch_norm: bool = True
    ending: Literal["flatten", "mean"] = "mean"
    hidden: tuple[Count, ...] = (256,)
    affect_range: Literal["relu", "sigmoid"] = "sigmoid"
    initialisation: Literal["torch", "he"] = "he"
    dropout: ShareBelowOne = 0.5


_PLAIN: Mapping[str, Any] = {"attention": "none", "tasks": [], "dropout": 0.5}


def _layers(
    channels: list[int],
    kernels: list[int],
    paddings: list[int],
    pools: list[int],
    hidden: list[int],
    first_stride: int = 1,
) -> dict[str, Any]:
    rest = len(channels) - 1
    return {
        **_PLAIN,
        "channels": channels,
        "kernels": kernels,
        "strides": [first_stride] + [1] * rest,
        "paddings": paddings,
        "pools": pools,
        "pool_strides": [2] * (rest + 1),
        "hidden": hidden,
    }


# The networks that the multitask project compared with, in its own measures: they follow the papers, and are not equal
# to them in every layer. Images are 128 by 128 pixels, for badshah2017 256, for alexnet2012 227.
REFERENCES: Mapping[str, Mapping[str, Any]] = {
    "arch8": {},
    "starter": _layers([16, 32], [3, 3], [1, 1], [2, 2], [2048]),
    # Badshah et al., "Speech Emotion Recognition from Spectrograms with Deep CNN", PlatCon 2017
    "badshah2017": _layers([120, 256, 384], [11, 5, 3], [5, 2, 1], [4, 4, 4], [8192, 2048], first_stride=3),
    # Shahsavarani, "Speech Emotion Recognition using Convolutional Neural Networks", thesis, Nebraska-Lincoln 2018
    "shahsavarani2018": _layers([8, 16], [5, 5], [2, 2], [2, 2], [2048]),
    # Kim et al., "Speech Emotion Recognition Based on Multi-task Learning using a CNN", APSIPA 2017
    "kim2017": _layers([32, 32], [5, 3], [2, 1], [2, 2], [2048]),
    # Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012
    "alexnet2012": _layers(
        [96, 256, 384, 384, 256],
        [11, 5, 3, 3, 3],
        [0, 2, 1, 1, 1],
        [3, 3, 0, 0, 3],
        [4096, 4096, 1000],
        first_stride=4,
    ),
}


# The whole utterance, however long, becomes 128 by 128.
MULTITASK = Usage(PRESETS["multitask"], 8, image=Image(height=128, width=128, scaling="fixed", normalise="statistics"))
LAMBDA = 1e-4  # of eq. 5, the paper's value


class SimAm(nn.Module):
    """Gates every value by how much it stands out in its channel (Yang et al., 2021)."""

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to the same shape."""
        # SimAM, eq. 5: 1/e* = (x − µ)² / (4·(σ² + λ)) + 1/2; the gate is its sigmoid.
        squares = (images - images.mean(dim=(2, 3), keepdim=True)).square()
        # Divided by n − 1, as in the paper's code.
        variance = squares.sum(dim=(2, 3), keepdim=True) / max(1, images.shape[2] * images.shape[3] - 1)
        gated: Tensor = images * torch.sigmoid(squares / (4 * (variance + LAMBDA)) + 0.5)
        return gated


@MODELS.register("multitask-cnn")
class MultitaskCnn(Network):
    """Convolutions, shared hidden layers, one head a task.

    As published it counts 126,041,741 weights. The published 126,041,745 include the four learned weights of its loss,
    which training holds (`earnest.training.heads.WeightedSoftmax`), for no answer depends on them.
    """

    settings_type: type[MultitaskSettings] = MultitaskSettings
    input: ClassVar[InputKind] = "image"
    paper = (
        "Multitask attention CNN, Arch 8 (MohammadUmarAsif, github.com/MohammadUmarAsif/speech-emotion-recognition); "
        "SimAM: Yang et al., 2021; 126,041,745 parameters with the four weights of its loss"
    )
    usage = MULTITASK
    presets = REFERENCES
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
            # One number each for valence, arousal and dominance.
            self.heads[task] = nn.Linear(own_width, outputs.get(task, 1))
        if settings.initialisation == "he":
            self.apply(_initialise)
        for task in AFFECT if "valence" in settings.tasks and settings.affect_range == "relu" else ():
            nn.init.constant_(self.heads[task].get_parameter("bias"), 0.5)  # the middle: a rectifier starts alive

    def forward(self, images: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map images (batch, channels, height, width) to the outputs of all heads."""
        found = self.features(images)  # (batch, channels, height, width)
        shared = self.hidden(found.mean(dim=(2, 3)) if self.settings.ending == "mean" else found.flatten(1))
        own = {task: layers(shared) for task, layers in self.task_hidden.items()}
        outputs = {task: head(own[task]) for task, head in self.heads.items()}
        affect = None
        if "valence" in outputs:
            affect = torch.cat([outputs[task] for task in AFFECT], dim=1)  # (batch, 3)
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
