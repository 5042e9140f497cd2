"""MLflow as a `Store`: the project's own SQLite file, or whatever `MLFLOW_TRACKING_URI` names.

The only module of the project that imports mlflow while stages run. Import it in the sender, never in a stage.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import shlex
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.tracking.journal.journal import Event
from samebits.tracking.tracking_uri import Target, explain, without_password
from samebits.tracking.upload.delivery import (
    Entry,
    Point,
    RunGone,
    StoredRun,
    StoreRefused,
    StoreUnavailable,
    Text,
)
from samebits.tracking.upload.logged_model import ModelFacts, log_model
from samebits.tracking.upload.moved import ARTIFACTS, absolute, repair_sources
from samebits.tracking.upload.sqlite_points import insert as insert_points
from samebits.tracking.upload.sqlite_points import is_plain, takes

os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

import mlflow
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LifecycleStage,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException

# "Creating initial MLflow database tables", in the middle of what a command says.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)

RECORD_TAG = "samebits.record"

_SET_UP_S = 120.0
_AT_ONCE = 100
_REFUSED = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "MALFORMED_REQUEST", "INVALID_STATE"}
_NO_MODELS = {"ENDPOINT_NOT_FOUND", "NOT_FOUND", "RESOURCE_DOES_NOT_EXIST", "NOT_IMPLEMENTED", "FEATURE_DISABLED"}
"""Of a server before MLflow 3."""
_DIGEST_SHOWN = 16

DISK_FIX = "look at the disk of mlruns and .samebits (df -h, df -i) and at their permissions, then run this again"


@contextlib.contextmanager
def _translated(uri: str) -> Iterator[None]:
    """MLflow's errors as the three kinds that delivery tells apart."""
    try:
        yield
    except MlflowException as error:
        text = without_password(str(error)).splitlines()[0] if str(error) else type(error).__name__
        if error.error_code == "RESOURCE_DOES_NOT_EXIST" or "must be in the 'active'" in text:
            raise RunGone(text[:500]) from error
        if error.error_code in _REFUSED:
            raise StoreRefused(text[:500]) from error
        raise StoreUnavailable(explain(uri, text)) from error
    except sqlite3.Error as error:
        raise StoreUnavailable(explain(uri, f"(sqlite3.{type(error).__name__}) {error}")) from error
    except OSError as error:
        raise StoreUnavailable(explain(uri, str(error))) from error


def set_up_local(project: Project, target: Target, experiment: str) -> str:
    """Create or open the project's SQLite store and its experiment. Returns the experiment's id.

    One process at a time, and the file appears whole: two processes that create the tables at once break it for good
    (measured, MLflow 3.17). The artefact location is relative, so that a repository that was moved finds its
    artefacts; MLflow's own `create_experiment` makes it absolute.
    """
    database = project.mlruns / "mlflow.db"
    project.mlruns.mkdir(parents=True, exist_ok=True)
    project.state.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(project.state / "mlflow.lock", timeout=_SET_UP_S):
        if not database.exists():
            _create_database(database, experiment)
        client = open_client(target, project)
        repair_sources(database, project.home)
        found = client.get_experiment_by_name(experiment)
        if found is not None:
            return _active(client, found.experiment_id, found.lifecycle_stage)
        created = str(client.create_experiment(experiment, artifact_location=ARTIFACTS))
        with contextlib.closing(sqlite3.connect(database, timeout=30.0)) as connection, connection:
            connection.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (ARTIFACTS, int(created))
            )
        return created


def _create_database(database: Path, experiment: str) -> None:
    """Tables by MLflow in a file aside, copied whole by SQLite, renamed into place.

    MLflow's first experiment, `Default`, gets our name: an empty one beside ours would be the first thing seen.
    """
    with tempfile.TemporaryDirectory(dir=database.parent) as scratch:
        made, whole = Path(scratch) / "made.db", Path(scratch) / "whole.db"
        MlflowClient(f"sqlite:///{made}").search_experiments(max_results=1)
        with contextlib.closing(sqlite3.connect(made)) as connection:
            with connection:
                connection.execute("UPDATE experiments SET name = ?, artifact_location = ?", (experiment, ARTIFACTS))
            connection.execute("VACUUM INTO ?", (str(whole),))
        with contextlib.closing(sqlite3.connect(whole)) as connection:
            # The UI's reads and our writes no longer lock each other out; the setting stays with the file.
            connection.execute("PRAGMA journal_mode=WAL")
        whole.replace(database)


