"""The normalisation of pixels that published weights were trained with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from samebits.signature.image import ImageInputs


class Pixels(nn.Module):
    """From the data's own normalisation to another one: float [N, C, H, W] -> the same shape.

    A single mean and deviation, as of grey images, are those of every channel of the other.

    Args:
        images: of the data.
        mean, std: of the other normalisation, of each channel, for pixels scaled to [0, 1].
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, images: ImageInputs, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        own_mean, own_std, grey, spread = (
            torch.tensor(values, dtype=torch.float64) for values in (images.mean, images.std, mean, std)
        )
        # A constant channel was divided by 1.
        own_std[own_std == 0] = 1.0
        self.register_buffer("scale", (own_std / spread).float().view(1, -1, 1, 1), persistent=False)
        self.register_buffer("offset", ((own_mean - grey) / spread).float().view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.offset
