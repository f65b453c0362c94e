"""The networks of Moody (COINS-SS21): an AlexNet tuned to spectrograms, and ResNet18 with one channel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from earnest.frontends.image import ImageSize
from earnest.frontends.log_mel import InputKind
from earnest.models.classifier import MODELS, Network, NetworkOutput, Usage
from earnest.models.imagenet import ImagenetSettings, WidthFactor, scaled
from earnest.models.resnet import ResidualNetwork
from earnest.settings.front_end import PRESETS, Image, Segments
from earnest.settings.limits import ShareBelowOne, Validated

# 2.1 s at 22 050 Hz are 46 305 samples: images of 128 by 91. Eight outputs, of which the eighth was never trained.
MOODY = Usage(PRESETS["moody"], 8, Segments("crop", 2.1), Image(low_at_bottom=False))


@dataclass(frozen=True)
class MoodyAlexNetSettings(Validated):
    """Dropout as published: of whole channels behind the second and third pooling, then of single values."""

    channel_dropout: ShareBelowOne = 0.7
    late_channel_dropout: ShareBelowOne = 0.6
    dropout: ShareBelowOne = 0.5
    width_factor: WidthFactor = 1.0


@dataclass(frozen=True)
class MoodyResNetSettings(Validated):
    """Dropout as published."""

    dropout: ShareBelowOne = 0.5
    width_factor: WidthFactor = 1.0


def _head(width: int, hidden: int, dropout: float) -> nn.Sequential:
    """Return what stands before the last layer: one hidden linear layer of normalised values."""
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.LayerNorm(hidden)
    )


@MODELS.register("moody-alexnet")
class MoodyAlexNet(Network):
    """AlexNet for one channel, with batch normalisation and one hidden linear layer."""

    settings_type = MoodyAlexNetSettings
    input: ClassVar[InputKind] = "image"
    paper = "Moody SER (COINS-SS21), github.com/COINS-SS21/moody-ser; after AlexNet (Krizhevsky et al., 2012)"
    usage = MOODY
    reduced: ClassVar[Mapping[str, Any]] = {
        "width_factor": 0.125,
        "channel_dropout": 0.1,
        "late_channel_dropout": 0.1,
        "dropout": 0.1,
    }

    def __init__(self, size: ImageSize, n_classes: int, settings: MoodyAlexNetSettings) -> None:
        super().__init__()
        first, second, third, hidden = (scaled(width, settings.width_factor) for width in (96, 256, 384, 512))
        left = size.after(first, 11, 4, 2).after(first, 3, 2).after(second, 3, 2).after(second, 3, 2)
        self.features = nn.Sequential(
            nn.Conv2d(size.channels, first, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),  # 128 by 91 are 15 by 10 now
            nn.Conv2d(first, second, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),  # 7 by 4
            nn.Dropout2d(settings.channel_dropout),
            nn.BatchNorm2d(second),
            nn.Conv2d(second, third, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(third, third, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(third, second, 3, padding=1),
            nn.MaxPool2d(3, 2),  # 3 by 1, so 768 values go into the head
            nn.Dropout2d(settings.late_channel_dropout),
            nn.BatchNorm2d(second),
        )
        self.head = _head(second * left.height * left.width, hidden, settings.dropout)
        self.output = nn.Linear(hidden, n_classes)

    def forward(self, images: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map images (batch, channels, height, width) to logits and embedding."""
        embedding = self.head(self.features(images).flatten(1))
        return NetworkOutput(self.output(embedding), embedding)


@MODELS.register("moody-resnet18")
class MoodyResNet18(ResidualNetwork):
    """ResNet18 and one hidden linear layer, trained from scratch."""

    settings_type = MoodyResNetSettings
    paper = "Moody SER (COINS-SS21), github.com/COINS-SS21/moody-ser; ResNet: He et al., 2016"
    usage = MOODY
    replaced: ClassVar[str] = "head"
    reduced: ClassVar[Mapping[str, Any]] = {"width_factor": 0.125, "dropout": 0.1}

    def __init__(self, size: ImageSize, n_classes: int, settings: MoodyResNetSettings) -> None:
        super().__init__(size, ImagenetSettings(width_factor=settings.width_factor))
        hidden = scaled(256, settings.width_factor)
        self.head = _head(self.width, hidden, settings.dropout)
        self.output = nn.Linear(hidden, n_classes)

    def forward(self, images: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map images (batch, channels, height, width) to logits and embedding."""
        embedding = self.head(self.pooled(images))
        return NetworkOutput(self.output(embedding), embedding)
