"""The state of a sweep, in Optuna's storage: a SQLite file of ours, or a database that several machines share.

A trial belongs to one clone of the project (machine and folder), which holds a lock while it sweeps. So a trial that
stands as running and belongs to this clone was left by a process that is dead, and is gone on with; one of another
clone is left alone. Optuna: https://optuna.readthedocs.io/en/stable/reference/
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import IntegrityError, ProgrammingError

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.sweeps.space import Dimension, Point, grid_point, grid_size, random_point
from samebits.sweeps.spec import Sweep
from samebits.tracking.tracking_uri import without_password

STORAGE_VARIABLE = "SAMEBITS_SWEEP_STORAGE"
_OWNER, _POINT, _REASON, _DISCARDED = "owner", "point", "reason", "discarded"
_SEED_STEP = 1_000_003

optuna.logging.set_verbosity(optuna.logging.WARNING)

_SETTLE_SECONDS = 3.0


def sweeps_folder(project: Project, name: str) -> Path:
    """State, logs and figures of a sweep."""
    return project.state / "sweeps" / name


class Numbered(BaseSampler):
    """A sampler made anew for each trial from its number, so that a restart, or another machine, repeats nothing."""

    def __init__(self, make: Callable[[int], BaseSampler]) -> None:
        self._make = make

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._make(trial.number).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._make(trial.number).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._make(trial.number).sample_independent(study, trial, param_name, param_distribution)


class Fixed(BaseSampler):
    """The points of a grid, or drawn ones: functions of a trial's number."""

    def __init__(self, dimensions: Sequence[Dimension], point: Point) -> None:
        self._values = {d.key: point[d.key] if d.range is not None else json.dumps(point[d.key]) for d in dimensions}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._values[param_name]


def make_sampler(sweep: Sweep) -> BaseSampler:
    """The sampler of a sweep's method."""

    def of_number(number: int) -> BaseSampler:
        if sweep.file.method == "grid":
            last = grid_size(sweep.dimensions) - 1
            return Fixed(sweep.dimensions, grid_point(sweep.dimensions, min(number, last)))
        if sweep.file.method == "random":
            return Fixed(sweep.dimensions, random_point(sweep.dimensions, sweep.file.seed, number))
        seed = (sweep.file.seed * _SEED_STEP + number) % 2**32
        startup = max(4, 2 * len(sweep.dimensions))
        with warnings.catch_warnings():
            # Optuna marks both options as experimental; the release is locked.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=startup)

    return Numbered(of_number)


@dataclass(frozen=True)
class SweepTrial:
    """A trial to run, or to continue."""

    optuna_trial: Trial
    number: int
    name: str
    point: Point
    resumed: bool


