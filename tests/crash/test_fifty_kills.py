"""20 SIGKILLs at random moments, 50 with `make test-full`: the bytes of the straight run, and one whole MLflow run."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.amount import FULL
from tests.helpers.workspace import ROOT, make_workspace, run_stage, set_params, stage_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.name != "posix", reason="signals and fork"),
]

SEED = 20261123
"""Of the moments; those that were hit stand in the output of a failed test."""

KILLS, EACH = (50, 5) if FULL else (20, 5)

SETTINGS: dict[str, Any] = {
    "train": {"epochs": 4},
    "runtime": {"checkpoint_seconds": 0.05, "tracking": {"enabled": True}},
}

_DELIVER = """
import json, sys
from pathlib import Path
from samebits.base.paths import Project
from samebits.tracking.upload.sync import sync
import mlflow
project = Project(Path.cwd(), Path.cwd())
report = sync(project)
assert not report.problem, report.problem
client = mlflow.MlflowClient("sqlite:///mlruns/mlflow.db")
runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
print(json.dumps([[run.info.status, {name: [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, name)]
                                     for name in run.data.metrics if name.startswith(("train/", "val/"))}]
                  for run in runs]))
"""


def test_each_training_ends_in_the_bytes_of_the_straight_run(tmp_path: Path, small_mnist: Path) -> None:
    straight = make_workspace(tmp_path / "straight", small_mnist)
    set_params(straight, SETTINGS | {"runtime": {"tracking": {"enabled": False}}})
    assert run_stage(straight, "train").returncode == 0

    workspace = make_workspace(tmp_path / "killed", small_mnist)
    set_params(workspace, SETTINGS)
    script = ROOT / "tests" / "helpers" / "fork_kills.py"
    done = subprocess.run(
        [sys.executable, str(script), str(workspace), str(SEED), str(KILLS), str(EACH)],
        env=stage_environment(PYTHONPATH=str(workspace / "src")),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["hit"] == KILLS, found["delays"]
    assert (workspace / "children.log").read_text().count("resuming at step") > KILLS / 4, "kills fell into trainings"

    expected = _hashes(straight)
    for number, training in enumerate(found["trainings"]):
        assert training == {"code": 0, "hashes": expected}, f"training {number}, delays {found['delays']}"

    asked = subprocess.run(
        [sys.executable, "-c", _DELIVER],
        cwd=workspace,
        env=stage_environment(PYTHONPATH="src"),
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, asked.stderr
    runs = json.loads(asked.stdout.splitlines()[-1])
    assert [status for status, _ in runs] == ["FINISHED"] * len(found["trainings"])
    points = _points(straight / "reports" / "train" / "curves.csv")
    for _, histories in runs:
        for name, history in histories.items():
            twice = [step for step, times in Counter(step for step, _ in history).items() if times > 1]
            assert not twice, f"{name} has steps {twice} twice"
        assert {(name, step): value for name in ("train/loss", "val/loss") for step, value in histories[name]} == points


def _hashes(workspace: Path) -> dict[str, str]:
    from samebits.base.files import sha256_file

    files = [path for name in ("models", "reports") for path in sorted((workspace / name).rglob("*"))]
    # The facts of this machine are no output, and the same anyway.
    return {path.relative_to(workspace).as_posix(): sha256_file(path) for path in files if path.is_file()}


def _points(curves: Path) -> dict[tuple[str, int], float]:
    with curves.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (name, int(row["step"])): float(row[name]) for row in rows for name in ("train/loss", "val/loss") if row[name]
    }
