"""ResNet-18, 34 and 50 of torchvision (He et al., 2015), with a stem for small images by choice."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn
from torchvision import models  # type: ignore[import-untyped]

from samebits.params.section import Section
from samebits.signature.signature import Signature

_CHANNELS = 3
"""Of the published nets."""
_LARGEST_BYTES = 200 << 20

_PUBLISHED: dict[str, tuple[Any, str]] = {
    "resnet18": (models.ResNet18_Weights.IMAGENET1K_V1, "f37072fd"),
    "resnet34": (models.ResNet34_Weights.IMAGENET1K_V1, "b627a593"),
    "resnet50": (models.ResNet50_Weights.IMAGENET1K_V2, "11ad3fa6"),
}
"""torchvision's weights on ImageNet, and the first digits of the file's SHA-256 as published in its name."""

_LAYERS = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")


class Settings(Section):
    """The `model` section for `name: resnet18`, `resnet34` or `resnet50`.

    Attributes:
        stem: `imagenet`, a 7x7 convolution of stride 2 and a max pooling, which leaves a sixteenth of the pixels; or
            `small`, a 3x3 convolution of stride 1, for small images: more exact, and 16 times the work.
    """

    name: Literal["resnet18", "resnet34", "resnet50"]
    stem: Literal["imagenet", "small"] = "imagenet"


def build(settings: Settings, signature: Signature) -> nn.Module:
    """A ResNet for images: [N, C, H, W], float, normalised -> logits [N, classes].

    Raises:
        UserError: for other data.
    """
    channels = signature.images.shape[0]
    net: nn.Module = models.get_model(settings.name, weights=None, num_classes=signature.outputs)
    if settings.stem == "small":
        net.conv1 = _first(channels, kernel=3, stride=1)
        net.maxpool = nn.Identity()
    elif channels != _CHANNELS:
        net.conv1 = _first(channels, kernel=7, stride=2)
    return net


def _first(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, 64, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def new_layers(network: nn.Module) -> set[str]:
    """The head, and the first layer, which another stem and other channels change."""
    return {"fc", "conv1"}


def depth(name: str) -> int:
    """Stage of a parameter, for `transfer.layer_decay`: the stem is 0, the head 5."""
    return max(0, _LAYERS.index(name.partition(".")[0]) - 1)


def published(settings: Settings) -> tuple[str, str, int]:
    """Address of the weights on ImageNet, the first digits of their SHA-256, and the most bytes to accept."""
    weights, digits = _PUBLISHED[settings.name]
    return str(weights.url), digits, _LARGEST_BYTES
