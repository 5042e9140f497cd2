"""All metrics of test splits. To add one: an entry in `METRICS` of the evaluator's module of metrics."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from samebits.metrics.metric import Metric

_MODULES = ("classification", "regression", "language_model")


def every_metric() -> Iterator[Metric[Any]]:
    """Of each task, in the order in which they are shown; the first of them that a model has decides."""
    for name in _MODULES:
        yield from import_module(f"samebits.metrics.{name}").METRICS


def directions() -> dict[str, str]:
    """Numbers that can decide, the first that a model has by default -> which end is better: `higher` or `lower`."""
    return {metric.name: metric.better for metric in every_metric() if metric.better is not None}


def headlines() -> set[str]:
    """The few numbers that a reader looks for first."""
    return {metric.name for metric in every_metric() if metric.headline}
