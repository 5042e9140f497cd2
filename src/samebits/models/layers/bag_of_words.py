"""Bag of words: a linear model over the set of tokens of a text, of any length and almost free."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BagOfWords(nn.Module):
    """Tokens [N, L], int64 -> outputs [N, K], float32.

    The sum of a weight for each different token of the text, divided by the square root of their number, as if each
    text were a vector of length 1 with one entry per token. It is the wide part of a wide and deep model (Cheng et al.,
    2016). The weights start at zero, so that it contributes nothing before it is trained.

    Args:
        vocabulary: number of tokens.
        pad: the padding token, which is not counted; None where rows are full.
    """

    def __init__(self, vocabulary: int, pad: int | None, outputs: int) -> None:
        super().__init__()
        self.pad = pad
        self.weights = nn.Embedding(vocabulary, outputs)
        nn.init.zeros_(self.weights.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        ordered = tokens.sort(dim=1).values
        # In order, a token is there for the first time where it differs from the one before. (Of a slice without the
        # last, torch.export would have to know whether it has the length one.)
        first = ordered != ordered.roll(1, dims=1)
        first = first | (torch.arange(tokens.shape[1], device=tokens.device) == 0)
        if self.pad is not None:
            first = first & (ordered != self.pad)
        share = first.float() / first.sum(dim=1, keepdim=True).clamp(min=1).float().sqrt()
        # A product and a sum, as autocast leaves both in fp32; a matrix product would be made in bf16.
        outputs: Tensor = (share.unsqueeze(-1) * self.weights(ordered)).sum(dim=1)
        return outputs
