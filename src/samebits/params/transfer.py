"""`transfer`: what `train` starts from, if not from random weights, and how it moves away from there."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, model_validator

from samebits.params.section import Section, Sha256

# What lies below data/raw has more slashes than one.
_HUB_NAME = re.compile(r"(?!data/)[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class TransferParams(Section):
    """Pretrained weights, frozen parts, and learning rates by layer.

    Attributes:
        weights: null for random weights; else `imagenet` (torchvision's, for `torchvision` and the resnets), a card of
            data/catalog of `format: weights`, a .safetensors file of your own below data/raw, a folder there with
            config.json and model.safetensors, or a model of the Hugging Face hub as ORGANISATION/NAME; the last two for
            `bert`, `encoder` and `timm`.
        revision: of a model of the hub, the commit: 40 hex digits.
        sha256: of the weights file. The result depends on it, so it stands here; without it, a message names it.
        freeze: names of parameters that are not trained, with `*` and `?`, such as `layer1.*`. Where all of a layer is
            frozen, the statistics of its batch normalisation are, too.
        layer_decay: the learning rate of each layer is that of the layer above it, times this (for models that
            number their layers: resnet18, 34 and 50, torchvision, timm, efficientnet_lite0, bert, encoder, mlp).
        head_lr: learning rate of parameters that the weights do not hold, such as a new head, as a multiple.
        rates: learning rates of parameters by name, with `*` and `?`, as multiples in place of those of `layer_decay`
            and `head_lr`; of several patterns that fit, the last holds.
    """

    weights: str | None = Field(default=None, min_length=1)
    revision: str | None = None
    sha256: Sha256 | None = None
    freeze: list[str] = Field(default=[])
    layer_decay: float = Field(default=1.0, gt=0.0, le=1.0)
    head_lr: float = Field(default=1.0, gt=0.0)
    rates: dict[str, Annotated[float, Field(gt=0.0)]] = Field(default={})

    @model_validator(mode="after")
    def _hub_models_have_a_commit(self) -> TransferParams:
        # Random weights beside it are how one compares: what else stands here is left alone.
        if self.weights is None:
            return self
        if not is_hub_name(self.weights):
            if self.revision is not None:
                raise ValueError(
                    f"revision is for a model of the hub, ORGANISATION/NAME, and weights is {self.weights}: "
                    "set revision: null"
                )
        elif self.revision is None or not _COMMIT.fullmatch(self.revision):
            raise ValueError(
                f"weights {self.weights} is a model of the hub, where a branch may move: set revision to the 40 hex "
                f"digits of a commit, which https://huggingface.co/{self.weights}/commits/main lists; a folder or "
                "file of your own is named data/raw/..."
            )
        return self


def is_hub_name(weights: str) -> bool:
    """Whether `transfer.weights` names a model of the Hugging Face hub: ORGANISATION/NAME."""
    return _HUB_NAME.fullmatch(weights) is not None and not weights.endswith(".safetensors")
