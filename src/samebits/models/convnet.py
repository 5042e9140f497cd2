"""A small convolutional network for small images: a wide-stepping stem, stages of two convolutions, a linear head.

Built for the CPU: the 5x5 stem of stride 2 leaves a quarter of the pixels at once, and stages are divided by average
pooling, whose backward pass is cheaper than that of max pooling (docs/decisions.md has what was tried).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from samebits.base.errors import UserError
from samebits.params.section import Section
from samebits.signature.signature import Signature

Width = Annotated[int, Field(ge=1, le=4096)]


class Settings(Section):
    """The `model` section for `name: convnet`.

    Attributes:
        stages: channels of the two convolutions of each stage.
        crop: pixels cut off each side first. With `augment.shift` of the same size, a training image is a random
            crop and a test image the central one.
        dropout: probability of zeroing a feature before the head.
    """

    name: Literal["convnet"]
    stages: list[Annotated[list[Width], Field(min_length=2, max_length=2)]] = Field(
        default=[[32, 32], [64, 128]], min_length=1
    )
    crop: int = Field(default=0, ge=0)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class ConvNet(nn.Module):
    """Images [N, C, H, W], float, normalised -> logits [N, classes]."""

    def __init__(self, shape: tuple[int, ...], classes: int, settings: Settings) -> None:
        super().__init__()
        self.crop = settings.crop
        channels, height, width = shape
        layers: list[nn.Module] = []
        sides = [height - 2 * settings.crop, width - 2 * settings.crop]
        for number, (first, second) in enumerate(settings.stages):
            if number == 0:
                layers += [_block(channels, first, kernel=5, stride=2), _block(first, second, kernel=3)]
                sides = [(side - 5) // 2 + 1 - 2 for side in sides]
            else:
                layers += [
                    nn.AvgPool2d(2),
                    _block(channels, first, kernel=3, padding=1),
                    _block(first, second, kernel=3),
                ]
                sides = [side // 2 - 2 for side in sides]
            channels = second
        if min(sides) < 1:
            raise UserError(
                f"images of {height}x{width} pixels are too small for {len(settings.stages)} stages of the convnet",
                "remove a stage of model.stages, lower model.crop, or use larger images",
            )
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(channels * sides[0] * sides[1], classes)

    def forward(self, images: Tensor) -> Tensor:
        if self.crop:
            images = images[:, :, self.crop : -self.crop, self.crop : -self.crop]
        logits: Tensor = self.head(self.dropout(self.features(images).flatten(1)))
        return logits


def _block(before: int, after: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def build(settings: Settings, signature: Signature) -> nn.Module:
    """A ConvNet for images.

    Raises:
        UserError: for other data, or if nothing is left of an image after the last stage.
    """
    return ConvNet(tuple(signature.images.shape), signature.outputs, settings)
