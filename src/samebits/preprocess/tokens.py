"""Tokens: integers as they are stored."""

from __future__ import annotations

from torch import Tensor, nn

from samebits.signature.tokens import TokenInputs


class Tokens(nn.Module):
    """Token numbers, int32 [N, L], to what embeddings take: int64 [N, L]."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.long()


def build(inputs: TokenInputs) -> nn.Module:
    """The conversion; nothing was fitted."""
    return Tokens()
