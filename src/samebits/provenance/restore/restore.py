"""`samebits restore`: the code and parameters of a run in a fresh git worktree, with its data and model."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from samebits.base.errors import UserError
from samebits.base.files import write_bytes
from samebits.base.git import GitError, git
from samebits.base.paths import Project
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_cache import bring_outputs, open_objects, share_cache
from samebits.pipeline.dvc_hashes import existing_md5
from samebits.pipeline.dvc_lock import LOCK, read_lock
from samebits.pipeline.dvc_yaml import PipelineStage, param_at, read_pipeline, stage_files
from samebits.provenance.restore.find import Found, apply_patch, find
from samebits.provenance.restore.runs import Run, Runs
from samebits.provenance.verify.copies import copy_commit, copy_tree, scratch
from samebits.provenance.verify.pipeline import own_data, rerun
from samebits.provenance.wheels.install import fetch_environment, install_environment, require_free
from samebits.tracking.journal.lineage import artefact_facts

Say = Callable[[str], None]
_CODE = "dvc.in.code."


def restore(
    project: Project, name: str, into: Path | None, *, check: bool = False, environment: Path | None = None,
    online: bool = False, say: Say = print,
) -> bool:  # fmt: skip
    """Make a worktree of what `name` stands for.

    Args:
        name: run id, experiment, commit, or name of a run.
        into: a folder that does not exist or is empty; by default beside the project.
        check: run its pipeline again in a clean copy, and compare every output.
        environment: a folder for the environment of its requirements.lock, made of the files that were kept for it.
        online: pip may take what was left out of these from its index.

    Returns:
        False if `check` found other bits.

    Raises:
        UserError: if it cannot be found or made; if only data is missing, code and parameters are there.
    """
    root = project.workspace
    found = find(project, name)
    target = Path(os.path.normpath((into or root.parent / f"{root.name}-{_slug(name)}").absolute()))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists and is not empty", "name another folder: --into DIR")
    if environment:
        environment = Path(os.path.normpath(environment.absolute()))
        require_free(environment, target)
    fetched = fetch_environment(root, found.commit, online=online, say=say) if environment else None
    workspace = _worktree(root, found.commit, target)
    try:
        whole = _put_code(found.run, found.runs, workspace, say) if found.run and found.runs else True
    except BaseException:
        git(root, "worktree", "remove", "--force", str(target), check=False)
        raise
    say(f"{found.title}: code and parameters are in {workspace} (commit {found.commit[:12]})")
    if found.run:
        _put_lock(found.run, workspace)
    python = None
    if environment and fetched:
        try:
            python = install_environment(fetched, workspace, environment, say)
        except UserError as error:
            problem = f"code and parameters are restored in {workspace}, but no environment: {error.problem}"
            raise UserError(problem, error.fix) from None
    if not (workspace / LOCK).is_file():
        say(f"the commit has no {LOCK}: nothing says which data and model belong to it; make them: dvc repro")
        return True
    objects = open_objects(root)
    share_cache(root, workspace, objects)
    outputs = _cached_outputs(workspace)
    try:
        bring_outputs(workspace, outputs, objects)
        say(f"data and model as recorded: {', '.join(outputs)}")
    except UserError as error:
        if not check:
            raise UserError(
                f"code and parameters are restored in {workspace}, but {error.problem}", error.fix
            ) from None
        say(f"{error.problem}\nthey are made again now")
    if not check:
        return True
    if not whole:
        say("warning: uncommitted changes of the run are not there, so its bits may not come out")
    return _check(project, workspace, found, python, say)


def _slug(name: str) -> str:
    return "".join(each if each.isalnum() or each in "-_." else "-" for each in name)[:40]


def _worktree(root: Path, commit: str, target: Path) -> Path:
    """Add a worktree; returns the project's folder inside it. It keeps the commit from being collected by git."""
    top = Path(git(root, "rev-parse", "--show-toplevel"))
    try:
        git(root, "worktree", "add", "--quiet", "--detach", str(target), commit)
    except GitError as error:
        raise UserError(
            f"git cannot make a worktree in {target}: {error.said}", "name another folder: --into DIR"
        ) from None
    return target / root.resolve().relative_to(top.resolve())


