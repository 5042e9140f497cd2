"""Masks laid over images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.evaluation.report.figures import Canvas, drawn_name
from samebits.evaluation.sample_image import displayed
from samebits.signature.mask import IGNORED, MaskTarget

_ROW = 4
"""Classes beside each other in a legend."""


def overlay(image: npt.NDArray[Any], mask: npt.NDArray[np.uint8], target: MaskTarget) -> npt.NDArray[np.uint8]:
    """An image with the colours of a mask over it, half and half; what does not count is dark.

    Args:
        image: [C, H, W], of any depth.
        mask: [H, W].

    Returns:
        uint8 [3, H, W].
    """
    shown = displayed(image).astype(np.int64)
    colours = np.zeros((256, 3), dtype=np.int64)
    colours[: len(target.colours)] = target.colours
    over = (np.broadcast_to(shown, (3, *mask.shape)) + colours[mask].transpose(2, 0, 1)) // 2
    over[:, mask == IGNORED] //= 2
    return over.astype(np.uint8)


def legend(classes: Sequence[str], target: MaskTarget) -> bytes:
    """The colour of each class, as PNG."""
    with Canvas(7.0, 0.3 + 0.3 * -(-len(classes) // _ROW)) as canvas:
        axes = canvas.axes()
        axes.set_axis_off()
        for k, (name, colour) in enumerate(zip(classes, target.colours, strict=True)):
            rgb = tuple(value / 255 for value in colour)
            axes.scatter([], [], marker="s", s=80, color=[rgb], edgecolors="grey", label=drawn_name(name, f"class {k}"))
        axes.legend(ncols=_ROW, frameon=False, loc="center", fontsize=9)
        return canvas.png()
