"""Arrays: numbers to normalised floats."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from samebits.signature.array import ArrayInputs


class NormalizeAxis(nn.Module):
    """Numbers [N, C, ...] -> float32 [N, C, ...]: minus mean, over std, for each place of the first axis.

    A constant place (std 0) is divided by 1. int32 is computed in double precision: its large values are none of
    float32's.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: ArrayInputs) -> None:
        super().__init__()
        kind = torch.float64 if inputs.stored_dtype == "int32" else torch.float32
        shape = (1, -1, *[1] * (len(inputs.shape) - 1))
        spread = torch.tensor([value or 1.0 for value in inputs.std], dtype=torch.float64)
        self.register_buffer("mean", torch.tensor(inputs.mean, dtype=kind).view(shape), persistent=False)
        self.register_buffer("scale", (1.0 / spread).to(kind).view(shape), persistent=False)

    def forward(self, arrays: Tensor) -> Tensor:
        return ((arrays.to(self.mean.dtype) - self.mean) * self.scale).to(torch.float32)


def build(inputs: ArrayInputs) -> nn.Module:
    """Normalisation with the training split's statistics."""
    return NormalizeAxis(inputs)
