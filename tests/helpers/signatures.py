"""Signatures of made-up data."""

from __future__ import annotations

from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature


def images(shape: tuple[int, ...], classes: int) -> Signature:
    inputs = ImageInputs(shape=list(shape), mean=[0.5] * shape[0], std=[0.2] * shape[0])
    return Signature(inputs=inputs, target=ClassTarget(classes=[f"class {k}" for k in range(classes)]))
