"""PNG figures of a regression, for DVC and MLflow. The same numbers give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from samebits.base.decimals import significant
from samebits.evaluation.report.figures import BLUE, GREY, ORANGE, Canvas, drawn_name
from samebits.metrics.bootstrap import Floats
from samebits.metrics.regression import RegressionPredictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from samebits.evaluation.importance import Importance

_POINTS = 5000
_COLUMNS = 30


def predicted_figure(numbers: RegressionPredictions, target: str) -> bytes:
    """Predicted against actual values, a dot a sample (at most 5,000, evenly taken)."""
    rows = _some(len(numbers))
    actual, predicted = numbers.actual[rows], numbers.predicted[rows]
    low, high = float(min(actual.min(), predicted.min())), float(max(actual.max(), predicted.max()))
    target = drawn_name(target)
    with Canvas(5.4, 5.0) as canvas:
        axes = canvas.axes()
        _few_ticks(axes)
        _dots(axes, actual, predicted)
        axes.plot([low, high], [low, high], color=GREY, linestyle="--", linewidth=1)
        axes.set(xlabel=f"{target}, actual", ylabel=f"{target}, predicted", title="Predicted and actual")
        return canvas.png()


def residuals_figure(numbers: RegressionPredictions, target: str) -> bytes:
    """Residuals against predicted values: a funnel or a bend is structure that the model missed."""
    rows = _some(len(numbers))
    target = drawn_name(target)
    with Canvas(5.4, 5.0) as canvas:
        axes = canvas.axes()
        _few_ticks(axes)
        _dots(axes, numbers.predicted[rows], numbers.residuals[rows])
        axes.axhline(0.0, color=GREY, linestyle="--", linewidth=1)
        axes.set(xlabel=f"{target}, predicted", ylabel="predicted - actual", title="Residuals")
        return canvas.png()


def histogram_figure(numbers: RegressionPredictions, target: str) -> bytes:
    """How the residuals are spread, with their mean."""
    target = drawn_name(target)
    with Canvas(5.4, 3.6) as canvas:
        axes = canvas.axes()
        _few_ticks(axes)
        axes.hist(numbers.residuals, bins=50, color=BLUE)
        axes.axvline(float(numbers.residuals.mean()), color=ORANGE, linewidth=1.4, label="mean")
        axes.set(xlabel=f"{target}, predicted - actual", ylabel="samples", title="Residuals")
        axes.legend(frameon=False)
        return canvas.png()


def importance_figure(importances: Sequence[Importance]) -> bytes:
    """Loss of R² when a column is shuffled, with the standard deviation over repeats; the 30 largest."""
    shown = list(importances[:_COLUMNS])[::-1]
    # By place: two columns may have the same name once it is cut.
    places = range(len(shown))
    with Canvas(6.0, 0.28 * len(shown) + 1.2) as canvas:
        axes = canvas.axes()
        axes.barh(
            places,
            [each.drop for each in shown],
            xerr=[each.spread for each in shown],
            color=BLUE,
        )
        axes.set_yticks(places, [drawn_name(each.name) for each in shown])
        axes.set(xlabel="R² lost when the column is shuffled", title="Columns that matter")
        return canvas.png()


def _dots(axes: Axes, x: Floats, y: Floats) -> None:
    """Large and opaque where they are few, small and pale where they lie on each other."""
    few = len(x) < 300
    axes.scatter(x, y, s=20 if few else 6, alpha=0.7 if few else 0.35, color=BLUE, linewidths=0)


def _few_ticks(axes: Axes) -> None:
    """Numbers of many digits that do not run into each other."""
    from matplotlib.ticker import MaxNLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(lambda value, _: significant(value, 6))


def _some(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.unique(np.linspace(0, count - 1, min(count, _POINTS)).astype(np.int64))
