"""Metrics for a run whose stages have ended: what was measured of its model since."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from samebits.base.paths import Project
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.tracking.journal.journal import new_segment
from samebits.tracking.journal.record import Record, read_records, runs_lock
from samebits.tracking.journal.run_state import RunState
from samebits.tracking.journal.spawn import await_delivery, ensure_sender

_WAIT_S = 10.0


def run_that_made(project: Project, output: Path) -> Record | None:
    """The newest record here of an execution whose output has the bytes that lie there now; None if there is none."""
    tag = f"dvc.out.{output.relative_to(project.workspace).as_posix()}"
    found = dvc_md5(output)
    return next((record for record in read_records(project) if _tags(record).get(tag) == found), None)


def _tags(record: Record) -> dict[str, str]:
    state = RunState()
    for segment in record.segments():
        for event in segment.events():
            state.apply(event, segment)
    return state.tags


def add_later(project: Project, record: Record, writer: str, values: Mapping[str, float], step: int) -> str:
    """Points for the run of a record, one for each metric. Returns a warning; empty if MLflow has them.

    Args:
        writer: what measured them.
        step: another one than of the points before.
    """
    with runs_lock(project):
        journal = new_segment(record.folder, writer)
    journal.append("metrics", step=step, v=dict(values))
    journal.sync()
    journal.close()
    ensure_sender(project, record.folder)
    return await_delivery(project, record, journal.path, _WAIT_S)
