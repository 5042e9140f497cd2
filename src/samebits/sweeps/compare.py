"""`samebits compare A B`: the paired difference of two settings over seeds and test samples, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samebits.base.errors import UserError, listed
from samebits.base.paths import Project
from samebits.base.result import Result
from samebits.metrics.registry import directions
from samebits.sweeps.intervals import CONFIDENCE, Components, Floats, components
from samebits.sweeps.report import aligned, short
from samebits.sweeps.sample_values import sample_values
from samebits.sweeps.seed_runs import SeedRun, SeedRuns, Side, differing

_FEW_SAMPLES = 10
"""With fewer test samples that differ, the interval of one pair of models is not to be trusted."""

_SAME = 5e-6
"""A difference per sample that may be of rounding: metrics.json has six decimals."""

_HARDLY = 0.9


@dataclass(frozen=True)
class Judgement:
    """One metric of two settings.

    Attributes:
        better: `higher` or `lower`.
        first, second: the metric of each seed, [S], in the same order of seeds.
        parts: of the difference's variance; None for one seed without values per sample.
        samples: test samples that differ, and all; None where the metric has no values per sample.
    """

    metric: str
    better: str
    first: Floats
    second: Floats
    parts: Components | None
    samples: tuple[int, int] | None

    @property
    def difference(self) -> float:
        """Mean of B minus A."""
        return float(np.mean(self.second - self.first))

    @property
    def half_width(self) -> float | None:
        """Of the interval around `difference`."""
        return None if self.parts is None else self.parts.half_width()

    @property
    def won(self) -> int:
        """Seeds in which B is better."""
        gain = self.second - self.first
        return int(np.sum(gain > 0 if self.better == "higher" else gain < 0))

    @property
    def told(self) -> bool:
        """Whether the data tell which one is better."""
        if self.half_width is None or (self.samples is not None and self.samples[0] < _FEW_SAMPLES):
            return False
        return abs(self.difference) > self.half_width

    def conclusion(self) -> str:
        """One plain sentence, and where nothing can be told, what would help."""
        gain = self.difference if self.better == "higher" else -self.difference
        half = self.half_width
        if self.samples is not None and not self.samples[0] and not self.difference:
            return f"{self.metric}: the two are the same for every test sample."
        if half is None:
            return f"{self.metric}: no difference can be told from one seed without values per test sample."
        if self.samples is not None and self.samples[0] < _FEW_SAMPLES:
            differ, of = self.samples
            return (
                f"{self.metric}: no difference can be told: only {differ} of {of:,} test samples come out differently."
            )
        if self.told:
            # One seed each says so much of two models, not of two settings.
            winner = ("" if len(self.first) > 1 else "this model of ") + ("B" if gain > 0 else "A")
            size = f"{_three(abs(gain))} ({_three(abs(gain) - half)} to {_three(abs(gain) + half)})"
            return f"{self.metric}: {winner} is better by {size}."
        return (
            f"{self.metric}: no difference can be told: B may be better by up to {_three(half + gain)}, or worse by up "
            f"to {_three(half - gain)}.{self._more_seeds(half)}"
        )

    def _more_seeds(self, half: float) -> str:
        assert self.parts is not None
        if self.parts.seeds < 2:
            return ""
        twice = 2 * self.parts.seeds
        then = self.parts.half_width(twice)
        if then > _HARDLY * half:
            return f" More seeds would hardly narrow that (±{_three(half)}): the test split is too small."
        return f" {twice} seeds of each would narrow the interval from ±{_three(half)} to about ±{_three(then)}."


def _three(value: float) -> str:
    """Three significant digits: an interval has no more to say."""
    return f"{value:.3g}"


@dataclass(frozen=True)
class Comparison(Result):
    """Two settings.

    Attributes:
        sides: A and B.
        seeds: that both have.
        changed: parameters and files in which they differ.
        judged: each metric, the one that decides first.
    """

    sides: tuple[Side, Side]
    seeds: Sequence[int]
    changed: Sequence[str]
    judged: Sequence[Judgement]

    def lines(self) -> list[str]:
        table = _table(self.judged, len(self.seeds))
        return [*_about(self.sides, self.seeds, self.changed), "", *table, "", *_conclusions(self.judged, self.sides)]

    def json(self) -> dict[str, Any]:
        return {
            "a": self.sides[0].name,
            "b": self.sides[1].name,
            "seeds": self.seeds,
            "changed": self.changed,
            "metrics": {each.metric: _for_programs(each) for each in self.judged},
            "conclusion": self.judged[0].conclusion(),
        }


def _for_programs(each: Judgement) -> dict[str, Any]:
    half, difference = each.half_width, each.difference
    return {
        "better": each.better,
        "a": each.first.tolist(),
        "b": each.second.tolist(),
        "difference": difference,
        "low": None if half is None else difference - half,
        "high": None if half is None else difference + half,
        "told": each.told,
    }


def compare(project: Project, first: str, second: str, metric: str | None = None) -> Comparison:
    """Compare two settings, or two runs.

    Args:
        first, second: names as of `SeedRuns.side`.
        metric: of the test split; None for the first that can decide.

    Raises:
        UserError: if a side is unknown or unfinished, both are one setting, or their test data or metrics differ.
    """
    runs = SeedRuns(project)
    sides = runs.side(first), runs.side(second)
    seeds = _common_seeds(*sides)
    changed = differing(sides[0].first, sides[1].first)
    if not changed:
        raise UserError(
            f"{first} and {second} are one setting: the same parameters and code",
            "change what is to be compared, and run it: samebits seeds 5",
        )
    pairs = [(sides[0].runs[seed], sides[1].runs[seed]) for seed in seeds]
    names = _metrics(pairs, metric)
    judged = _judge(runs, pairs, names)
    return Comparison(sides, seeds, changed, judged)


def _common_seeds(first: Side, second: Side) -> list[int]:
    seeds = [seed for seed in first.runs if seed in second.runs]
    if not seeds:
        both = "; ".join(f"{side.name} has {listed(list(side.runs))}" for side in (first, second))
        raise UserError(f"no seed in common: {both}", "samebits seeds 5 runs seeds 0 to 4 of a setting")
    return seeds


Pair = tuple[SeedRun, SeedRun]


def _metrics(pairs: Sequence[Pair], metric: str | None) -> dict[str, str]:
    """Metrics that each run has and that can decide, with their better end; the one that decides comes first."""
    everyone = [run for pair in pairs for run in pair]
    known = directions(everyone[0].better)
    shared = {
        name: better
        for name, better in known.items()
        if all(name in run.scores and directions(run.better).get(name) == better for run in everyone)
    }
    if not shared:
        of_each = " and ".join(listed(sorted(run.scores)) for run in pairs[0])
        raise UserError(f"no metric of the test split in common: {of_each}", "compare settings of one task")
    if metric is None:
        return shared
    wanted = metric.removeprefix("test/")
    if wanted not in shared:
        raise UserError(
            f"--metric {metric}: not in both, or no better end is known", f"there are {listed(list(shared))}"
        )
    return {wanted: shared[wanted]} | shared


def _judge(runs: SeedRuns, pairs: Sequence[Pair], names: dict[str, str]) -> list[Judgement]:
    """Each metric; the tables are read seed by seed, so that two are in memory at a time."""
    rows: dict[str, list[Floats | None]] = {name: [] for name in names}
    samples: list[str] | None = None
    for pair in pairs:
        tables = [runs.predictions(run) for run in pair]
        for run, table in zip(pair, tables, strict=True):
            here = _sample_names(table)
            samples = here if samples is None else samples
            if here != samples or (run.prepared != pairs[0][0].prepared and "actual" not in table):
                raise UserError(
                    f"{pairs[0][0].name} and {run.name} were judged by other test data",
                    "compare settings with the same data, split and labels: no `data` parameter may move test samples",
                )
        for name, found in rows.items():
            both = [sample_values(name, table, run.scores[name]) for run, table in zip(pair, tables, strict=True)]
            found.append(None if both[0] is None or both[1] is None else both[1] - both[0])
    return [_judgement(name, names[name], pairs, found) for name, found in rows.items()]


def _sample_names(table: object) -> list[str]:
    """Id and true answer of each line, as far as the table has it."""
    columns = [name for name in ("id", "component", "actual", "words", "pixels") if name in table]  # type: ignore[operator]
    return ["\t".join(row) for row in table[columns].itertuples(index=False)]  # type: ignore[index]


def _judgement(name: str, better: str, pairs: Sequence[Pair], rows: Sequence[Floats | None]) -> Judgement:
    first, second = (np.array([pair[side].scores[name] for pair in pairs]) for side in (0, 1))
    known = [row for row in rows if row is not None]
    if len(known) == len(rows) and len(known[0]) > 1:
        table = np.stack(known)
        differ = int((np.abs(table) > _SAME).any(axis=0).sum())
        return Judgement(name, better, first, second, components(table), (differ, table.shape[1]))
    parts = components((second - first)[:, None]) if len(pairs) > 1 else None
    return Judgement(name, better, first, second, parts, None)


def _about(sides: Sequence[Side], seeds: Sequence[int], changed: Sequence[str]) -> list[str]:
    lines = []
    for letter, side in zip("AB", sides, strict=True):
        names = [run.name for run in side.runs.values()]
        failed = f"; seed {listed(side.failed)} failed" if side.failed else ""
        lines.append(f"{letter}  {side.name}: seed {listed(list(side.runs))} ({listed(names, 3)}){failed}")
    one, other = sides[0].first, sides[1].first
    values = [
        f"{key} {short(one.params.get(key, '–'))} → {short(other.params.get(key, '–'))}"
        for key in changed
        if key in one.params or key in other.params
    ]
    files = [key for key in changed if key in one.files or key in other.files]
    lines.append(f"they differ in {listed(values + files)}")
    lines.append(f"paired by seed: {listed(seeds)}")
    return lines


def _table(judged: Sequence[Judgement], seeds: int) -> list[str]:
    rows = [["metric", "A", "B", "B - A", f"{CONFIDENCE:.0%} interval", "B better in"]]
    for each in judged:
        half, difference = each.half_width, each.difference
        interval = "–" if half is None else f"{difference - half:+.4g} to {difference + half:+.4g}"
        means = [short(float(np.mean(values))) for values in (each.first, each.second)]
        rows.append([each.metric, *means, f"{difference:+.4g}", interval, f"{each.won} of {seeds} seeds"])
    return aligned(rows)


def _conclusions(judged: Sequence[Judgement], sides: Sequence[Side]) -> list[str]:
    """What the metric that decides says, then what none of this says."""
    first, seeds = judged[0], len(judged[0].first)
    lines = [first.conclusion(), "", "what this does not say:"]
    if seeds == 1:
        lines.append(
            "- which setting is better: one seed each compares these two models, and another seed may turn it around; "
            "samebits seeds 5 of each tells"
        )
    if seeds == 2:
        lines.append("- much: with two seeds, about one interval in ten is wrong instead of one in twenty; take 5")
    if first.samples is None:
        lines.append(
            f"- what other test samples would give: {first.metric} has no value per sample in predictions.csv, so the "
            "interval is over seeds alone"
        )
    changed = differing(sides[0].first, sides[1].first)
    if len(changed) > 1:
        lines.append(f"- which of the {len(changed)} changes made the difference")
    if any(side.failed for side in sides):
        lines.append("- anything of the seeds that failed: they are left out, which may flatter their setting")
    if len(judged) > 1:
        lines.append("- that every interval above holds at once: each is for a metric that was chosen beforehand")
    lines.append("- what other data, or another split, would give: all runs share one")
    lines.append(
        "- how fair the choice was: that one of the two was tuned longer, or picked by these test numbers, is in no "
        "interval"
    )
    return lines
