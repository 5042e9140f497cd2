"""Whether DVC took the outputs of a record's finished stages: it does that after the stage's process has ended.

Killed in between, DVC runs the stage again, and that is the same execution once more. A stage that runs again although
DVC had its outputs (`dvc repro --force`) is another execution, with a run of its own.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from samebits.base.errors import UserError
from samebits.base.nested import value_at
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_hashes import listing_md5
from samebits.tracking.journal.experiments import dvc_experiments
from samebits.tracking.journal.journal import Segment
from samebits.tracking.journal.lineage import is_code

if TYPE_CHECKING:
    from samebits.tracking.journal.record import Record

_MARK = "committed"


def committed(record: Record, workspace: Path, home: Path) -> bool:
    """Whether DVC has the outputs of every stage that finished in a record whose execution is over.

    What was once seen is kept in a file of the record: later, dvc.lock may be of other parameters, or an experiment
    removed.
    """
    mark = record.folder / _MARK
    if not mark.exists():
        if not _look(record, workspace, home):
            return False
        remember(record)
    return True


def remember(record: Record) -> None:
    """DVC has the outputs of a record's stages."""
    (record.folder / _MARK).touch()


def reopen(record: Record) -> None:
    """A new execution continues the record: what it does is not committed yet."""
    (record.folder / _MARK).unlink(missing_ok=True)


def _look(record: Record, workspace: Path, home: Path) -> bool:
    last = record.executions[-1]
    if not last.command.startswith("dvc "):
        return True  # a stage started by hand: its outputs are wanted by nobody
    if last.experiment:
        # Of a temporary folder nothing is left but the experiment.
        began = int(record.created)
        return any(each.name == last.experiment and each.committed >= began for each in dvc_experiments(home))
    attempts = [segment for segment in record.segments() if segment.writer != "sender"]
    finished = [segment for segment in attempts if segment.last().get("status") == "FINISHED"]
    if not finished:
        return True
    # DVC starts a stage once it has the outputs of those before it.
    return attempts[-1].writer != finished[-1].writer or _is_locked(workspace, finished[-1])


def _is_locked(workspace: Path, attempt: Segment) -> bool:
    """Whether the entry of a stage in dvc.lock is of this attempt, by the parameters and hashes that it recorded."""
    try:
        entry = read_yaml(workspace / "dvc.lock")["stages"][attempt.writer]
        for file, values in entry.get("params", {}).items():
            current = read_yaml(workspace / file)
            if any(value_at(current, key, None) != value for key, value in values.items()):
                return False
    except (UserError, KeyError, TypeError):
        return False
    noted = _tags(attempt)
    for side, paths in (("in", entry.get("deps", [])), ("out", entry.get("outs", []))):
        for each in paths:
            known = noted.get(f"dvc.{side}.{each['path']}", "")
            if known and not known.startswith("not hashed") and known != each.get("md5"):
                return False
    code = [
        (PurePosixPath(each["path"]), str(each.get("md5"))) for each in entry.get("deps", []) if is_code(each["path"])
    ]
    known = noted.get(f"dvc.in.code.{attempt.writer}", "")
    return not known or known.partition(" ")[0] == listing_md5(code)


def _tags(attempt: Segment) -> dict[str, str]:
    found: dict[str, str] = {}
    for event in attempt.events():
        if event["k"] == "tags":
            found |= event["v"]
    return found
