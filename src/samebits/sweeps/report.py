"""What a sweep found: a table, the parameters' importances, a page with parallel coordinates that needs no network."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from samebits.base.files import csv_bytes, write_bytes
from samebits.sweeps.space import Dimension
from samebits.sweeps.study import SweepStudy, point_of, reason_of, trial_name

_SHOWN = 10
_WIDTH, _HEIGHT, _TOP, _LEFT = 1100, 420, 60, 70
_BEST, _WORST = (33, 82, 160), (225, 225, 225)


@dataclass(frozen=True)
class Report:
    """How the results of a sweep's trials are summed up.

    Attributes:
        ranked: whether the trials compete, so that one of them is the best.
        table: the text for the terminal and for the parent run's page.
        files: a line on that page that says where more is.
        write_files: writes files below a folder and returns their paths.
        numbers: metrics of the parent run, beside those of single trials.
        for_programs: what docs/scripting.md names.
    """

    ranked: bool
    table: Callable[[SweepStudy], str]
    files: str
    write_files: Callable[[SweepStudy, Path], list[Path]]
    numbers: Callable[[SweepStudy], dict[str, float]]
    for_programs: Callable[[SweepStudy], dict[str, Any]]


def short(value: Any) -> str:
    """A value for people: six significant digits; a section as `adamw(lr=0.001)`."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key}={short(each)}" for key, each in value.items() if key != "name")
        return f"{value.get('name', '')}({inside})"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table's lines, its columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def ranked(study: SweepStudy) -> list[FrozenTrial]:
    """Completed trials, the best first, then the others by number."""
    sign = 1.0 if study.sweep.file.goal == "minimize" else -1.0

    def place(trial: FrozenTrial) -> tuple[int, float, int]:
        complete = trial.state == TrialState.COMPLETE and trial.value is not None
        return (0 if complete else 1, sign * (trial.value or 0.0) if complete else 0.0, trial.number)

    return sorted(study.trials(), key=place)


def importances(study: SweepStudy) -> dict[str, float]:
    """Share of the metric's variance that each parameter explains (fANOVA, Hutter et al. 2014), largest first.

    Empty with fewer than four completed trials, or if all came out the same.
    """
    done = [t for t in study.trials() if t.state == TrialState.COMPLETE and t.value is not None]
    if len(done) < 4 or len({t.value for t in done}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study.study, evaluator=evaluator)
    return {key: float(value) for key, value in found.items()}


def table(study: SweepStudy) -> str:
    """The best trials, the importances and the command that applies the best one."""
    trials, sweep = ranked(study), study.sweep
    counts = {state: sum(t.state == state for t in trials) for state in TrialState}
    told = [
        f"{counts[state]} {word}"
        for state, word in (
            (TrialState.COMPLETE, "complete"),
            (TrialState.PRUNED, "pruned"),
            (TrialState.FAIL, "failed"),
            (TrialState.RUNNING, "running"),
        )
        if counts[state]
    ]
    lines = [f"{sweep.name}: {', '.join(told) or 'no trials'} of {sweep.budget}"]
    rows = [["trial", sweep.file.metric, *(d.key for d in sweep.dimensions)]]
    for trial in [t for t in trials if t.state == TrialState.COMPLETE][:_SHOWN]:
        point = point_of(trial)
        values = [short(point.get(d.key)) for d in sweep.dimensions]
        rows.append([trial_name(sweep.name, trial.number), short(trial.value), *values])
    lines += aligned(rows)
    if explained := importances(study):
        lines += ["importance: " + ", ".join(f"{key} {share:.2f}" for key, share in explained.items())]
    if (best := study.best()) is not None:
        name = str(best.user_attrs.get("same_as", trial_name(sweep.name, best.number)))
        lines += [f"take the best: dvc exp apply {name}"]
    return "\n".join(lines)


def for_programs(study: SweepStudy) -> dict[str, Any]:
    """All trials, the best first, each with its state (`complete`, `pruned`, `fail`, `running`) and parameters."""
    sweep, best = study.sweep, study.best()
    trials = [
        {
            "name": str(trial.user_attrs.get("same_as", trial_name(sweep.name, trial.number))),
            "state": trial.state.name.lower(),
            "value": trial.value if trial.state == TrialState.COMPLETE else None,
            "params": point_of(trial),
            "reason": reason_of(trial) or None,
        }
        for trial in ranked(study)
    ]
    return {
        "trials": trials,
        "best": None if best is None else trials[0]["name"],
        "importance": importances(study),
    }


def write_files(study: SweepStudy, folder: Path) -> list[Path]:
    """`trials.csv`, `sweep.html` and `parallel.svg` below a folder; returns their paths."""
    files = {
        "trials.csv": _csv(study),
        "parallel.svg": (_SVG_HEAD + _svg(study)).encode(),
        "sweep.html": _page(study).encode(),
    }
    for name, data in files.items():
        write_bytes(folder / name, data)
    return [folder / name for name in files]


SEARCH = Report(
    ranked=True,
    table=table,
    files="Files: `sweep/sweep.html` has the parallel coordinates and all trials.",
    write_files=write_files,
    numbers=lambda _: {},
    for_programs=for_programs,
)
"""Of a search for better parameters."""


_SVG_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def _csv(study: SweepStudy) -> bytes:
    keys = [d.key for d in study.sweep.dimensions]
    rows = []
    for trial in study.trials():
        point = point_of(trial)
        value = trial.value if trial.state == TrialState.COMPLETE else None
        note = reason_of(trial) or trial.user_attrs.get("same_as", "")
        name = trial_name(study.sweep.name, trial.number)
        cells = [name, trial.state.name.lower(), value, *(_cell(point.get(key)) for key in keys)]
        rows.append([*cells, len(trial.intermediate_values) or "", note])
    return csv_bytes(["trial", "state", study.sweep.file.metric, *keys, "epochs", "note"], rows)


