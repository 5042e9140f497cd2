"""All metrics of test splits. To add one: an entry in `METRICS` of the evaluator's module of metrics."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import samebits.metrics
from samebits.base.decimals import shown
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


def no_better(
    values: Mapping[str, float | None], baseline: Mapping[str, float | None], own: Mapping[str, str] | None = None
) -> list[str]:
    """The numbers in which a model is no better than an answer that looks at no input, for people: both values.

    Accuracy alone would warn of a good model where one class is most of the data, and pass one whose probabilities are
    worse than the classes' shares.

    Args:
        values, baseline: metrics of the test split; None where undefined.
        own: as of `directions`.
    """
    worse = []
    for name, better in directions(own).items():
        value, reached = values.get(name), baseline.get(name)
        if value is None or reached is None:
            continue
        if not (value > reached if better == "higher" else value < reached):
            worse.append(f"{name} ({shown(value)}, baseline {shown(reached)})")
    return worse


def headlines() -> set[str]:
    """The few numbers that a reader looks for first."""
    return {metric.name for metric in every_metric() if metric.headline}
