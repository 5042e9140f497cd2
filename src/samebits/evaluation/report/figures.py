"""PNG figures of an evaluation, for DVC and MLflow. The same numbers give the same bytes."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from samebits.base.decimals import rounded
from samebits.evaluation.report.curves import Curve
from samebits.metrics.classification import Bin
from samebits.metrics.confusion import Confusion
from samebits.metrics.metric import percent
from samebits.signature.image import displayed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#2f6fbd", "#d9822b", "#8a8f98"
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs everywhere
    "font.size": 10,
    "text.parse_math": False,  # names from the data may hold dollar signs
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titleweight": "bold",
    "axes.titlesize": 11,
    "figure.dpi": 100,
    "savefig.dpi": 120,
}
_NUMBERS_UP_TO = 25  # classes; beyond, cells are too small for digits
_CLASSES_UP_TO = 100  # of a confusion matrix; of more, those with the most mistakes
_MOST_CONFUSED = 40
_LETTERS = 24  # of a name


def confusion_figure(confusion: Confusion, classes: Sequence[str]) -> bytes:
    """Rows are true classes, columns predicted ones; the colour is the share of the row, so rare classes show.

    Of more than 100 classes, the 40 with the most mistakes are drawn.
    """
    shown, title = np.arange(len(classes)), "Confusion matrix"
    support = confusion.support
    if len(classes) > _CLASSES_UP_TO:
        mistakes = support + confusion.said - 2 * confusion.hits
        shown = np.sort(np.argsort(-mistakes, kind="stable")[:_MOST_CONFUSED])
        title = f"Confusion of {len(shown)} of {len(classes):,} classes, those with the most mistakes"
    counts = confusion.among(shown)
    names = [drawn_name(classes[k], f"class {k}") for k in shown.tolist()]
    count = len(names)
    side = min(14.0, max(5.0, 0.52 * count + 1.6))
    with Canvas(side, side) as canvas:
        axes = canvas.axes()
        share = counts / np.maximum(support[shown][:, None], 1)
        # The square root lifts single mistakes out of the background, without a second scale for the diagonal.
        axes.imshow(np.sqrt(share), cmap="Blues", vmin=0.0, vmax=1.0)
        axes.set(xlabel="predicted", ylabel="true", title=title)
        for axis, turn in ((axes.xaxis, 90 if max(map(len, names)) > 3 else 0), (axes.yaxis, 0)):
            axis.set_ticks(range(count), names, rotation=turn)
        axes.tick_params(length=0)
        if count <= _NUMBERS_UP_TO:
            for row, column in zip(*np.nonzero(counts), strict=True):
                colour = "white" if share[row, column] > 0.35 else "#223"
                text = f"{counts[row, column]}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
        return canvas.png()


@dataclass(frozen=True)
class Uncalibrated:
    """A classifier's probabilities without the temperature, on the test split."""

    bins: Sequence[Bin]
    log_loss: float
    calibration_error: float

    @property
    def values(self) -> dict[str, float | None]:
        """For `metrics.json`."""
        return {"log_loss": rounded(self.log_loss), "calibration_error": rounded(self.calibration_error)}

    @property
    def shown(self) -> str:
        """For people."""
        return f"calibration error {percent(self.calibration_error)}, log loss {self.log_loss:.4f}"


def calibration_figure(bins: Sequence[Bin], error: float, before: Uncalibrated | None = None) -> bytes:
    """Reliability diagram: accuracy against confidence, and below it how many samples each bin holds.

    Args:
        before: the same without the temperature, drawn paler.
    """
    with Canvas(5.2, 5.6) as canvas:
        top, bottom = canvas.stacked()
        top.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated")
        was = ""
        if before is not None:
            top.plot(*_reliability(before.bins), color=ORANGE, marker="o", markersize=3, linewidth=1, label="before")
            was = f", {before.calibration_error:.2%} before"
        top.plot(*_reliability(bins), color=BLUE, marker="o", markersize=4, label="model")
        top.set(ylabel="accuracy", ylim=(0, 1.02), title=f"Calibration error {error:.2%}{was}")
        top.legend(frameon=False, loc="lower right")
        width = 1 / len(bins)
        bottom.bar([entry.lower for entry in bins], [entry.count for entry in bins], width, align="edge", color=BLUE)
        bottom.set(xlabel="confidence", ylabel="samples", xlim=(0, 1), yscale="log", ylim=(0.5, None))
        bottom.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        return canvas.png()


