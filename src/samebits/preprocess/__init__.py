"""From stored samples to what a model sees. The same module serves training, evaluation and every export.

One file for each kind of inputs, with a function `build(inputs) -> nn.Module`.
"""

from __future__ import annotations

from typing import cast

from torch import nn

from samebits.base.registry import load_module
from samebits.signature.signature import Signature

PREPROCESS = {
    "image": "samebits.preprocess.image",
    "table": "samebits.preprocess.table",
    "tokens": "samebits.preprocess.tokens",
}
"""Kind of inputs -> module."""


def build_preprocess(signature: Signature) -> nn.Module:
    """The module that turns a batch of stored samples into model inputs."""
    module = load_module("kind of inputs", signature.inputs.kind, PREPROCESS)
    return cast(nn.Module, module.build(signature.inputs))
