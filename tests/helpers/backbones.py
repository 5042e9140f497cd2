"""Small random models of other libraries: settings that build in milliseconds."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from samebits.models import encoder
from samebits.models.layers import backbone
from samebits.signature.classes import ClassTarget
from samebits.signature.signature import Signature
from samebits.signature.tokens import TokenInputs

NEEDS_TIMM = pytest.mark.skipif(find_spec("timm") is None, reason="needs timm: pip install -e '.[timm]'")

SMALL: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
DEBERTA: dict[str, Any] = {
    **SMALL,
    "max_position_embeddings": 24,
    "relative_attention": True,
    "position_biased_input": False,
    "pos_att_type": ["c2p", "p2c"],
    "type_vocab_size": 0,
}
CONFIGS: dict[Any, dict[str, Any]] = {
    "deberta-v2": {**DEBERTA, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 24},
    "modernbert": {**SMALL, "num_hidden_layers": 4, "max_position_embeddings": 24, "local_attention": 4},
    "roberta": {**SMALL, "max_position_embeddings": 24},
    "xlm-roberta": {**SMALL, "max_position_embeddings": 24},
}
"""Family to the keys of a small one. Of ModernBERT's four layers two look at near tokens alone."""

VIT = {"img_size": 32, "embed_dim": 24, "depth": 2, "num_heads": 2, "patch_size": 8}


def encoder_settings(family: Any, **changes: Any) -> encoder.Settings:
    return encoder.Settings(name="encoder", family=family, config=CONFIGS[family]).model_copy(update=changes)


def image_settings(library: Any, architecture: str, **changes: Any) -> backbone.Settings:
    return backbone.Settings(name=library, architecture=architecture, **changes)


def vit(**changes: Any) -> backbone.Settings:
    """A vision transformer of timm for images of 32 pixels a side."""
    return image_settings("timm", "vit_tiny_patch16_224", arguments=VIT, **changes)


def texts(length: int = 12, vocabulary: int = 50, pad: int | None = 1) -> Signature:
    inputs = TokenInputs(length=length, vocabulary=vocabulary, pad=pad, tokenizer_sha256="0" * 64)
    return Signature(inputs=inputs, target=ClassTarget(classes=["a", "b", "c"]))
