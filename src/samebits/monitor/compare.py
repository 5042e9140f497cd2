"""Samples in use against a reference: a test and the size of the difference, for each statistic.

What counts as drift must be both: hardly possible by chance (Holm's correction over all statistics), and large. Of many
samples each tiny difference is no chance, and of few a large one may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from samebits.base.decimals import significant
from samebits.drift.measure import Counts, Measure
from samebits.drift.reference import NumberStatistic, Statistic
from samebits.monitor.significance import (
    categories_p,
    holm,
    largest_gap,
    moved_share,
    numbers_p,
    shares,
    stability_index,
)

FEWEST = 30
"""Samples, of either side: of fewer, only differences that nobody needs a test for could be told from chance."""

Group = Literal["inputs", "answers"]
_BARS = 10
_LISTED = 12


def missing_name(name: str) -> str:
    """Of the statistic that says how often another one is missing."""
    return f"{name}: missing"


class Bar(NamedTuple):
    """A part of a distribution, for the page: its share in the training data and now."""

    label: str
    before: float
    now: float


@dataclass(frozen=True)
class Finding:
    """One statistic, compared.

    Attributes:
        group: whether it is of inputs or of answers.
        effect: 0 to 1. Of numbers, how far the cumulative shares are apart at most (Kolmogorov-Smirnov); of categories,
            the share of samples that changed theirs (total variation).
        p: the chance of such a difference between samples of the same kind.
        adjusted_p: after Holm's correction.
        psi: the population stability index, of ten parts or of the categories.
        before, now: for people.
        drift: whether both limits are passed.
        bars: the distributions, in parts.
    """

    group: Group
    name: str
    effect: float
    p: float
    psi: float
    before: str
    now: str
    bars: Sequence[Bar]
    adjusted_p: float = 1.0
    drift: bool = False


class Tally:
    """One statistic of samples in use, counted as it comes."""

    def __init__(self, reference: Statistic) -> None:
        self.reference = reference
        self.counts: Counts = np.zeros_like(reference.all_counts)
        self._sum = 0.0

    def add(self, measured: Measure) -> None:
        if not len(measured.values):
            return
        self.counts = self.counts + self.reference.counted(measured.values)
        if isinstance(self.reference, NumberStatistic):
            self._sum += float(np.nansum(measured.values, dtype=np.float64))

    def findings(self, group: Group) -> list[Finding]:
        """The statistic, and whether it is missing more often or less; empty where there is too little to compare."""
        if not isinstance(self.reference, NumberStatistic):
            names = [*self.reference.names, "(other)"]
            return _of_categories(group, self.reference.name, names, self.reference.all_counts, self.counts)
        found: list[Finding] = []
        before, now = self.reference.all_counts, self.counts
        if min(before[:-1].sum(), now[:-1].sum()) >= FEWEST:
            mean = self._sum / float(now[:-1].sum())
            found.append(_of_numbers(group, self.reference, before[:-1], now[:-1], mean))
        if before[-1] or now[-1]:
            pairs = (np.array([each[:-1].sum(), each[-1]]) for each in (before, now))
            found += _of_categories(group, missing_name(self.reference.name), ["there", "missing"], *pairs)
        return found


def unreadable(samples: int, errors: int, before: int) -> list[Finding]:
    """The share of inputs that cannot be used; of the training data, none is left that cannot."""
    counts = np.array([before, 0]), np.array([samples - errors, errors])
    return _of_categories("inputs", "unreadable", ["readable", "unreadable"], *counts)


def judged(findings: Iterable[Finding], limit: float, alpha: float) -> list[Finding]:
    """With the correction for how many they are, the most suspicious first.

    Args:
        limit: of `effect`.
        alpha: of `adjusted_p`: how often at most a comparison of samples of the same kind may find drift at all.
    """
    found = list(findings)
    adjusted = holm([each.p for each in found])
    done = [
        replace(each, adjusted_p=p, drift=p < alpha and each.effect >= limit)
        for each, p in zip(found, adjusted, strict=True)
    ]
    return sorted(done, key=lambda each: (not each.drift, -each.effect))


def _of_numbers(group: Group, reference: NumberStatistic, before: Counts, now: Counts, mean: float) -> Finding:
    ends = _parts(before)
    parts = tuple(np.add.reduceat(each, ends) for each in (before, now))
    labels = [_between(reference.edges, ends, place) for place in range(len(ends))]
    return Finding(
        group,
        reference.name,
        largest_gap(before, now),
        numbers_p(before, now),
        stability_index(*parts),
        f"mean {significant(reference.mean, 4)}",
        f"mean {significant(mean, 4)}",
        [Bar(*each) for each in zip(labels, *(shares(part).tolist() for part in parts), strict=True)],
    )


def _parts(before: Counts) -> list[int]:
    """The bin with which each part begins: what is below the training data, about ten parts of them, with a frequent
    value in one of its own, and what is above."""
    last, enough = len(before) - 1, before.sum() / _BARS
    starts, held = [0], enough
    for place in range(1, last):
        if held >= enough or (held and before[place] >= enough):
            starts.append(place)
            held = 0
        held += before[place]
    return [*starts, last] if last else starts


def _between(edges: Sequence[float], starts: Sequence[int], place: int) -> str:
    """The values of a part."""
    if place == 0:
        return f"below {significant(edges[0], 4)}" if edges else ""
    low = significant(edges[starts[place] - 1], 4)
    if place + 1 == len(starts):
        return f"above {low}"
    high = significant(edges[starts[place + 1] - 1], 4)
    return low if low == high else f"{low} to {high}"


def _of_categories(group: Group, name: str, names: Sequence[str], before: Counts, now: Counts) -> list[Finding]:
    if min(before.sum(), now.sum()) < FEWEST:
        return []
    old, new = shares(before), shares(now)
    # For people, the one that changed most; of two, the second: `yes`, `missing`.
    most = len(names) - 1 - int(np.abs(new - old).round(9)[::-1].argmax())
    order = np.argsort(-np.maximum(old, new), kind="stable")[:_LISTED]
    bars = [Bar(names[k], float(old[k]), float(new[k])) for k in sorted(order.tolist()) if old[k] or new[k]]
    told: Callable[[float], str] = lambda share: f"{names[most]} {share:.1%}"  # noqa: E731
    effect, p, psi = moved_share(before, now), categories_p(before, now), stability_index(before, now)
    return [Finding(group, name, effect, p, psi, told(old[most]), told(new[most]), bars)]
