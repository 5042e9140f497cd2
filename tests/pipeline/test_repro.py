"""`dvc repro` for real: four stages on MNIST, one MLflow run, nothing to do twice, the same bits elsewhere."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from samebits.base.files import read_json, sha256_file
from tests.helpers.repository import Repository
from tests.helpers.senders import settle
from tests.helpers.workspace import set_params

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]

NewRepository = Callable[[Path], Repository]

OUTPUTS = ("data/prepared", "models", "reports")


def hashes(folder: Path) -> dict[str, str]:
    files = [path for name in OUTPUTS for path in (folder / name).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in sorted(files)}


def test_one_execution_is_one_complete_run(finished: Repository) -> None:
    runs = finished.runs()
    assert [run["status"] for run in runs] == ["FINISHED"]
    run = runs[0]
    assert run["params"]["train.optimizer.lr"] == "0.25"
    assert run["params"]["data.source"] == "data/catalog/mnist.yaml"
    assert [step for step, _ in run["history"]["val/loss"]] == [118]
    assert len(run["history"]["train/loss"]) > 50
    info = read_json(finished.folder / "data" / "prepared" / "dataset.json")
    assert run["inputs"][0][:16] == info["digest"][:16]
    for stage in ("prepare", "train", "evaluate", "export"):
        assert run["metrics"][f"time/{stage}_s"] > 0
    assert run["tags"]["git.commit"] == finished.git("rev-parse", "HEAD").strip()
    assert run["tags"]["git.dirty"] == "false"


def test_the_files_and_the_run_show_the_same_numbers(finished: Repository) -> None:
    metrics = read_json(finished.folder / "reports" / "evaluation" / "metrics.json")
    run = finished.runs()[0]
    assert run["metrics"]["test/accuracy"] == metrics["test"]["accuracy"]
    shown = finished.dvc("metrics", "show", "--json").stdout
    assert str(metrics["test"]["accuracy"]) in shown


def test_points_are_there_once(finished: Repository) -> None:
    for metric, points in finished.runs()[0]["history"].items():
        twice = [step for step, count in Counter(step for step, _ in points).items() if count > 1]
        assert not twice, f"{metric} has steps {twice} twice"


def test_a_second_repro_runs_nothing_and_leaves_git_clean(finished: Repository) -> None:
    again = finished.dvc("repro")
    assert "Running stage" not in again.stdout
    assert len(finished.runs()) == 1
    # What is left to git: the lock, the facts and the metrics, which a person commits with the code that made them.
    ours = ("dvc.lock", "metrics.json", "facts.json")
    left = [line for line in finished.git("status", "--short").splitlines() if not line.endswith(ours)]
    assert not [line for line in left if "reports/provenance/" not in line]


def test_nothing_that_differs_from_run_to_run_is_locked(finished: Repository) -> None:
    lock = (finished.folder / "dvc.lock").read_text()
    run = finished.runs()[0]
    assert run["name"] not in lock
    assert tempfile.gettempdir() not in lock, "not even where it was made first"


def test_plots_show_without_a_network(finished: Repository) -> None:
    shown = finished.dvc("plots", "show")
    assert shown.returncode == 0, shown.stderr
    page = (finished.folder / "dvc_plots" / "index.html").read_text()
    for name in ("confusion", "calibration", "mistakes", "curves"):
        assert f"{name}.png" in page


def test_predict_and_summary(finished: Repository, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    images = np.load(finished.folder / "data" / "prepared" / "shards" / "test-00000.npy")
    Image.fromarray(images[0, 0]).save(tmp_path / "seven.png")
    predicted = finished.run(sys.executable, "-m", "samebits.cli.main", "predict", str(tmp_path / "seven.png"))
    assert predicted.returncode == 0, predicted.stderr
    assert "7" in predicted.stdout
    summary = finished.run(sys.executable, "-m", "samebits.cli.main", "summary")
    accuracy = read_json(finished.folder / "reports" / "evaluation" / "metrics.json")["test"]["accuracy"]
    assert f"{accuracy:.4f}" in summary.stdout


@pytest.mark.slow
def test_two_clean_clones_give_the_same_bytes(
    finished: Repository, new_repository: NewRepository, tmp_path: Path
) -> None:
    other = new_repository(tmp_path / "another place" / "x")
    done = other.dvc("repro", PYTHONHASHSEED="7", TZ="Asia/Kolkata", HOME=str(tmp_path), XDG_CACHE_HOME=str(_cache()))
    assert done.returncode == 0, done.stderr
    assert hashes(other.folder) == hashes(finished.folder)
    assert (other.folder / "dvc.lock").read_bytes() == (finished.folder / "dvc.lock").read_bytes()


def _cache() -> Path:
    from samebits.data.fetching.fetch import cache_folder

    return cache_folder().parents[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("whom", ["stage", "dvc", "dvc behind a shell that forks"])
def test_killed_and_repeated_is_one_run_with_the_same_bytes(
    whom: str, finished: Repository, new_repository: NewRepository, tmp_path: Path
) -> None:
    """SIGKILL of the training, or of `dvc` above it, mid-epoch; then `dvc repro` again, to the end or to `train`."""
    repository = new_repository(tmp_path / "project")
    wanted = [] if whom == "stage" else ["train"]
    log = (tmp_path / "log").open("w")
    shell = "/bin/sh" if "shell" in whom else "/bin/bash"
    first = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", *wanted],
        cwd=repository.folder,
        env=repository.environment(SHELL=shell),
        stdout=log,
    )
    states = repository.folder / ".samebits" / "resume"
    while not list(states.glob("*/*[0-9]/complete.json")):
        assert first.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.02)
    if whom == "stage":
        subprocess.run(["pkill", "-KILL", "-P", str(first.pid)], check=True)
    else:
        first.kill()
    first.wait()
    again = repository.dvc("repro", *wanted)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "resuming at step" in again.stdout
    there, expected = hashes(repository.folder), hashes(finished.folder)
    if wanted:
        records = [f"reports/provenance/{stage}.json" for stage in ("evaluate", "export")]
        made = ("models/calibration.json", "models/reference.json", "models/export/", "reports/evaluation/")
        later = (*made, "reports/facts.json", *records)  # facts are of all stages
        expected = {name: digest for name, digest in expected.items() if not name.startswith(later)}
        there = {name: digest for name, digest in there.items() if not name.startswith(later)}
    assert there == expected
    settle(repository.folder)
    runs = repository.runs()
    assert [run["status"] for run in runs] == ["FINISHED"]
    for metric, points in runs[0]["history"].items():
        steps = [step for step, _ in points]
        assert len(steps) == len(set(steps)), metric
    assert runs[0]["history"]["train/loss"] == finished.runs()[0]["history"]["train/loss"]


def locked(repository: Repository, name: str) -> str:
    """dvc.lock as the experiment of that name has it."""
    refs = repository.git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    (ref,) = [each for each in refs if each.endswith(f"/{name}")]
    return repository.git("show", f"{ref}:dvc.lock")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="dvc queue")
def test_every_way_makes_the_same_bytes_and_a_run_in_the_one_store(committed: Repository, tmp_path: Path) -> None:
    """`dvc exp run` here, `--temp` and `--queue`: the lock of `dvc repro`, and a whole run of that name."""
    shutil.copytree(committed.folder, tmp_path / "project", symlinks=True)
    repository = Repository(tmp_path / "project")
    expected = (repository.folder / "dvc.lock").read_text()
    # Forced: neither an output that is up to date nor the run cache stands in for a stage.
    # --queue runs each in a folder of its own, as --temp does: the latter ends before the export.
    for name, options in {"in-workspace": [], "in-temp": ["--temp", "evaluate"]}.items():
        done = repository.dvc("exp", "run", "--force", "-n", name, *options)
        assert done.returncode == 0, done.stderr
        assert "Running stage 'train'" in done.stdout
        assert locked(repository, name) == expected
    for name, options in {"queued-a": ["--force"], "queued-b": ["-S", "evaluate.top_k=5"]}.items():
        queued = repository.dvc("exp", "run", "--queue", "-n", name, *options)
        assert queued.returncode == 0, queued.stderr
    status = repository.work_off_the_queue()
    assert status == ["Success", "Success"], repository.dvc("queue", "logs", "queued-a").stdout
    assert locked(repository, "queued-a") == expected
    settle(repository.folder)
    runs = {run["name"]: run for run in repository.runs()}
    assert {"in-workspace", "in-temp", "queued-a", "queued-b"} <= runs.keys()
    assert len(runs) == 5
    for name, run in runs.items():
        assert run["status"] == "FINISHED", name
        assert "test/accuracy" in run["metrics"], name
        assert run["history"]["train/loss"], f"{name} has no training curve"
    for name in ("in-temp", "queued-b"):
        assert runs[name]["tags"]["dvc.exp_name"] == name
    assert not list((repository.folder / ".dvc" / "tmp").rglob("mlflow.db"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_stop_leaves_a_killed_run_and_a_failure_a_failed_one(new_repository: NewRepository, tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "project")
    stopped = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=repository.folder,
        env=repository.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    states = repository.folder / ".samebits" / "resume"
    while not list(states.glob("*/*[0-9]/complete.json")):
        assert stopped.poll() is None
        time.sleep(0.02)
    subprocess.run(["pkill", f"-{signal.SIGTERM.value}", "-P", str(stopped.pid)], check=True)
    stopped.communicate()
    assert stopped.returncode != 0
    settle(repository.folder)
    assert [run["status"] for run in repository.runs()] == ["KILLED"]

    set_params(repository.folder, {"train": {"optimizer": {"lr": 1e30}, "schedule": {"warmup": 0.0}}})
    failed = repository.dvc("repro")
    assert failed.returncode != 0
    assert "the loss is" in failed.stderr
    settle(repository.folder)
    assert sorted(run["status"] for run in repository.runs()) == ["FAILED", "KILLED"]
