"""What came of a setting over seeds: each seed, mean, standard deviation and interval; as text, page, CSV, metrics.

Every number is that of the experiment's metrics files, which `dvc exp show` and the seed's run in MLflow show, too.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import TrialState

from samebits.base.files import csv_bytes, write_bytes
from samebits.metrics.registry import directions
from samebits.sweeps.intervals import CONFIDENCE, Spread, spread
from samebits.sweeps.report import Report, aligned, short
from samebits.sweeps.study import SweepStudy, point_of, reason_of, trial_name

_VALIDATION = "val/loss"
_WIDTH, _LEFT, _ROW = 900, 40, 90
_STATES = {TrialState.COMPLETE: "complete", TrialState.FAIL: "failed", TrialState.PRUNED: "stopped"}
NOTE = (
    "The seed sets first weights, order, augmentation and dropout. Data and split are the same for all seeds, so the "
    "interval is no answer to what other data would give."
)


@dataclass(frozen=True)
class SeedResult:
    """One seed of a study.

    Attributes:
        name: of its experiment; empty before its trial began.
        state: `complete`, `failed`, `stopped`, or `open` while it has no result.
        numbers: of its metrics files, named as in MLflow; empty unless complete.
        reason: why it failed.
    """

    seed: int
    name: str
    state: str
    numbers: Mapping[str, float]
    reason: str


def seed_results(study: SweepStudy) -> list[SeedResult]:
    """The seeds that the study has or is to have, by seed: also those beyond what was asked for this time."""
    found = []
    for trial in study.trials():
        seed = point_of(trial).get("seed")
        if seed is not None:
            state, numbers = _STATES.get(trial.state, "open"), trial.user_attrs.get("numbers", {})
            found.append(SeedResult(seed, trial_name(study.sweep.name, trial.number), state, numbers, reason_of(trial)))
    begun = {each.seed for each in found}
    found += [SeedResult(seed, "", "open", {}, "") for seed in range(study.sweep.budget) if seed not in begun]
    return sorted(found, key=lambda each: each.seed)


def shown_numbers(study: SweepStudy, results: Sequence[SeedResult]) -> list[str]:
    """Those of the test split that can decide, and the validation loss, as far as a seed has them."""
    own: dict[str, str] = {}
    for trial in study.trials():
        own |= trial.user_attrs.get("better", {})
    wanted = [*(f"test/{name}" for name in directions(own)), _VALIDATION]
    return [name for name in wanted if any(name in each.numbers for each in results)]


def spreads(study: SweepStudy) -> dict[str, Spread]:
    """Number to its spread over the seeds that have it."""
    results = seed_results(study)
    return {
        name: spread(np.array([each.numbers[name] for each in results if name in each.numbers]))
        for name in shown_numbers(study, results)
    }


def numbers(study: SweepStudy) -> dict[str, float]:
    """`mean/NUMBER` and `std/NUMBER`, for the parent run."""
    found = {}
    for name, each in spreads(study).items():
        found[f"mean/{name}"] = each.mean
        if each.std is not None:
            found[f"std/{name}"] = each.std
    return found


def table(study: SweepStudy) -> str:
    """Each seed, then mean, standard deviation and interval; what is missing, and what these are of."""
    results, columns = seed_results(study), spreads(study)
    done = [each for each in results if each.state == "complete"]
    rows = [["seed", *columns, "experiment"]]
    rows += [[str(each.seed), *(_cell(each.numbers.get(name)) for name in columns), each.name] for each in done]
    if columns:
        rows.append(["mean", *(short(each.mean) for each in columns.values()), ""])
    if any(each.std is not None for each in columns.values()):
        rows.append(["std", *(_cell(each.std) for each in columns.values()), ""])
        rows.append([f"{CONFIDENCE:.0%}", *(_interval(each) for each in columns.values()), ""])
    lines = [f"{study.sweep.name}: {len(done)} of {len(results)} seeds are complete"]
    lines += aligned(rows)
    lines += _missing(results)
    if columns:
        lines += [f"{CONFIDENCE:.0%}: t interval of the mean over the seeds. {NOTE}"]
        lines += [f"against another setting: samebits compare {study.sweep.name} OTHER"]
    return "\n".join(lines)


def for_programs(study: SweepStudy) -> dict[str, Any]:
    """Every seed with its state and metrics, and each metric's mean, standard deviation and interval."""
    return {
        "seeds": [asdict(each) for each in seed_results(study)],
        "metrics": {
            name: {
                "mean": each.mean,
                "std": each.std,
                "low": each.interval.low if each.interval else None,
                "high": each.interval.high if each.interval else None,
            }
            for name, each in spreads(study).items()
        },
    }


