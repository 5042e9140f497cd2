"""Encoders of `transformers` beside BERT: RoBERTa, DistilBERT, ModernBERT and DeBERTa-v3, with a head.

`config` has the keys of the weights' config.json that differ from the library's defaults: the stage says which. The
checkpoint keeps all of them, so the model is built again without the weights' folder and without a network.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from samebits.base.errors import UserError, listed
from samebits.base.registry import nearest
from samebits.models.layers.encoder_in_transformers import dense_layer, encoder_in_transformers
from samebits.models.layers.in_transformers import InTransformers
from samebits.models.layers.text_encoder import (
    Masks,
    TextEncoder,
    adapt,
    depth,
    new_layers,
    over_keys,
    register_attention,
    tokens_of_encoder,
)
from samebits.params.section import Section
from samebits.signature.signature import Signature
from samebits.signature.tokens import TokenInputs

__all__ = ["Settings", "adapt", "build", "depth", "in_transformers", "new_layers", "reads", "require_config", "settle"]

_SPECIAL = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"))
"""Tokens that no encoder looks at."""

_NOT_READ = re.compile(
    r"^(pooler|classifier|sparse|decoder)_|^(qa|seq_classif)_dropout$|_token_id$"
    r"|^(legacy|is_decoder|use_cache|add_cross_attention|tie_word_embeddings)$"
)
"""Keys of heads and of decoders."""

_NO_MATTER = re.compile(r"dropout|_dropout_prob$|^initializer_|^vocab_size$|^deterministic_flash_attn$")
"""Keys that may differ from the weights': what is zeroed in training and new weights; rows of unused tokens."""


@dataclass(frozen=True)
class _Family:
    """What one kind of encoder has of its own.

    Attributes:
        keys: of config.json that the library reads without declaring them.
        arguments: of its class.
        attends: through the library's interface, so that ours computes it.
        shifted: positions are counted from the padding token's number on.
    """

    keys: tuple[str, ...] = ()
    arguments: tuple[tuple[str, Any], ...] = ()
    attends: bool = True
    shifted: bool = False


_ROBERTA = _Family(arguments=(("add_pooling_layer", False),), shifted=True)
_DEBERTA_KEYS = ("attention_head_size", "conv_act", "conv_groups", "conv_kernel_size", "embedding_size", "norm_rel_ebd",
            "position_buckets", "share_att_key")  # fmt: skip
_FAMILIES = {
    "deberta-v2": _Family(_DEBERTA_KEYS, attends=False),
    "distilbert": _Family(),
    "modernbert": _Family(("global_attn_every_n_layers", "global_rope_theta", "local_rope_theta", "rope_scaling")),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}


class Settings(Section):
    """The `model` section for `name: encoder`.

    Attributes:
        family: the `model_type` of the weights' config.json; `deberta-v2` is that of DeBERTa-v3, too.
        config: keys of config.json that differ from the library's defaults of the family; the stage compares them with
            the weights' and says which to set.
        dropout: probability of zeroing a number before the head.
        pooling: `mean` of the tokens that are not padding, or the first token (`cls`); of tags, none is used.
        head: `linear`, or `dense`: a layer of the encoder's width before it, as models of `transformers` for sequence
            classification have; with it and `pooling: cls` the model can be exported for that library
            (`export.formats`).
        reads: the encoder reads so many tokens of each text, the first; null: all.
        words: add a linear model of the words of the whole text to the encoder's outputs, as for `bert`.
    """

    name: Literal["encoder"]
    family: Literal["deberta-v2", "distilbert", "modernbert", "roberta", "xlm-roberta"]
    config: dict[str, Any] = Field(default={})
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    pooling: Literal["mean", "cls"] = "mean"
    # Not written where it is linear: files and traces of before it keep their digests.
    head: Literal["linear", "dense"] = Field(default="linear", exclude_if=lambda value: value == "linear")
    reads: int | None = Field(default=None, ge=4)
    words: bool = False


def reads(settings: Settings, signature: Signature) -> int:
    """Tokens of a text that the encoder reads, the first ones.

    Raises:
        UserError: for other data.
    """
    return tokens_of_encoder(settings.reads, signature, words=settings.words)


