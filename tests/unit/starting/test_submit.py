"""`samebits submit` without a cluster: its script, and what it refuses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.pipeline.dvc_cache import Objects
from samebits.starting.sbatch import Job, Wants, script
from samebits.starting.submit import submit
from samebits.sweeps.seeds import seeds_sweep
from samebits.sweeps.spec import read_sweep
from tests.helpers.tiny import TinyRepository, make_tiny, write_sweep
from tests.helpers.workspace import AUTHOR, set_params

JOB = Job("base", Path("/p q"), "c" * 40, Path("/cache"), Path("/venv/bin"), "", 1, "", {})


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyRepository:
    for name, value in AUTHOR.items():
        monkeypatch.setenv(name, value)
    # Asking DVC takes a second each time; tests/exact/test_slurm.py does.
    monkeypatch.setattr("samebits.starting.submit.open_objects", lambda home: Objects(home / ".dvc" / "cache"))
    return make_tiny(tmp_path / "project", evaluate=True, tracking=False)


@pytest.fixture
def project(repository: TinyRepository) -> Project:
    return Project(repository.folder, repository.folder)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that takes the place of Slurm's commands: `queued` is what squeue says, `refuses` what sbatch says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    refuse = f"[ ! -f {folder}/refuses ] || {{ cat {folder}/refuses >&2; exit 1; }}"
    send = f'echo "$@" > {folder}/sent; echo 17'
    for name, text in {"squeue": f"cat {folder}/queued", "sbatch": f"{refuse}; {send}"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    (folder / "queued").touch()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_what_is_asked_for_stands_in_the_script_and_nothing_else() -> None:
    wants = Wants("gpu", "4:00:00", 8, "16G", "a100:2", save_seconds=90, extra=("comment=two words", "exclusive"))
    asked = re.findall(r"^#SBATCH --(.+)$", script(JOB, wants), re.MULTILINE)
    assert asked == [
        "job-name=base",
        "chdir='/p q'",
        "output=.samebits/jobs/base-%j.log",
        "open-mode=append",
        "requeue",
        "signal=B:USR1@90",
        "partition=gpu",
        "time=4:00:00",
        "cpus-per-task=8",
        "mem=16G",
        "gpus-per-node=a100:2",
        "comment='two words'",
        "exclusive",
    ]
    assert len(re.findall("^#SBATCH", script(JOB, Wants()), re.MULTILINE)) == 6


@pytest.mark.parametrize("hosts", [1, 3])
@pytest.mark.parametrize("points", [{}, {0: ["seed=0"], 1: ["a.b='x y'"], 2: ["seed=2"], 5: ["seed=5"]}])
def test_the_script_is_bash(hosts: int, points: dict[int, list[str]]) -> None:
    text = script(replace(JOB, hosts=hosts, points=points), Wants(at_once=2 if points else None))
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""
    assert ("srun" in text) == (hosts > 1)
    assert ("#SBATCH --nodes=3\n#SBATCH --ntasks-per-node=1\n" in text) == (hosts > 1)
    assert ("#SBATCH --array=0-2,5%2\n" in text) == bool(points)
    assert not re.search(r"TARGET|WORKERS|LOST", text)


@pytest.mark.parametrize(
    ("wants", "said"),
    [
        (Wants(time="4h"), "--time 4h: minutes, HH:MM:SS or DAYS-HH"),
        (Wants(time="1:2:3:4"), "--time 1:2:3:4"),
        (Wants(memory="8 GB"), "--memory 8 GB: a number of MiB"),
        (Wants(gpus="0"), "--gpus 0: a number per node"),
        (Wants(partition="a b"), "--partition 'a b': a name"),
        (Wants(at_once=2), "--at-once: only an array"),
        (Wants(extra=("--account=vision",)), "--sbatch '--account=vision': a long option of sbatch without its dashes"),
        (Wants(extra=("comment=a\n#SBATCH --uid=0",)), "a long option of sbatch"),
        (Wants(extra=("signal=TERM@5",)), "signal is set by samebits submit"),
    ],
)
def test_a_value_that_slurm_would_not_take_is_refused(wants: Wants, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        wants.check(array=False)


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(UserError, match=r"(?s)--time 4h.*--gpus x"):
        Wants(time="4h", gpus="x").check(array=True)


def test_a_run_is_sent_once_and_bound_to_its_commit(
    project: Project, repository: TinyRepository, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = repository.git("rev-parse", "HEAD").strip()
    shown = submit(project, Wants(), dry_run=True, say=print)
    assert shown["job"] is None
    assert not (programs / "sent").exists()
    assert not (project.state / "jobs").exists()
    printed = capsys.readouterr().out
    found = submit(project, Wants(), say=print)
    assert found == {"name": f"run-{commit[:8]}", "script": shown["script"], "tasks": 0, "job": "17"}
    assert found["script"].read_text() == printed
    assert f"commit={commit}\n" in printed
    assert (programs / "sent").read_text().split()[-1] == str(found["script"])
    assert repository.git("rev-parse", f"refs/samebits/jobs/run-{commit[:8]}").strip() == commit
    (programs / "queued").write_text("17\n")
    with pytest.raises(UserError, match=f"run-{commit[:8]} is in the queue already: job 17"):
        submit(project, Wants(), say=print)
    (programs / "queued").write_text("")
    repository.git("update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/run-{commit[:8]}", commit)
    with pytest.raises(UserError, match=f"experiment run-{commit[:8]} is there already"):
        submit(project, Wants(), say=print)


def test_what_slurm_says_against_it_is_the_message(project: Project, programs: Path) -> None:
    (programs / "refuses").write_text("sbatch: error: invalid partition specified: gpu\n")
    with pytest.raises(UserError, match="sbatch refused: sbatch: error: invalid partition specified: gpu"):
        submit(project, Wants("gpu"), say=print)


def test_no_slurm_is_told_before_anything_is_written(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UserError, match="no sbatch and no squeue on the path"):
        submit(project, Wants(), say=print)
    assert not (project.state / "jobs").exists()


def test_edits_that_no_commit_has_are_refused(project: Project, programs: Path) -> None:
    set_params(project.workspace, {"seed": 9})
    with pytest.raises(UserError, match=r"these files differ from it: params\.yaml"):
        submit(project, Wants(), say=print)
    assert not (programs / "sent").exists()


@pytest.mark.usefixtures("programs")
def test_an_array_has_the_trials_that_are_not_there(
    project: Project, repository: TinyRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sweep(repository, "lr", method="random", trials=4, space={"train.ema_decay": [0.5, 0.25]}, seed=1)
    sweep = read_sweep(project, repository.folder / "sweeps" / "lr.yaml")
    found = submit(project, Wants(), sweep=sweep, say=print)
    text = found["script"].read_text()
    given = re.findall(r"^(\d+)\) set -- -S train\.ema_decay=(\S+) ;;$", text, re.MULTILINE)
    assert sorted(value for _, value in given) == ["0.25", "0.5"]  # a point that is drawn twice runs once
    assert found["tasks"] == 2
    assert re.search(r"^export SAMEBITS_TRIAL=lr/[0-9a-f]{8}/\$SLURM_ARRAY_TASK_ID$", text, re.MULTILINE)
    commit = repository.git("rev-parse", "HEAD").strip()
    for number, _ in given:
        repository.git("update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/lr-00{number}", commit)
    with pytest.raises(UserError, match=r"experiment lr-000 already, with another .*train\.ema_decay"):
        submit(project, Wants(), sweep=sweep, say=print)


def test_seeds_are_an_array(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    submit(project, Wants(at_once=2), sweep=seeds_sweep(project, 3, "base"), dry_run=True, say=print)
    text = capsys.readouterr().out
    assert "#SBATCH --array=0-2%2\n" in text
    assert [f"{seed}) set -- -S seed={seed} ;;" in text for seed in range(4)] == [True, True, True, False]
    assert 'exec dvc exp run --name "$name" "$@" evaluate' in text


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"method": "tpe", "trials": 3}, "tpe draws each point from the results before"),
        ({"method": "random", "trials": 3, "prune": {}}, "do not see each other's curves"),
    ],
)
def test_a_sweep_whose_trials_need_each_other_is_no_array(
    project: Project, repository: TinyRepository, keys: dict[str, object], said: str
) -> None:
    write_sweep(repository, "lr", space={"train.optimizer.lr": [0.1, 0.2]}, **keys)
    sweep = read_sweep(project, repository.folder / "sweeps" / "lr.yaml")
    with pytest.raises(UserError, match=said):
        submit(project, Wants(), sweep=sweep, dry_run=True, say=print)