def _put_code(run: Run, runs: Runs, workspace: Path, say: Say) -> bool:
    """Uncommitted changes and parameters of the run, over its commit. Returns whether the code is as recorded.

    Raises:
        UserError: if the patch does not fit.
    """
    patch = run.tags.get("git.patch", "")
    top = Path(git(workspace, "rev-parse", "--show-toplevel"))
    if patch and not patch.startswith("left out"):
        content = runs.artifact(run, patch)
        if content is None:
            say(f"warning: the run's {patch} is gone from MLflow; its uncommitted changes are lost")
        else:
            apply_patch(top, content)
    elif patch:
        say(f"warning: uncommitted changes of the run were not recorded ({patch})")
    params = runs.artifact(run, "params.yaml")
    if params is not None and (workspace / "params.yaml").read_bytes() != params:
        write_bytes(workspace / "params.yaml", params)
    other = _other_code(run, workspace)
    if other:
        say(f"warning: the code of {', '.join(other)} is not the one that ran: uncommitted changes were not recorded")
    return not other


def _other_code(run: Run, workspace: Path) -> list[str]:
    """Stages whose code here is not what the run says it used."""
    project = Project(workspace, workspace)
    stages = [name.removeprefix(_CODE) for name in run.tags if name.startswith(_CODE)]
    return [
        stage
        for stage in stages
        if artefact_facts(project, stage_files(workspace, stage)[0], [], stage).get(_CODE + stage)
        != run.tags[_CODE + stage]
    ]


def _put_lock(run: Run, workspace: Path) -> None:
    """dvc.lock as the run would have left it: the hashes that it recorded, where the commit's lock has others.

    A stage that the run skipped is known by what later stages read.
    """
    recorded = run.hashes("in") | run.hashes("out")
    lock: dict[str, Any] = {"schema": "2.0", "stages": {}}
    if (workspace / LOCK).is_file():
        lock = read_yaml(workspace / LOCK)
    changed = False
    for name, stage in read_pipeline(workspace).items():
        known = {path: recorded[path] for path in stage.paths() if path in recorded}
        locked = {each["path"]: each.get("md5") for each in lock["stages"].get(name, {}).get("outs", [])}
        if not known or all(locked.get(path) == digest for path, digest in known.items()):
            continue
        lock["stages"][name] = _entry(stage, known, recorded, workspace)
        changed = True
    if changed:
        buffer = io.StringIO()
        YAML().dump(lock, buffer)
        write_bytes(workspace / LOCK, buffer.getvalue().encode())


def _entry(
    stage: PipelineStage, outs: Mapping[str, str], recorded: Mapping[str, str], workspace: Path
) -> dict[str, Any]:
    """A stage's entry: recorded hashes for data, those of the files here for code."""
    hashes = {dep: recorded.get(dep) or existing_md5(workspace / dep) for dep in stage.deps}
    params = {
        file: {key: param_at(read_yaml(workspace / file), key) for key in keys} for file, keys in stage.params.items()
    }
    return {
        "cmd": stage.commands[0] if len(stage.commands) == 1 else list(stage.commands),
        "deps": [{"path": dep, "hash": "md5", "md5": digest} for dep, digest in sorted(hashes.items()) if digest],
        "params": params,
        "outs": [{"path": path, "hash": "md5", "md5": digest} for path, digest in sorted(outs.items())],
    }


def _cached_outputs(workspace: Path) -> dict[str, str]:
    """The outputs of dvc.lock that DVC caches, and data that it tracks by .dvc files.

    Outputs with `cache: false` are in git, as far as they were committed.
    """
    uncached = {out.path for each in read_pipeline(workspace).values() for out in each.outputs if not out.cached}
    outputs: dict[str, str] = {}
    stages = read_lock(workspace)
    for stage in stages:
        outputs |= {path: digest for path, digest in stage.outs.items() if digest and path not in uncached}
    return outputs | own_data(workspace, stages, stages)


def _check(project: Project, workspace: Path, found: Found, python: Path | None, say: Say) -> bool:
    """The restored pipeline once more in a copy of the worktree, uncommitted changes included."""
    stages = read_lock(workspace)
    with scratch(project, "verify") as folder:
        # A repository of its own: in a folder that git ignores DVC brings nothing.
        copy = copy_tree(workspace, copy_commit(project.workspace, found.commit, folder / "copy"))
        verification = rerun(workspace, found.commit, copy, stages, stages, folder, say, python=python)
    say("")
    for line in verification.lines():
        say(line)
    return verification.same
