"""Encoders with a head as the classes of `transformers` for sequence and token classification: which computes the same,
and what it calls each tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from samebits.base.errors import UserError
from samebits.models.layers.in_transformers import InTransformers
from samebits.models.layers.text_encoder import Dense, DenseHead, TextEncoder

_LEFT_OUT = {"_name_or_path", "dtype", "id2label", "label2id", "problem_type"}
"""Of a config: what is of a place, of how it is loaded, or said by the target."""


@dataclass(frozen=True)
class _Layout:
    """Names of a family.

    Attributes:
        name: of its classes, before `ForSequenceClassification`.
        prefix: of the encoder's tensors.
        dense, last, norm: of the layers of its head.
        activation: of that.
        whole: whether its models for sequence and for token classification have the same head, and pool by the mean, as
            well.
    """

    name: str
    prefix: str
    dense: str
    last: str = "classifier"
    activation: Literal["tanh", "relu", "gelu"] = "tanh"
    norm: str = ""
    whole: bool = False


_LAYOUTS = {
    "bert": _Layout("Bert", "bert.", "bert.pooler.dense"),
    "deberta-v2": _Layout("DebertaV2", "deberta.", "pooler.dense", activation="gelu"),
    "distilbert": _Layout("DistilBert", "distilbert.", "pre_classifier", activation="relu"),
    "modernbert": _Layout("ModernBert", "model.", "head.dense", activation="gelu", norm="head.norm", whole=True),
    "roberta": _Layout("Roberta", "roberta.", "classifier.dense", "classifier.out_proj"),
    "xlm-roberta": _Layout("XLMRoberta", "roberta.", "classifier.dense", "classifier.out_proj"),
}


def dense_layer(family: str, config: Any) -> Dense:
    """The head's layer before the last one, as the family's models have it."""
    layout = _LAYOUTS[family]
    if not layout.norm:
        return Dense(layout.activation)
    return Dense(layout.activation, bias=False, norm={"eps": config.norm_eps, "bias": config.norm_bias})


def encoder_in_transformers(network: TextEncoder, family: str, config: Mapping[str, Any]) -> InTransformers:
    """An encoder with its head.

    Args:
        config: the library's, as a dictionary.

    Raises:
        UserError: with all that keeps the family's class from computing the same.
    """
    layout, dense = _LAYOUTS[family], isinstance(network.head, DenseHead)
    wanted = {}
    if dense != (layout.whole or not network.per_token):
        wanted["head"] = "linear" if dense else "dense"
    if not (network.per_token or layout.whole or network.pooling == "cls"):
        wanted["pooling"] = "cls"
    if network.words is not None:
        wanted["words"] = "false"
    if network.reads is not None:
        wanted["reads"] = "null"
    if wanted:
        kind = "token" if network.per_token else "sequence"
        set_ = ", ".join(f"model.{key}: {value}" for key, value in wanted.items())
        raise UserError(
            f"the library's {family} for {kind} classification computes otherwise than model in params.yaml says",
            f"set {set_} and train again, or remove huggingface from export.formats",
        )
    heads = {"dense": layout.dense, "norm": layout.norm, "out": layout.last}
    last = layout.last if dense else "classifier"
    weights: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        part, _, own = name.partition(".")
        if part == "encoder":
            weights[layout.prefix + own] = value
        elif dense:
            layer, _, kind = own.partition(".")
            weights[f"{heads[layer]}.{kind}"] = value
        else:
            weights[f"{last}.{own}"] = value
    pooled = {"classifier_pooling": network.pooling} if layout.whole and not network.per_token else {}
    kind = "ForTokenClassification" if network.per_token else "ForSequenceClassification"
    values = {key: value for key, value in config.items() if key not in _LEFT_OUT}
    return InTransformers({**values, **pooled, "architectures": [layout.name + kind]}, weights, last)
