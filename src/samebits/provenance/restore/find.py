"""What `RUN_ID|EXP_NAME|COMMIT` means in this repository."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.git import GitError, commit_of, git, has_commit
from samebits.base.paths import Project
from samebits.provenance.restore.runs import RUN_ID, Run, Runs, one_run

_HEX = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True)
class Found:
    """Something that can be restored.

    Attributes:
        title: for people.
        commit: 40 hex digits; it is among the objects here.
        run: the MLflow run, where the name was a run's or its experiment is gone.
        runs: to read the run's artefacts.
    """

    title: str
    commit: str
    run: Run | None
    runs: Runs | None


def find(project: Project, name: str) -> Found:
    """Look for a run id, an experiment of DVC's, a commit (or branch, or tag), the name of a run, in this order.

    Raises:
        UserError: if there is nothing of that name, its commit is gone from this repository, or git does not read it.
    """
    root = project.workspace
    git(root, "rev-parse", "--git-dir")  # below, a failing command means that there is no such name
    runs: Runs | None = None
    if RUN_ID.fullmatch(name):
        runs = Runs(project)
        if (run := runs.by_id(name)) is not None:
            return _of_run(root, run, runs)
    if commit := _experiment(root, name):
        return Found(f"experiment {name}", commit, None, None)
    if commit := commit_of(root, name):
        return Found(f"commit {commit[:12]}", commit, None, None)
    if _HEX.fullmatch(name) and len(name) == 40:
        raise _gone(name)
    runs = runs or Runs(project)
    if (run := one_run(runs.by_name(name), name)) is not None:
        return _of_run(root, run, runs)
    raise UserError(
        f"{name!r} is no run id, experiment, commit or name of a run in this repository",
        "samebits ui and dvc exp list --all-commits show them; git fetch and dvc exp pull bring those of others",
    )


def _experiment(root: Path, name: str) -> str:
    """The commit of a DVC experiment, `refs/exps/<2>/<38>/<name>`; empty if there is none.

    Raises:
        UserError: if several commits have an experiment of that name.
    """
    listed = git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps", check=False).splitlines()
    found = {line.split(" ", 1)[0]: line.split("/")[2:4] for line in listed if _experiment_name(line) == name}
    if len(found) > 1:
        commits = ", ".join(commit[:12] for commit in found)
        raise UserError(f"{len(found)} commits have an experiment {name!r}", f"name its commit: {commits}")
    return next(iter(found), "")


def _experiment_name(line: str) -> str:
    """The name in `<object> refs/exps/<2>/<38>/<name>`; empty for DVC's own references there."""
    parts = line.split(" ", 1)[1].split("/", 4)
    return parts[4] if len(parts) == 5 and len(parts[2]) == 2 and len(parts[3]) == 38 else ""


def _of_run(root: Path, run: Run, runs: Runs) -> Found:
    title = f"run {run.name} ({run.run_id})"
    if not run.commit:
        raise UserError(
            f"{title} was made outside a git repository or before its first commit: its code is not recorded",
            "its parameters and figures are in MLflow: samebits ui",
        )
    if not has_commit(root, run.commit):
        raise _gone(run.commit, title)
    return Found(title, run.commit, run, runs)


def _gone(commit: str, title: str = "") -> UserError:
    whose = f", the code of {title}," if title else ""
    return UserError(
        f"commit {commit}{whose} is not in this repository: it was never fetched, or a rebase dropped it and git has "
        "collected it since",
        f"fetch it from a clone that has it: git fetch REMOTE {commit} (a run made elsewhere: git fetch --all)",
    )


def apply_patch(worktree: Path, patch: bytes) -> None:
    """Apply the uncommitted changes of a run.

    Raises:
        UserError: if they do not fit the commit.
    """
    file = worktree / ".git-uncommitted.patch"
    file.write_bytes(patch)
    try:
        git(worktree, "apply", "--whitespace=nowarn", str(file))
    except GitError as error:
        raise UserError(f"the run's patch does not fit its commit: {error.said}", "look at it in MLflow") from None
    finally:
        file.unlink()