def build(settings: Settings, signature: Signature) -> nn.Module:
    """An encoder for texts.

    Raises:
        UserError: for other data, a `config` that the library does not take, or texts longer than the positions.
    """
    from transformers import AutoModel

    tokens = signature.tokens
    config = _checked(settings, tokens)
    read = reads(settings, signature)
    _require_positions(settings, config, tokens, read)
    family = _FAMILIES[settings.family]
    if family.attends:
        config._attn_implementation = register_attention()
    try:
        encoder: nn.Module = AutoModel.from_config(config, **dict(family.arguments))  # type: ignore[no-untyped-call]
    except Exception as error:  # a constructor raises whatever it raises
        raise _not_taken(settings, error) from None
    return TextEncoder(
        encoder,
        masks=_masks(settings.family, config),
        width=config.hidden_size,
        vocabulary=tokens.vocabulary,
        pad=tokens.pad,
        outputs=signature.outputs,
        dropout=settings.dropout,
        initial_std=config.initializer_range,
        pooling=settings.pooling,
        reads=read if read < tokens.length else None,
        words=settings.words,
        per_token=signature.target.per_position,
        dense=dense_layer(settings.family, config) if settings.head == "dense" else None,
    )


def in_transformers(network: TextEncoder, settings: Settings, signature: Signature) -> InTransformers:
    """The same model as a class of `transformers`.

    Raises:
        UserError: if it has none that computes the same.
    """
    return encoder_in_transformers(network, settings.family, _checked(settings, signature.tokens).to_dict())


def _masks(family: str, config: Any) -> Masks:
    if family == "modernbert":
        return partial(_global_and_local, config.sliding_window)
    return over_keys if _FAMILIES[family].attends else _as_it_is


def _as_it_is(used: Tensor) -> Tensor:
    return used


def _global_and_local(window: int, used: Tensor) -> dict[str, Tensor]:
    """Of the layers that look everywhere, and of those that look at no token farther away than the window."""
    places = torch.arange(used.shape[1], device=used.device)
    near = (places[:, None] - places[None, :]).abs() <= window
    return {"full_attention": over_keys(used), "sliding_attention": over_keys(used) & near}


def _require_positions(settings: Settings, config: Any, tokens: TokenInputs, read: int) -> None:
    if not getattr(config, "position_biased_input", True):
        return  # relative positions alone, which have no end
    shift = 0
    if _FAMILIES[settings.family].shifted:
        if tokens.pad is None:
            raise UserError(
                f"{settings.family} counts positions from the padding token on, and these data have none",
                "use a tokenizer with one, or model.name: bert",
            )
        shift = tokens.pad + 1
    longest = config.max_position_embeddings - shift
    if read > longest:
        raise UserError(
            f"texts have up to {read} tokens, the {settings.family} has positions for {longest}",
            f"set data.text.length or model.reads to {longest} or less, or without weights "
            f"model.config.max_position_embeddings: {read + shift}",
        )


def _made(family: str, values: Mapping[str, Any]) -> Any:
    from transformers import AutoConfig

    return AutoConfig.for_model(family, **{**_SPECIAL, **values})


def _known(family: str) -> set[str]:
    """Keys of config.json that describe an encoder of the family."""
    from transformers import PreTrainedConfig

    config = _made(family, {})
    own = config.to_dict().keys() - PreTrainedConfig().to_dict().keys()
    return {key for key in {*own, *config.attribute_map, *_FAMILIES[family].keys} if not _NOT_READ.search(key)}


def _checked(settings: Settings, tokens: TokenInputs) -> Any:
    """The library's config.

    Raises:
        UserError: for keys or values that it does not take.
    """
    known = _known(settings.family)
    for key in settings.config:
        if key not in known:
            near = nearest(key, sorted(known))
            hint = f"did you mean {near}? " if near else ""
            raise UserError(
                f"model.config.{key} is no key of a {settings.family}", f"{hint}it has {listed(sorted(known))}"
            )
    values = {"vocab_size": tokens.vocabulary, **settings.config, "pad_token_id": tokens.pad}
    try:
        config = _made(settings.family, values)
        rows = int(config.vocab_size)
    except Exception as error:  # the library checks values by its own errors
        raise _not_taken(settings, error) from None
    if rows < tokens.vocabulary:
        raise UserError(
            f"model.config.vocab_size is {rows}, the data have {tokens.vocabulary} tokens",
            "set data.text.tokenizer to the weights' own: a card, or its tokenizer.json below data/raw",
        )
    return config


