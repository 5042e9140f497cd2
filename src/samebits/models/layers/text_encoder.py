"""An encoder of the library `transformers` as a model of ours: attention, pooled states, a head."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional

from samebits.base.errors import UserError
from samebits.models.layers.attention import attend
from samebits.models.layers.bag_of_words import BagOfWords
from samebits.models.layers.dropout import Dropout, replace_dropout
from samebits.models.layers.pooling import first_tokens, mean_of_tokens, used_tokens
from samebits.signature.signature import Signature

_ATTENTION = "samebits"
_ENCODERS = re.compile(r"(embeddings|encoder|transformer|layers|final_norm)\.")
"""What the names of encoders' own tensors begin with."""
_AROUND = re.compile(rf"^(bert|roberta|distilbert|deberta|model|encoder\.model)\.(?={_ENCODERS.pattern})")
"""What stands before them in a model around the encoder."""
_BUFFERS = re.compile(r"\.(position|token_type)_ids$")
_LAYER = re.compile(r"\.layers?\.(\d+)\.")

Masks = Callable[[Tensor], Any]
"""What an encoder takes as its `attention_mask`, of which tokens are used: bool [N, L]."""


def register_attention() -> str:
    """Make `attend` known to the library; its name there."""
    from transformers import AttentionInterface

    AttentionInterface.register(_ATTENTION, attention)
    return _ATTENTION


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Tensor, None]:
    """`attend` as `transformers` calls it: the heads behind the positions, [N, L, heads, D], and no weights."""
    return attend(query, key, value, attention_mask, dropout=dropout).transpose(1, 2).contiguous(), None


def over_keys(used: Tensor) -> Tensor:
    """[N, 1, 1, L]: a mask of four axes is taken as it is, whatever version of the library."""
    return used[:, None, None, :]


@dataclass(frozen=True)
class Dense:
    """The layer before the last one, as the models of `transformers` for sequence classification have it.

    Attributes:
        activation: after it: `tanh`, `relu` or `gelu`.
        bias: whether it has one.
        norm: arguments of a LayerNorm after the activation; None for no norm.
    """

    activation: Literal["tanh", "relu", "gelu"]
    bias: bool = True
    norm: Mapping[str, Any] | None = None


class DenseHead(nn.Module):
    """States [..., width] -> outputs [..., K], by a layer of the same width and a linear one."""

    def __init__(self, width: int, outputs: int, dense: Dense, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width, bias=dense.bias)
        self.activation: Callable[[Tensor], Tensor] = getattr(functional, dense.activation)
        self.norm = None if dense.norm is None else nn.LayerNorm(width, **dense.norm)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(width, outputs)

    def forward(self, states: Tensor) -> Tensor:
        states = self.activation(self.dense(states))
        outputs: Tensor = self.out(self.dropout(states if self.norm is None else self.norm(states)))
        return outputs


class TextEncoder(nn.Module):
    """Tokens [N, L], int64 -> outputs [N, K], or [N, L, K] of each token.

    Args:
        encoder: gives states [N, L, width] for tokens and a mask.
        masks: what it takes as its mask.
        pad: the token that is not looked at; None where rows are full.
        initial_std: of the head's weights.
        dense: the head's layer before the last one; None for a linear head.
        reads: the encoder reads so many tokens, the first; None: all.
        words: whether a linear model of the words of the whole text is added.
        per_token: whether each token has outputs of its own; then none is pooled.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        masks: Masks = over_keys,
        width: int,
        vocabulary: int,
        pad: int | None,
        outputs: int,
        dropout: float,
        initial_std: float,
        pooling: Literal["mean", "cls"],
        reads: int | None,
        words: bool,
        per_token: bool = False,
        dense: Dense | None = None,
    ) -> None:
        super().__init__()
        self.pad = pad
        self.pooling = pooling
        self.reads = reads
        self.per_token = per_token
        self.masks = masks
        self.encoder = encoder
        replace_dropout(self.encoder)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(width, outputs) if dense is None else DenseHead(width, outputs, dense, dropout)
        for name, parameter in self.head.named_parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=initial_std)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        self.words = BagOfWords(vocabulary, pad, outputs) if words else None

    def forward(self, tokens: Tensor) -> Tensor:
        whole = tokens
        tokens = tokens if self.reads is None else first_tokens(tokens, self.reads, self.pad)
        used = used_tokens(tokens, self.pad)
        states = self.encoder(input_ids=tokens, attention_mask=self.masks(used)).last_hidden_state
        if self.per_token:
            of_tokens: Tensor = self.head(self.dropout(states))
            return of_tokens
        pooled = mean_of_tokens(states, used) if self.pooling == "mean" else states[:, 0]
        outputs: Tensor = self.head(self.dropout(pooled))
        return outputs if self.words is None else outputs.float() + self.words(whole)


def tokens_of_encoder(reads: int | None, signature: Signature, *, words: bool = False) -> int:
    """Tokens of a text that an encoder reads, the first ones.

    Raises:
        UserError: for other data; for a setting that makes one answer of a whole text, where each word has its own.
    """
    length = signature.tokens.length
    if signature.target.per_position and (words or (reads or length) < length):
        key, value = ("words", "true") if words else ("reads", str(reads))
        raise UserError(
            f"model.{key} is {value}, which is for one answer for a whole text; these data want one for each word",
            f"set model.{key}: {'false' if words else 'null'}",
        )
    return length if reads is None else min(reads, length)


def adapt(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an encoder, or of a model around one, under our names; its pooler and its head are left out."""
    if any(name.startswith("encoder.embeddings.") for name in weights):
        return dict(weights)
    found = {}
    for name, value in weights.items():
        own = _AROUND.sub("", name)
        if _ENCODERS.match(own) and not _BUFFERS.search(own):
            # Weights of before 2019 call the scale and shift of a normalisation gamma and beta.
            found[f"encoder.{own.replace('.gamma', '.weight').replace('.beta', '.bias')}"] = value
    return found or dict(weights)


def new_layers(network: nn.Module) -> set[str]:
    """Layers that pretrained weights do not hold."""
    return {"head", "words"}


def depth(name: str) -> int | None:
    """Number of a parameter's layer: 0 for embeddings, k + 1 for block k; None for the head, which is above all."""
    if name.startswith(("head.", "words.", "encoder.final_norm.")):
        return None
    layer = _LAYER.search(name)
    return int(layer.group(1)) + 1 if layer else 0
