"""Numbers that describe predicted tags of a test split, with bootstrap confidence intervals over its texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from samebits.metrics.bootstrap import Floats, Ints, Resamples, Statistic
from samebits.metrics.metric import Metric, four_decimals, mean_over_classes, per_unit, percent
from samebits.metrics.scores import class_f1

Tags = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Overlaps:
    """Of each text how many of each kind are right, there are, and are said to be: int64 [N, kinds] each."""

    right: Ints
    there: Ints
    said: Ints


@dataclass(frozen=True)
class TagPredictions:
    """How the predicted tags of each text agree with the true ones.

    Attributes:
        tags: words of each tag.
        entities: of each type; None where tags mark none.
        pair: predicted and true tags, int16 [N, L], -100 where no word begins; for metrics of the user's own.
        losses: [N], float64: cross entropy, the sum over a text's words; None where nothing has probabilities.
    """

    tags: Overlaps
    entities: Overlaps | None
    losses: Floats | None
    pair: tuple[Tags, Tags]

    def __len__(self) -> int:
        return len(self.tags.there)

    @property
    def width(self) -> int:
        return int(self.tags.there.shape[1])

    @property
    def words(self) -> Ints:
        """[N], those that count."""
        counts: Ints = self.tags.there.sum(axis=1)
        return counts


_Part = Literal["precision", "recall", "f1"]


def _of_all(part: _Part) -> Callable[[TagPredictions], Statistic | None]:
    """Of the entities of all types together."""

    def of(found: TagPredictions) -> Statistic | None:
        if found.entities is None:
            return None
        right, there, said = (
            each.sum(axis=1).astype(np.float64)
            for each in (found.entities.right, found.entities.there, found.entities.said)
        )

        def statistic(drawn: Resamples) -> Floats:
            # Counts below 2**53: exact in any order.
            numbers = [drawn.weights @ each for each in (right, there, said)]
            return share(part, *numbers)

        return statistic

    return of


def share(part: _Part, right: Floats, there: Floats, said: Floats) -> Floats:
    """Precision, recall or F1 of counts; NaN where it is undefined."""
    if part == "f1":
        return class_f1(right, there, said)
    of = said if part == "precision" else there
    return np.where(of > 0, right / np.maximum(of, 1), np.nan)


def _mean_f1(overlaps: Callable[[TagPredictions], Overlaps | None]) -> Callable[[TagPredictions], Statistic | None]:
    """The mean of the F1 of each kind."""

    def of(found: TagPredictions) -> Statistic | None:
        counted = overlaps(found)
        return None if counted is None else mean_over_classes(class_f1, counted.right, counted.there, counted.said)

    return of


def _per_word(values: Callable[[TagPredictions], Floats | None]) -> Callable[[TagPredictions], Statistic | None]:
    """The mean over the words of one sum per text, [N]."""

    def of(found: TagPredictions) -> Statistic | None:
        sums = values(found)
        return None if sums is None else per_unit(sums, found.words)

    return of


_NO_ENTITY = "there is no entity, neither true nor predicted"

METRICS: list[Metric[TagPredictions]] = [
    Metric("entity_f1", "Entity F1", percent, "higher", _of_all("f1"), headline=True, undefined=_NO_ENTITY),
    Metric("entity_precision", "Precision", percent, "higher", _of_all("precision"), undefined="none is predicted"),
    Metric("entity_recall", "Recall", percent, "higher", _of_all("recall"), undefined="there is none"),
    Metric(
        "entity_macro_f1",
        "Macro F1",
        percent,
        "higher",
        _mean_f1(lambda found: found.entities),
        undefined=_NO_ENTITY,
    ),
    Metric(
        "tag_accuracy",
        "Accuracy of the tags",
        percent,
        "higher",
        _per_word(lambda found: found.tags.right.sum(axis=1).astype(np.float64)),
        headline=True,
    ),
    Metric("tag_macro_f1", "Macro F1 of the tags", percent, "higher", _mean_f1(lambda found: found.tags)),
    Metric("tag_log_loss", "Log loss", four_decimals, "lower", _per_word(lambda found: found.losses)),
]
