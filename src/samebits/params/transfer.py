"""`transfer`: what `train` starts from, if not from random weights, and how it moves away from there."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from samebits.params.section import Section


class TransferParams(Section):
    """Pretrained weights, frozen parts, and learning rates by layer.

    Attributes:
        weights: null for random weights; else `imagenet` (torchvision's, for a resnet), a card of data/catalog of
            `format: weights`, or a .safetensors file of your own below data/raw.
        sha256: of the weights file. The result depends on it, so it stands here; without it, a message names it.
        freeze: names of parameters that are not trained, with `*` and `?`, such as `layer1.*`. Where all of a layer is
            frozen, the statistics of its batch normalisation are, too.
        layer_decay: the learning rate of each layer is that of the layer above it, times this (for models that
            number their layers: resnet18, 34 and 50, efficientnet_lite0, bert, mlp).
        head_lr: learning rate of parameters that the weights do not hold, such as a new head, as a multiple.
        rates: learning rates of parameters by name, with `*` and `?`, as multiples in place of those of `layer_decay`
            and `head_lr`; of several patterns that fit, the last holds.
    """

    weights: str | None = Field(default=None, min_length=1)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    freeze: list[str] = Field(default=[])
    layer_decay: float = Field(default=1.0, gt=0.0, le=1.0)
    head_lr: float = Field(default=1.0, gt=0.0)
    rates: dict[str, Annotated[float, Field(gt=0.0)]] = Field(default={})
