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
_SHARE = "probability of "


def sample_values(metric: str, table: Any, number: float) -> Floats | None:
    """Values [N] whose mean is the metric; None where the table does not give them.

    Args:
        table: `predictions.csv` as a pandas table of texts.
        number: the metric as `metrics.json` has it. Values whose mean is another are of another metric.
    """
    if metric not in _RULES:
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


def _by_component(table: Any, name: str) -> Floats:
    """A column [N, K] of a table with a line per component of a sample; [N, 1] of one with a line per sample."""
    return _column(table, name).reshape(-1, table["component"].nunique() if "component" in table else 1)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """Of sum(top) / sum(bottom), over the first axis."""
    ratio = top.sum(axis=0) / bottom.sum(axis=0)
    values: Floats = ratio + (top - ratio * bottom) / bottom.mean(axis=0)
    return values


def _labels(table: Any, name: str) -> tuple[list[str], Floats]:
    """Of several labels per sample: their names, and 1 where they are in a column, [N, K]."""
    names = [each.removeprefix(_SHARE) for each in table.columns if each.startswith(_SHARE)]
    if not names:
        raise KeyError(_SHARE)
    joined = ", " + table[name] + ", "
    return names, np.stack([joined.str.contains(f", {each}, ", regex=False) for each in names], axis=1).astype(float)


def _micro_f1(table: Any, _: float) -> Floats:
    actual, predicted = _labels(table, "actual")[1], _labels(table, "predicted")[1]
    return _ratio(2.0 * (actual * predicted).sum(axis=1), (actual + predicted).sum(axis=1))


def _accuracy(table: Any, _: float) -> Floats:
    return _column(table, "correct" if "correct" in table else "accuracy")


def _exact_match(table: Any, _: float) -> Floats:
    values: Floats = (table["actual"] == table["predicted"]).to_numpy(dtype="float64")
    return values


def _log_loss(table: Any, _: float) -> Floats:
    if "probability_of_actual" in table:
        values: Floats = -np.log(np.maximum(_column(table, "probability_of_actual"), _SMALLEST))
        return values
    names, actual = _labels(table, "actual")
    shares = np.stack([_column(table, f"{_SHARE}{name}") for name in names], axis=1)
    of_truth = np.where(actual > 0, shares, 1.0 - shares)
    means: Floats = -np.log(np.maximum(of_truth, _SMALLEST)).mean(axis=1)
    return means


def _macro_f1(table: Any, _: float) -> Floats:
    """Mean of 2 hits / (actual + predicted) over the classes that occur or are predicted, each as of `_ratio`."""
    if "probability_of_actual" not in table:  # several labels per sample
        there, said = _labels(table, "actual")[1], _labels(table, "predicted")[1]
        used = (there + said).any(axis=0)
        of_labels: Floats = _ratio(2.0 * (there * said)[:, used], (there + said)[:, used]).mean(axis=1)
        return of_labels
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
    actual = _by_component(table, "actual")
    total = (actual - actual.mean(axis=0)) ** 2
    values: Floats = _ratio(total - _by_component(table, "residual") ** 2, total).mean(axis=1)
    return values


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
    "micro_f1": _micro_f1,
    "exact_match": _exact_match,
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
