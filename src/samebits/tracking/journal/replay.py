"""Numbers of stages that DVC skipped, read from their outputs, so that each run has the whole row."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samebits.base.nested import flatten
from samebits.base.paths import Project
from samebits.pipeline.context import STAGES
from samebits.pipeline.dvc_lock import is_up_to_date
from samebits.tracking.journal.journal import FROM_OUTPUTS, RAN_AFTER_ALL, REPLAYED
from samebits.tracking.journal.record import Record

REPORTS = {"train": "train", "evaluate": "evaluation"}
"""Stages with numbers, and their folders below reports."""
_NO_METRICS = {"step", "epoch"}


def numbers(path: Path) -> dict[str, float]:
    """The numbers of a metrics file under its own keys; deeper levels are joined by `/`.

    Lists, texts, booleans and nulls are left out: they are for the report, not for columns of a table.

    Raises:
        OSError, ValueError: if there is no such JSON file.
    """
    return finite_numbers(json.loads(path.read_text(encoding="utf-8")))


def finite_numbers(value: Any) -> dict[str, float]:
    """The finite numbers of a parsed metrics file; see `numbers`."""
    found = flatten(value, "/") if isinstance(value, dict) else {}
    return {
        key: float(number)
        for key, number in found.items()
        if isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number)
    }


def curves(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Points of a wide CSV file: a column `step`, and one column a metric with empty cells where it has no point."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            values = {}
            for name, cell in row.items():
                if name in _NO_METRICS or not cell:
                    continue
                number = float(cell)
                if math.isfinite(number):
                    values[name] = number
            if values:
                yield int(row["step"]), values


def skipped_before(project: Project, record: Record, stage: str) -> list[dict[str, Any]]:
    """Events for the stages before `stage` that have outputs here but neither ran nor were replayed in this record."""
    if stage not in STAGES:
        return []
    skipped = [s for s in STAGES[: STAGES.index(stage)] if s in REPORTS and not record.finished(s)]
    return _once(project, record, skipped)


def up_to_date_after(project: Project, record: Record, stage: str) -> list[dict[str, Any]]:
    """Events for the later stages that DVC is going to skip, because all that they read is as dvc.lock has it.

    With the same bits out of a changed training script, `evaluate` does not run again, and its numbers still hold.
    """
    if stage not in STAGES:
        return []
    later = [s for s in STAGES[STAGES.index(stage) + 1 :] if s in REPORTS and is_up_to_date(project.workspace, s)]
    return _once(project, record, later)


def invalidate_replay(_: Project, record: Record, stage: str) -> list[dict[str, Any]]:
    """Events for a stage that starts although its outputs were replayed, as `dvc repro --force` makes it."""
    mark = _mark(record, stage)
    if not mark.exists():
        return []
    mark.unlink()
    return [{"k": "tags", "v": {f"{REPLAYED}{stage}": RAN_AFTER_ALL}}]


def _mark(record: Record, stage: str) -> Path:
    return record.folder / f"replayed-{stage}"


def _once(project: Project, record: Record, stages: list[str]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for stage in stages:
        mark = _mark(record, stage)
        if not mark.exists() and (found := stage_events(project, stage)):
            mark.touch()
            events += found
    return events


def stage_events(project: Project, stage: str) -> list[dict[str, Any]]:
    """What a skipped stage's outputs say: its curves and its final numbers."""
    folder = project.reports / REPORTS[stage]
    events: list[dict[str, Any]] = []
    if (folder / "curves.csv").is_file() and stage == "train":
        events += [{"k": "metrics", "step": step, "v": values} for step, values in curves(folder / "curves.csv")]
    if (folder / "metrics.json").is_file():
        events.append({"k": "summary", "step": 0, "v": numbers(folder / "metrics.json")})
    if events:
        events.append({"k": "tags", "v": {f"{REPLAYED}{stage}": FROM_OUTPUTS}})
    return events
