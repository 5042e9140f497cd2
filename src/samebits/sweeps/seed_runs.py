"""The runs of one setting, a seed each: found by a name in git, and read from there and from DVC's cache.

A result belongs to what `dvc.lock` beside it says, not to `params.yaml`, which may have been edited since. So the
seed, the parameters and the code of a run are those of its `dvc.lock`. Nothing is checked out.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.files import write_bytes
from samebits.base.git import commit_of, file_at
from samebits.base.nested import flatten
from samebits.base.paths import Project
from samebits.pipeline.dvc_cache import Objects, open_objects
from samebits.pipeline.dvc_lock import LOCK, LockedStage, never_ran
from samebits.pipeline.ran import record_path
from samebits.sweeps.study import sweeps_folder
from samebits.sweeps.trial import lock_at, read_files
from samebits.tracking.journal.experiments import dvc_experiments
from samebits.tracking.journal.replay import finite_numbers

_JUDGE = "evaluate"
_METRICS, _REPORT, _PREPARED = "reports/evaluation/metrics.json", "reports/evaluation/report", "data/prepared"
_PREDICTIONS = "predictions.csv"
_SEED = "seed"


@dataclass(frozen=True)
class SeedRun:
    """A finished run.

    Attributes:
        name: of the experiment, or what the user called the commit.
        params: flat parameters of the stages up to `evaluate`, other than the seed.
        files: path to MD5 of what these stages read and no stage writes: code, and what the data are made of.
        scores: numbers of the test split, by the name that `metrics.json` has.
        better: of metrics of the user's own, which end is better.
        report, prepared: MD5 of the evaluation's report folder and of the prepared data.
    """

    seed: int
    name: str
    params: Mapping[str, Any]
    files: Mapping[str, str]
    scores: Mapping[str, float]
    better: Mapping[str, str]
    report: str
    prepared: str

    @property
    def setting(self) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """What the results are a function of, beside the seed."""
        return self.params, self.files


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: as the user gave it.
        runs: seed to run, by seed; all of the same setting.
        failed: seeds that ran and have no result.
    """

    name: str
    runs: Mapping[int, SeedRun]
    failed: tuple[int, ...] = ()

    @property
    def first(self) -> SeedRun:
        """The run of the lowest seed."""
        return next(iter(self.runs.values()))


