"""`samebits submit`: this commit, a sweep or seeds as a job of Slurm."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.files import write_bytes
from samebits.base.git import git, head_commit
from samebits.base.paths import Project
from samebits.params.schema import parse_params, read_params
from samebits.pipeline.dvc_cache import open_objects
from samebits.starting.sbatch import Job, Wants, script
from samebits.sweeps.preflight import require_tracked
from samebits.sweeps.spec import NAME, Sweep
from samebits.tracking.journal.experiments import experiment_revision

_ASK_SECONDS = 60.0


def submit(
    project: Project,
    wants: Wants,
    *,
    sweep: Sweep | None = None,
    name: str | None = None,
    dry_run: bool = False,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the script of a job, and send it.

    Args:
        sweep: its trials become tasks of an array; without it, one run of the whole pipeline.
        name: of the job and its experiment; else `run-` and the beginning of the commit. A sweep has its own.
        dry_run: print the script; nothing is written or sent.

    Returns:
        for programs: `name`, `script`, `tasks`, and the `job` that Slurm made of it.

    Raises:
        UserError: if the working tree is not what a commit has, there is nothing to run, or Slurm takes no job.
    """
    wants.check(array=sweep is not None)
    params = parse_params(sweep.base) if sweep else read_params(project.params_file)
    if wants.cpus is None:
        wants = replace(wants, cpus=params.sections["train"].threads * params.runtime.processes)
    require_tracked(project)
    commit = head_commit(project.workspace)
    if not (project.home / ".git").exists():
        raise UserError(
            f"{project.home} is a folder inside a git repository", "a job clones a project that is one whole"
        )
    if changed := git(project.workspace, "diff", "--name-only", "HEAD").splitlines():
        raise UserError(f"a job runs a commit, and these files differ from it: {listed(changed)}", "git commit -a")
    name = sweep.name if sweep else name or f"run-{commit[:8]}"
    if not NAME.fullmatch(name):
        raise UserError(f"--name {name}: letters, digits, - and _, at most 61", "give it another name")
    if sweep is None and experiment_revision(project.home, name):
        raise UserError(
            f"experiment {name} is there already", f"dvc exp apply {name}; or submit under another name: --name NAME"
        )
    points = dict(_points(project, sweep)) if sweep else {}
    if sweep and not points:
        say(f"{name}: all {sweep.budget} trials are there; {_collect(sweep)}")
        return {"name": name, "script": None, "tasks": 0, "job": None}
    if not dry_run:
        _require_slurm()
        _require_not_queued(name)
    file = project.state / "jobs" / f"{name}.sh"
    job = Job(
        name=name,
        project=project.home,
        commit=commit,
        cache=open_objects(project.home).folder,
        programs=Path(sys.executable).parent,
        target=sweep.file.target if sweep else "",
        hosts=params.runtime.hosts,
        study=_study_key(project, sweep, dry_run=dry_run) if sweep else "",
        points=points,
    )
    text = script(job, wants)
    found: dict[str, Any] = {"name": name, "script": file, "tasks": len(points), "job": None}
    if dry_run:
        say(text.rstrip("\n"))
        return found
    write_bytes(file, text.encode())
    # So that git keeps the commit, even if the branch is rewritten while the job waits.
    git(project.home, "update-ref", f"refs/samebits/jobs/{name}", commit)
    found["job"] = _send(project, file)
    tasks = f", {len(points)} tasks" if sweep else ""
    say(f"job {found['job']}{tasks}: {name} at {commit[:12]}; its script is {file.relative_to(project.home)}")
    say(f"squeue --name {name} shows it, .samebits/jobs/{name}-{found['job']}*.log has what it prints")
    say(f"when it is done: {_collect(sweep) if sweep else f'dvc exp apply {name}'}")
    return found


def _collect(sweep: Sweep) -> str:
    seeds = [each.key for each in sweep.dimensions] == ["seed"]
    told = f"seeds {sweep.budget} --name {sweep.name}" if seeds else "sweep FILE"
    return f"samebits {told} reads the results"


def _points(project: Project, sweep: Sweep) -> Iterator[tuple[int, list[str]]]:
    """The trials that are not there yet, each with its overrides. Of equal ones, the first."""
    from samebits.params.yaml_file import read_yaml
    from samebits.sweeps.plan import point_of_number
    from samebits.sweeps.space import overrides, put
    from samebits.sweeps.study import trial_name
    from samebits.sweeps.trial import require_same

    if sweep.file.method == "tpe":
        raise UserError(
            f"{sweep.name}: tpe draws each point from the results before, and tasks of an array run at once",
            "method: random or grid; or start samebits sweep with `storage` on several nodes (docs/sweeps.md)",
        )
    if sweep.file.prune is not None:
        raise UserError(f"{sweep.name}: tasks of an array do not see each other's curves", "take out `prune`")
    base, seen = read_yaml(project.params_file), []
    for number in range(sweep.budget):
        point = point_of_number(sweep, number)
        if point in seen or sweep.check_point(point):
            continue  # samebits sweep takes the value of the first, or says what is wrong
        seen.append(point)
        wanted = sweep.file.set | point
        name = trial_name(sweep.name, number)
        if revision := experiment_revision(project.home, name):
            require_same(project, name, revision, put(sweep.base, wanted), sweep.stages)
            continue
        yield number, overrides(base, wanted)


def _study_key(project: Project, sweep: Sweep, *, dry_run: bool) -> str:
    """By which the runs of the tasks are found when `samebits sweep` reads their results."""
    from samebits.sweeps.runner import code_fingerprint
    from samebits.sweeps.study import SweepStudy

    if dry_run:
        return f"{sweep.name}/dry-run"
    with SweepStudy(project, sweep, code_fingerprint(project, sweep)) as study:
        return study.key


def _require_slurm() -> None:
    missing = [each for each in ("sbatch", "squeue") if not shutil.which(each)]
    if missing:
        raise UserError(
            f"there is no {' and no '.join(missing)} on the path: this machine submits no jobs to Slurm",
            "log in to a node of the cluster that does (often `module load slurm`); --dry-run shows the script",
        )


def _require_not_queued(name: str) -> None:
    queued = _ask("squeue", "--noheader", "--format=%i", f"--user={getpass.getuser()}", f"--name={name}").split()
    if queued:
        raise UserError(
            f"{name} is in the queue already: job {listed(queued)}",
            f"wait for it, end it (scancel --name {name}), or submit under another name",
        )


def _send(project: Project, file: Path) -> str:
    return _ask("sbatch", "--parsable", f"--chdir={project.home}", str(file)).partition(";")[0]


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(f"{command[0]} did not answer within {_ASK_SECONDS:.0f} s", "does `sinfo` answer?") from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise UserError(
            f"{command[0]} refused: {said}",
            "correct what it names; `sinfo` shows whether Slurm answers, and its limits",
        )
    return done.stdout.strip()
