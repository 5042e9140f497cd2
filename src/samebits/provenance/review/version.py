"""One side of a review: what a commit, or the workspace, has of results, and which of these belong to it.

It is judged by what git keeps: dvc.lock, the records of the stages, code and parameters. So it needs neither data nor
models nor DVC's cache, and a clone of a CI job will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.files import read_json
from samebits.base.git import git
from samebits.base.nested import flatten
from samebits.base.paths import Project
from samebits.evaluation.report.curves import Curve, read_curves
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_cache import Objects, original_files
from samebits.pipeline.dvc_files import added_data
from samebits.pipeline.dvc_lock import LOCK, LockedStage, never_ran, overlap, read_lock
from samebits.pipeline.dvc_yaml import read_pipeline
from samebits.pipeline.ran import inputs_now, value_md5
from samebits.pipeline.summary import MetricValue, metric_values

METRICS, CURVES = "reports/evaluation/metrics.json", "reports/train/curves.csv"


@dataclass(frozen=True)
class Version:
    """What a commit, or the workspace, has.

    Attributes:
        name: for people.
        commit: 40 hex digits.
        edited: whether the working tree differs from the commit.
        stages: of dvc.lock.
        stale: stage to why its results are not of the code, data and parameters that are there.
        unchecked: data that are neither there nor kept by DVC, so that dvc.lock's word is taken for them.
        params: of params.yaml, flat.
        metrics: of the test split; none where they are stale.
        worse: of these, which are no better than without an input, for people.
        curves: of the training, likewise; None: they are of this version and not at hand.
    """

    name: str
    commit: str
    edited: bool
    stages: Mapping[str, LockedStage]
    stale: Mapping[str, str]
    unchecked: list[str]
    params: Mapping[str, Any]
    metrics: Mapping[str, MetricValue] = field(default_factory=dict)
    worse: list[str] = field(default_factory=list)
    curves: list[Curve] | None = field(default_factory=list)

    def output(self, path: str) -> str:
        """MD5 of an output as dvc.lock has it; empty for none, or where that is stale."""
        for name, stage in self.stages.items():
            if path in stage.outs:
                return "" if name in self.stale else stage.outs[path]
        return ""


def read_version(project: Project, tree: Path, name: str, commit: str, objects: Objects, aside: Path) -> Version:
    """What the files of a commit, or of the workspace, say.

    Args:
        project: that has the repository and the cache.
        tree: a folder with the files; for the workspace its own.
        aside: a folder for what only git has.

    Raises:
        UserError: if a file of DVC's or of a stage cannot be read.
    """
    stages = {stage.name: stage for stage in read_lock(tree)} if (tree / LOCK).is_file() else {}
    stale, unchecked = judge(tree, stages)
    edited = tree == project.workspace and bool(git(tree, "status", "--porcelain", "--untracked-files=no", "--", "."))
    found = Version(name, commit, edited, stages, stale, unchecked, flatten(read_yaml(tree / "params.yaml")))

    def file(path: str) -> Path | None:
        digest = found.output(path)
        files = original_files(project.workspace, commit, path, digest, objects, aside / commit) if digest else {}
        return files.get("")

    metrics: Mapping[str, MetricValue] = {}
    worse: list[str] = []
    if metrics_file := file(METRICS):
        try:
            metrics, worse = metric_values(read_json(metrics_file))
        except (KeyError, TypeError, AttributeError):
            raise UserError(f"{METRICS} at {name} is no evaluation of ours", "make it again: dvc repro") from None
    elif found.output(METRICS):
        maker = next(stage.name for stage in stages.values() if METRICS in stage.outs)
        stale[maker] = f"did not write {METRICS} as it is here, or that is missing"
    curves: list[Curve] | None = []
    if found.output(CURVES):
        curves_file = file(CURVES)
        curves = read_curves(curves_file) if curves_file else None
    return replace(found, metrics=metrics, worse=worse, curves=curves)


def judge(tree: Path, stages: Mapping[str, LockedStage]) -> tuple[dict[str, str], list[str]]:
    """Stages whose results in dvc.lock are not of the files of a tree, and why; and data that could not be compared.

    A stage after such a one is stale, too.
    """
    pipeline = read_pipeline(tree)
    pairs = never_ran(tree, stages.values()) if stages else {}
    kept = added_data(tree, [dep for stage in stages.values() for dep in stage.deps])
    made = {path: digest for stage in stages.values() for path, digest in stage.outs.items()}
    stale: dict[str, str] = {}
    unchecked: list[str] = []
    for name in pipeline:
        stage = stages.get(name)
        if stage is None:
            stale[name] = "has not run"
            continue
        try:
            now = inputs_now(tree, name)
        except UserError:
            stale[name] = "has code in dvc.yaml that is not here"
            continue
        changed = [] if now.commands == stage.commands else ["its command"]
        for dep in {*now.deps, *stage.deps}:
            locked, here = stage.deps.get(dep, ""), made.get(dep) or now.deps.get(dep) or kept.get(dep, "")
            away = [path for path in kept if path != dep and overlap(path, dep) and not (tree / path).exists()]
            if dep in now.deps and locked and any(overlap(dep, path) for path in made) and not here:
                pass  # a part of an output: the stage that makes it tells
            elif away or (not here and locked and dep in now.deps and _ignored(tree, dep)):
                unchecked.append(dep)
            elif here != locked or dep not in now.deps or not locked:
                changed.append(dep)
        locked_params = {
            f"{file}: {key}": value_md5(value) for file, values in stage.params.items() for key, value in values.items()
        }
        names = now.params.keys() | locked_params.keys()
        changed += sorted(key for key in names if now.params.get(key) != locked_params.get(key))
        earlier = [other for other in stale if not set(pipeline[other].paths()).isdisjoint(pipeline[name].deps)]
        if changed:
            stale[name] = f"has not run on what is here ({listed(sorted(changed), 4)})"
        elif name in pairs:
            stale[name] = f"never ran as {LOCK} says: {pairs[name]}"
        elif earlier:
            stale[name] = f"has not run on results of {earlier[0]}"
    return stale, sorted(set(unchecked))


def _ignored(tree: Path, path: str) -> bool:
    """Whether git would not have it, a file or a folder that is not there."""
    return bool(git(tree, "check-ignore", "--", path, f"{path}/", check=False))
