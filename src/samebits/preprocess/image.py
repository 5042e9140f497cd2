"""Pixels: integers to normalised floats."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from samebits.signature.image import ImageInputs


class Normalize(nn.Module):
    """uint8 or int32 [N, C, H, W] -> float32 [N, C, H, W]: pixels scaled to [0, 1], minus mean, over std, per channel.

    Args:
        mean: of each channel, of pixels scaled to [0, 1].
        std: likewise; a constant channel (0) is divided by 1.
        largest: the pixel value that is scaled to 1.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], largest: int = 255) -> None:
        super().__init__()
        spread = torch.tensor([value or 1.0 for value in std], dtype=torch.float64)
        middle = torch.tensor(mean, dtype=torch.float64)
        # (x / largest - mean) / std as one multiplication and one addition.
        scale = (1.0 / (float(largest) * spread)).float().view(1, -1, 1, 1)
        offset = (-middle / spread).float().view(1, -1, 1, 1)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("offset", offset, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.to(torch.float32) * self.scale + self.offset


def build(inputs: ImageInputs) -> nn.Module:
    """Normalisation with the training split's statistics."""
    return Normalize(inputs.mean, inputs.std, inputs.largest_pixel)
