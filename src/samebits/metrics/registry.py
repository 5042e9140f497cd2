"""All metrics of test splits. To add one: an entry in `METRICS` of the evaluator's module of metrics."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import samebits.metrics
from samebits.metrics.metric import Metric


def every_metric() -> Iterator[Metric[Any]]:
    """Of each module of this package that has some, in the order in which they are shown; the first of them that a
    model has decides."""
    for module in pkgutil.iter_modules(samebits.metrics.__path__):
        yield from getattr(import_module(f"samebits.metrics.{module.name}"), "METRICS", ())


def directions(own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Numbers that can decide, the first that a model has by default -> which end is better: `higher` or `lower`.

    Args:
        own: likewise of metrics of the user's own, as `better` of metrics.json has them.
    """
    return {metric.name: metric.better for metric in every_metric() if metric.better is not None} | dict(own or {})


def headlines() -> set[str]:
    """The few numbers that a reader looks for first."""
    return {metric.name for metric in every_metric() if metric.headline}
