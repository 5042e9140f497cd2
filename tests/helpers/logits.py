"""A few logits with their targets, and their loss by hand."""

from __future__ import annotations

import math

import torch

from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0], [1.0, 1.5, 0.0], [0.0, 0.0, 0.0]])

TARGETS = torch.tensor([0, 1, 1, 2])

IMAGES = ImageInputs(shape=[1, 2, 2], mean=[0.5], std=[0.2])

SIGNATURE = Signature(inputs=IMAGES, target=ClassTarget(classes=["a", "b", "c"]))


def by_hand(smoothing: float) -> list[float]:
    losses = []
    for row, target in zip(LOGITS.tolist(), TARGETS.tolist(), strict=True):
        logs = [value - math.log(sum(math.exp(each) for each in row)) for value in row]
        losses.append(-(1 - smoothing) * logs[target] - smoothing * sum(logs) / len(row))
    return losses
