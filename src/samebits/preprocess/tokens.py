"""Token numbers as they are stored, for a model's embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from samebits.signature import TokenInputs


class Widen(nn.Module):
    """int32 [N, L] -> int64 [N, L], as embeddings take it."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.to(torch.int64)


def build(inputs: TokenInputs) -> nn.Module:
    """Nothing is fitted: the tokeniser did that before."""
    return Widen()