def open_client(target: Target, project: Project) -> MlflowClient:
    """A client.

    Raises:
        UserError: if the project's own store is damaged, or of another version of MLflow.
    """
    try:
        return MlflowClient(target.uri)
    except Exception as error:  # what MLflow, Alembic and SQLAlchemy raise is not listed anywhere
        if not target.local:
            raise
        raise explain_broken(project.mlruns / "mlflow.db", error) from None


def explain_broken(database: Path, error: Exception) -> UserError:
    """The message for a store of the project's own that cannot be opened: what is wrong with it, and what to do."""
    text = " ".join(without_password(str(error)).split())
    shown, address = shlex.quote(str(database)), shlex.quote(f"sqlite:///{database}")
    if "locate revision" in text or "database schema" in text:
        return UserError(
            f"{database} was written by another version of MLflow than {mlflow.__version__}, which runs here",
            f"install the version that wrote it; or, if that was an older one: mlflow db upgrade {address}",
        )
    if "not a database" in text or "malformed" in text or "disk image" in text:
        return UserError(
            f"{database} is damaged: SQLite cannot read it",
            f"restore it from a backup; or move it away (mv {shown} {shown}.damaged): a new one is made, without "
            "the runs of before",
        )
    return UserError(
        f"{database} cannot be opened: {text.partition(' [SQL')[0][:300] or type(error).__name__}", DISK_FIX
    )


def _active(client: MlflowClient, experiment_id: str, stage: str) -> str:
    if stage != LifecycleStage.ACTIVE:
        client.restore_experiment(experiment_id)
    return str(experiment_id)


def probe(project: Project, target: Target, experiment: str) -> float:
    """Write a run, read it back, delete it; seconds that this took.

    Raises:
        StoreUnavailable, StoreRefused: if the store does not take it, or gives something else back.
    """
    began = time.monotonic()
    store = MlflowStore(project, target)
    experiment_id = store.prepare(experiment)
    with _translated(target.uri):
        client = MlflowClient(target.uri)
        run_id = client.create_run(experiment_id, run_name="samebits doctor").info.run_id
        try:
            client.log_batch(run_id, metrics=[Metric("probe", 1.0, 0, 0)])
            if client.get_run(run_id).data.metrics.get("probe") != 1.0:
                raise StoreUnavailable(f"MLflow at {target.shown} does not give back what it took")
        finally:
            client.delete_run(run_id)
        if target.local:
            # Else deleted probes would fill the page of deleted runs.
            client._tracking_client.store._hard_delete_run(run_id)
    return time.monotonic() - began


