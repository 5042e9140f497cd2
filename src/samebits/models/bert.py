"""A BERT encoder (Devlin et al., 2018) through the library `transformers`, with a head on the pooled tokens.

Pretrained weights come by `transfer.weights`: a card (`minilm`), a model of the Hugging Face hub, or a folder of your
own, with the shape of the encoder set to that of the weights, which `require_config` checks. Of long texts the encoder
may read the beginning alone, while a linear model beside it weighs the words of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from torch import nn

from samebits.base.errors import UserError
from samebits.models.layers.encoder_in_transformers import dense_layer, encoder_in_transformers
from samebits.models.layers.in_transformers import InTransformers
from samebits.models.layers.text_encoder import (
    TextEncoder,
    adapt,
    depth,
    new_layers,
    register_attention,
    tokens_of_encoder,
)
from samebits.params.section import Section
from samebits.signature.signature import Signature
from samebits.signature.tokens import TokenInputs

if TYPE_CHECKING:
    from transformers import BertConfig

__all__ = ["Settings", "adapt", "build", "depth", "in_transformers", "new_layers", "reads", "require_config"]

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
        pooling: `mean` of the tokens that are not padding, or the first token (`cls`); of tags, none is used.
        head: `linear`, or `dense`: a layer of the encoder's width before it, as models of `transformers` for sequence
            classification have; with it and `pooling: cls` the model can be exported for that library
            (`export.formats`).
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
    # Not written where it is linear: files and traces of before it keep their digests.
    head: Literal["linear", "dense"] = Field(default="linear", exclude_if=lambda value: value == "linear")
    reads: int | None = Field(default=None, ge=4)
    words: bool = False


def _config(settings: Settings, tokens: TokenInputs) -> BertConfig:
    """The library's config."""
    from transformers import BertConfig

    config = BertConfig(
        vocab_size=tokens.vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.hidden,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.attention_dropout,
        max_position_embeddings=settings.positions,
        type_vocab_size=settings.token_types,
        pad_token_id=tokens.pad,
    )
    return config


def _network(settings: Settings, signature: Signature) -> TextEncoder:
    from transformers import BertModel

    config = _config(settings, signature.tokens)
    config._attn_implementation = register_attention()
    return TextEncoder(
        BertModel(config, add_pooling_layer=False),
        width=settings.width,
        vocabulary=signature.tokens.vocabulary,
        pad=signature.tokens.pad,
        outputs=signature.outputs,
        dropout=settings.dropout,
        initial_std=config.initializer_range,
        pooling=settings.pooling,
        reads=settings.reads,
        words=settings.words,
        per_token=signature.target.per_position,
        dense=dense_layer("bert", config) if settings.head == "dense" else None,
    )


def reads(settings: Settings, signature: Signature) -> int:
    """Tokens of a text that the encoder reads, the first ones.

    Raises:
        UserError: for other data.
    """
    return tokens_of_encoder(settings.reads, signature, words=settings.words)


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
    return _network(settings, signature)


def in_transformers(network: TextEncoder, settings: Settings, signature: Signature) -> InTransformers:
    """The same model as a class of `transformers`.

    Raises:
        UserError: if it has none that computes the same.
    """
    return encoder_in_transformers(network, "bert", _config(settings, signature.tokens).to_dict())


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
