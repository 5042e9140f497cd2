"""`samebits sweep` on real repositories: DVC experiments, MLflow runs, kills, two processes on one PostgreSQL."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.postgres import Postgres
from tests.helpers.senders import settle
from tests.helpers.tiny import TinyRepository, clone, make_tiny, write_sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# `samebits sweep` on a machine with two GPUs, as far as handing them out goes.
WITH_TWO_GPUS = """
from functools import partial
from samebits.cli.main import main
from samebits.sweeps import runner
runner.make_slots = partial(runner.make_slots, count=2)
raise SystemExit(main(["sweep", "sweeps/lr.yaml"]))
"""

GRID = {"train.optimizer.lr": [0.001, 0.1, 1.0]}


def sweep(repository: TinyRepository, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = repository.run(sys.executable, "-m", "samebits.cli.main", "sweep", *arguments, **environment)
    settle(repository.folder)
    return done


def start(repository: TinyRepository, *arguments: str, log: Path, **environment: str) -> subprocess.Popen[bytes]:
    # Where the tests are a background job of a script, the shell has Ctrl-C ignored, and children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with log.open("ab") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "samebits.cli.main", "sweep", *arguments],
                cwd=repository.folder,
                env=repository.environment(**environment),
                stdout=file,
                stderr=file,
            )
    finally:
        signal.signal(signal.SIGINT, before)


def experiments(repository: TinyRepository) -> list[str]:
    """Names of DVC's experiments: refs/exps/ab/cdef…/NAME. Beside them lie refs of DVC's own (exec, celery)."""
    refs = repository.git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    return sorted(ref.split("/")[4] for ref in refs if re.fullmatch(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/[^/]+", ref))


def family(repository: TinyRepository) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The parent run and its children by name; nothing else may be there."""
    runs = repository.runs()
    (parent,) = [run for run in runs if "samebits.sweep" in run["tags"]]
    children = {run["name"]: run for run in runs if run["tags"].get("mlflow.parentRunId")}
    assert len(children) + 1 == len(runs), [run["name"] for run in runs]
    return parent, children


