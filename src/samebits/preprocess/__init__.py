"""From stored samples to what a model sees. The same module serves training, evaluation and every export.

One file for each kind of inputs, which has its name, with a function `build(inputs) -> nn.Module`.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from torch import nn

from samebits.signature.signature import Signature


def build_preprocess(signature: Signature) -> nn.Module:
    """The module that turns a batch of stored samples into model inputs."""
    module = import_module(f"samebits.preprocess.{signature.inputs.kind}")
    return cast(nn.Module, module.build(signature.inputs))
