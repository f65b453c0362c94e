"""Settings of the configurable network, and the reference networks as presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from earnest.errors import RecipeError
from earnest.models.imagenet import check_dropout, check_width_factor

Task = Literal["gender", "valence", "arousal", "dominance"]
AFFECT: tuple[Task, ...] = ("valence", "arousal", "dominance")


@dataclass(frozen=True)
class MultitaskSettings:
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
        below zero for all clips never learns again), or "sigmoid"
    """

    channels: tuple[int, ...] = (32, 64)
    kernels: tuple[int, ...] = (7, 5)
    strides: tuple[int, ...] = (1, 1)
    paddings: tuple[int, ...] = (3, 2)
    pools: tuple[int, ...] = (4, 3)
    pool_strides: tuple[int, ...] = (2, 2)
    pooling: Literal["max", "average"] = "max"
    activation: Literal["relu", "leaky"] = "relu"
    batch_norm: bool = False
    attention: Literal["none", "simam"] = "simam"
    ending: Literal["flatten", "mean"] = "flatten"
    hidden: tuple[int, ...] = (2048,)
    task_hidden: tuple[int, ...] = ()
    tasks: tuple[Task, ...] = ("gender", *AFFECT)
    affect_range: Literal["relu", "sigmoid"] = "relu"
    dropout: float = 0.8
    width_factor: float = 1.0

    def __post_init__(self) -> None:
        check_dropout(self.dropout)
        check_width_factor(self.width_factor)
        count = len(self.channels)
        for name in ("kernels", "strides", "paddings", "pools", "pool_strides"):
            if len(getattr(self, name)) != count:
                raise RecipeError(f"{name} must have {count} numbers, one for each of the channels.")
        if min((1, *self.channels, *self.kernels, *self.strides, *self.hidden, *self.task_hidden)) < 1 or not count:
            raise RecipeError("channels, kernels, strides, hidden and task_hidden must be numbers from 1.")
        if min((0, *self.paddings, *self.pools)) < 0 or min(self.pool_strides) < 1:
            raise RecipeError("paddings and pools must not be negative, pool_strides at least 1.")
        if set(self.tasks) & set(AFFECT) not in (set(), set(AFFECT)) or len(set(self.tasks)) < len(self.tasks):
            raise RecipeError("tasks: valence, arousal and dominance come together, each task once.")


@dataclass(frozen=True)
class PooledSettings(MultitaskSettings):
    """Four convolutions and channel means instead of one layer of 126 million weights."""

    channels: tuple[int, ...] = (32, 64, 128, 256)
    kernels: tuple[int, ...] = (7, 5, 3, 3)
    strides: tuple[int, ...] = (1, 1, 1, 1)
    paddings: tuple[int, ...] = (3, 2, 1, 1)
    pools: tuple[int, ...] = (4, 3, 3, 3)
    pool_strides: tuple[int, ...] = (2, 2, 2, 2)
    batch_norm: bool = True
    ending: Literal["flatten", "mean"] = "mean"
    hidden: tuple[int, ...] = (256,)
    affect_range: Literal["relu", "sigmoid"] = "sigmoid"
    dropout: float = 0.5


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
