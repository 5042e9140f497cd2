"""A BERT encoder (Devlin et al., 2018) through the library `transformers`, with a linear head on the pooled tokens.

Pretrained weights come by `transfer.weights`: a card (`minilm`), a model of the Hugging Face hub, or a folder of your
own, with the shape of the encoder set to that of the weights, which `require_config` checks. Of long texts the encoder
may read the beginning alone, while a linear model beside it weighs the words of the whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from samebits.base.errors import UserError
from samebits.models.layers.attention import attend
from samebits.models.layers.bag_of_words import BagOfWords
from samebits.models.layers.dropout import Dropout, replace_dropout
from samebits.models.layers.pooling import first_tokens, mean_of_tokens, used_tokens
from samebits.params.section import Section
from samebits.signature.signature import Signature

_ATTENTION = "samebits"
_LAYER = re.compile(r"encoder\.encoder\.layer\.(\d+)\.")
_FOREIGN = re.compile(r"^(bert|model|encoder\.model)\.(?=(embeddings|encoder)\.)")
_UNUSED = re.compile(r"^(pooler|cls|classifier)\.|position_ids$")
_SHAPE = {
    "num_hidden_layers": "layers",
    "hidden_size": "width",
    "num_attention_heads": "heads",
    "intermediate_size": "hidden",
    "max_position_embeddings": "positions",
    "type_vocab_size": "token_types",
}
"""What a config.json calls our settings."""

_ABSOLUTE = {"position_embedding_type": "absolute"}
"""The library no longer knows this key, and computes so."""

_FIXED = ("hidden_act", "layer_norm_eps", "is_decoder", *_ABSOLUTE)
"""What is no setting here: the library's defaults."""


class Settings(Section):
    """The `model` section for `name: bert`. The defaults are the shape of MiniLM (6 layers of 384).

    Attributes:
        layers: encoder blocks.
        width: numbers per token.
        heads: of attention; they share the width.
        hidden: width inside a block's feed-forward part.
        positions: longest text in tokens that the position embeddings serve.
        token_types: kinds of segments that the weights know; texts are all of the first kind.
        dropout: probability of zeroing a number after each part, and before the head.
        attention_dropout: likewise, of an attention weight.
        pooling: `mean` of the tokens that are not padding, or the first token (`cls`).
        reads: the encoder reads so many tokens of each text, the first; null: all.
        words: add a linear model of the words of the whole text to the encoder's outputs. Its weights `words.*` want a
            learning rate that is larger than the encoder's by orders of magnitude: `transfer.rates`.
    """

    name: Literal["bert"]
    layers: int = Field(default=6, ge=1, le=96)
    width: int = Field(default=384, ge=8)
    heads: int = Field(default=12, ge=1)
    hidden: int = Field(default=1536, ge=8)
    positions: int = Field(default=512, ge=4)
    token_types: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    attention_dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    pooling: Literal["mean", "cls"] = "mean"
    reads: int | None = Field(default=None, ge=4)
    words: bool = False


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


class Bert(nn.Module):
    """Tokens [N, L], int64 -> outputs [N, K].

    Args:
        pad: the token that is not looked at; None where rows are full.
    """

    def __init__(self, settings: Settings, vocabulary: int, pad: int | None, outputs: int) -> None:
        from transformers import AttentionInterface, BertConfig, BertModel

        super().__init__()
        config = BertConfig(
            vocab_size=vocabulary,
            hidden_size=settings.width,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            intermediate_size=settings.hidden,
            hidden_dropout_prob=settings.dropout,
            attention_probs_dropout_prob=settings.attention_dropout,
            max_position_embeddings=settings.positions,
            type_vocab_size=settings.token_types,
            pad_token_id=pad,
        )
        AttentionInterface.register(_ATTENTION, attention)
        config._attn_implementation = _ATTENTION
        self.pad = pad
        self.pooling = settings.pooling
        self.reads = settings.reads
        self.encoder = BertModel(config, add_pooling_layer=False)
        replace_dropout(self.encoder)
        self.dropout = Dropout(settings.dropout)
        self.head = nn.Linear(settings.width, outputs)
        nn.init.normal_(self.head.weight, std=config.initializer_range)
        nn.init.zeros_(self.head.bias)
        self.words = BagOfWords(vocabulary, pad, outputs) if settings.words else None

    def forward(self, tokens: Tensor) -> Tensor:
        whole = tokens
        tokens = tokens if self.reads is None else first_tokens(tokens, self.reads, self.pad)
        used = used_tokens(tokens, self.pad)
        # [N, 1, 1, L]: a mask of four axes is taken as it is, whatever version of the library.
        states = self.encoder(input_ids=tokens, attention_mask=used[:, None, None, :]).last_hidden_state
        pooled = mean_of_tokens(states, used) if self.pooling == "mean" else states[:, 0]
        outputs: Tensor = self.head(self.dropout(pooled))
        return outputs if self.words is None else outputs.float() + self.words(whole)