def _missing(results: Sequence[SeedResult]) -> list[str]:
    failed = [each for each in results if each.state in ("failed", "stopped")]
    lines = [f"seed {each.seed} {each.state}: {each.reason.splitlines()[0] if each.reason else ''}" for each in failed]
    if failed:
        lines.append("the mean is that of the seeds that came through, which may flatter the setting")
    return lines


def _cell(value: float | None) -> str:
    return "–" if value is None else short(float(value))


def _interval(each: Spread) -> str:
    return "–" if each.interval is None else f"{short(each.interval.low)} to {short(each.interval.high)}"


def write_files(study: SweepStudy, folder: Path) -> list[Path]:
    """`seeds.csv` and `seeds.html` below a folder; returns their paths."""
    files = {"seeds.csv": _csv(study), "seeds.html": _page(study).encode()}
    for name, data in files.items():
        write_bytes(folder / name, data)
    return [folder / name for name in files]


def _csv(study: SweepStudy) -> bytes:
    results = seed_results(study)
    columns = shown_numbers(study, results)
    return csv_bytes(
        ["seed", "experiment", "state", *columns, "note"],
        [
            [each.seed, each.name, each.state, *(each.numbers.get(name) for name in columns), each.reason]
            for each in results
        ],
    )


def _page(study: SweepStudy) -> str:
    name = html.escape(study.sweep.name)
    parts = "".join(_strip(study, number, each) for number, each in spreads(study).items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>
body {{ font-family: sans-serif; margin: 24px; max-width: 1000px; }} svg {{ width: 100%; }}
circle {{ fill: rgb(33,82,160); fill-opacity: 0.65; }} circle:hover {{ fill: #d33; }}
</style></head><body>
<h1>{name}</h1>
<p>A dot is a seed; the line is the {CONFIDENCE:.0%} t interval of the mean, the tick the mean. {html.escape(NOTE)}</p>
{parts}
<pre>{html.escape(table(study))}</pre>
</body></html>
"""


def _strip(study: SweepStudy, number: str, each: Spread) -> str:
    """A dot per seed on one line, with mean and interval below it."""
    values = {r.seed: r.numbers[number] for r in seed_results(study) if number in r.numbers}
    ends = [*values.values(), *((each.interval.low, each.interval.high) if each.interval else ())]
    low, high = min(ends), max(ends)

    def at(value: float) -> float:
        return _LEFT + (_WIDTH - 2 * _LEFT) * ((value - low) / (high - low) if high > low else 0.5)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_ROW}" font-family="sans-serif" font-size="12" role="img">']
    if each.interval:
        ends_at = at(each.interval.low), at(each.interval.high)
        parts.append(f'<line x1="{ends_at[0]:.1f}" x2="{ends_at[1]:.1f}" y1="50" y2="50" stroke="#444"/>')
    parts.append(f'<line x1="{at(each.mean):.1f}" x2="{at(each.mean):.1f}" y1="42" y2="58" stroke="#444"/>')
    for seed, value in values.items():
        parts.append(f'<circle cx="{at(value):.1f}" cy="30" r="6"><title>seed {seed}: {value!r}</title></circle>')
    parts.append(f'<text x="{_LEFT}" y="80" text-anchor="start">{short(low)}</text>')
    parts.append(f'<text x="{_WIDTH - _LEFT}" y="80" text-anchor="end">{short(high)}</text></svg>')
    told = f"{html.escape(number)}: {short(each.mean)}" + (f" ({_interval(each)})" if each.interval else "")
    return f"<h2>{told}</h2>\n" + "".join(parts) + "\n"


SEEDS = Report(
    ranked=False,
    table=table,
    files="Files: `sweep/seeds.html` has a dot per seed, `sweep/seeds.csv` every digit.",
    write_files=write_files,
    numbers=numbers,
    for_programs=for_programs,
)
"""Of one setting over seeds: none of them is the best."""
