"""A small U-Net (Ronneberger et al., 2015): an encoder that halves the image, a decoder that doubles it again, and at
each size a link between them. It answers for every pixel.

Doubling is a transposed convolution of stride 2, which is deterministic on every device, and halving a maximum.
"""

from __future__ import annotations

from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from samebits.base.errors import UserError
from samebits.models.layers.decoder import pair
from samebits.params.section import Section
from samebits.signature.mask import MaskTarget
from samebits.signature.signature import Signature

PER_PIXEL = True


class Settings(Section):
    """The `model` section for `name: unet`.

    Attributes:
        widths: channels at each size of the image, from the whole one down; each further one halves the sides. Images
            whose sides are no multiples are padded inside the model.
        dropout: probability of zeroing a feature of the smallest size.
    """

    name: Literal["unet"]
    widths: list[Annotated[int, Field(ge=1, le=4096)]] = Field(default=[16, 32, 64, 128], min_length=2, max_length=8)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class UNet(nn.Module):
    """Images [N, C, H, W], float, normalised -> logits [N, classes, H, W]."""

    def __init__(self, channels: int, classes: int, settings: Settings) -> None:
        super().__init__()
        widths = settings.widths
        self.down = nn.ModuleList(
            pair(before, after) for before, after in zip([channels, *widths], widths, strict=False)
        )
        steps = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(low, high, 2, stride=2) for low, high in steps)
        self.up = nn.ModuleList(pair(2 * high, high) for _, high in steps)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Conv2d(widths[0], classes, 1)
        self.multiple = 2 ** (len(widths) - 1)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        below, right = -height % self.multiple, -width % self.multiple
        x = functional.pad(images, (0, right, 0, below)) if below or right else images
        links: list[Tensor] = []
        for layer in self.down:
            x = layer(functional.max_pool2d(x, 2) if links else x)
            links.append(x)
        x = self.dropout(links.pop())
        for enlarge, layer in zip(self.enlarge, self.up, strict=True):
            x = layer(torch.cat([links.pop(), enlarge(x)], dim=1))
        return cast(Tensor, self.head(x)[:, :, :height, :width])


def build(settings: Settings, signature: Signature) -> nn.Module:
    """A U-Net for images.

    Raises:
        UserError: for other data, or where the target is no mask.
    """
    target = signature.target
    if not isinstance(target, MaskTarget):
        raise UserError(
            f"the model unet answers for every pixel, the target of the data is of kind {target.kind}",
            "set model.name to one that answers for the whole image, as convnet, or data.format: image_masks",
        )
    return UNet(signature.images.shape[0], len(target.classes), settings)
