"""A residual network of one-dimensional convolutions over the tokens of a text: a small model that learns from scratch.

Each token's state knows of its neighbours alone, which is most of what the tag of a word depends on.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from samebits.models.layers.dropout import Dropout
from samebits.models.layers.pooling import mean_of_tokens, used_tokens
from samebits.params.section import ODD, Section
from samebits.signature.signature import Signature


class Settings(Section):
    """The `model` section for `name: text_conv`.

    Attributes:
        width: numbers per token.
        layers: residual blocks.
        kernel: tokens that a block's convolution sees; odd.
        dropout: probability of zeroing a number after each block, and before the head.
        token_dropout: probability of zeroing a token's embedding, in training, so that the model learns what the
            neighbours of an unknown word say.
    """

    name: Literal["text_conv"]
    width: int = Field(default=128, ge=8)
    layers: int = Field(default=3, ge=1, le=24)
    kernel: Annotated[int, Field(ge=1, le=63), ODD] = 5
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)
    token_dropout: float = Field(default=0.1, ge=0.0, lt=1.0)


class _Block(nn.Module):
    """[N, L, width] -> the same shape. Padding stays zero, so that no answer depends on how much of it there is."""

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor, used: Tensor) -> Tensor:
        seen = (self.norm(states) * used).transpose(1, 2)
        found: Tensor = self.dropout(self.out(functional.gelu(self.convolution(seen).transpose(1, 2))))
        return states + found * used


class TextConv(nn.Module):
    """Tokens [N, L], int64 -> outputs [N, K], or [N, L, K] of each token.

    Args:
        pad: the token that is not looked at; None where rows are full.
        per_token: whether each token has outputs of its own; else their mean has.
    """

    def __init__(self, settings: Settings, vocabulary: int, pad: int | None, outputs: int, *, per_token: bool) -> None:
        super().__init__()
        self.pad, self.per_token = pad, per_token
        self.embedding = nn.Embedding(vocabulary, settings.width)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.token_dropout = Dropout(settings.token_dropout)
        self.blocks = nn.ModuleList(
            _Block(settings.width, settings.kernel, settings.dropout) for _ in range(settings.layers)
        )
        self.norm = nn.LayerNorm(settings.width)
        self.dropout = Dropout(settings.dropout)
        self.head = nn.Linear(settings.width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        used = used_tokens(tokens, self.pad)
        mask = used.unsqueeze(-1).to(self.embedding.weight.dtype)
        states = self.embedding(tokens) * mask
        if self.training:
            states = states * self.token_dropout(torch.ones_like(mask))
        for block in self.blocks:
            states = block(states, mask)
        states = self.dropout(self.norm(states))
        outputs: Tensor = self.head(states if self.per_token else mean_of_tokens(states, used))
        return outputs


def build(settings: Settings, signature: Signature) -> nn.Module:
    """A TextConv for texts.

    Raises:
        UserError: for other data.
    """
    tokens = signature.tokens
    return TextConv(settings, tokens.vocabulary, tokens.pad, signature.outputs, per_token=signature.target.per_position)


def depth(name: str) -> int:
    """Layer of a parameter, for `transfer.layer_decay`: the embeddings, blocks from 1, the head above all."""
    part = name.split(".")
    return int(part[1]) + 1 if part[0] == "blocks" else 0 if part[0] == "embedding" else 1 << 10
