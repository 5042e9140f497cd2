"""A multilayer perceptron on pixels or other numbers: the simplest network there is, to compare others with."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from samebits.params.section import Section
from samebits.signature.signature import Signature

Width = Annotated[int, Field(ge=1, le=65536)]


class Settings(Section):
    """The `model` section for `name: mlp`.

    Attributes:
        hidden: units of each hidden layer; none makes it a linear classifier.
        dropout: probability of zeroing a hidden unit.
    """

    name: Literal["mlp"]
    hidden: list[Width] = Field(default=[512, 512])
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class MLP(nn.Module):
    """Images [N, C, H, W] or arrays [N, ...], float, normalised -> outputs [N, K]."""

    def __init__(self, inputs: int, outputs: int, settings: Settings) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in settings.hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU(inplace=True), nn.Dropout(settings.dropout)]
            inputs = width
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, outputs)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.hidden(images.flatten(1)))
        return logits


def build(settings: Settings, signature: Signature) -> nn.Module:
    """An MLP for images or arrays of any shape.

    Raises:
        UserError: for other data.
    """
    return MLP(math.prod(signature.arrays.shape), signature.outputs, settings)


def depth(name: str) -> int:
    """Layer of a parameter, for `transfer.layer_decay`: hidden layers from 0, the head above all."""
    part = name.split(".")
    return int(part[1]) // 3 if part[0] == "hidden" else 1 << 10
