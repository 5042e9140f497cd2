"""What colour each class of a mask has."""

from __future__ import annotations

from samebits.evaluation.report.figures import Canvas, drawn_name
from samebits.signature.mask import MaskTarget

_ROW = 4
"""Classes beside each other."""


def legend(target: MaskTarget) -> bytes:
    """The colour of each class, as PNG."""
    with Canvas(7.0, 0.3 + 0.3 * -(-len(target.classes) // _ROW)) as canvas:
        axes = canvas.axes()
        axes.set_axis_off()
        for k, (name, colour) in enumerate(zip(target.classes, target.colours, strict=True)):
            rgb = tuple(value / 255 for value in colour)
            axes.scatter([], [], marker="s", s=80, color=[rgb], edgecolors="grey", label=drawn_name(name, f"class {k}"))
        axes.legend(ncols=_ROW, frameon=False, loc="center", fontsize=9)
        return canvas.png()
