"""A metric of a test split as the mean of one value per sample, from `predictions.csv`.

For a mean these are the samples' own values. For a ratio of sums (F1, R², a mean over words or pixels) or another
smooth function they are its linear approximation at the split: what each sample adds. Their variance is then that of
the metric (the delta method).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from samebits.sweeps.intervals import Floats

_TOLERANCE = 0.01
"""Relative: predictions.csv has six decimals of a probability, so the log of a small one is inexact."""

_SMALLEST = 5e-7


def sample_values(metric: str, table: Any, number: float) -> Floats | None:
    """Values [N] whose mean is the metric; None where the table does not give them.

    Args:
        table: `predictions.csv` as a pandas table of texts.
        number: the metric as `metrics.json` has it. Values whose mean is another are of another metric.
    """
    if metric not in _RULES or "component" in table:  # a line per component: its samples' lines are not independent
        return None
    try:
        with np.errstate(all="ignore"):
            values = _RULES[metric](table, number)
    except KeyError:  # a kind of predictions without these columns
        return None
    if not abs(values.mean() - number) <= _TOLERANCE * abs(number) + 1e-6:
        return None
    shifted: Floats = values + (number - values.mean())
    return shifted


def _column(table: Any, name: str) -> Floats:
    values: Floats = table[name].astype("float64").to_numpy()
    return values


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """Of sum(top) / sum(bottom)."""
    ratio = top.sum() / bottom.sum()
    values: Floats = ratio + (top - ratio * bottom) / bottom.mean()
    return values


def _accuracy(table: Any, _: float) -> Floats:
    return _column(table, "correct" if "correct" in table else "accuracy")


def _log_loss(table: Any, _: float) -> Floats:
    values: Floats = -np.log(np.maximum(_column(table, "probability_of_actual"), _SMALLEST))
    return values


def _macro_f1(table: Any, _: float) -> Floats:
    """Mean of 2 hits / (actual + predicted) over the classes that occur or are predicted, each as of `_ratio`."""
    table["probability_of_actual"]  # one class per sample; of several labels, the table has their names joined
    count = len(table)
    names = np.concatenate([table["actual"].to_numpy(), table["predicted"].to_numpy()])
    classes, codes = np.unique(names.astype(str), return_inverse=True)
    actual, predicted = codes[:count], codes[count:]
    hit = actual == predicted
    of_class = np.bincount(codes, minlength=len(classes))
    f1 = 2.0 * np.bincount(actual[hit], minlength=len(classes)) / of_class
    mean = of_class / count
    added = 2.0 * hit / mean[actual] - f1[actual] / mean[actual] - f1[predicted] / mean[predicted]
    values: Floats = f1.mean() + added / len(classes)
    return values


def _r2(table: Any, _: float) -> Floats:
    actual = _column(table, "actual")
    total = (actual - actual.mean()) ** 2
    return _ratio(total - _column(table, "residual") ** 2, total)


def _rmse(table: Any, _: float) -> Floats:
    squares = _column(table, "residual") ** 2
    mean = squares.mean()
    values: Floats = np.sqrt(mean) + (squares - mean) / (2.0 * np.sqrt(mean))
    return values


def _mae(table: Any, _: float) -> Floats:
    return np.abs(_column(table, "residual"))


def _loss(table: Any, _: float) -> Floats:
    return _column(table, "loss")


def _bits_per_byte(table: Any, number: float) -> Floats:
    """The loss in another unit, which metrics.json alone tells."""
    losses = _column(table, "loss")
    values: Floats = losses * (number / losses.mean())
    return values


def _perplexity(table: Any, _: float) -> Floats:
    losses = _column(table, "loss")
    values: Floats = np.exp(losses.mean()) * (1.0 + losses - losses.mean())
    return values


def _weighted(value: str, weight: str) -> Callable[[Any, float], Floats]:
    """A mean over words or pixels: the table has a sample's own mean, and how many it has."""
    return lambda table, _: _ratio(_column(table, value) * _column(table, weight), _column(table, weight))


def _share(top: str, *bottom: str) -> Callable[[Any, float], Floats]:
    """Of the F measures of entities: right ones, by the mean of the counts they are held against."""
    return lambda table, _: _ratio(_column(table, top), np.mean([_column(table, name) for name in bottom], axis=0))


_RULES: dict[str, Callable[[Any, float], Floats]] = {
    "accuracy": _accuracy,
    "log_loss": _log_loss,
    "macro_f1": _macro_f1,
    "r2": _r2,
    "rmse": _rmse,
    "mae": _mae,
    "loss": _loss,
    "bits_per_byte": _bits_per_byte,
    "perplexity": _perplexity,
    "tag_accuracy": _weighted("accuracy", "words"),
    "tag_log_loss": _weighted("loss", "words"),
    "pixel_accuracy": _weighted("accuracy", "pixels"),
    "pixel_log_loss": _weighted("loss", "pixels"),
    "entity_f1": _share("entities_right", "entities", "entities_predicted"),
    "entity_precision": _share("entities_right", "entities_predicted"),
    "entity_recall": _share("entities_right", "entities"),
}