def test_a_grid_is_experiments_and_child_runs_under_a_parent(tmp_path: Path) -> None:
    repository = make_tiny(tmp_path / "project")
    write_sweep(repository, "lr", method="grid", jobs=2, space=GRID)
    done = repository.run(sys.executable, "-c", WITH_TWO_GPUS)
    settle(repository.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "take the best: dvc exp apply lr-001" in done.stdout
    # Each place has its GPU, and the stage of its trials sees that one alone.
    logs = {path.stem: path.read_text() for path in (repository.folder / ".samebits/sweeps/lr/logs").glob("*.log")}
    given = {name: re.findall(rf"{name} on GPU (\d)", done.stdout) for name in logs}
    assert given["lr-000"] == ["0"]
    assert given["lr-001"] == ["1"]
    assert all(f"GPU {gpu}" in logs[name] for name, (gpu,) in given.items()), logs
    names = ["lr-000", "lr-001", "lr-002"]
    assert experiments(repository) == names
    parent, children = family(repository)
    assert sorted(children) == names
    assert {run["status"] for run in (parent, *children.values())} == {"FINISHED"}
    assert parent["tags"]["sweep.best"] == "lr-001"
    assert parent["metrics"]["best/val/loss"] == pytest.approx(1 / 3, abs=1e-5)
    assert parent["artifacts"] == ["sweep"]
    assert children["lr-002"]["params"]["train.optimizer.lr"] == "1.0"
    shown = repository.dvc("exp", "show", "--json").stdout
    assert all(name in shown for name in names)
    assert repository.git("status", "--short") == ""
    again = sweep(repository, "sweeps/lr.yaml")
    assert again.returncode == 0
    assert "lr-000:" not in again.stdout
    assert len(repository.runs()) == 4
    other = repository.folder / "sweeps" / "lr.yaml"
    other.write_text(other.read_text().replace("0.001", "0.002"))
    refused = sweep(repository, "sweeps/lr.yaml")
    assert refused.returncode == 2
    assert "began with other values of: space" in refused.stderr


@pytest.mark.alone
def test_killed_and_started_again_goes_on_and_doubles_nothing(tmp_path: Path) -> None:
    repository = make_tiny(tmp_path / "project")
    values = [0.01, 0.1, 1.0]
    epochs = 24  # more than both stops wait for, so that neither meets a training at its end
    write_sweep(
        repository, "lr", method="grid", jobs=2, space={"train.optimizer.lr": values}, set={"train.epochs": epochs}
    )
    log = tmp_path / "log"
    for ending in (signal.SIGKILL, signal.SIGINT):
        process = start(repository, "sweeps/lr.yaml", log=log, TINY_PAUSE="0.3")
        states = repository.folder / ".samebits" / "tiny"
        before = sum(int(each.read_text() or 0) for each in states.glob("*")) if states.is_dir() else 0
        deadline = time.monotonic() + 120
        while not states.is_dir() or sum(int(e.read_text() or 0) for e in states.glob("*")) < before + 8:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(ending)
        code = process.wait(timeout=120)
        assert code == (130 if ending == signal.SIGINT else -signal.SIGKILL), log.read_text()
    done = sweep(repository, "sweeps/lr.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "goes on" in done.stdout
    names = [f"lr-{number:03d}" for number in range(3)]
    assert experiments(repository) == names
    parent, children = family(repository)
    assert sorted(children) == names
    assert parent["status"] == "FINISHED"
    for name, run in children.items():
        assert run["status"] == "FINISHED", name
        steps = Counter(step for step, _ in run["history"]["val/loss"])
        assert steps == Counter(range(epochs)), name
    assert not list((repository.folder / ".dvc" / "tmp" / "exps" / "standalone").glob("tmp*"))


def test_a_failed_trial_has_its_traceback_and_log_and_the_others_go_on(tmp_path: Path) -> None:
    repository = make_tiny(tmp_path / "project")
    write_sweep(repository, "lr", method="grid", space={"train.optimizer.lr": [0.1, 20.0]}, gpus="none")
    done = sweep(repository, "sweeps/lr.yaml")
    assert "lr-001: FAILED: train: error: the loss is nan" in done.stdout
    parent, children = family(repository)
    assert children["lr-001"]["status"] == "FAILED"
    assert "the loss is nan" in children["lr-001"]["tags"]["samebits.error"]
    assert {"errors", "logs"} <= set(children["lr-001"]["artifacts"])
    assert children["lr-000"]["status"] == "FINISHED"
    assert parent["tags"]["sweep.fail"] == "1"


@pytest.mark.alone
def test_tpe_prunes_what_is_worse_than_the_median(tmp_path: Path) -> None:
    repository = make_tiny(tmp_path / "project")
    space = {"train.optimizer.lr": {"low": 1e-4, "high": 10.0, "log": True}}
    keys = {"set": {"train.epochs": 10}, "prune": {"startup": 2, "warmup": 1}}
    write_sweep(repository, "lr", method="tpe", trials=6, space=space, **keys)
    done = sweep(repository, "sweeps/lr.yaml", TINY_PAUSE="0.4")
    assert done.returncode == 0, done.stdout + done.stderr
    parent, children = family(repository)
    assert len(children) == 6
    states = Counter(run["tags"]["sweep.state"] for run in children.values())
    assert states["pruned"] >= 1
    assert states["complete"] + states["pruned"] == 6
    for run in children.values():
        points = len(run["history"]["val/loss"])
        assert points < 10 if run["tags"]["sweep.state"] == "pruned" else points == 10
    assert parent["tags"]["sweep.pruned"] == str(states["pruned"])


def test_two_machines_share_a_sweep_on_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    first = make_tiny(tmp_path / "one")
    values = [0.001, 0.01, 0.1, 1.0]
    write_sweep(first, "lr", method="grid", space={"train.optimizer.lr": values}, storage=postgres.url("sweep"))
    second = clone(first, tmp_path / "two")
    both = [start(each, "sweeps/lr.yaml", log=tmp_path / f"log{n}") for n, each in enumerate((first, second))]
    codes = [process.wait(timeout=300) for process in both]
    logs = [(tmp_path / f"log{n}").read_text() for n in range(2)]
    assert codes == [0, 0], logs
    shares = [experiments(first), experiments(second)]
    assert sorted(shares[0] + shares[1]) == [f"lr-{number:03d}" for number in range(4)]
    assert all(shares), "one of them did nothing"
    for log in logs:
        assert "Traceback" not in log
    finished = sweep(first, "sweeps/lr.yaml")
    assert "4 complete of 4" in finished.stdout
    assert os.environ.get("SAMEBITS_SWEEP_STORAGE") is None


def test_a_missing_untracked_file_is_named_before_anything_runs(tmp_path: Path) -> None:
    repository = make_tiny(tmp_path / "project")
    (repository.folder / "extra.py").write_text("")
    text = (repository.folder / "dvc.yaml").read_text().replace("- tiny.py", "- tiny.py\n    - extra.py")
    (repository.folder / "dvc.yaml").write_text(text)
    path = repository.folder / "sweeps" / "lr.yaml"
    path.write_text("target: train\nmethod: grid\nspace: {train.optimizer.lr: [0.1]}\n")
    done = sweep(repository, "sweeps/lr.yaml")
    assert done.returncode == 2
    assert "extra.py is not tracked by git: git add -N extra.py" in done.stderr
    assert not (repository.folder / ".samebits" / "sweeps").exists()
    checked = repository.run(sys.executable, "-m", "samebits.cli.main", "runs", "check")
    assert checked.returncode == 2
    assert "git add -N extra.py" in checked.stderr
    repository.git("add", "-N", "extra.py")
    done = sweep(repository, "sweeps/lr.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_dvcs_own_ways_land_in_the_one_store_under_their_names(tmp_path: Path) -> None:
    """In the workspace, --temp, several choices, --queue with two jobs; one of the queued fails."""
    repository = make_tiny(tmp_path / "project")
    lr = "train.optimizer.lr"
    for arguments in (("-n", "here", "-S", f"{lr}=0.3"), ("--temp", "-n", "aside", "-S", f"{lr}=0.4")):
        done = repository.dvc("exp", "run", *arguments)
        assert done.returncode == 0, done.stderr
    queued = repository.dvc("exp", "run", "--queue", "-n", "many", "-S", f"{lr}=0.1,0.01,20.0")
    assert queued.returncode == 0, queued.stderr
    assert sorted(repository.work_off_the_queue(timeout=240)) == ["Failed", "Success", "Success"]
    settle(repository.folder)
    runs = {run["name"]: run for run in repository.runs()}
    assert len(runs) == len(repository.runs()) == 5
    succeeded = {name for name, run in runs.items() if run["status"] == "FINISHED"}
    assert succeeded == set(experiments(repository))
    (failed,) = [run for run in runs.values() if run["status"] == "FAILED"]
    assert failed["params"][lr] == "20.0"
    assert "the loss is nan" in failed["tags"]["samebits.error"]
    assert {"errors", "logs"} <= set(failed["artifacts"])
    for name in succeeded:
        assert len(runs[name]["history"]["val/loss"]) == 3


def test_seeds_are_experiments_and_the_parent_has_their_means(tmp_path: Path) -> None:
    repository = make_tiny(tmp_path / "project", evaluate=True)
    for name, old, new in (
        ("tiny.py", "def train(train, *, context):", "def train(seed, train, *, context):"),
        ("tiny.py", '{"val": {"loss": loss(', '{"val": {"loss": seed / 8 + loss('),
        ("tiny.py", '{"val/loss": loss(', '{"val/loss": seed / 8 + loss('),
        ("tiny.py", 'f"{train.optimizer.lr}-{train.epochs}"', 'f"{seed}-{train.optimizer.lr}-{train.epochs}"'),
        ("dvc.yaml", "    params:\n    - train\n", "    params:\n    - seed\n    - train\n"),
    ):
        text = (repository.folder / name).read_text()
        assert text.count(old) == 1, (name, old)
        (repository.folder / name).write_text(text.replace(old, new))
    repository.git("commit", "-qam", "with a seed")

    def seeds(*arguments: str) -> str:
        done = repository.run(sys.executable, "-m", "samebits.cli.main", "seeds", *arguments, "--name", "base")
        settle(repository.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "base: 2 of 2 seeds are complete" in seeds("2")
    told = seeds("3", "--jobs", "2")
    assert "base-000: seed" not in told
    assert "base: 3 of 3 seeds are complete" in told
    assert experiments(repository) == ["base-000", "base-001", "base-002"]
    parent, children = family(repository)
    losses = {name: run["metrics"]["val/loss"] for name, run in children.items()}
    by_seed = [losses[f"base-{seed:03d}"] for seed in range(3)]
    assert by_seed == pytest.approx([by_seed[0] + seed / 8 for seed in range(3)], abs=1e-12)
    assert parent["metrics"]["mean/val/loss"] == pytest.approx(losses["base-001"], abs=1e-12)
    assert parent["metrics"]["std/val/loss"] == pytest.approx(0.125, abs=1e-12)
    assert not [name for name in parent["metrics"] if name.startswith("best/")]
    shown = repository.dvc("exp", "show", "--json").stdout
    table = (repository.folder / ".samebits/sweeps/base/seeds.csv").read_text()
    for loss in losses.values():
        assert str(loss) in shown
        assert str(loss) in table
