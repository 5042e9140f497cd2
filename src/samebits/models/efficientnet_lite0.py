"""EfficientNet-Lite0 (Tan & Le, 2019, in the Lite variant of 2020): a small net for images, with weights of ImageNet.

Inverted residuals of 1x1, depthwise and 1x1 convolutions. Lite is without squeeze-and-excitation and with ReLU6 in the
place of swish, so that the net is fast on plain hardware and stays exact in 8-bit integers. Pretrained weights come by
`transfer.weights: efficientnet_lite0`; they were converted from TensorFlow, whose padding and normalisation stand here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from samebits.models.layers.flip_tta import flip_tta
from samebits.models.layers.pixels import Pixels
from samebits.params.section import Section
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature

_STAGES = (
    # Times as many channels inside, channels, blocks, stride of the first, side of the depthwise kernel.
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_BLOCKS = sum(count for _, _, count, _, _ in _STAGES)
_STEM, _TOP = 32, 1280
_GREY, _SPREAD = 127 / 255, 128 / 255
"""The published net is fed (pixel - 127) / 128."""

_DECAY, _EPSILON = 0.01, 1e-3
"""Of the batch normalisation: weight of a batch in the running statistics, and what is added to a variance."""

_PARTS = {"expand": "bn0", "depthwise": "bn1", "project": "bn2"}
"""Of a block; and what the published weights call their normalisation."""

_BLOCK = re.compile(r"blocks\.(\d+)\.")


class Settings(Section):
    """The `model` section for `name: efficientnet_lite0`.

    Attributes:
        stem: stride of the first convolution: `imagenet` is 2, which leaves a thirty-second of the sides at the end; or
            `small` is 1, for images of 64 pixels and less: more exact, and 4 times the work.
        dropout: probability of zeroing a feature before the head.
        mirror: outside training, answer with the mean of the logits of an image and of its mirror image. The exported
            model does so, too; twice the work.
    """

    name: Literal["efficientnet_lite0"]
    stem: Literal["imagenet", "small"] = "imagenet"
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)
    mirror: bool = False


class Convolution(nn.Module):
    """A convolution, its normalisation and, unless it is `linear`, ReLU6.

    Args:
        size: height and width of what comes in. They say how many zeros go on each side.
    """

    def __init__(
        self,
        before: int,
        after: int,
        size: tuple[int, int],
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        (top, bottom), (left, right) = (_padding(side, kernel, stride) for side in size)
        even = top == bottom and left == right
        self.pad = nn.Identity() if even else nn.ZeroPad2d((left, right, top, bottom))
        self.conv = nn.Conv2d(
            before, after, kernel, stride, padding=(top, left) if even else 0, groups=groups, bias=False
        )
        # He et al. (2015) by what each input reaches, which in a depthwise convolution is its own channel alone.
        nn.init.normal_(self.conv.weight, std=math.sqrt(2 * groups / (kernel * kernel * after)))
        self.norm = nn.BatchNorm2d(after, eps=_EPSILON, momentum=_DECAY)
        self.act = nn.Identity() if linear else nn.ReLU6(inplace=True)
        self.size = (-(-size[0] // stride), -(-size[1] // stride))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.norm(self.conv(self.pad(x))))
        return out


def _padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, as TensorFlow's SAME has them: with an odd number, one more after."""
    outputs = -(-side // stride)
    zeros = max(0, (outputs - 1) * stride + kernel - side)
    return zeros // 2, zeros - zeros // 2


class Block(nn.Module):
    """Widen, filter each channel by itself, narrow; plus the input where it has the same shape."""

    def __init__(self, before: int, after: int, size: tuple[int, int], *, times: int, stride: int, kernel: int) -> None:
        super().__init__()
        inside = before * times
        self.expand = Convolution(before, inside, size) if times > 1 else nn.Identity()
        self.depthwise = Convolution(inside, inside, size, kernel=kernel, stride=stride, groups=inside)
        self.project = Convolution(inside, after, self.depthwise.size, linear=True)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + change if self.adds else change


class EfficientNetLite0(nn.Module):
    """Images [N, C, H, W], float, normalised -> logits [N, classes]."""

    def __init__(self, images: ImageInputs, classes: int, settings: Settings) -> None:
        super().__init__()
        channels, height, width = images.shape
        size = (height, width)
        self.pixels = Pixels(images, [_GREY] * channels, [_SPREAD] * channels)
        self.stem = Convolution(channels, _STEM, size, kernel=3, stride=2 if settings.stem == "imagenet" else 1)
        blocks: list[Block] = []
        before, size = _STEM, self.stem.size
        for times, after, count, stride, kernel in _STAGES:
            for number in range(count):
                first = stride if number == 0 else 1
                blocks.append(Block(before, after, size, times=times, stride=first, kernel=kernel))
                before, size = after, blocks[-1].depthwise.size
        self.blocks = nn.Sequential(*blocks)
        self.top = Convolution(before, _TOP, size)
        self.mirror = settings.mirror
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(_TOP, classes)

    def forward(self, images: Tensor) -> Tensor:
        return flip_tta(self._logits, images) if self.mirror and not self.training else self._logits(images)

    def _logits(self, images: Tensor) -> Tensor:
        features = self.top(self.blocks(self.stem(self.pixels(images)))).mean(dim=(2, 3))
        logits: Tensor = self.head(self.dropout(features))
        return logits


def build(settings: Settings, signature: Signature) -> nn.Module:
    """An EfficientNet-Lite0 for images.

    Raises:
        UserError: for other data.
    """
    return EfficientNetLite0(signature.images, signature.outputs, settings)


def adapt(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the published net, as its port to PyTorch names them, under our names."""
    names = {
        "_conv_stem": "stem.conv",
        "_bn0": "stem.norm",
        "_conv_head": "top.conv",
        "_bn1": "top.norm",
        "_fc": "head",
    }
    for number in range(_BLOCKS):
        for part, norm in _PARTS.items():
            names[f"_blocks.{number}._{part}_conv"] = f"blocks.{number}.{part}.conv"
            names[f"_blocks.{number}._{norm}"] = f"blocks.{number}.{part}.norm"
    found = {}
    for name, value in weights.items():
        layer, _, kind = name.rpartition(".")
        found[f"{names[layer]}.{kind}" if layer in names else name] = value
    return found


def new_layers(network: nn.Module) -> set[str]:
    """The head, and the first layer, which other channels change."""
    return {"head", "stem.conv"}


def depth(name: str) -> int | None:
    """Number of a parameter's layer: 0 for the stem, k + 1 for block k, one more for the top; None for the head."""
    if name.startswith("head."):
        return None
    block = _BLOCK.match(name)
    if block:
        return int(block.group(1)) + 1
    return 0 if name.startswith("stem.") else _BLOCKS + 1
