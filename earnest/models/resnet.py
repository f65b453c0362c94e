"""ResNet18 (He et al., 2016)."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from earnest.frontends.image import ImageSize
from earnest.models.alexnet import NTU
from earnest.models.classifier import MODELS, NetworkOutput
from earnest.models.imagenet import ImagenetNetwork, ImagenetSettings, scaled, xavier


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = nn.Sequential()
        # The shortcut is a projection (W_s of eq. 2) only where the shapes differ; an empty sequence passes on.
        if stride > 1 or in_channels != out_channels:
            self.downsample.append(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))
            self.downsample.append(nn.BatchNorm2d(out_channels))

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, in_channels, height, width) to (batch, out_channels, height / stride, width / stride)."""
        inner = functional.relu(self.bn1(self.conv1(images)))
        return functional.relu(self.bn2(self.conv2(inner)) + self.downsample(images))  # y = F(x) + W_s·x, eq. 2


class ResidualNetwork(ImagenetNetwork):
    """The stem and four stages of two blocks, with torchvision's names; a head is added by who builds on it."""

    def __init__(self, size: ImageSize, settings: ImagenetSettings) -> None:
        super().__init__(settings)
        widths = [scaled(width, settings.width_factor) for width in (64, 128, 256, 512)]
        self.conv1 = nn.Conv2d(size.channels, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = _stage(widths[0], widths[0], 1)
        self.layer2 = _stage(widths[0], widths[1], 2)
        self.layer3 = _stage(widths[1], widths[2], 2)
        self.layer4 = _stage(widths[2], widths[3], 2)
        self.width = widths[3]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def pooled(self, images: Tensor) -> Tensor:
        """Map images (batch, channels, height, width) to (batch, width)."""
        images = functional.relu(self.bn1(self.conv1(images)))  # (batch, 64, height / 2, width / 2)
        images = functional.max_pool2d(images, 3, stride=2, padding=1)  # height / 4
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            images = stage(images)  # height / 4, / 8, / 16, / 32; channels 64, 128, 256, 512
        return images.mean(dim=(2, 3))


@MODELS.register("resnet18")
class ResNet18(ResidualNetwork):
    """Eighteen layers with shortcuts and one linear layer."""

    settings_type = ImagenetSettings
    paper = "ResNet (He et al., 2016, arXiv:1512.03385), for speech emotion: NTU (github.com/musifahamran/FYP)"
    usage = NTU
    replaced: ClassVar[str] = "fc"

    def __init__(self, size: ImageSize, n_classes: int, settings: ImagenetSettings) -> None:
        super().__init__(size, settings)
        # The stem, 4 stages · 2 blocks · 2 convolutions and this layer: eighteen.
        self.fc = nn.Linear(self.width, n_classes)
        xavier(self.fc)

    def forward(self, images: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map images (batch, channels, height, width) to logits and embedding."""
        embedding = self.pooled(images)
        return NetworkOutput(self.fc(embedding), embedding)


def _stage(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(in_channels, out_channels, stride), BasicBlock(out_channels, out_channels, 1))