class SeedRuns:
    """Finds and reads runs of a project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._experiments = dvc_experiments(project.home)
        self._known: dict[str, SeedRun] = {}

    @cached_property
    def _objects(self) -> Objects:
        return open_objects(self._project.home)

    def side(self, name: str) -> Side:
        """The runs that a name means.

        Args:
            name: of a study of seeds, else of an experiment, commit, branch or tag. Of these, every experiment of the
                same parameters and code with another seed counts.

        Raises:
            UserError: if there is no such name, a study has not ended or is no study of seeds, or results are missing.
        """
        named = re.compile(re.escape(name) + r"-\d{3,}")
        trials = [each for each in self._experiments if named.fullmatch(each.name)]
        if trials:
            by_seed = _by_seed(self._read(each.name, each.revision) for each in trials)
            _require_one_setting(name, by_seed)
            return Side(name, by_seed, self._failed(name))
        wanted = self._read(name, self._revision(name))
        runs = [wanted]
        for each in self._experiments:
            # Reading a dvc.lock takes 0.2 s. That of another version of the code is known by its hashes.
            lock = file_at(self._project.home, each.revision, LOCK)
            if not all(md5.encode() in lock for md5 in wanted.files.values()):
                continue
            try:
                run = self._read(each.name, each.revision)
            except UserError:
                continue  # of another pipeline, or before its end
            if run.setting == wanted.setting:
                runs.append(run)
        return Side(name, _by_seed(runs))

    def _revision(self, name: str) -> str:
        for each in self._experiments:
            if each.name == name:
                return each.revision
        found = commit_of(self._project.home, name)
        if not found:
            studies = sorted({each.name[:-4] for each in self._experiments if re.search(r"-000$", each.name)})
            raise UserError(
                f"{name!r} is no study of seeds, experiment, commit, branch or tag here",
                f"studies and sweeps: {listed(studies) or 'none'}; samebits seeds 5 --name NAME makes one, dvc exp "
                "pull brings those of others",
            )
        return found

    def _failed(self, study: str) -> tuple[int, ...]:
        """Seeds of a study of this clone that failed; those of others are not known."""
        import pandas as pd

        folder = sweeps_folder(self._project, study)
        if not folder.is_dir():
            return ()
        go_on = "the same samebits seeds again: it goes on"
        if not (folder / "seeds.csv").is_file():
            raise UserError(f"the study {study} has not ended", go_on)
        rows = pd.read_csv(folder / "seeds.csv", dtype=str)
        waiting = rows.loc[rows["state"] == "open", "seed"].tolist()
        if waiting:
            raise UserError(f"the study {study} has not ended: no result of seed {listed(waiting)}", go_on)
        return tuple(rows.loc[rows["state"] != "complete", "seed"].astype(int))

    def _read(self, name: str, revision: str) -> SeedRun:
        if revision not in self._known:
            self._known[revision] = self._read_lock(name, revision)
        return replace(self._known[revision], name=name)

    def _read_lock(self, name: str, revision: str) -> SeedRun:
        again = f"git checkout {revision[:12]}, dvc repro, and commit {LOCK} and reports"
        everything = lock_at(self._project, revision)
        if not everything:
            raise UserError(f"{name} has no {LOCK}: nothing ran there", again)
        judged = next((stage for stage in everything if stage.name == _JUDGE), None)
        if judged is None:
            raise UserError(f"{LOCK} of {name} has no stage {_JUDGE}: nothing judged its model", again)
        judging = _upstream(judged, everything)
        self._require_ran(name, revision, judging, again)
        params: dict[str, Any] = {}
        for stage in judging:
            params[f"command of {stage.name}"] = list(stage.commands)
            for file, values in stage.params.items():
                prefix = "" if file == "params.yaml" else f"{file}: "
                params |= {f"{prefix}{key}": value for key, value in flatten(values).items()}
        seed = params.pop(_SEED, None)
        if not isinstance(seed, int):
            raise UserError(f"no stage of {name} reads a seed", "compare runs of this pipeline")
        metrics = file_at(self._project.home, revision, _METRICS)
        if hashlib.md5(metrics, usedforsecurity=False).hexdigest() != judged.outs.get(_METRICS):
            raise UserError(f"{_METRICS} of {name} is not what its {LOCK} names", again)
        document = json.loads(metrics)
        return SeedRun(
            seed=seed,
            name=name,
            params=params,
            files=read_files(judging, everything),
            scores=finite_numbers(document.get("test", {})),
            better=document.get("better", {}),
            report=judged.outs.get(_REPORT, ""),
            prepared=judged.deps.get(_PREPARED, ""),
        )

    def _require_ran(self, name: str, revision: str, stages: Sequence[LockedStage], again: str) -> None:
        """Refuse a lock that a merge put together: its parameters and its results are of two runs."""
        with tempfile.TemporaryDirectory() as folder:
            for path in (record_path(stage.name) for stage in stages):
                if record := file_at(self._project.home, revision, path):
                    write_bytes(Path(folder) / path, record)
            mixed = never_ran(Path(folder), stages)
        outputs = {path: md5 for stage in stages for path, md5 in stage.outs.items()}
        for stage in stages:
            other = [path for path, md5 in stage.deps.items() if outputs.get(path, md5) != md5]
            if other:
                mixed.setdefault(stage.name, f"it read another {listed(other)}")
        if mixed:
            told = "; ".join(f"{stage}: {why}" for stage, why in mixed.items())
            raise UserError(f"{LOCK} of {name} is of several runs, as after a merge: {told}", again)

    def predictions(self, run: SeedRun) -> Any:
        """Its `predictions.csv`, a pandas table of texts, in the order of the test samples' ids.

        Raises:
            UserError: if DVC's cache here has it not, or damaged.
        """
        import pandas as pd

        digest = (self._objects.files(run.report) or {}).get(_PREDICTIONS, "")
        if not digest or not self._objects.path(digest).is_file():
            raise UserError(
                f"{_REPORT}/{_PREDICTIONS} of {run.name} is not in DVC's cache here",
                f"of an experiment: dvc exp pull REMOTE {run.name}; of a commit: dvc fetch --all-commits {_REPORT} "
                "(git checkout it, then dvc pull, does too)",
            )
        self._objects.require_intact(digest)
        table = pd.read_csv(self._objects.path(digest), dtype=str, keep_default_na=False)
        return table.sort_values("id", kind="stable", ignore_index=True)


def _upstream(stage: LockedStage, everything: Sequence[LockedStage]) -> list[LockedStage]:
    """The stages that it reads from, directly or not, and itself; `everything` has each after those."""
    found = [stage]
    for each in reversed(everything):
        if each not in found and any(other.reads(each) for other in found):
            found.insert(0, each)
    return found


def _by_seed(runs: Iterable[SeedRun]) -> dict[int, SeedRun]:
    """The first of each seed, by seed."""
    found: dict[int, SeedRun] = {}
    for run in runs:
        found.setdefault(run.seed, run)
    return dict(sorted(found.items()))


def _require_one_setting(name: str, runs: Mapping[int, SeedRun]) -> None:
    first, *others = runs.values()
    for run in others:
        if changed := differing(first, run):
            raise UserError(
                f"{name} is no study of seeds: {first.name} and {run.name} differ in {listed(changed)}",
                "samebits seeds 5 runs one setting with five seeds; dvc exp remove NAME drops one of another setting",
            )


def differing(one: SeedRun, other: SeedRun) -> list[str]:
    """Names of parameters, then files, that two runs do not have in common."""
    found = []
    for mine, theirs in zip(one.setting, other.setting, strict=True):
        found += sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
    return found
