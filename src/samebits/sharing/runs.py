"""A run's summary as a small JSON: out of one person's MLflow, into another's."""

from __future__ import annotations

import json
from typing import Any

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.redaction import first_secret, without_secrets
from samebits.params.runtime import read_runtime
from samebits.tracking.tracking_uri import pick_target

SHARED = "samebits.shared_run"
"""Tag of a run that came from somebody else: the id that it has there."""

_OURS = ("mlflow.user", "mlflow.source", "mlflow.log-model", "samebits.record")
"""Tags that speak of the machine and the person, and stay there."""


def summary_of(project: Project, experiment: str) -> dict[str, Any] | None:
    """The newest run of a DVC experiment: name, status, times, parameters, last metrics, tags. None if there is none.

    What looks like a credential is blotted out.

    Raises:
        UserError: if the store cannot be asked.
    """
    target = pick_target(project)
    if target.local and not (project.mlruns / "mlflow.db").is_file():
        return None
    # Before MLflow: it switches MLflow's telemetry off.
    from samebits.tracking.upload.mlflow_store import open_client  # isort: skip
    from mlflow.exceptions import MlflowException

    try:
        client = open_client(target, project)
        folders = [each.experiment_id for each in client.search_experiments()]
        # A name with a quote in it is no name of DVC's.
        found = client.search_runs(folders, f"tags.`dvc.exp_name` = '{experiment}'", max_results=1)
    except (MlflowException, OSError) as error:
        raise UserError(
            f"MLflow at {target.shown} cannot be asked for the run: {without_secrets(str(error))}",
            "bring it up; or share without it: dvc exp push",
        ) from error
    if not found:
        return None
    run = found[0]
    return {
        "run_id": run.data.tags.get(SHARED, run.info.run_id),
        "name": run.info.run_name,
        "status": run.info.status,
        "start_ms": run.info.start_time,
        "end_ms": run.info.end_time,
        "params": {name: _clean(value) for name, value in run.data.params.items()},
        "metrics": dict(run.data.metrics),
        "tags": {name: _clean(value) for name, value in run.data.tags.items() if not name.startswith(_OURS)},
    }


def _clean(text: str) -> str:
    return text if first_secret(text) is None else without_secrets(text)


def parse_summary(text: str) -> dict[str, Any]:
    """A summary that came by git.

    Raises:
        UserError: if it is none: nothing of it is recorded then.
    """
    try:
        value = json.loads(text)
        summary = {
            "run_id": str(value["run_id"]),
            "name": str(value["name"]),
            "status": str(value["status"]),
            "start_ms": int(value["start_ms"]),
            "end_ms": int(value["end_ms"] or value["start_ms"]),
            "params": {str(name): str(each) for name, each in value["params"].items()},
            "metrics": {str(name): float(each) for name, each in value["metrics"].items()},
            "tags": {str(name): str(each) for name, each in value["tags"].items()},
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the run's summary is damaged: {error}", "whoever has the run shares it once more") from error
    return summary


def record_summary(project: Project, summary: dict[str, Any]) -> bool:
    """Make a run of a summary in this project's MLflow, once. Returns whether it was made now.

    Raises:
        UserError: if the store does not take it.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.exceptions import MlflowException

    from samebits.tracking.upload.mlflow_store import MlflowStore

    target = pick_target(project)
    experiment = read_runtime(project.params_file).tracking.experiment
    try:
        experiment_id = MlflowStore(project, target).prepare(experiment)
        client = MlflowClient(target.uri)
        if client.search_runs([experiment_id], f"tags.`{SHARED}` = '{summary['run_id']}'", max_results=1):
            return False
        run = client.create_run(experiment_id, start_time=summary["start_ms"], run_name=summary["name"])
        texts = [Param(name, value) for name, value in summary["params"].items()]
        tags = [RunTag(name, value) for name, value in summary["tags"].items()]
        points = [Metric(name, value, summary["end_ms"], 0) for name, value in summary["metrics"].items()]
        for begin in range(0, max(len(texts), len(tags), len(points)), 100):
            part = slice(begin, begin + 100)
            client.log_batch(run.info.run_id, metrics=points[part], params=texts[part], tags=tags[part])
        client.set_terminated(run.info.run_id, summary["status"], summary["end_ms"])
        # Last: a run without it was cut short, and is made anew.
        client.set_tag(run.info.run_id, SHARED, summary["run_id"])
    except (MlflowException, OSError, RuntimeError) as error:
        raise UserError(
            f"MLflow at {target.shown} does not take the run: {without_secrets(str(error))}",
            "samebits doctor looks at the store; then receive the experiment again",
        ) from error
    return True
