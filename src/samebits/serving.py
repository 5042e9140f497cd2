"""The model as it is served: raw pixels in, probabilities out, with the preprocessing inside."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from samebits.preprocess import Normalize

INPUT = "images"
OUTPUT = "probabilities"


class ServingModel(nn.Module):
    """uint8 pixels [N, C, H, W] -> probabilities [N, K], float32.

    Args:
        model: normalised float images [N, C, H, W] -> logits [N, K].
        mean: of each channel, of pixels scaled to [0, 1].
        std: likewise.
    """

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.model = model

    def logits(self, images: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, K]."""
        logits: Tensor = self.model(self.normalize(images)).float()
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return torch.softmax(self.logits(images), dim=1)
