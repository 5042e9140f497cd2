"""Seconds from starting the process to the end of the first training step, for us and for each peer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parts import training, workspaces
from parts.base import Contender, Options, Row, alternate, others, spread, summary, table

OFF = "samebits, tracking off"
WARM, COLD = "warm", "cold"
_ONE_STEP = ["--warmup-steps", "1", "--warmup-seconds", "0", "--steps", "1", "--losses", "0", "0"]
_DROP = Path("/proc/sys/vm/drop_caches")


def measure(options: Options) -> dict[str, Any]:
    """Warm: files are in the page cache. Cold: it is emptied before each run, where that is allowed (root on Linux)."""
    on = training.ours("convnet", True, options)
    off_folder = workspaces.workspace(
        "startup-off", "mnist", {"runtime": {"tracking": {"enabled": False}}}, workspaces.fashion()
    )
    mine = [
        Contender(training.OURS, [*on.command, *_ONE_STEP], before=on.before, stops=on.stops),
        workspaces.ours(OFF, off_folder, *_ONE_STEP),
    ]
    theirs = [Contender(each.name, [*each.command, *_ONE_STEP]) for each in training.peers("convnet", True, options)]
    rounds = options.steps(options.rounds + 2, 1)
    rows = alternate([*mine, *theirs], rounds, WARM)
    if not options.quick and _may_drop():
        cold = [Contender(each.name, each.command, before=_cold(each), stops=each.stops) for each in [*mine, *theirs]]
        rows += alternate(cold, options.rounds, COLD)
    return {"rows": rows}


def _may_drop() -> bool:
    try:
        _DROP.write_text("1")
    except OSError:
        return False
    return True


def _cold(contender: Contender) -> Any:
    def prepare() -> None:
        if contender.before:
            contender.before()
        _DROP.write_text("3")

    return prepare


def render(found: dict[str, Any]) -> list[str]:
    rows: list[Row] = found["rows"]
    names = list(dict.fromkeys(row["name"] for row in rows))
    kinds = [kind for kind in (WARM, COLD) if any(row["subject"] == kind for row in rows)]
    counts = ", ".join(f"{kind} n = {summary(rows, names[0], 'first_step_seconds', kind)[3]}" for kind in kinds)
    body = [[name, *(spread(rows, name, "first_step_seconds", kind, 2) for kind in kinds)] for name in names]
    text = (
        "Seconds from the start of the process to the end of the first training step (convnet, augmented), "
        "imports, data and "
        "MLflow's start included. Ours: `python stages/train.py` in a project whose MLflow store exists. Warm: "
        "the files are in "
        "the page cache; cold: it was emptied before each run. The goal is under 4 s."
    )
    return ["## Start-up", "", text, "", *table([counts, *kinds], body), "", f"Other processes: {others(rows)} cores."]