def _cell(value: Any) -> Any:
    return short(value) if isinstance(value, Mapping) else value


class _Axis:
    """A vertical line with a scale: positions from 0 (bottom) to 1 (top) of a parameter's values."""

    def __init__(self, name: str, values: list[Any], dimension: Dimension | None) -> None:
        self.name = name
        self._order: list[Any] = []
        self.log = bool(dimension and dimension.range and dimension.range.log)
        if dimension is not None and dimension.range is None:
            self._order = list(dimension.choices)
            self.ends = (0.0, float(max(1, len(self._order) - 1)))
            return
        low, high = (
            (dimension.range.low, dimension.range.high)
            if dimension and dimension.range
            else (min(values, default=0.0), max(values, default=1.0))
        )
        self.ends = (self._scale(low), self._scale(high))

    def _scale(self, value: float) -> float:
        return math.log10(value) if self.log else float(value)

    def at(self, value: Any) -> float:
        low, high = self.ends
        number = float(self._order.index(value)) if self._order else self._scale(value)
        return 0.5 if high == low else (number - low) / (high - low)

    def ticks(self) -> Iterator[tuple[float, str]]:
        if self._order:
            yield from ((self.at(value), short(value)) for value in self._order)
            return
        low, high = self.ends
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            value = low + share * (high - low)
            yield share, f"{10**value if self.log else value:.3g}"


def _svg(study: SweepStudy) -> str:
    """Parallel coordinates: a line a completed trial, through its parameters to the metric; the darker the better."""
    dimensions, metric = study.sweep.dimensions, study.sweep.file.metric
    done = [t for t in ranked(study) if t.state == TrialState.COMPLETE and t.value is not None]
    axes = [_Axis(d.key, [], d) for d in dimensions] + [_Axis(metric, [t.value for t in done], None)]
    gap = (_WIDTH - 2 * _LEFT) / max(1, len(axes) - 1)
    bottom = _TOP + _HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 30}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{_WIDTH}" height="{bottom + 30}" fill="white"/>',
    ]
    for place in range(len(done) - 1, -1, -1):
        trial = done[place]
        point = point_of(trial)
        heights = [axis.at(point[axis.name]) for axis in axes[:-1]] + [axes[-1].at(trial.value)]
        path = " ".join(
            f"{_LEFT + index * gap:.1f},{bottom - height * _HEIGHT:.1f}" for index, height in enumerate(heights)
        )
        share = place / max(1, len(done) - 1)
        red, green, blue = (round(b + (w - b) * share) for b, w in zip(_BEST, _WORST, strict=True))
        told = ", ".join(f"{key} {short(value)}" for key, value in point.items())
        title = f"{trial_name(study.sweep.name, trial.number)}: {metric} {short(trial.value)}; {told}"
        width = 3 if place == 0 else 1.5
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="rgb({red},{green},{blue})" stroke-width="{width}">'
            f"<title>{html.escape(title)}</title></polyline>"
        )
    for index, axis in enumerate(axes):
        x = _LEFT + index * gap
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" stroke="#444"/>')
        parts.append(f'<text x="{x:.1f}" y="{_TOP - 25}" text-anchor="middle">{html.escape(axis.name)}</text>')
        for share, label in axis.ticks():
            y = bottom - share * _HEIGHT
            parts.append(f'<text x="{x + 5:.1f}" y="{y + 4:.1f}" fill="#333">{html.escape(label)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _page(study: SweepStudy) -> str:
    sweep = study.sweep
    rows = []
    for trial in ranked(study):
        point = point_of(trial)
        value = short(trial.value) if trial.state == TrialState.COMPLETE else ""
        cells = [trial_name(sweep.name, trial.number), trial.state.name.lower(), value]
        cells += [short(point.get(d.key, "")) for d in sweep.dimensions] + [reason_of(trial)]
        rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    heads = ["trial", "state", sweep.file.metric, *(d.key for d in sweep.dimensions), ""]
    bars = "".join(
        f'<tr><td>{html.escape(key)}</td><td><div class="bar" style="width:{300 * share:.0f}px"></div></td>'
        f"<td>{share:.2f}</td></tr>"
        for key, share in importances(study).items()
    )
    bars = f"<table>{bars}</table>" if bars else "<p>At least four completed trials are needed.</p>"
    head = "".join(f"<th>{html.escape(each)}</th>" for each in heads)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(sweep.name)}</title><style>
body {{ font-family: sans-serif; margin: 24px; }} table {{ border-collapse: collapse; }}
td, th {{ padding: 3px 10px; text-align: left; border-bottom: 1px solid #ddd; }}
.bar {{ background: rgb{_BEST}; height: 12px; }} polyline:hover {{ stroke: #d33; stroke-width: 4; }}
svg {{ max-width: 100%; }}
</style></head><body>
<h1>{html.escape(sweep.name)}</h1>
<p>{html.escape(sweep.file.metric)}, to {sweep.file.goal}; method {sweep.file.method}, seed {sweep.file.seed}.</p>
<h2>Parallel coordinates</h2>
<p>A line is a trial; the darker, the better. Point at one to read it.</p>
{_svg(study)}
<h2>Importance of the parameters</h2>
{bars}
<h2>Trials</h2>
<table><tr>{head}</tr>{"".join(rows)}</table>
</body></html>
"""
