"""A ResNet of nine layers for small images: fewer and wider-stepping than ResNet-18, for the same accuracy sooner.

After the net that won DAWNBench's CIFAR-10 track (Page, "How to Train Your ResNet", 2018): a convolution, three that
halve the sides, residual blocks behind the first and the last of these, and a global maximum before the head.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from samebits.base.errors import UserError
from samebits.models.layers.flip_tta import flip_tta
from samebits.params.section import Section
from samebits.signature.signature import Signature

_SMALLEST = 8
"""Pixels a side: three halvings leave one."""


class Settings(Section):
    """The `model` section for `name: resnet9`.

    Attributes:
        widths: channels of the stem and of the three halvings; the published net has [64, 128, 256, 512].
        dropout: probability of zeroing a feature before the head.
        mirror: outside training, answer with the mean of the logits of an image and of its mirror image. The exported
            model does so, too; twice the work.
    """

    name: Literal["resnet9"]
    widths: list[Annotated[int, Field(ge=1, le=4096)]] = Field(default=[32, 64, 128, 256], min_length=4, max_length=4)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    mirror: bool = False


class Residual(nn.Module):
    """x + f(x), with two convolutions as f."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(_block(channels, channels), _block(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.change(x)
        return out


class ResNet9(nn.Module):
    """Images [N, C, H, W], float, normalised -> logits [N, classes]."""

    def __init__(self, channels: int, classes: int, settings: Settings) -> None:
        super().__init__()
        stem, first, second, third = settings.widths
        self.features = nn.Sequential(
            _block(channels, stem),
            _halving(stem, first),
            Residual(first),
            _halving(first, second),
            _halving(second, third),
            Residual(third),
            nn.AdaptiveMaxPool2d(1),
        )
        self.mirror = settings.mirror
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(third, classes)

    def forward(self, images: Tensor) -> Tensor:
        return flip_tta(self._logits, images) if self.mirror and not self.training else self._logits(images)

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.features(images).flatten(1)))
        return logits


def _block(before: int, after: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _halving(before: int, after: int) -> nn.Module:
    return nn.Sequential(_block(before, after), nn.MaxPool2d(2))


def build(settings: Settings, signature: Signature) -> nn.Module:
    """A ResNet9 for images.

    Raises:
        UserError: for other data, or for images of fewer than 8 pixels a side.
    """
    channels, height, width = signature.images.shape
    if min(height, width) < _SMALLEST:
        raise UserError(
            f"images of {height}x{width} pixels are too small for resnet9, which halves the sides three times",
            f"use images of at least {_SMALLEST}x{_SMALLEST} pixels, or model.name: convnet",
        )
    return ResNet9(channels, signature.outputs, settings)
