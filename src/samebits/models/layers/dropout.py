"""Dropout (Srivastava et al., 2014) whose random numbers do not take longer than the layers between."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 1 << 16


def dropout(values: Tensor, probability: float) -> Tensor:
    """Zero each value with a probability, and scale the others so that the mean stays.

    On a CPU torch draws a random number for each value, one after the other; here 64 random bits decide on four
    values, so the probability is rounded to a multiple of 2**-16 (docs/decisions.md). Other devices take torch's own.

    Args:
        values: floating point, any shape.
        probability: from 0 to below 1.
    """
    if probability == 0.0 or values.device.type != "cpu":
        return functional.dropout(values, probability)
    dropped = min(round(probability * _LEVELS), _LEVELS - 1)
    count = values.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    kept = (bits[:count] >= dropped - _LEVELS // 2).view(values.shape)
    return values * kept.to(values.dtype).mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(nn.Dropout):
    """`dropout` in training, nothing else. Stands for `nn.Dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p) if self.training else input


def replace_dropout(model: nn.Module) -> None:
    """Make every `nn.Dropout` inside a model that comes from elsewhere one of ours."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p))
