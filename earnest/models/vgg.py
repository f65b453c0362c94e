"""VGG11 (Simonyan and Zisserman, 2015)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from earnest.frontends.image import ImageSize
from earnest.models.alexnet import NTU
from earnest.models.classifier import MODELS, NetworkOutput
from earnest.models.imagenet import DropoutSettings, ImagenetNetwork, average_to, scaled, xavier

WIDTHS = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)  # 0: halve the image
CELLS = 7  # a side: 224 pixels, halved five times


@MODELS.register("vgg11")
class Vgg11(ImagenetNetwork):
    """Eight convolutions and three linear layers."""

    settings_type = DropoutSettings
    paper = "VGG (Simonyan and Zisserman, 2015, arXiv:1409.1556), for speech emotion: NTU (github.com/musifahamran/FYP)"
    usage = NTU
    replaced: ClassVar[str] = "classifier.6"
    reduced: ClassVar[Mapping[str, Any]] = {"width_factor": 0.125, "dropout": 0.1}

    def __init__(self, size: ImageSize, n_classes: int, settings: DropoutSettings) -> None:
        super().__init__(settings)
        size.after(size.channels, 32, 32)  # halved five times
        layers: list[nn.Module] = []
        channels = size.channels
        for published in WIDTHS:
            if published:
                width = scaled(published, settings.width_factor)
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            else:
                layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        hidden = scaled(4096, settings.width_factor)
        self.classifier = nn.Sequential(
            nn.Linear(CELLS * CELLS * channels, hidden),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(hidden, n_classes),
        )
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):  # without this, eight layers let nothing through (He et al., 2015)
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        xavier(self.classifier[6])

    def forward(self, images: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map images (batch, channels, height, width) to logits and embedding."""
        pooled = average_to(self.features(images), CELLS).flatten(1)  # (batch, 49 · channels)
        embedding = self.classifier[:6](pooled)
        return NetworkOutput(self.classifier[6](embedding), embedding)
