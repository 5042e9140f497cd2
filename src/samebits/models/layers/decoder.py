"""The decoder of a U-Net (Ronneberger et al., 2015): from the features of an encoder at several sizes to an answer for
every pixel.

Enlarging is a transposed convolution whose stride is its side, which is deterministic on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn


class Decoder(nn.Module):
    """Features from the whole image down -> logits [N, K, H, W].

    Args:
        channels: of the features at each size, from the largest to the smallest; the first has the image's size.
        factors: by how much the sides of each but the first are smaller than those of the one before.
        widths: channels of the decoder at each size but the smallest.
        outputs: K.
    """

    def __init__(self, channels: Sequence[int], factors: Sequence[int], widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        below = [*widths[1:], channels[-1]]
        steps = list(zip(below, widths, channels[:-1], factors, strict=True))[::-1]
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(low, width, factor, stride=factor) for low, width, _, factor in steps
        )
        self.up = nn.ModuleList(pair(width + link, width) for _, width, link, _ in steps)
        self.head = nn.Conv2d(widths[0], outputs, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        *links, x = features
        for enlarge, layer, link in zip(self.enlarge, self.up, reversed(links), strict=True):
            x = layer(torch.cat([link, enlarge(x)], dim=1))
        return cast(Tensor, self.head(x))


def pair(before: int, after: int) -> nn.Module:
    """Two convolutions of 3x3, each with its normalisation and ReLU."""
    return nn.Sequential(*_block(before, after), *_block(after, after))


def _block(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
