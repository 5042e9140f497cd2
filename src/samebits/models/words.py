"""Which words a text holds, weighed one by one: a linear model that reads any length at next to no cost."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Words(nn.Module):
    """Tokens [N, L], int64 -> outputs [N, K], float32.

    A text is a vector of length 1 with an entry for each of its different tokens: 1 + the logarithm of how often it is
    there, times how rare the token is among the training texts (tf-idf: Salton and Buckley, 1988). The outputs are a
    linear function of that vector. How rare a token is, is counted while training over the texts that pass by, as batch
    normalisation keeps its statistics. It is the wide part of a wide and deep model (Cheng et al., 2016). The weights
    start at zero, so that it says nothing before it has learnt something.

    Args:
        vocabulary: number of tokens.
        pad: the token that counts nothing; None where rows are full.
    """

    texts: Tensor
    texts_with: Tensor

    def __init__(self, vocabulary: int, pad: int | None, outputs: int) -> None:
        super().__init__()
        self.pad = pad
        self.weights = nn.Embedding(vocabulary, outputs)
        nn.init.zeros_(self.weights.weight)
        self.register_buffer("texts", torch.zeros(()))
        self.register_buffer("texts_with", torch.zeros(vocabulary))

    def forward(self, tokens: Tensor) -> Tensor:
        words, counts = _different(tokens)
        if self.pad is not None:
            counts = counts.masked_fill(words == self.pad, 0)
        if self.training and self.weights.weight.requires_grad:
            self._count(words, counts)
        often = torch.where(counts > 0, 1.0 + counts.clamp(min=1).float().log(), 0.0)
        entries = functional.normalize(often * self._rarity()[words], dim=1)
        # A product and a sum, as autocast leaves both in fp32; a matrix product would be made in bf16.
        outputs: Tensor = (entries.unsqueeze(-1) * self.weights(words)).sum(dim=1)
        return outputs

    @torch.no_grad()
    def _count(self, words: Tensor, counts: Tensor) -> None:
        # Sums of ones are exact in any order.
        self.texts_with.scatter_add_(0, words.flatten(), (counts > 0).flatten().float())
        self.texts += len(words)

    def _rarity(self) -> Tensor:
        """1 + the logarithm of how many times more texts there are than such with the token: [V].

        As if one text more held every token, so that none is divided by zero.
        """
        return 1.0 + torch.log((1.0 + self.texts) / (1.0 + self.texts_with))


def _different(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The different tokens of each row, and how often each is there; what is left of a row has the count 0.

    By sorting alone, which gives the same on every device and can be exported.

    Args:
        tokens: int64 [N, L].

    Returns:
        int64 [N, L] each.
    """
    length = tokens.shape[1]
    places = torch.arange(length, device=tokens.device)
    ordered = tokens.sort(dim=1).values
    # In order, a token is there for the first time where it differs from the one before. (Of a slice without the
    # last, torch.export would have to know whether it has the length one.)
    first = (ordered != ordered.roll(1, dims=1)) | (places == 0)
    starts = torch.where(first, places, length).sort(dim=1).values
    ends = torch.where(places == length - 1, length, starts.roll(-1, dims=1))
    return ordered.gather(1, starts.clamp(max=length - 1)), ends - starts
