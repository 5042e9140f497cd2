"""Clean copies of a project, in which stages run as they would in a fresh clone, and record nothing in MLflow."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from samebits.base.errors import EXIT_INTERRUPTED, UserError
from samebits.base.git import git, names
from samebits.base.launch import environment
from samebits.base.paths import Project
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.recipes import merge
from samebits.training.launch import arithmetic_variables

_SHELL = set("|&;<>()$`\\\"'*?[]#~=%{}!\n")


@contextlib.contextmanager
def scratch(project: Project, purpose: str, keep: bool = False) -> Iterator[Path]:
    """A folder below `.samebits/<purpose>` that is removed at the end; those that killed processes left are, too."""
    base = project.state / purpose
    base.mkdir(parents=True, exist_ok=True)
    for old in base.iterdir():
        pid = old.name.rpartition("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(old, ignore_errors=True)
    number = sum(1 for _ in base.iterdir())
    folder = base / f"{number}-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def copy_commit(root: Path, commit: str, into: Path) -> Path:
    """Check a commit out into a clone at `into` that borrows the repository's objects.

    A commit that is on no branch any more is found, too. Returns the project's folder inside the clone.
    """
    top = Path(git(root, "rev-parse", "--show-toplevel"))
    git(root, "clone", "--quiet", "--shared", "--no-checkout", "--", str(top), str(into))
    git(into, "checkout", "--quiet", "--detach", commit)
    return into / root.resolve().relative_to(top.resolve())


def copy_tree(root: Path, into: Path) -> Path:
    """Copy the files of a working tree as they lie there: those that git tracks, and new ones it does not ignore.

    Files of its commit that are gone there are removed from `into`.
    """
    for name in names(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."):
        if (root / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, into / name)
        else:
            (into / name).unlink(missing_ok=True)
    return into


def change_params(copy: Path, override: Mapping[str, Any]) -> None:
    """Merge values into a copy's params.yaml."""
    yaml = YAML()
    file = copy / "params.yaml"
    params = yaml.load(file.read_text(encoding="utf-8"))
    merge(params, override)
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        yaml.dump(params, stream)


def record_nothing(copy: Path) -> None:
    """Set `runtime` in a copy's params.yaml: no MLflow, no resuming. No stage depends on that section.

    Nor are there other machines: as many processes run on this one.
    """
    alone: dict[str, Any] = {"resume": "never", "tracking": {"enabled": False}}
    given = read_yaml(copy / "params.yaml").get("runtime") or {}
    if given.get("hosts", 1) != 1:  # code of an older commit does not know the key
        alone |= {"hosts": 1, "processes": given["hosts"] * given.get("processes", 1)}
    change_params(copy, {"runtime": alone})


def clean_environment(python: Path | None = None) -> dict[str, str]:
    """This process's environment without DVC's and MLflow's variables, where `python` is the given one, or this one."""
    dropped = ("DVC_", "MLFLOW_", "SAMEBITS_LAUNCHED")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    # The copy runs its own code: stages put their own src first, and nothing else of this project's is to be found.
    environ.pop("PYTHONPATH", None)
    environ["PATH"] = os.pathsep.join([str((python or Path(sys.executable)).parent), environ.get("PATH", os.defpath)])
    return environ


def run_module(
    module: str, *arguments: str, copy: Path, environ: Mapping[str, str], source: Path, what: str, quiet: bool = True
) -> None:
    """Run one of our modules in a copy, in a process of its own.

    Args:
        environ: with what must be set before torch starts added to it.
        source: the folder whose `samebits` runs.
        what: for the message, as `the training steps`.
        quiet: what it prints is not shown.

    Raises:
        UserError: with its message, if it fails.
        KeyboardInterrupt: if it was stopped.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=copy,
        env={**environ, **environment(arithmetic_variables(copy / "params.yaml")), "PYTHONPATH": str(source)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode:
        problem, _, fix = done.stderr.strip()[-2000:].partition("\n  fix: ")
        raise UserError(f"{what} failed:\n{problem}", fix or "fix what it names")


def run_command(command: str, stage: str, copy: Path, quiet: bool = False, python: Path | None = None) -> None:
    """Run a stage's command in a copy. What it prints is shown, unless `quiet`.

    Args:
        python: the interpreter of another environment than this one.

    Raises:
        UserError: if it fails, with the end of what it said if that was not shown.
        KeyboardInterrupt: if it was stopped.
    """
    # A plain command goes without a shell, so that the stage is our child and ends when we are killed.
    plain = not _SHELL & set(command)
    done = subprocess.run(
        shlex.split(command) if plain else command,
        shell=not plain,
        cwd=copy,
        env=clean_environment(python),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode:
        said = f":\n{done.stdout.strip()[-2000:]}" if quiet else "; its message is above"
        raise UserError(
            f"{stage} ended with exit code {done.returncode} in the clean copy{said}",
            "fix it; if it runs in your working tree, a file that it needs is not committed",
        )
