"""DenseNet121 (Huang et al., 2017) with Speech-VINO's head."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from earnest.frontends.image import ImageSize
from earnest.models.classifier import MODELS, NetworkOutput, Usage
from earnest.models.imagenet import ImagenetNetwork, ImagenetSettings, scaled
from earnest.settings.front_end import PRESETS, Image, Segments
from earnest.settings.limits import Count, NotEmpty

# Huang et al., section 3: k = 32, a stem of 2k channels, bottlenecks of 4k; the hidden layer is Speech-VINO's.
GROWTH, STEM, BOTTLENECK, HIDDEN = 32, 64, 4, 512


@dataclass(frozen=True)
class DenseNetSettings(ImagenetSettings):
    """``block_layers``: dense layers of each block."""

    block_layers: Annotated[tuple[Count, ...], NotEmpty()] = (6, 12, 24, 16)


class DenseLayer(nn.Module):
    """Two convolutions, each behind norm and ReLU; what they find is put beside what came in."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, BOTTLENECK * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK * growth)
        self.conv2 = nn.Conv2d(BOTTLENECK * growth, growth, 3, padding=1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, channels + growth, height, width)."""
        narrow = self.conv1(functional.relu(self.norm1(images)))  # (batch, 4 · growth, height, width)
        found = self.conv2(functional.relu(self.norm2(narrow)))
        return torch.cat([images, found], dim=1)  # x_l = H_l([x_0, …, x_(l−1)]), eq. 2


@MODELS.register("densenet121")
class DenseNet121(ImagenetNetwork):
    """Four dense blocks, then 1024 → 512 → LeakyReLU → classes."""

    settings_type = DenseNetSettings
    paper = (
        "DenseNet (Huang et al., 2017, arXiv:1608.06993), for speech emotion: Speech-VINO (github.com/Speech-VINO/SER)"
    )
    usage = Usage(
        PRESETS["vino"],
        8,
        Segments("crop", 5.0),
        Image(3, scaling="fixed", height=224, width=224, normalise="imagenet"),
    )
    replaced: ClassVar[str] = "classifier"
    reduced: ClassVar[Mapping[str, Any]] = {"width_factor": 0.25, "block_layers": [2, 2, 2, 2]}

    def __init__(self, size: ImageSize, n_classes: int, settings: DenseNetSettings) -> None:
        super().__init__(settings)
        # Only to refuse images of which a transition would leave nothing.
        left = size.after(size.channels, 7, 2, 3).after(size.channels, 3, 2, 1)
        for _ in settings.block_layers[1:]:
            left = left.after(size.channels, 2, 2)
        growth, channels = scaled(GROWTH, settings.width_factor), scaled(STEM, settings.width_factor)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(size.channels, channels, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(channels),
            relu0=nn.ReLU(),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )
        # Channels as published: 64 → 256 | 128 → 512 | 256 → 1024 | 512 → 1024; a transition halves them (θ = ½).
        for number, n_layers in enumerate(settings.block_layers, start=1):
            layers[f"denseblock{number}"] = _dense_block(channels, growth, n_layers)
            channels += n_layers * growth
            if number < len(settings.block_layers):
                layers[f"transition{number}"] = _transition(channels, channels // 2)
                channels //= 2
        layers["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(layers)
        hidden = scaled(HIDDEN, settings.width_factor)
        self.classifier = nn.Sequential(nn.Linear(channels, hidden), nn.LeakyReLU(), nn.Linear(hidden, n_classes))
        for module in self.features.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    @staticmethod
    def published_name(name: str) -> str:
        """Return the name of a tensor here; the published file still has dots inside a dense layer's names."""
        return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)

    def forward(self, images: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map images (batch, channels, height, width) to logits and embedding."""
        pooled = functional.relu(self.features(images)).mean(dim=(2, 3))  # (batch, channels)
        embedding = self.classifier[:2](pooled)
        return NetworkOutput(self.classifier[2](embedding), embedding)


def _dense_block(channels: int, growth: int, n_layers: int) -> nn.Sequential:
    layers = {f"denselayer{number + 1}": DenseLayer(channels + number * growth, growth) for number in range(n_layers)}
    return nn.Sequential(OrderedDict(layers))


def _transition(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(in_channels),
            relu=nn.ReLU(),
            conv=nn.Conv2d(in_channels, out_channels, 1, bias=False),
            pool=nn.AvgPool2d(2, 2),
        )
    )
