"""A model of ours as a class of the library `transformers` that computes the same: its config.json and its weights.

Nothing of the library is used to write them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class InTransformers:
    """What `from_pretrained` needs.

    Attributes:
        config: of config.json, with `architectures`; without what depends on the data's target.
        weights: by the library's names; they may share memory with the model's.
        last: name of the layer that makes the outputs, where it has a weight and a bias of its own.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]
    last: str = ""
