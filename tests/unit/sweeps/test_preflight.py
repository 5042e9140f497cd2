"""Inputs that an experiment in a temporary folder would miss."""

from __future__ import annotations

import subprocess
from pathlib import Path

from samebits.base.paths import Project
from samebits.sweeps.preflight import untracked_inputs

PIPELINE = """
stages:
  prepare: {cmd: p, deps: [p.py, "${data.source}"], outs: [data/prepared]}
"""


def test_own_data_are_to_be_kept_by_git_or_dvc(tmp_path: Path) -> None:
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "params.yaml").write_text("data: {source: data/raw/own.csv}\n")
    (tmp_path / "p.py").write_text("")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    project = Project(tmp_path, tmp_path)
    assert [path for path, _ in untracked_inputs(project)] == ["data/raw/own.csv"], "it is missing"
    (tmp_path / "data/raw/own.csv").write_text("a,b\n")
    assert untracked_inputs(project) == [("data/raw/own.csv", "is not tracked by git: git add -N data/raw/own.csv")]
    (tmp_path / "data/raw/other.csv").write_text("a,b\n")
    (tmp_path / "data/raw/.gitignore").write_text("/own.csv\n")
    (tmp_path / "data/raw/own.csv.dvc").write_text("outs:\n- md5: a1\n  path: own.csv\n")
    assert untracked_inputs(project) == []
