"""The sweep's own run in MLflow: the parent of its trials' runs, with the best, the importances and the figures.

Like all recording it never stops a sweep. What could not be recorded while MLflow was away is recorded at the next try:
the state of a sweep is in its study, not here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from samebits.base.paths import Project
from samebits.sweeps.report import SEARCH, Report, importances, short
from samebits.sweeps.study import SweepStudy, SweepTrial, point_of, trial_name
from samebits.sweeps.trial import Experiment
from samebits.tracking.journal.record import ProcessId
from samebits.tracking.journal.trial import PARENT_TAG, TRIAL_TAG
from samebits.tracking.tracking_uri import check_reachable, pick_target
from samebits.tracking.ui.heartbeat import BEAT_TAG, PROCESS_TAG
from samebits.tracking.upload.delivery import PARAM_LIMIT as _PARAM_LIMIT
from samebits.tracking.upload.delivery import TAG_LIMIT as _TAG_LIMIT
from samebits.tracking.upload.replayed import record_missing

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from samebits.tracking.upload.mlflow_store import MlflowStore

SWEEP_TAG = "samebits.sweep"
"""On the parent run: the sweep's key."""

_BEAT_S = 30.0


class ParentRun:
    """The run of a sweep in MLflow.

    Attributes:
        run_id: of the parent run; empty while MLflow does not answer.
    """

    def __init__(
        self,
        project: Project,
        study: SweepStudy,
        experiment: str,
        say: Callable[[str], None],
        report: Report = SEARCH,
    ) -> None:
        self._project = project
        self._report = report
        self._study = study
        self._experiment_name = experiment
        self._say = say
        self._store: MlflowStore | None = None
        self._experiment = ""
        self._warned = False
        self._beaten = 0.0
        self.run_id = ""

    def open(self) -> None:
        """Find or make the parent run."""
        self._guard(self._open)

    def update(self) -> None:
        """Bring the parent run, and what links the trials' runs to it, up to date."""
        self._guard(self._update)

    def beat(self) -> None:
        """Record that the sweep is alive, for `samebits runs clean` on another machine."""
        if self.run_id and time.monotonic() - self._beaten > _BEAT_S:
            self._beaten = time.monotonic()
            self._guard(lambda: self._tag(BEAT_TAG, str(int(time.time()))))

    def add_failed(self, trial: SweepTrial, experiment: Experiment, reason: str) -> None:
        """A trial that failed before a stage could record it gets its run here, with DVC's log."""
        self._guard(lambda: self._add_failed(trial, experiment, reason))

    def add_replayed(self, trial: SweepTrial) -> None:
        """A trial that DVC's run cache answered ran no stage: its run is made of the experiment's results."""
        self._guard(lambda: self._add_replayed(trial))

    def close(self, status: str, files: list[Path]) -> None:
        """The last update, with the figures; then the status."""
        self._guard(lambda: self._close(status, files))

    def _guard(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # recording never stops a sweep
            if not self._warned:
                first = (str(error).splitlines() or [""])[0]
                self._say(f"warning: the sweep's own run is not up to date in MLflow: {first}")
            self._warned = True

    def _connect(self) -> MlflowClient:
        return self._connected().client

    def _connected(self) -> MlflowStore:
        if self._store is None:
            target = pick_target(self._project)
            check_reachable(target)
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
            from samebits.tracking.upload.mlflow_store import MlflowStore

            store = MlflowStore(self._project, target)
            self._experiment = store.prepare(self._experiment_name)
            self._store = store
        return self._store

    def _open(self) -> None:
        client = self._connect()
        name, tag = self._study.sweep.name, f"tags.`{SWEEP_TAG}` = '{self._study.key}'"
        if not client.search_runs([self._experiment], tag, max_results=1):
            client.create_run(self._experiment, tags={SWEEP_TAG: self._study.key}, run_name=name)
        found = client.search_runs([self._experiment], tag)
        # Two machines may have begun at once: the first one's is everybody's.
        first, *others = sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))
        for each in others:
            client.delete_run(each.info.run_id)
        self.run_id = str(first.info.run_id)
        client.update_run(self.run_id, status="RUNNING")
        client.set_tag(self.run_id, PROCESS_TAG, json.dumps(asdict(ProcessId.of(os.getpid()))))
        for key, value in self._params().items():
            if key not in first.data.params:
                client.log_param(self.run_id, key, value[:_PARAM_LIMIT])
        self.beat()
        self._update()

    def _params(self) -> dict[str, str]:
        sweep = self._study.sweep
        file = sweep.file
        shown: dict[str, Any] = {"method": file.method, "metric": file.metric, "goal": file.goal, "seed": file.seed}
        shown |= {f"set.{key}": value for key, value in file.set.items()}
        shown |= {f"space.{d.key}": json.dumps(d.describe()) for d in sweep.dimensions}
        return {f"sweep.{key}": str(value) for key, value in shown.items()}

    def _update(self) -> None:
        if not self.run_id:
            self._open()
            return
        client, study = self._connect(), self._study
        metric, trials = study.sweep.file.metric, study.trials()
        known = {point.step for point in client.get_metric_history(self.run_id, f"trial/{metric}")}
        better = min if study.sweep.file.goal == "minimize" else max
        done = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None and t.datetime_complete]
        best: float | None = None
        # By the order of completion: a step, once logged, stays true.
        for step, trial in enumerate(sorted(done, key=lambda t: (t.datetime_complete, t.number))):
            value = float(trial.value or 0.0)
            best = value if best is None else better(best, value)
            if step not in known:
                if self._report.ranked:
                    client.log_metric(self.run_id, f"best/{metric}", best, step=step)
                client.log_metric(self.run_id, f"trial/{metric}", value, step=step)
        self._log_numbers(len(done))
        for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
            self._tag(f"sweep.{state.name.lower()}", str(sum(trial.state == state for trial in trials)))
        winner = study.best() if self._report.ranked else None
        if winner is not None:
            self._tag("sweep.best", trial_name(study.sweep.name, winner.number))
            for key, value in point_of(winner).items():
                self._tag(f"sweep.best.{key}", short(value))
        for key, share in (importances(study) if self._report.ranked else {}).items():
            self._tag(f"sweep.importance.{key}", f"{share:.3f}")
        self._tag("mlflow.note.content", self._description(any_done=bool(done)))
        self._link(trials)

    def _log_numbers(self, done: int) -> None:
        """The report's numbers as of so many completed trials; each once."""
        for name, value in self._report.numbers(self._study).items():
            if done not in {point.step for point in self._connect().get_metric_history(self.run_id, name)}:
                self._connect().log_metric(self.run_id, name, value, step=done)

    def _description(self, *, any_done: bool) -> str:
        lines = ["```", self._report.table(self._study), "```"]
        if any_done:
            lines += ["", self._report.files]
        return "\n".join(lines)[:_TAG_LIMIT]

    def _tag(self, name: str, value: str) -> None:
        self._connect().set_tag(self.run_id, name, value)

    def _link(self, trials: list[FrozenTrial]) -> None:
        """Parent and state on the trials' runs; also on those that began while MLflow was away."""
        client, key = self._connect(), self._study.key
        states = {f"{key}/{trial.number}": _STATES[trial.state] for trial in trials}
        for run in client.search_runs([self._experiment], f"tags.`{TRIAL_TAG}` LIKE '{key}/%'", max_results=1000):
            tags, state = run.data.tags, states.get(run.data.tags[TRIAL_TAG], "")
            if tags.get(PARENT_TAG) != self.run_id:
                client.set_tag(run.info.run_id, PARENT_TAG, self.run_id)
            if state and tags.get("sweep.state") != state:
                client.set_tag(run.info.run_id, "sweep.state", state)

    def _add_failed(self, trial: SweepTrial, experiment: Experiment, reason: str) -> None:
        client = self._connect()
        tags = {PARENT_TAG: self.run_id, TRIAL_TAG: f"{self._study.key}/{trial.number}", "samebits.error": reason}
        run = client.create_run(self._experiment, tags=tags, run_name=trial.name)
        for key, value in trial.point.items():
            client.log_param(run.info.run_id, key, short(value))
        client.log_artifact(run.info.run_id, str(experiment.log), "logs")
        client.set_terminated(run.info.run_id, "FAILED")

    def _add_replayed(self, trial: SweepTrial) -> None:
        tags = {TRIAL_TAG: f"{self._study.key}/{trial.number}", PARENT_TAG: self.run_id}
        record_missing(self._project, self._connected(), trial.name, {k: v for k, v in tags.items() if v})

    def _close(self, status: str, files: list[Path]) -> None:
        self._update()
        client = self._connect()
        for file in files:
            client.log_artifact(self.run_id, str(file), "sweep")
        if status == "RUNNING":
            client.update_run(self.run_id, status=status)
        else:
            client.set_terminated(self.run_id, status)


_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "running",
}
