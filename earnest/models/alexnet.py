"""AlexNet (Krizhevsky, 2014), with its linear layers or with pooled class maps."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from earnest.frontends.image import ImageSize
from earnest.models.classifier import MODELS, NetworkOutput, Usage
from earnest.models.imagenet import DropoutSettings, ImagenetNetwork, ImagenetSettings, average_to, scaled, xavier
from earnest.settings.front_end import PRESETS, Image, Segments

NTU = Usage(
    PRESETS["ntu-logspec"],
    4,
    Segments("blocks", 3.0),
    Image(3, scaling="per-bin", height=256, width=384, normalise="imagenet"),
)
CELLS = 6  # a side, what 224 by 224 pixels become: so published linear layers fit images of any size
PAPER = "AlexNet (Krizhevsky, 2014, arXiv:1404.5997), for speech emotion: NTU (github.com/musifahamran/FYP)"


def widths_of(settings: ImagenetSettings) -> list[int]:
    """Return the channels of the five convolutions."""
    return [scaled(width, settings.width_factor) for width in (64, 192, 384, 256, 256)]


def convolutions(size: ImageSize, widths: list[int]) -> nn.Sequential:
    """Build the five convolutions; images must be at least 63 pixels high and wide."""
    # Only to refuse, with words, images that would shrink to nothing.
    size.after(widths[0], 11, 4, 2).after(widths[0], 3, 2).after(widths[1], 3, 2).after(widths[4], 3, 2)
    return nn.Sequential(
        nn.Conv2d(size.channels, widths[0], 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),  # 256 by 384 pixels (NTU's) are 31 by 47 now
        nn.Conv2d(widths[0], widths[1], 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),  # 15 by 23
        nn.Conv2d(widths[1], widths[2], 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(widths[2], widths[3], 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(widths[3], widths[4], 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),  # 7 by 11
    )


@MODELS.register("alexnet")
class AlexNet(ImagenetNetwork):
    """Five convolutions and three linear layers."""

    settings_type = DropoutSettings
    paper = PAPER
    usage = NTU
    replaced: ClassVar[str] = "classifier.6"
    reduced: ClassVar[Mapping[str, Any]] = {"width_factor": 0.125, "dropout": 0.1}

    def __init__(self, size: ImageSize, n_classes: int, settings: DropoutSettings) -> None:
        super().__init__(settings)
        widths, hidden = widths_of(settings), scaled(4096, settings.width_factor)
        self.features = convolutions(size, widths)
        self.classifier = nn.Sequential(
            nn.Dropout(settings.dropout),
            nn.Linear(CELLS * CELLS * widths[4], hidden),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, n_classes),
        )
        xavier(self.classifier[6])

    def forward(self, images: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map images (batch, channels, height, width) to logits and embedding."""
        pooled = average_to(self.features(images), CELLS).flatten(1)  # (batch, 36 · channels)
        embedding = self.classifier[:6](pooled)  # (batch, hidden)
        return NetworkOutput(self.classifier[6](embedding), embedding)


@MODELS.register("alexnet-gap")
class AlexNetGap(ImagenetNetwork):
    """AlexNet's convolutions, one map a class, and the mean of each map (FCN + GAP)."""

    settings_type = ImagenetSettings
    paper = f"{PAPER}; global average pooling: Lin et al., 2014, arXiv:1312.4400"
    usage = NTU
    replaced: ClassVar[str] = "classifier"

    def __init__(self, size: ImageSize, n_classes: int, settings: ImagenetSettings) -> None:
        super().__init__(settings)
        widths = widths_of(settings)
        self.features = convolutions(size, widths)
        self.classifier = nn.Conv2d(widths[4], n_classes, 1)
        xavier(self.classifier)

    def forward(self, images: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map images (batch, channels, height, width) to logits and embedding."""
        maps = self.features(images)  # (batch, channels, rows, columns)
        return NetworkOutput(self.classifier(maps).mean(dim=(2, 3)), maps.mean(dim=(2, 3)))