def _not_taken(settings: Settings, error: Exception) -> UserError:
    text = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"the library takes no {settings.family} of model.config: {text}", "mend model.config")


def settle(settings: Settings, signature: Signature) -> Settings:
    """The settings with every key of the encoder written out, since the library's defaults may change."""
    values = _checked(settings, signature.tokens).to_dict()
    kept = {key: values[key] for key in sorted(_known(settings.family)) if key in values}
    return settings.model_copy(update={"config": kept})


def require_config(config: Mapping[str, Any], settings: Settings, signature: Signature, label: str) -> None:
    """Hold some weights' own config.json against the `model` section and the tokens of the data.

    Raises:
        UserError: for another family, or with all that differs.
    """
    kind = config.get("model_type")
    if kind != settings.family or config.get("is_decoder"):
        found = repr(kind) + (" and is_decoder is true" if config.get("is_decoder") else "")
        family = f"set model.family: {kind}" if kind in _FAMILIES else f"name weights of {listed(sorted(_FAMILIES))}"
        raise UserError(
            f"transfer.weights {label}: the model_type of its config.json is {found}, model.family is "
            f"{settings.family}",
            "set model.name: bert" if kind == "bert" else family,
        )
    known = _known(settings.family)
    given = {key: value for key, value in config.items() if key in known}
    try:
        theirs = _made(settings.family, given).to_dict()
    except Exception as error:  # the library checks values by its own errors
        raise UserError(
            f"the config.json of {label} does not describe a {kind}: {' '.join(str(error).split())}", "replace it"
        ) from None
    ours = _checked(settings, signature.tokens).to_dict()
    compared = {key for key in known & (theirs.keys() | ours.keys()) if not _NO_MATTER.search(key)}
    problems = [f"{key} is {_brief(theirs.get(key))}, of model.config it is {_brief(ours.get(key))}"
                for key in sorted(compared) if theirs.get(key) != ours.get(key)]  # fmt: skip
    vocabulary, rows = signature.tokens.vocabulary, theirs["vocab_size"]
    fixes = []
    if rows < vocabulary:
        problems.append(f"vocab_size is {rows}, the data have {vocabulary} tokens")
        fixes.append("set data.text.tokenizer to the weights' own: its tokenizer.json below data/raw")
    elif rows != ours["vocab_size"]:
        problems.append(f"vocab_size is {rows}, of model.config it is {ours['vocab_size']}")
    pad = config.get("pad_token_id", _made(settings.family, {}).pad_token_id)
    if _FAMILIES[settings.family].shifted and pad != signature.tokens.pad:
        problems.append(f"pad_token_id is {pad}, the data's padding token is {signature.tokens.pad}")
        fixes.append("set data.text.tokenizer to the weights' own: its tokenizer.json below data/raw")
    if not problems:
        return
    wanted = _shortest(settings.family, given, compared | ({"vocab_size"} if rows > vocabulary else set()))
    kept = {key: value for key, value in settings.config.items() if _NO_MATTER.search(key) and key != "vocab_size"}
    fixes.insert(0, f"set model.config: {_yaml({**wanted, **kept})}")
    told = [f"transfer.weights {label} and params.yaml differ; in its config.json", *problems]
    raise UserError("\n  ".join(told), "; ".join(dict.fromkeys(fixes)))


def _shortest(family: str, given: Mapping[str, Any], compared: Collection[str]) -> dict[str, Any]:
    """Of some keys of a config.json, those without which the library would build another encoder."""
    wanted = {key: value for key, value in given.items() if not _NO_MATTER.search(key) or key == "vocab_size"}
    whole = _made(family, wanted).to_dict()
    for key in list(wanted):
        fewer = {each: value for each, value in wanted.items() if each != key}
        less = _made(family, fewer).to_dict()
        if all(less.get(each) == whole.get(each) for each in compared):
            wanted = fewer
    return wanted


def _brief(value: object) -> str:
    return textwrap.shorten(repr(value), 60, placeholder=" …")


def _yaml(values: Mapping[str, Any]) -> str:
    """As it can stand in params.yaml, on one line."""
    return "{" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in values.items()) + "}"
