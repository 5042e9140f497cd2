"""Judge an image and its mirror image, and answer with the mean of both: a vote of two, at twice the work."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def mean_of_both(answer: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Mean of the logits of `images` [N, C, H, W] and of the same, mirrored left and right."""
    return (answer(images) + answer(images.flip(-1))) / 2
