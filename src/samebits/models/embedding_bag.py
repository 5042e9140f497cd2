"""The mean of the embeddings of a text's tokens and a linear head (fastText's classifier, Joulin et al., 2016).

Order is lost, unless `ngrams` adds an embedding for each run of tokens, by hash. It learns in seconds on a CPU, and is
the measure of what a larger model adds.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from samebits.models.layers.pooling import mean_of_tokens, used_tokens
from samebits.params.section import Section
from samebits.signature.signature import Signature

_MIX = (1_000_003, 998_244_353, 1_000_000_007, 805_306_457)
"""Primes: one a place of the run."""


class Settings(Section):
    """The `model` section for `name: embedding_bag`.

    Attributes:
        width: numbers per token.
        ngrams: longest run of tokens with an embedding of its own; 1 is tokens alone.
        buckets: embeddings that all longer runs share, by hash.
        dropout: probability of leaving a token or a run out, in training.
    """

    name: Literal["embedding_bag"]
    width: int = Field(default=64, ge=1, le=4096)
    ngrams: int = Field(default=2, ge=1, le=4)
    buckets: int = Field(default=1 << 16, ge=16, le=1 << 24)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class EmbeddingBag(nn.Module):
    """Tokens [N, L], int64 -> outputs [N, K].

    Args:
        pad: the token that is not looked at; None where rows are full.
    """

    def __init__(self, settings: Settings, vocabulary: int, pad: int | None, outputs: int) -> None:
        super().__init__()
        self.pad = pad
        self.ngrams = settings.ngrams
        self.buckets = settings.buckets
        self.dropout = settings.dropout
        self.tokens = nn.Embedding(vocabulary, settings.width)
        self.runs = nn.Embedding(settings.buckets, settings.width) if settings.ngrams > 1 else None
        self.head = nn.Linear(settings.width, outputs)
        # Means of many embeddings are short; small numbers let the head's gradient shape them.
        for table in (self.tokens, self.runs):
            if table is not None:
                nn.init.uniform_(table.weight, -1.0 / settings.width, 1.0 / settings.width)

    def forward(self, tokens: Tensor) -> Tensor:
        used = used_tokens(tokens, self.pad)
        states, weights = [self.tokens(tokens)], [used]
        if self.runs is not None:
            for length in range(2, self.ngrams + 1):
                numbers, whole = self._runs_of(tokens, used, length)
                states.append(self.runs(numbers))
                weights.append(whole)
        kept = torch.cat(weights, dim=1)
        if self.training and self.dropout:
            kept = kept & (torch.rand(kept.shape, device=kept.device) >= self.dropout)
            kept = torch.cat([used[:, :1], kept[:, 1:]], dim=1)
        outputs: Tensor = self.head(mean_of_tokens(torch.cat(states, dim=1), kept))
        return outputs

    def _runs_of(self, tokens: Tensor, used: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Of the run that ends at each token, its bucket, int64 [N, L], and whether it is one: bool [N, L]."""
        numbers, whole = tokens * _MIX[0], used
        for back in range(1, length):
            # Filled at the front, so that the shape stays [N, L] for texts shorter than a run.
            numbers = numbers ^ functional.pad(tokens, (back, 0))[:, : tokens.shape[1]] * _MIX[back]
            whole = whole & functional.pad(used, (back, 0))[:, : tokens.shape[1]]
        return (numbers + length) % self.buckets, whole


def build(settings: Settings, signature: Signature) -> nn.Module:
    """A bag of embeddings for texts.

    Raises:
        UserError: for other data.
    """
    tokens = signature.tokens
    return EmbeddingBag(settings, tokens.vocabulary, tokens.pad, signature.outputs)
