"""Runs of DVC experiments for which no stage ran, because DVC's run cache had every output.

No process of ours is started then, so nobody records anything. The run is made afterwards, from what the experiment's
commit holds: `samebits sweep` does it for its trials at once, `samebits runs sync` and `samebits ui` for all that have
no run.
"""

from __future__ import annotations

import dataclasses
import platform
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from samebits.base.errors import UserError
from samebits.base.git import file_at
from samebits.base.nested import flatten
from samebits.base.paths import Project
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.fingerprint import Fingerprint
from samebits.tracking.journal import replay
from samebits.tracking.journal.committed import remember
from samebits.tracking.journal.experiments import DvcExperiment, dvc_experiments
from samebits.tracking.journal.journal import Event, new_segment
from samebits.tracking.journal.lineage import is_code
from samebits.tracking.journal.record import Execution, ProcessId, Record, read_records, runs_folder, runs_lock
from samebits.tracking.journal.run_state import should_create_run

if TYPE_CHECKING:
    from samebits.tracking.upload.mlflow_store import MlflowStore

_CURVES = "reports/train/curves.csv"
_WANTED = (
    "params.yaml",
    "dvc.lock",
    _CURVES,
    "reports/train/metrics.json",
    "reports/evaluation/metrics.json",
)


def record_missing(
    project: Project, store: MlflowStore, name: str | None = None, tags: Mapping[str, str] | None = None
) -> list[str]:
    """Make the run of each DVC experiment that has none, and deliver it. Returns their names.

    Args:
        name: look at this experiment alone.
        tags: more tags for its run.

    Raises:
        StoreUnavailable: if the store does not answer.
    """
    from samebits.tracking.upload.sender import deliver_left_over

    recorded = {
        execution.experiment
        for record in read_records(project)
        if any(execution.experiment for execution in record.executions) and should_create_run(record.folder)
        for execution in record.executions
    }
    made: list[str] = []
    for each in dvc_experiments(project.home):
        if each.name in recorded or name not in (None, each.name):
            continue
        recorded.add(each.name)
        if not store.has_experiment(each.name) and write_record(project, each, tags or {}):
            made.append(each.name)
    if made:
        deliver_left_over(project, lambda: store)
    return made


def write_record(project: Project, experiment: DvcExperiment, tags: Mapping[str, str]) -> Record | None:
    """A record of an experiment's results, which waits for delivery; None if it was not to be recorded or has none."""
    project.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=project.state) as scratch:
        workspace = _check_out(project, experiment, Path(scratch))
        try:
            params = _params(workspace)
            lock = read_yaml(workspace / "dvc.lock").get("stages", {})
        except UserError:
            return None
        tracking = params.get("runtime", {}).get("tracking", {})
        stages = {stage: found for stage in lock if (found := _results(workspace, project.home, stage))}
        if not stages or not tracking.get("enabled", True):
            return None
        return _write(project, experiment, params, tracking, stages, dict(tags) | _hashes(lock), workspace)


def _check_out(project: Project, experiment: DvcExperiment, workspace: Path) -> Path:
    """The small files of an experiment, as far as its commit or DVC's cache has them."""
    for name in _WANTED:
        data = file_at(project.home, experiment.revision, name)
        if data:
            (workspace / name).parent.mkdir(parents=True, exist_ok=True)
            (workspace / name).write_bytes(data)
    cached = _cached_curves(project, workspace)
    if cached is not None and not (workspace / _CURVES).exists():
        (workspace / _CURVES).parent.mkdir(parents=True, exist_ok=True)
        (workspace / _CURVES).write_bytes(cached.read_bytes())
    return workspace


def _cached_curves(project: Project, workspace: Path) -> Path | None:
    from samebits.pipeline.dvc_cache import open_objects

    try:
        outs = read_yaml(workspace / "dvc.lock")["stages"]["train"]["outs"]
        digest = next(each["md5"] for each in outs if each["path"] == _CURVES)
        path = open_objects(project.home).path(digest)
    except (UserError, KeyError, TypeError, StopIteration):
        return None
    return path if path.is_file() else None


def _params(workspace: Path) -> dict[str, Any]:
    from samebits.params.schema import parse_params

    raw = read_yaml(workspace / "params.yaml")
    try:
        return parse_params(raw).dump()
    except UserError:  # of an older version
        return raw


def _results(workspace: Path, home: Path, stage: str) -> list[Event]:
    if stage not in replay.REPORTS:
        return []
    try:
        return replay.stage_events(Project(workspace, home), stage)
    except (OSError, ValueError):
        return []


def _hashes(lock: Mapping[str, Any]) -> dict[str, str]:
    """`dvc.in.PATH` and `dvc.out.PATH`, as a stage that runs notes them."""
    return {
        f"dvc.{side}.{each['path']}": str(each["md5"])
        for stage in lock.values()
        for side, kind in (("in", "deps"), ("out", "outs"))
        for each in stage.get(kind, [])
        if "md5" in each and not is_code(each["path"])
    }


def _write(
    project: Project,
    experiment: DvcExperiment,
    params: Mapping[str, Any],
    tracking: Mapping[str, Any],
    stages: Mapping[str, list[Event]],
    tags: Mapping[str, str],
    workspace: Path,
) -> Record:
    nobody = ProcessId(platform.node(), 0, "no process: answered by DVC's run cache")
    facts = {
        "dvc.exp_name": experiment.name,
        "dvc.baseline_rev": experiment.baseline,
        "git.commit": experiment.baseline,
        "mlflow.source.git.commit": experiment.baseline,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "dvc exp run",
    }
    with runs_lock(project):
        folder = runs_folder(project) / f"{experiment.committed}-{uuid.uuid4().hex[:12]}"
        (folder / "files").mkdir(parents=True)
        record = Record(folder, Fingerprint(""), str(tracking.get("experiment", "samebits")))
        record.name, record.created = experiment.name, float(experiment.committed)
        record.executions = [Execution(nobody, experiment.name, "dvc exp run")]
        (folder / "files" / "params.yaml").write_bytes((workspace / "params.yaml").read_bytes())
        shared: list[Event] = [
            {"k": "params", "v": {key: str(value) for key, value in flatten(params).items()}},
            {"k": "tags", "v": facts | dict(tags)},
            {"k": "artifact", "file": str(PurePosixPath("files") / "params.yaml"), "folder": ""},
        ]
        for stage, results in stages.items():
            writer = new_segment(folder, stage)
            begin: Event = {
                "k": "start",
                "stage": stage,
                "process": dataclasses.asdict(nobody),
                "name": experiment.name,
            }
            end: Event = {"k": "end", "stage": stage, "status": "FINISHED", "error": ""}
            events, shared = [begin, *shared, *results, end], []
            writer.write([{"t": experiment.committed * 1000, **event} for event in events])
            writer.close()
        remember(record)
        record.save()  # last: without it there is no record
    return record
