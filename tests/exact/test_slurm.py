"""`samebits submit` on a real Slurm of three nodes: limit, requeue, preemption, dead node; the same bytes."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.helpers.amount import FULL
from tests.helpers.repository import Repository
from tests.helpers.slurm import Slurm, require_slurm
from tests.helpers.tiny import make_tiny, write_sweep
from tests.helpers.workspace import ROOT, make_workspace, set_params

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(900)]

PAUSED = """
import os, time
from pathlib import Path
from samebits.training.resume.store import StateStore
save = StateStore.save
def slowly(*arguments):
    save(*arguments)
    if "PAUSE" in os.environ:
        time.sleep(float(Path(os.environ["PAUSE"]).read_text()))
StateStore.save = slowly
"""
"""In stages/train.py: with it a training lasts as long as a test wants, by a file, and computes no more."""


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    require_slurm()
    (tmp_path / "slurm").mkdir()
    made = Slurm(tmp_path / "slurm")
    yield made
    made.close()


def make_training(folder: Path, prepared: Path, **runtime: object) -> Repository:
    """A repository with the real stage `train` alone, and prepared data that git has."""
    make_workspace(folder, prepared)
    settings = {"checkpoint_seconds": 0.05, "tracking": {"enabled": True}} | runtime
    elastic = {"elastic": True, "micro_batch_size": 16, "epochs": 8}
    set_params(folder, {"train": elastic, "model": {"dropout": 0.2}, "runtime": settings})
    for name in (".gitattributes", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local"))
    yaml = YAML()
    pipeline = yaml.load((folder / "dvc.yaml").read_text())
    with (folder / "dvc.yaml").open("w") as file:
        yaml.dump({"stages": {"train": pipeline["stages"]["train"]}}, file)
    stage = folder / "stages" / "train.py"
    stage.write_text(stage.read_text().replace("    raise SystemExit", f"    exec({PAUSED!r})\n    raise SystemExit"))
    for each in (folder / "data" / "prepared").glob(".gitignore"):
        each.unlink()
    repository = Repository(folder)
    repository.git("init", "-q", "-b", "main")
    repository.git("add", "-A", "-f", ".")
    repository.git("commit", "-q", "-m", "start")
    return repository


def submit(slurm: Slurm, repository: Repository, *options: str, **environment: str) -> str:
    """Submit; the number of the job."""
    command = [sys.executable, "-m", "samebits.cli.main", "submit", "--json", *options]
    said = slurm.run(*command, folder=repository.folder, environment=repository.environment(**environment))
    return str(json.loads(said[said.index("{\n") :])["job"])


def log(repository: Repository, name: str = "*") -> str:
    files = sorted((repository.folder / ".samebits" / "jobs").glob(f"{name}.log"))
    return "\n".join(each.read_text() for each in files)


def ended(slurm: Slurm, repository: Repository, job: str, seconds: float = 240) -> dict[str, str]:
    states = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
    slurm.wait_until(lambda: slurm.job(job)["JobState"] in states, seconds, lambda: log(repository))
    return slurm.job(job)


def trained(repository: Repository, revision: str) -> str:
    """What an experiment's training wrote, by its hashes."""
    lock = YAML(typ="safe").load(repository.git("show", f"{revision}:dvc.lock"))
    outs = {each["path"]: each["md5"] for each in lock["stages"]["train"]["outs"]}
    assert {"models/checkpoint", "reports/train/metrics.json"} <= outs.keys()
    return json.dumps(outs, sort_keys=True)


def experiment(repository: Repository, name: str) -> str:
    return repository.git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").strip()


@pytest.mark.skipif(not FULL, reason="five attempts, with Slurm's waits between them, take minutes: make test-full")
def test_a_job_that_is_stopped_in_every_way_ends_in_the_bytes_of_a_plain_run(
    slurm: Slurm, few_mnist: Path, tmp_path: Path
) -> None:
    """Time limit, scontrol requeue, preemption, a node that dies; one MLflow run. The project is edited meanwhile."""
    plain = make_training(tmp_path / "plain", few_mnist)
    done = plain.dvc("exp", "run", "--name", "plain")
    assert done.returncode == 0, done.stdout + done.stderr
    repository = make_training(tmp_path / "project", few_mnist)
    pause = tmp_path / "pause"
    pause.write_text("2")
    # Not on the first node: slurmctld, which has to outlive it, is there.
    where = ("--sbatch", f"exclude={slurm.hosts.names[0]}")
    job = submit(slurm, repository, "--name", "base", "--time", "30", "--save-seconds", "240", *where, PAUSE=str(pause))
    set_params(repository.folder, {"seed": 5})
    states = repository.folder / ".samebits" / "resume"

    def stop(how: Callable[[], object], restarts: int) -> None:
        """Once this attempt has saved a state; the next one goes on from what was saved last."""
        slurm.wait_until(lambda: slurm.job(job)["JobState"] == "RUNNING", 120, lambda: log(repository))
        before = {each.parent.name for each in states.glob("*/*[0-9]/complete.json")}

        def saved() -> bool:
            return bool({each.parent.name for each in states.glob("*/*[0-9]/complete.json")} - before)

        slurm.wait_until(saved, 120, lambda: log(repository))
        how()
        slurm.wait_until(lambda: slurm.job(job)["Restarts"] == str(restarts), 120, lambda: log(repository))

    # Slurm looks at limits every half minute, and signals up to a minute early.
    stop(lambda: slurm.run("scontrol", "update", f"JobId={job}", "TimeLimit=4"), 1)
    assert "the time limit is near: back to the queue" in log(repository)
    slurm.run("scontrol", "update", f"JobId={job}", "TimeLimit=30")
    stop(lambda: slurm.run("scontrol", "requeue", job), 2)
    urgent = tmp_path / "urgent.sh"
    urgent.write_text("#!/bin/bash\nsleep 1\n")
    stop(lambda: slurm.run("sbatch", "--partition=urgent", "--nodes=3", str(urgent)), 3)
    stop(lambda: slurm.kill_node(1), 4)
    pause.write_text("0")
    assert slurm.hosts.names[1] in log(repository)
    end = ended(slurm, repository, job)
    assert (end["JobState"], end["NodeList"]) == ("COMPLETED", slurm.hosts.names[2]), log(repository)
    said = log(repository)
    steps = [int(each) for each in re.findall(r"resuming at step (\d+)", said)]
    assert len(steps) == 4, said
    assert steps == sorted(set(steps)), said
    assert "Traceback" not in said
    assert trained(repository, experiment(repository, "base")) == trained(plain, experiment(plain, "plain"))
    (run,) = repository.runs()
    assert (run["name"], run["status"]) == ("base", "FINISHED")
    assert repository.git("diff", "--name-only").split() == ["params.yaml"]
    assert not (repository.folder / ".samebits" / "jobs" / "base" / "dvc.yaml").exists()


