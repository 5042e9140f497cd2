"""All metrics of test splits. To add one: an entry in the list of its kind of target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from samebits.metrics import classification, language_model, regression
from samebits.metrics.metric import Metric

METRICS: dict[str, list[Metric[Any]]] = {
    "class": classification.METRICS,
    "number": regression.METRICS,
    "next_token": language_model.METRICS,
}
"""Kind of target -> its metrics, in the order in which they are shown; the first of them that is there decides."""


def every_metric() -> Iterator[Metric[Any]]:
    for metrics in METRICS.values():
        yield from metrics


def directions() -> dict[str, str]:
    """Numbers that can decide, the first that a model has by default -> which end is better: `higher` or `lower`."""
    return {metric.name: metric.better for metric in every_metric() if metric.better is not None}


def headlines() -> set[str]:
    """The few numbers that a reader looks for first."""
    return {metric.name for metric in every_metric() if metric.headline}
