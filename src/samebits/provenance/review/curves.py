"""Curves of two trainings in one chart: as a picture, and as text that GitHub and GitLab draw (Mermaid)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from samebits.evaluation.report.curves import Curve
from samebits.evaluation.report.figures import BLUE, ORANGE, Canvas

_POINTS, _CHARTS = 40, 6
"""Of a curve in a comment; and how many charts are there: a comment has a largest size."""


def curves_picture(base: Sequence[Curve], here: Sequence[Curve], name: str) -> bytes:
    """A PNG with a panel per measure: the base in grey-blue, this version in orange, training dotted."""
    groups = list(dict.fromkeys(curve.group for curve in (*here, *base))) or ["loss"]
    with Canvas(5.4 * len(groups), 3.4) as canvas:
        panels = canvas.figure.subplots(1, len(groups), sharex=True, squeeze=False)[0]
        for axes, group in zip(panels, groups, strict=True):
            for curves, colour, side in ((base, BLUE, name), (here, ORANGE, "here")):
                for curve in curves:
                    if curve.group == group:
                        training = curve.name.startswith("train/")
                        style = ":" if training else "-"
                        axes.plot(curve.steps, curve.values, color=colour, linestyle=style, linewidth=1.3,
                                  label=f"{curve.name}, {side}")  # fmt: skip
            axes.set(ylabel=group, xlabel="step")
            if axes.lines:
                axes.legend(frameon=False, fontsize=8)
        return canvas.png()


def curves_text(base: Sequence[Curve], here: Sequence[Curve]) -> Iterator[str]:
    """Mermaid charts of what was measured on the validation split, by measure; base blue, this version orange.

    Mermaid spreads the points of a line evenly over the axis, so all have the same steps; where one training has more
    of them, the axis is the share of the training.
    """
    names = list(dict.fromkeys(curve.name for curve in (*here, *base) if curve.name.startswith("val/")))
    for name in names[:_CHARTS]:
        found = [curve for curves in (base, here) for curve in curves if curve.name == name]
        if any(len(curve.steps) < 2 for curve in found):
            continue
        colours = [colour for curves, colour in ((base, BLUE), (here, ORANGE)) if any(c.name == name for c in curves)]
        ends = {(curve.steps[0], curve.steps[-1]) for curve in found}
        low, high, axis = (*ends.pop(), "step") if len(ends) == 1 else (0, 100, "share of the training, %")
        title = re.sub(r"[^\w/. -]", "_", name)  # no end of the text, nor of the block
        lines = [_resampled(curve) for curve in found]
        values = np.concatenate(lines)
        bottom, top = float(values.min()), float(values.max())
        margin = 0.05 * (top - bottom) or 0.05 * abs(top) or 1.0
        yield "```mermaid"
        yield f'%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{", ".join(colours)}"}}}}}}}}%%'
        yield "xychart-beta"
        yield f'    title "{title}"'
        yield f'    x-axis "{axis}" {low} --> {high}'
        yield f'    y-axis "{title}" {_number(bottom - margin)} --> {_number(top + margin)}'
        for line in lines:
            yield f"    line [{', '.join(map(_number, line.tolist()))}]"
        yield "```"
        yield ""


def _number(value: float) -> str:
    """Six significant digits, without an exponent, which Mermaid does not read."""
    return np.format_float_positional(value, precision=6, unique=False, fractional=False, trim="-")


def _resampled(curve: Curve) -> np.ndarray:
    """Values at evenly spaced steps, between the measured ones on a straight line; float64 [points]."""
    steps = np.linspace(curve.steps[0], curve.steps[-1], _POINTS)
    return np.interp(steps, curve.steps, curve.values)