class SweepStudy:
    """A sweep's trials. Use as a context manager: it holds the lock of this clone's part in the sweep.

    Raises:
        UserError: another process of this clone sweeps it, the storage does not answer, or the sweep began with other
            settings or other code.
    """

    def __init__(self, project: Project, sweep: Sweep, fingerprint: str) -> None:
        self.sweep = sweep
        self.owner = f"{platform.node()}:{project.home}"
        self.folder = sweeps_folder(project, sweep.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(self.folder / "lock", timeout=0)
        self.url = storage_url(sweep, self.folder)
        self._fingerprint = fingerprint

    def __enter__(self) -> SweepStudy:
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise UserError(
                f"the sweep {self.sweep.name} runs already in this folder",
                "wait for it; `jobs` sets the trials at a time, and another clone may share the sweep (docs/sweeps.md)",
            ) from None
        try:
            self.study = self._open()
            self._require_same()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _open(self) -> optuna.Study:
        shown = without_password(self.url)
        try:
            with contextlib.suppress(ProgrammingError, IntegrityError):
                return self._create()
            # Another machine was making the same tables or the same study: now they are there.
            time.sleep(_SETTLE_SECONDS)
            return self._create()
        except ImportError as error:
            raise UserError(f"{shown}: {error}", "install the driver: pip install 'psycopg[binary]'") from None
        except Exception as error:  # what SQLAlchemy and its drivers raise is not listed anywhere
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"the sweep's storage {shown} cannot be used: {without_password(first)}",
                f"start the database, or correct `storage` or {STORAGE_VARIABLE}",
            ) from None

    def _create(self) -> optuna.Study:
        storage = optuna.storages.RDBStorage(self.url, engine_kwargs={"pool_pre_ping": True})
        return optuna.create_study(
            study_name=self.sweep.name,
            storage=storage,
            direction=self.sweep.file.goal,
            sampler=make_sampler(self.sweep),
            pruner=self._pruner(),
            load_if_exists=True,
        )

    def _pruner(self) -> optuna.pruners.BasePruner:
        prune = self.sweep.file.prune
        if prune is None:
            return optuna.pruners.NopPruner()
        return optuna.pruners.MedianPruner(n_startup_trials=prune.startup, n_warmup_steps=prune.warmup)

    def _require_same(self) -> None:
        """The first process stores the definition of the sweep; later ones must match it."""
        wanted = self.sweep.identity() | {"code and params.yaml": self._fingerprint}
        began: dict[str, Any] = self.study.user_attrs.get("identity", {})
        if not began:
            self.study.set_user_attr("identity", wanted)
            return
        changed = [key for key in wanted if began.get(key) != wanted[key]]
        if changed:
            raise UserError(
                f"the sweep {self.sweep.name} began with other values of: {', '.join(changed)}; its trials could not "
                "be compared with new ones",
                "restore them, or give this one another `name`",
            )

    @property
    def key(self) -> str:
        """Tells this sweep's runs from those of one with the same name in another storage."""
        known = str(self.study.user_attrs.get("key", ""))
        if not known:
            known = f"{self.sweep.name}/{os.urandom(4).hex()}"
            self.study.set_user_attr("key", known)
        return known

    def trials(self) -> list[FrozenTrial]:
        """All that count, in order of their numbers."""
        return [t for t in self.study.get_trials(deepcopy=False) if not t.user_attrs.get(_DISCARDED)]

    def next_trial(self, busy: set[int], take_over: bool = False) -> SweepTrial | None:
        """A trial of this clone that a dead process left, else a new one; None if there is no more to do.

        Args:
            busy: numbers of the trials that this process runs.
            take_over: go on with those of other clones, too.
        """
        for frozen in self.trials():
            if frozen.state == TrialState.RUNNING and frozen.number not in busy and (take_over or self._mine(frozen)):
                return self._sweep_trial(Trial(self.study, frozen._trial_id), resumed=True)
        if len(self.trials()) >= self.sweep.budget:
            return None
        trial = self.study.ask()
        if len([t for t in self.trials() if t.number < trial.number]) >= self.sweep.budget:
            # Another machine was first.
            trial.set_user_attr(_DISCARDED, True)
            self.study.tell(trial.number, state=TrialState.FAIL)
            return None
        return self._sweep_trial(trial, resumed=False)

    def _mine(self, frozen: FrozenTrial) -> bool:
        owner = frozen.user_attrs.get(_OWNER)
        # Without a server nobody else can have begun it; a kill may come between `ask` and the owner's name.
        return owner == self.owner or (owner is None and self.url.startswith("sqlite:"))

    def _sweep_trial(self, trial: Trial, *, resumed: bool) -> SweepTrial:
        trial.set_user_attr(_OWNER, self.owner)
        point = {d.key: self._suggest(trial, d) for d in self.sweep.dimensions}
        trial.set_user_attr(_POINT, json.dumps(point))
        return SweepTrial(trial, trial.number, trial_name(self.sweep.name, trial.number), point, resumed)

    @staticmethod
    def _suggest(trial: Trial, dimension: Dimension) -> Any:
        if dimension.range is None:
            return json.loads(trial.suggest_categorical(dimension.key, dimension.coded()))
        given = dimension.range
        high = dimension.highest()
        if dimension.whole:
            step = int(given.step or 1)
            return trial.suggest_int(dimension.key, int(given.low), int(high), step=step, log=given.log)
        return dimension.round_to_digits(
            trial.suggest_float(dimension.key, given.low, high, step=given.step, log=given.log)
        )

    def duplicate_of(self, trial: SweepTrial) -> FrozenTrial | None:
        """A finished trial of the same point: the pipeline would compute the same bits again."""
        for frozen in self.trials():
            if (
                frozen.state == TrialState.COMPLETE
                and frozen.number != trial.number
                and point_of(frozen) == trial.point
            ):
                return frozen
        return None

    def known_steps(self, trial: SweepTrial) -> set[int]:
        """The epochs of a trial that were reported to Optuna, also before a restart."""
        return next((set(t.intermediate_values) for t in self.trials() if t.number == trial.number), set())

    def complete(self, trial: SweepTrial, value: float, facts: Mapping[str, Any]) -> None:
        for key, fact in facts.items():
            trial.optuna_trial.set_user_attr(key, fact)
        self.study.tell(trial.number, value)

    def pruned(self, trial: SweepTrial) -> None:
        """Its value is the last one that its curve had, as Optuna sees it."""
        trial.optuna_trial.set_user_attr(_REASON, "worse than the median at the same epoch")
        self.study.tell(trial.number, state=TrialState.PRUNED)

    def failed(self, trial: SweepTrial, reason: str) -> None:
        trial.optuna_trial.set_user_attr(_REASON, reason[-1500:])
        self.study.tell(trial.number, state=TrialState.FAIL)

    def elsewhere(self) -> list[FrozenTrial]:
        """Running trials of other clones."""
        return [t for t in self.trials() if t.state == TrialState.RUNNING and not self._mine(t)]

    def best(self) -> FrozenTrial | None:
        done = [t for t in self.trials() if t.state == TrialState.COMPLETE and t.value is not None]
        sign = 1.0 if self.sweep.file.goal == "minimize" else -1.0
        return min(done, key=lambda t: (sign * (t.value or 0.0), t.number), default=None)


def storage_url(sweep: Sweep, folder: Path) -> str:
    """`SAMEBITS_SWEEP_STORAGE`, else the file's `storage`, else a SQLite file."""
    named = os.environ.get(STORAGE_VARIABLE, "").strip() or sweep.file.storage
    return named or f"sqlite:///{folder / 'study.db'}"


def point_of(trial: FrozenTrial) -> Point:
    """The parameters that a trial ran with; empty before they were drawn."""
    point: Point = json.loads(trial.user_attrs.get(_POINT, "{}"))
    return point


def reason_of(trial: FrozenTrial) -> str:
    """Why a trial failed or was stopped."""
    return str(trial.user_attrs.get(_REASON, ""))


def trial_name(sweep: str, number: int) -> str:
    """The name of a trial's DVC experiment and MLflow run."""
    return f"{sweep}-{number:03d}"
