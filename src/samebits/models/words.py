"""Which words a text holds, weighed one by one: a linear model that reads any length at next to no cost."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Words(nn.Module):
    """Tokens [N, L], int64 -> outputs [N, K], float32.

    The sum of a weight for each different token of the text, divided by the square root of their number, as if each
    text were a vector of length 1 with an entry a token. It is the wide part of a wide and deep model (Cheng et al.,
    2016). The weights start at zero, so that it says nothing before it has learnt something.

    Args:
        vocabulary: number of tokens.
        pad: the token that counts nothing; None where rows are full.
    """

    def __init__(self, vocabulary: int, pad: int | None, outputs: int) -> None:
        super().__init__()
        self.pad = pad
        self.weights = nn.Embedding(vocabulary, outputs)
        nn.init.zeros_(self.weights.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        ordered = tokens.sort(dim=1).values
        # In order, a token is there for the first time where it differs from the one before.
        first = ordered != functional.pad(ordered[:, :-1], (1, 0), value=-1)
        if self.pad is not None:
            first = first & (ordered != self.pad)
        share = first.float() / first.sum(dim=1, keepdim=True).clamp(min=1).float().sqrt()
        outputs: Tensor = torch.einsum("nl,nlk->nk", share, self.weights(ordered))
        return outputs
