"""What a metric is: one entry says how it is called, shown, compared and computed, and everything else reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from samebits.base.decimals import significant
from samebits.base.errors import UserError
from samebits.metrics.bootstrap import Floats, Interval, Ints, Share, Statistic, percentile_intervals, whole
from samebits.metrics.scores import mean_of_classes


class SplitPredictions(Protocol):
    """What a model said about each sample of a split, with what it should have said."""

    def __len__(self) -> int: ...

    @property
    def width(self) -> int:
        """Numbers that a metric holds per sample or per resample, at most: the classes; else 1."""
        ...


P = TypeVar("P", bound=SplitPredictions)


@dataclass(frozen=True)
class Metric(Generic[P]):
    """One metric of one kind of target.

    Attributes:
        name: its key in `metrics.json`; fields of the predictions may stand in it: `top_{p.top_k}_accuracy`.
        label: for people, with the same fields.
        format: a value of it for people.
        better: which end is better; such a metric can decide which of two models is the champion. None: it cannot.
        statistic: from the predictions of a split the metric of any resample of it; None where it has no meaning.
        headline: among the first numbers on a run's page.
        baseline: worth knowing of an answer that looks at no input.
        undefined: why it has no value for a split, where it can have none.
        own: it is of the user's own: `metrics.json` says which end is better.
    """

    name: str
    label: str
    format: Callable[[float], str]
    better: Literal["higher", "lower"] | None
    statistic: Callable[[P], Statistic | None]
    headline: bool = False
    baseline: bool = True
    undefined: str = "it is not finite"
    own: bool = False

    def shown(self, value: float | None) -> str:
        """A dash for what is undefined."""
        return "–" if value is None else self.format(value)


@dataclass(frozen=True)
class Score:
    """A metric of a split.

    Attributes:
        name, label: the metric's, with its fields filled in.
        value: None if undefined.
        interval: confidence interval, None if there is none.
    """

    name: str
    label: str
    metric: Metric[Any]
    value: float | None
    interval: Interval | None

    @property
    def spread(self) -> str:
        """The interval for people, or why there is no value; else empty."""
        if self.value is None:
            return self.metric.undefined
        shown = self.metric.shown
        return f"{shown(self.interval.low)} to {shown(self.interval.high)}" if self.interval else ""


@dataclass(frozen=True)
class Scores:
    """A test split's result, in the order of the list of metrics."""

    scores: list[Score]

    @property
    def values(self) -> dict[str, float | None]:
        """Name -> number; None if undefined."""
        return {score.name: score.value for score in self.scores}

    @property
    def intervals(self) -> dict[str, Interval]:
        """Name -> confidence interval."""
        return {score.name: score.interval for score in self.scores if score.interval is not None}

    @property
    def undefined(self) -> dict[str, str]:
        """Name -> why it is None."""
        return {score.name: score.metric.undefined for score in self.scores if score.value is None}


def require_finite(outputs: npt.NDArray[np.floating], rows: Ints | None = None) -> None:
    """Refuse a model's outputs, [N, ...], that hold NaN or infinity.

    Args:
        rows: of the split, which the outputs are of, [N]; None: they are of the whole split.

    Raises:
        UserError: naming the first sample.
    """
    wrong = np.flatnonzero(~np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1))
    if len(wrong):
        whole_split = f"{len(wrong)} of {len(outputs)} test samples is not finite, first for test sample {wrong[0]}"
        raise UserError(
            f"the model's output for {whole_split if rows is None else f'test sample {rows[wrong[0]]} is not finite'}",
            "the weights are damaged or the training diverged: lower train.optimizer.lr and train again",
        )


def per_sample(values: Callable[[P], npt.NDArray[np.generic] | None]) -> Callable[[P], Statistic | None]:
    """A metric that is the mean of one value per sample, [N]; without a meaning where there are none."""

    def statistic(predictions: P) -> Statistic | None:
        found = values(predictions)
        if found is None:
            return None
        if found.dtype == np.bool_:
            return Share(found.astype(np.bool_, copy=False))
        of_each = found.astype(np.float64)
        return lambda drawn: drawn.mean(of_each)

    return statistic


def mean_over_classes(score: Callable[..., Floats], *counts: Ints) -> Statistic:
    """The mean over the classes of a score of counts, each [N, K], that are summed over a resample."""
    given = [each.astype(np.float64) for each in counts]
    # Counts below 2**53: exact in any order.
    return lambda drawn: mean_of_classes(score(*(drawn.weights @ each for each in given)))


def per_unit(sums: Floats, units: Ints) -> Statistic:
    """The mean over what samples have many of, as pixels or words.

    Args:
        sums: of each sample, [N].
        units: how many of them it has, [N].
    """
    many = units.astype(np.float64)
    # Not a matrix product: BLAS may sum in another order with another number of threads.
    return lambda drawn: (drawn.weights * sums).sum(axis=1) / (drawn.weights * many).sum(axis=1)


def measure(metrics: Sequence[Metric[P]], predictions: P, *, bootstrap: int = 0, confidence: float = 0.95) -> Scores:
    """All metrics that have a meaning for these predictions, with percentile intervals.

    Args:
        bootstrap: resamples; 0: no intervals.
        confidence: level of the intervals, such as 0.95.
    """
    statistics: dict[str, tuple[Metric[P], Statistic]] = {}
    for metric in metrics:
        if (statistic := metric.statistic(predictions)) is not None:
            statistics[metric.name.format(p=predictions)] = metric, statistic
    split = whole(len(predictions))
    values = {name: statistic(split).item() for name, (_, statistic) in statistics.items()}
    defined = {name: statistics[name][1] for name, value in values.items() if np.isfinite(value)}
    intervals = percentile_intervals(
        defined, len(predictions), resamples=bootstrap, confidence=confidence, width=predictions.width
    )
    return Scores(
        [
            Score(
                name=name,
                label=metric.label.format(p=predictions),
                metric=metric,
                value=values[name] if name in defined else None,
                interval=intervals.get(name),
            )
            for name, (metric, _) in statistics.items()
        ]
    )


def percent(value: float) -> str:
    """`99.52 %`."""
    return f"{value:.2%}".replace("%", " %")


def four_decimals(value: float) -> str:
    return f"{value:.4f}"


def two_decimals(value: float) -> str:
    return f"{value:,.2f}"


def four_digits(value: float) -> str:
    """Of numbers in the unit of the data."""
    return significant(value, 4)
