"""Flip TTA (test-time augmentation): the mean of the logits of an image and of its mirror image, at twice the cost."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def flip_tta(model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Mean of the logits of `images` [N, C, H, W] and of the same, mirrored left and right."""
    return (model(images) + model(images.flip(-1))) / 2
