"""What a sweep would do, in words, for `samebits sweep FILE --dry-run`."""

from __future__ import annotations

from samebits.sweeps.report import short
from samebits.sweeps.space import Point, grid_point, override, random_point
from samebits.sweeps.spec import Sweep

_SHOWN = 20


def point_of_number(sweep: Sweep, number: int) -> Point:
    """What a grid or drawn points have at a trial's number; TPE decides it from results."""
    if sweep.file.method == "grid":
        return grid_point(sweep.dimensions, number)
    return random_point(sweep.dimensions, sweep.file.seed, number)


def plan(sweep: Sweep, jobs: int | None = None) -> str:
    """The trials of a grid or of drawn points; for TPE, whose points depend on results, the space."""
    file = sweep.file
    lines = [
        f"{sweep.name}: {sweep.budget} trials by {file.method}, {jobs or file.jobs} at a time, each runs "
        f"{', '.join(sweep.stages)}; {file.metric} is to {file.goal}"
    ]
    lines += [f"  {key}={override(value)}   in all trials" for key, value in file.set.items()]
    if file.method == "tpe":
        for dimension in sweep.dimensions:
            given = dimension.range
            text = ", ".join(map(short, dimension.choices)) if given is None else f"{given.low:g} to {given.high:g}"
            log, step = (given.log, given.step) if given else (False, None)
            lines.append(f"  {dimension.key}: {text}{' (log)' if log else ''}{f', step {step:g}' if step else ''}")
        return "\n".join(lines)
    for number in range(min(sweep.budget, _SHOWN)):
        point = point_of_number(sweep, number)
        wrong = sweep.check_point(point)
        note = f"   will fail: {wrong}" if wrong else ""
        lines.append(f"  {number:03d}  " + "  ".join(f"{k}={override(v)}" for k, v in point.items()) + note)
    if sweep.budget > _SHOWN:
        lines.append(f"  … and {sweep.budget - _SHOWN} more")
    return "\n".join(lines)