def reads(settings: Settings, signature: Signature) -> int:
    """Tokens of a text that the encoder reads, the first ones.

    Raises:
        UserError: for other data.
    """
    length = signature.tokens.length
    return length if settings.reads is None else min(settings.reads, length)


def build(settings: Settings, signature: Signature) -> nn.Module:
    """A BERT encoder for texts.

    Raises:
        UserError: for other data, texts longer than the positions, or a width that the heads cannot share.
    """
    tokens = signature.tokens
    read = reads(settings, signature)
    if read > settings.positions:
        raise UserError(
            f"texts have up to {read} tokens, model.positions is {settings.positions}",
            f"set data.text.length or model.reads to {settings.positions} or less; the weights fix the positions",
        )
    if settings.width % settings.heads:
        raise UserError(
            f"model.width {settings.width} cannot be shared by {settings.heads} heads", "make it a multiple of heads"
        )
    # Where no text is longer than that, it reads all: an exported encoder then need not fill shorter ones up.
    settings = settings.model_copy(update={"reads": read if read < tokens.length else None})
    return Bert(settings, tokens.vocabulary, tokens.pad, signature.outputs)


def adapt(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a BertModel or of a model around one under our names; its pooler and its head are left out."""
    if any(name.startswith("encoder.encoder.") for name in weights):
        return dict(weights)
    found = {_FOREIGN.sub("", name): value for name, value in weights.items()}
    # Weights of before 2019 call the scale and shift of a normalisation gamma and beta.
    found = {name.replace(".gamma", ".weight").replace(".beta", ".bias"): value for name, value in found.items()}
    return {f"encoder.{name}": value for name, value in found.items() if not _UNUSED.search(name)}


def require_config(config: Mapping[str, Any], settings: Settings, signature: Signature, label: str) -> None:
    """Hold some weights' own config.json against the `model` section and the tokens of the data.

    Not all of it shows in the shapes of tensors: with another number of heads, for one, the weights would be loaded
    without a word and mean nothing.

    Args:
        label: what `transfer.weights` says.

    Raises:
        UserError: for another architecture, or with all that differs.
    """
    from transformers import BertConfig

    # Files of before 2020 do not state it, and BERT's had hidden_size then.
    kind = config.get("model_type", "bert" if "hidden_size" in config else None)
    if kind != "bert":
        raise UserError(
            f"transfer.weights {label}: the model_type of its config.json is {kind!r}, and bert loads 'bert' alone",
            "name weights of a BertModel, or set transfer.weights: null",
        )
    own = {**BertConfig().to_dict(), **_ABSOLUTE}
    theirs = {**own, **config}
    problems: list[str] = []
    keys: list[str] = []
    fixes: list[str] = []
    for key, name in _SHAPE.items():
        if theirs[key] != getattr(settings, name):
            problems.append(f"{key} is {theirs[key]!r}, model.{name} is {getattr(settings, name)}")
            keys.append(f"model.{name}: {theirs[key]}")
    if keys:
        fixes.append(f"set {', '.join(keys)}")
    vocabulary = signature.tokens.vocabulary
    if theirs["vocab_size"] != vocabulary:
        problems.append(f"vocab_size is {theirs['vocab_size']!r}, the data have {vocabulary} tokens")
        fixes.append("set data.text.tokenizer to the weights' own: a card, or its tokenizer.json below data/raw")
    fixed = [key for key in _FIXED if theirs[key] != own[key]]
    if fixed:
        problems += [f"{key} is {theirs[key]!r}, bert computes with {own[key]!r}" for key in fixed]
        fixes.append(f"name weights with the {', '.join(fixed)} of bert")
    if problems:
        told = [f"transfer.weights {label} and params.yaml differ; in its config.json", *problems]
        raise UserError("\n  ".join(told), "; ".join(fixes))


def depth(name: str) -> int | None:
    """Number of a parameter's layer: 0 for embeddings, k + 1 for block k; None for the head, which is above all."""
    if name.startswith(("head.", "words.")):
        return None
    layer = _LAYER.match(name)
    return int(layer.group(1)) + 1 if layer else 0