def _reliability(bins: Sequence[Bin]) -> tuple[list[float], list[float]]:
    """Confidence and accuracy of the bins that hold samples."""
    filled = [(each.confidence, each.accuracy) for each in bins]
    return [x for x, _ in filled if x is not None], [y for _, y in filled if y is not None]


def curve_pictures(curves: Sequence[Curve]) -> dict[str, bytes]:
    """`curves.png`, where there are curves."""
    return {"curves.png": curves_figure(curves)} if curves else {}


def curves_figure(curves: Sequence[Curve]) -> bytes:
    """Training curves by step, a panel per measure: losses, and accuracy where there is one."""
    groups = [[curve for curve in curves if curve.group == group] for group in dict.fromkeys(c.group for c in curves)]
    with Canvas(5.4 * len(groups), 3.4) as canvas:
        panels = canvas.figure.subplots(1, len(groups), sharex=True, squeeze=False)[0]
        for axes, group in zip(panels, groups, strict=True):
            for curve in group:
                training = curve.name.startswith("train/")
                axes.plot(
                    curve.steps,
                    curve.values,
                    color=BLUE if training else ORANGE,
                    linewidth=1 if training else 1.6,
                    marker=None if len(curve.steps) > 60 else "o",
                    markersize=3,
                    label=curve.name,
                )
            axes.set(ylabel=group[0].group, xlabel="step")
            axes.legend(frameon=False)
        return canvas.png()


def position_figure(losses: npt.NDArray[np.float64]) -> bytes:
    """Mean loss at each position of the context."""
    with Canvas(6.4, 3.2) as canvas:
        axes = canvas.axes()
        axes.plot(np.arange(1, len(losses) + 1), losses, color=BLUE, linewidth=1.4)
        axes.set(xlabel="tokens read before and with this one", ylabel="loss", title="Loss by position")
        return canvas.png()


def mistakes_figure(images: Sequence[npt.NDArray[Any]], captions: Sequence[str]) -> bytes:
    """A gallery.

    Args:
        images: uint8 or uint16 [C, H, W] each; there may be none.
        captions: one an image.
    """
    columns = 6
    rows = max(1, -(-len(images) // columns))
    with Canvas(1.25 * columns, 1.55 * rows + 0.5) as canvas:
        panels = canvas.figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in panels:
            axes.axis("off")
        for axes, image, caption in zip(panels, images, captions, strict=False):
            pixels = displayed(image)
            pixels = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_title(caption, fontsize=7, fontweight="normal")
        title = "Most confident mistakes" if len(images) else "No mistakes"
        canvas.figure.suptitle(title, fontweight="bold", fontsize=11)
        return canvas.png()


def drawn_name(name: str, otherwise: str = "") -> str:
    """A name from the data as a figure shows it: on one line, at most 24 letters.

    Args:
        otherwise: given instead, if it is not empty and the name has letters that the font lacks, such as Chinese ones.
    """
    line = " ".join(name.split())
    line = line if len(line) <= _LETTERS else line[: _LETTERS - 1] + "…"
    return otherwise if otherwise and not _letters().issuperset(map(ord, line)) else line


@functools.cache
def _letters() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(_STYLE["font.family"])).get_charmap())


class Canvas:
    """A figure without pyplot's global state and without the user's matplotlibrc."""

    def __init__(self, width: float, height: float) -> None:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        settings: dict[Any, Any] = {**mpl.rcParamsDefault, **_STYLE}
        # Changing the backend would need pyplot; the canvas below is chosen by hand.
        settings.pop("backend", None)
        self._context = mpl.rc_context(settings)
        self._context.__enter__()
        self.figure: Figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(self.figure)

    def __enter__(self) -> Canvas:
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(None, None, None)

    def axes(self) -> Axes:
        return self.figure.subplots()

    def stacked(self) -> tuple[Axes, Axes]:
        top, bottom = self.figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        return top, bottom

    def png(self) -> bytes:
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            # A letter that the font lacks is a box; the pages have the names in full.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            # Software: matplotlib's version, by default the only metadata it writes.
            self.figure.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()
