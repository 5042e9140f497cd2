"""The loop of a sweep: take a trial, start its experiment, watch its curve, note what came of it. N at a time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.params.schema import parse_params, read_params
from samebits.pipeline.fingerprint import fingerprint_of
from samebits.sweeps.parent_run import ParentRun
from samebits.sweeps.preflight import require_tracked
from samebits.sweeps.report import SEARCH, Report, short
from samebits.sweeps.slots import Slot, make_slots
from samebits.sweeps.space import put
from samebits.sweeps.spec import Sweep
from samebits.sweeps.study import SweepStudy, SweepTrial, sweeps_folder, trial_name
from samebits.sweeps.trial import Experiment, experiment_results, require_same
from samebits.tracking.journal.experiments import experiment_revision
from samebits.tracking.journal.run_state import should_create_run
from samebits.tracking.journal.trial import PARENT_VARIABLE, TRIAL_VARIABLE

POLL_S = 0.5
_STOP_S = 90.0
_MAX_FAILURES = 3
"""Abort the sweep after this many failures without a success: the next trials would fail for the same reason."""


@dataclass
class Running:
    trial: SweepTrial
    slot: Slot
    experiment: Experiment
    reported: int = 0
    stopped: bool = False


class Runner:
    """Runs a sweep to its end, or until it is stopped."""

    def __init__(
        self,
        project: Project,
        sweep: Sweep,
        study: SweepStudy,
        parent_run: ParentRun,
        slots: list[Slot],
        say: Callable[[str], None] = print,
        report: Report = SEARCH,
    ) -> None:
        self._project = project
        self._report = report
        self._sweep = sweep
        self._study = study
        self._parent_run = parent_run
        self._slots = slots
        self._say = say
        self._fingerprint = code_fingerprint(project, sweep)
        self._running: list[Running] = []
        self._failed = 0
        self._completed = 0

    def run(self, take_over: bool = False) -> None:
        """Run until there is nothing left to do.

        Raises:
            KeyboardInterrupt: Ctrl-C or SIGTERM; the experiments were stopped and will be gone on with.
            UserError: the code changed under way, or every trial fails.
        """
        done = False
        try:
            while True:
                while not done and (free := self._free_slots()):
                    trial = self._study.next_trial({each.trial.number for each in self._running}, take_over)
                    if trial is None:
                        done = True
                    else:
                        self._start_trial(trial, free[0])
                if not self._running:
                    return
                self._parent_run.beat()
                time.sleep(POLL_S)
                for each in list(self._running):
                    self._poll_experiment(each)
        finally:
            self._stop_all()

    def _free_slots(self) -> list[Slot]:
        busy = {each.slot.index for each in self._running}
        return [slot for slot in self._slots if slot.index not in busy]

    def _start_trial(self, trial: SweepTrial, slot: Slot) -> None:
        if code_fingerprint(self._project, self._sweep) != self._fingerprint:
            raise UserError(
                "code or params.yaml changed while the sweep ran; trials before and after could not be compared",
                "restore them and start the sweep again: it goes on; or begin one of another `name`",
            )
        revision = experiment_revision(self._project.home, trial.name)
        wanted = self._sweep.file.set | trial.point
        if revision is not None:
            require_same(self._project, trial.name, revision, put(self._sweep.base, wanted), self._sweep.stages)
            self._collect(trial, revision)
            return
        if problem := self._sweep.check_point(trial.point):
            self._fail(trial, problem)
            return
        if (duplicate := self._study.duplicate_of(trial)) is not None and duplicate.value is not None:
            name = trial_name(self._sweep.name, duplicate.number)
            self._study.complete(trial, duplicate.value, {"same_as": name})
            self._say(f"{trial.name}: the same point as {name}, {self._sweep.file.metric} {short(duplicate.value)}")
            return
        environment = slot.environment() | {TRIAL_VARIABLE: f"{self._study.key}/{trial.number}"}
        if parent := self._parent_run.run_id:
            environment[PARENT_VARIABLE] = parent
        log = self._study.folder / "logs" / f"{trial.name}.log"
        experiment = Experiment(self._project, trial.name, wanted, self._sweep.file.target, environment, log)
        gpu = "" if slot.gpu is None else f" on GPU {slot.gpu}"
        again = " goes on" if trial.resumed else ""
        self._say(
            f"{trial.name}{again}{gpu}: {', '.join(f'{key}={short(value)}' for key, value in trial.point.items())}"
        )
        experiment.start()
        self._running.append(Running(trial, slot, experiment))

    def _poll_experiment(self, each: Running) -> None:
        code = each.experiment.poll()
        if self._sweep.file.prune is not None and not each.stopped:
            self._report_curve(each, running=code is None)
        if code is None:
            return
        self._running.remove(each)
        revision = experiment_revision(self._project.home, each.trial.name) if code == 0 else None
        if revision is not None:
            self._collect(each.trial, revision)
        elif each.stopped:
            self._study.pruned(each.trial)
            self._say(f"{each.trial.name}: pruned after {each.reported} epochs")
        else:
            self._fail(each.trial, each.experiment.reason(), each.experiment)
        self._parent_run.update()

    def _report_curve(self, each: Running, *, running: bool) -> None:
        """Report the new points of the curve to Optuna; stop a trial that is worse than the median."""
        curve = each.experiment.curve(self._sweep.file.metric)
        known = self._study.known_steps(each.trial)
        for epoch in range(each.reported, len(curve)):
            if epoch not in known:
                each.trial.optuna_trial.report(curve[epoch], epoch)
            each.reported = epoch + 1
            if running and each.trial.optuna_trial.should_prune():
                each.stopped = True
                each.experiment.ask_to_stop()
                return

    def _collect(self, trial: SweepTrial, revision: str) -> None:
        metric = self._sweep.file.metric
        numbers, better = experiment_results(self._project, revision, self._sweep.stages)
        if metric not in numbers:
            known = ", ".join(sorted(numbers)) or "none"
            self._study.failed(trial, f"no {metric} among its numbers")
            raise UserError(f"{trial.name} has no number {metric} (it has: {known})", "correct `metric`")
        self._study.complete(trial, numbers[metric], {"numbers": numbers, "better": better, "revision": revision})
        self._parent_run.add_replayed(trial)
        self._completed += 1
        best = self._study.best() if self._report.ranked else None
        mark = "  (best so far)" if best is not None and best.number == trial.number else ""
        self._say(f"{trial.name}: {metric} {short(numbers[metric])}{mark}")

    def _fail(self, trial: SweepTrial, reason: str, experiment: Experiment | None = None) -> None:
        self._study.failed(trial, reason)
        self._failed += 1
        where = f"\n  log: {experiment.log}" if experiment else ""
        self._say(f"{trial.name}: FAILED: {reason}{where}")
        record = experiment.record() if experiment is not None else None
        if experiment is not None and (record is None or not should_create_run(record.folder)):
            self._parent_run.add_failed(trial, experiment, reason)
        if self._failed >= _MAX_FAILURES and not self._completed and self._study.best() is None:
            raise UserError(
                f"the first {self._failed} trials of {self._sweep.name} failed, the last one so: {reason}",
                "fix that, and start the sweep again: it continues with the trials that are left",
            )

    def _stop_all(self) -> None:
        """Stop what runs, e.g. after Ctrl-C: the stages save their states, the trials stay open."""
        if not self._running:
            return
        self._say(f"stopping {len(self._running)} experiments; their states are saved")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for each in self._running:
            each.experiment.ask_to_stop()
        deadline = time.monotonic() + _STOP_S
        for each in self._running:
            each.experiment.wait(max(1.0, deadline - time.monotonic()))


def code_fingerprint(project: Project, sweep: Sweep) -> str:
    """What trials must have in common: the stages' code, parameters, catalogue card, torch's version.

    Not the parameters that each trial sets by itself: whatever params.yaml has there, the trials are the same.
    """
    params = read_params(project.params_file).dump()
    return fingerprint_of(project, put(params, {dimension.key: None for dimension in sweep.dimensions})).whole


def run_sweep(
    project: Project,
    sweep: Sweep,
    *,
    jobs: int | None = None,
    take_over: bool = False,
    say: Callable[[str], None],
    report: Report = SEARCH,
) -> dict[str, Any]:
    """Run or go on with a sweep, then print what came of it. Returns it for programs (`report.for_programs`).

    Args:
        report: how the trials' results are summed up.

    Raises:
        UserError: before any trial, if something is missing; see `Runner.run`.
        KeyboardInterrupt: it was stopped.
    """
    require_tracked(project)
    params = parse_params(sweep.base)
    if not params.runtime.tracking.enabled:
        raise UserError(
            "a sweep compares recorded runs, and runtime.tracking.enabled is false", "set it to true in params.yaml"
        )
    slots = make_slots(sweep.file, jobs or sweep.file.jobs)
    os.chdir(project.home)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    fingerprint = code_fingerprint(project, sweep)
    try:
        with SweepStudy(project, sweep, fingerprint) as study:
            parent_run = ParentRun(project, study, params.runtime.tracking.experiment, say, report)
            parent_run.open()
            status = "FAILED"
            try:
                Runner(project, sweep, study, parent_run, slots, say, report).run(take_over)
                status = "RUNNING" if study.elsewhere() else "FINISHED"
            except KeyboardInterrupt:
                status = "KILLED"
                raise
            finally:
                files = report.write_files(study, sweeps_folder(project, sweep.name))
                parent_run.close(status, files)
            say(report.table(study))
            for trial in study.elsewhere():
                name, owner = trial_name(sweep.name, trial.number), trial.user_attrs.get("owner", "an unknown place")
                say(f"{name} runs at {owner}; if that is gone for good: --take-over")
            return report.for_programs(study)
    finally:
        signal.signal(signal.SIGTERM, before)