class MlflowStore:
    """A `Store`. The current folder must be the project's home, which relative artefact locations count from."""

    def __init__(self, project: Project, target: Target) -> None:
        self.uri = target.uri
        self._project = project
        self._target = target
        self._database = project.mlruns / "mlflow.db"
        self._experiments: dict[str, str] = {}
        self._taken: set[str] = set()
        """Names of metrics that MLflow has taken from here: no others are written past it."""

    @functools.cached_property
    def _has_known_tables(self) -> bool:
        return self._target.local and takes(self._database)

    @functools.cached_property
    def client(self) -> MlflowClient:
        """Made after `prepare`: MLflow creates missing tables as soon as there is a client."""
        return open_client(self._target, self._project)

    def prepare(self, experiment: str) -> str:
        """The id of the experiment, which is made where it is missing."""
        if experiment not in self._experiments:
            with _translated(self.uri):
                if self._target.local:
                    self._experiments[experiment] = set_up_local(self._project, self._target, experiment)
                else:
                    self._experiments[experiment] = self._remote_experiment(experiment)
        return self._experiments[experiment]

    def _remote_experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self.client.create_experiment(name))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                # Somebody else was first.
                found = self.client.get_experiment_by_name(name)
                assert found is not None
        return _active(self.client, found.experiment_id, found.lifecycle_stage)

    def has_experiment(self, name: str) -> bool:
        """Whether a run, deleted ones included, is of this DVC experiment."""
        with _translated(self.uri):
            ids = [each.experiment_id for each in self.client.search_experiments(ViewType.ALL)]
            # A name with a quote in it is no name of DVC's.
            found = self.client.search_runs(ids, f"tags.`dvc.exp_name` = '{name}'", ViewType.ALL, max_results=1)
            return bool(found)

    def open_run(self, run_id: str, key: str, name: str, experiment: str, start_ms: int) -> StoredRun:
        experiment_id = self.prepare(experiment)
        with _translated(self.uri):
            if not run_id:
                found = self.client.search_runs(
                    [experiment_id], f"tags.`{RECORD_TAG}` = '{key}'", ViewType.ACTIVE_ONLY, max_results=1
                )
                if not found:
                    tags = {RECORD_TAG: key}
                    run = self.client.create_run(experiment_id, start_time=start_ms, tags=tags, run_name=name)
                    return StoredRun(run.info.run_id)
                run_id = found[0].info.run_id
            run = self.client.get_run(run_id)
            if run.info.lifecycle_stage != LifecycleStage.ACTIVE:
                raise RunGone(f"run {run_id} was deleted")
            steps = {
                name: {point.step for point in self.client.get_metric_history(run_id, name)}
                for name in run.data.metrics
            }
            return StoredRun(run_id, dict(run.data.params), steps)

    def log(self, run_id: str, entries: list[Entry]) -> None:
        points = [e for e in entries if isinstance(e, Point)]
        texts = [e for e in entries if isinstance(e, Text)]
        with _translated(self.uri):
            direct = [e for e in points if e.name in self._taken and is_plain(e)] if self._has_known_tables else []
            if direct:
                insert_points(self._database, run_id, direct)
                points = [e for e in points if not (e.name in self._taken and is_plain(e))]
            if points:
                metrics = [Metric(e.name, e.value, e.time_ms, e.step) for e in points]
                self.client.log_batch(run_id, metrics=metrics)
                self._taken |= {e.name for e in points}
            for begin in range(0, len(texts), _AT_ONCE):
                some = texts[begin : begin + _AT_ONCE]
                self.client.log_batch(
                    run_id,
                    params=[Param(e.name, e.value) for e in some if e.kind == "param"],
                    tags=[RunTag(e.name, e.value) for e in some if e.kind == "tag"],
                )

    def add_artifact(self, run_id: str, path: Path, folder: str) -> None:
        with _translated(self.uri):
            self.client.log_artifact(run_id, str(path), folder or None)

    def add_dataset(self, run_id: str, event: Event) -> None:
        counts = json.dumps(event["counts"], sort_keys=True)
        dataset = Dataset(
            name=event["name"],
            digest=event["digest"][:_DIGEST_SHOWN],
            source_type="local",
            source=json.dumps({"uri": event["source"]}),
            profile=counts,
        )
        context = InputTag("mlflow.data.context", event["stage"])
        with _translated(self.uri):
            self.client.log_inputs(run_id, [DatasetInput(dataset, [context])])

    def log_model(self, run_id: str, facts: ModelFacts) -> None:
        with _translated(self.uri):
            run = self.client.get_run(run_id)
            try:
                log_model(self.client, run, facts, _DIGEST_SHOWN)
            except MlflowException as error:
                if error.error_code in _NO_MODELS:
                    raise StoreRefused(f"it has no page for models: {str(error)[:300]}") from error
                raise

    def source_of(self, artifact_uri: str) -> str:
        """The address by which whoever loads a registered version finds artefacts, from any folder."""
        return absolute(self._project.home, artifact_uri) if self._target.local else artifact_uri

    def set_status(self, run_id: str, status: str, time_ms: int, name: str) -> None:
        with _translated(self.uri):
            if status == "RUNNING":
                self.client.update_run(run_id, status=status, name=name)
            else:
                self.client.set_terminated(run_id, status, end_time=time_ms)
