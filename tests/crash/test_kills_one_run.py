"""Killed at a named moment and repeated, `dvc repro` goes on with the record, and so the MLflow run, that it began."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.tiny import make_tiny
from tests.helpers.workspace import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="signals, fork, the death of a parent"),
]

MOMENTS = [
    ("train:spawned", "dvc", "SIGKILL"),
    ("train:starts", "dvc", "SIGKILL"),
    ("train:stoppable", "dvc", "SIGKILL"),
    ("train:stoppable", "group", "SIGHUP"),
    ("train:recorded", "stage", "SIGKILL"),
    ("train:begun", "dvc", "SIGKILL"),
    ("train:begun", "group", "SIGKILL"),
    ("train:computes", "stage", "SIGKILL"),
    ("train:computes", "dvc", "SIGHUP"),
    ("train:computes", "group", "SIGHUP"),
    ("train:computes", "group", "SIGTERM"),
    ("train:ended", "stage", "SIGKILL"),
    ("train:ended", "group", "SIGKILL"),
    ("train:saves", "dvc", "SIGKILL"),
    ("train:locks", "dvc", "SIGKILL"),
    ("train:locked", "dvc", "SIGKILL"),
    ("evaluate:spawned", "dvc", "SIGKILL"),
    ("evaluate:starts", "dvc", "SIGHUP"),
    ("evaluate:begun", "group", "SIGHUP"),
    ("evaluate:computes", "dvc", "SIGKILL"),
    ("evaluate:ended", "group", "SIGKILL"),
    ("evaluate:saves", "dvc", "SIGHUP"),
    ("evaluate:locks", "group", "SIGKILL"),
]


def test_the_repeated_repro_continues_the_run_that_was_begun(tmp_path: Path) -> None:
    repository = make_tiny(tmp_path / "project", evaluate=True)
    program = tmp_path / "bin" / "dvc"
    program.parent.mkdir()
    shutil.copy(ROOT / "tests" / "helpers" / "fork_repro.py", program)
    done = subprocess.run(
        [sys.executable, str(program), str(repository.folder), str(tmp_path), json.dumps(MOMENTS)],
        env=repository.environment(TINY_PAUSE="0.01"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    wrong = {}
    for index, (moment, each) in enumerate(zip(MOMENTS, found, strict=True)):
        whole = each["code"] == 0 and each["records"] == [{"finished": ["train", "evaluate"]}]
        whole = whole and each["lock"] == found[0]["lock"]
        if not whole or each["killed"] == 0 or (each["again"], each["after"]) != (0, 1):
            wrong[str(moment)] = each | {"log": (tmp_path / f"{index}.log").read_text()[-1500:]}
    assert not wrong, json.dumps(wrong, indent=1)