def test_a_full_array_is_the_trials_of_a_sweep(slurm: Slurm, tmp_path: Path) -> None:
    """Four tasks on three nodes, a limit and a cancellation; `samebits sweep` reads what they found."""
    repository = make_tiny(tmp_path / "a project")
    values = [0.001, 0.01, 0.1, 1.0]
    write_sweep(repository, "lr", method="grid", space={"train.optimizer.lr": values}, set={"train.epochs": 8})
    asked = ("--sweep", "sweeps/lr.yaml", "--cpus", "1")
    job = submit(slurm, repository, *asked, "--time", "30", "--at-once", "3", TINY_PAUSE="2")
    states = repository.folder / ".samebits" / "tiny"

    def begun() -> bool:
        return {each.name for each in states.glob("*-8")} >= {"0.001-8", "0.01-8"}

    slurm.wait_until(begun, 120, lambda: log(repository))
    slurm.run("scancel", "--batch", "--signal=USR1", f"{job}_0")
    slurm.run("scancel", f"{job}_1")
    command = [sys.executable, "-m", "samebits.cli.main", "submit", "--sweep", "sweeps/lr.yaml"]
    script = " ".join(["!", *command, "2>&1"])
    said = slurm.run("sh", "-c", script, folder=repository.folder, environment=repository.environment())
    assert f"lr is in the queue already: job {job}_" in said
    slurm.wait_until(lambda: not slurm.run("squeue", "--noheader").strip(), 240, lambda: log(repository))
    assert [bool(experiment(repository, f"lr-00{number}")) for number in range(4)] == [True, False, True, True]
    again = submit(slurm, repository, *asked)
    text = (repository.folder / ".samebits" / "jobs" / "lr.sh").read_text()
    assert "#SBATCH --array=1\n" in text
    assert ended(slurm, repository, again)["JobState"] == "COMPLETED"
    for number, begins in enumerate([2, 2, 1, 1]):
        found = [int(each) for each in re.findall(r"begins at epoch (\d+)", log(repository, f"lr-*_{number}"))]
        assert len(found) == begins, log(repository)
        assert found == sorted(set(found)), found
        assert found[0] == 0
    swept = repository.run(sys.executable, "-m", "samebits.cli.main", "sweep", "sweeps/lr.yaml")
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert "take the best: dvc exp apply lr-002" in swept.stdout
    runs = repository.runs()
    (parent,) = [run for run in runs if "samebits.sweep" in run["tags"]]
    children = [run for run in runs if run["tags"].get("mlflow.parentRunId") == parent["id"]]
    assert sorted(run["name"] for run in children) == [f"lr-00{number}" for number in range(4)]
    assert {run["status"] for run in runs} == {"FINISHED"}
    assert len(runs) == 5
    assert repository.git("status", "--short") == ""


@pytest.mark.skipif(not FULL, reason="three nodes in each of two attempts take minutes of processor: make test-full")
def test_three_nodes_that_train_together_give_the_bytes_of_one(slurm: Slurm, few_mnist: Path, tmp_path: Path) -> None:
    """One of them dies under way, and comes back."""
    plain = make_training(tmp_path / "plain", few_mnist)
    done = plain.dvc("exp", "run", "--name", "plain")
    assert done.returncode == 0, done.stdout + done.stderr
    repository = make_training(tmp_path / "project", few_mnist, hosts=3)
    pause = tmp_path / "pause"
    pause.write_text("1")
    job = submit(slurm, repository, "--name", "base", "--time", "30", PAUSE=str(pause))
    states = repository.folder / ".samebits" / "resume"
    slurm.wait_until(lambda: bool(list(states.glob("*/*[0-9]/complete.json"))), 240, lambda: log(repository))
    slurm.kill_node(2)
    slurm.wait_until(lambda: slurm.job(job)["Restarts"] == "1", 120, lambda: log(repository))
    slurm.revive(2)
    pause.write_text("0")
    assert ended(slurm, repository, job, 400)["JobState"] == "COMPLETED", log(repository)
    said = log(repository)
    assert said.count("joined: desk-b, desk-c") + said.count("joined: desk-c, desk-b") == 2, said
    assert "resuming at step" in said
    assert trained(repository, experiment(repository, "base")) == trained(plain, experiment(plain, "plain"))
