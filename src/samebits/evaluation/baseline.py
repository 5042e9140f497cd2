"""What an answer that looks at no input would reach: the yardstick beside a model's first numbers.

The one place that says what the baseline of a kind of target is. Each is fitted on the training split and judged on the
test split, by the metrics of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samebits.base.decimals import rounded
from samebits.metrics import classification, regression, vector
from samebits.metrics.bootstrap import Floats, Ints
from samebits.metrics.metric import Metric, P, measure
from samebits.metrics.own import OwnMetric
from samebits.metrics.registry import no_better
from samebits.metrics.scores import token_metrics


@dataclass(frozen=True)
class Baseline:
    """What is reached without an input.

    Attributes:
        answer: what it answers, for people.
        values: name of a metric -> number, as in `metrics.json`; metrics without a meaning here are left out.
    """

    answer: str
    values: dict[str, float]


def of_classes(
    counts: Sequence[int], labels: Ints, classes: Sequence[str], more: Sequence[Metric[Any]] = ()
) -> Baseline:
    """The most frequent class of the training split; as probabilities, the classes' shares in it.

    Args:
        counts: training samples of each class. One is added to each, so that no class is impossible.
        labels: [N], the true classes of the test split.
        more: metrics of the user's own, here and below.
    """
    shares = (np.asarray(counts, dtype=np.float64) + 1.0) / (sum(counts) + len(counts))
    most = int(np.argmax(shares))
    logs = np.log(shares)
    constant = classification.Predictions(
        classes=len(shares),
        labels=labels,
        predicted=np.full(len(labels), most, dtype=np.int64),
        confidence=np.full(len(labels), shares[most]),
        of_label=logs[labels],
        ahead=np.argsort(np.argsort(-logs, kind="stable"))[labels],
        probabilities=np.exp(np.broadcast_to(logs, (len(labels), len(logs)))) if more else None,
    )
    return Baseline(
        f"always {classes[most]}, the most frequent class of the training split",
        _measured([*classification.METRICS, *more], constant),
    )


def of_numbers(mean: float, actual: Floats, more: Sequence[Metric[Any]] = ()) -> Baseline:
    """The mean of the training split's targets.

    Args:
        actual: [N], the targets of the test split.
    """
    constant = regression.RegressionPredictions(actual, np.full_like(actual, mean))
    return Baseline(
        f"always {mean:.6g}, the mean of the training split", _measured([*regression.METRICS, *more], constant)
    )


def of_vectors(mean: Floats, std: Floats, actual: Floats, more: Sequence[Metric[Any]] = ()) -> Baseline:
    """The mean of the training split's targets.

    Args:
        mean, std: of each component over the training split, [K].
        actual: [N, K], the targets of the test split.
    """
    constant = vector.VectorPredictions(actual, np.broadcast_to(mean, actual.shape), std)
    return Baseline("always the mean of the training split", _measured([*vector.METRICS, *more], constant))


def of_tokens(training: Ints, test: Ints, bytes_per_token: float | None) -> Baseline:
    """Each token by its share in the training split, whatever came before it.

    Args:
        training: [V], how often each token is wanted in the training split. One is added to each.
        test: [V], how often in the test split.
    """
    shares = (training + 1.0) / (training.sum() + len(training))
    loss = float(-(test * np.log(shares)).sum() / test.sum())
    values = {"loss": loss, "accuracy": float(test[shares.argmax()] / test.sum())}
    return Baseline(
        "each token by its share in the training split",
        _written(values | token_metrics(loss, bytes_per_token)),
    )


def lines(baseline: Baseline, values: Mapping[str, float | None], own: Sequence[OwnMetric] = ()) -> list[str]:
    """What is said of it: what it answers, and a warning with each number in which the model is no better.

    Args:
        values: the model's metrics of the test split; None where undefined.
        own: metrics of the user's own among them.
    """
    worse = no_better(values, baseline.values, {each.name: each.better for each in own})
    warning = [f"warning: the model is no better than the baseline in {', '.join(worse)}"] if worse else []
    return [f"baseline: {baseline.answer}", *warning]


def _measured(metrics: Sequence[Metric[P]], constant: P) -> dict[str, float]:
    return _written(measure([metric for metric in metrics if metric.baseline], constant).values)


def _written(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: number for name, value in values.items() if (number := rounded(value)) is not None}
