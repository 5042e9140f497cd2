"""The environment in which the stages of a clean copy run."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.params.yaml_file import read_yaml
from samebits.provenance.verify.copies import record_nothing, run_command


@pytest.mark.parametrize("command", ["python -c 1", "python -c 1 > log"])
def test_a_stage_runs_in_the_environment_that_is_named(command: str, tmp_path: Path) -> None:
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\ntouch {tmp_path}/it-was-this-one\n")
    python.chmod(0o755)
    run_command(command, "train", tmp_path)
    assert not (tmp_path / "it-was-this-one").exists()
    run_command(command, "train", tmp_path, python=python)
    assert (tmp_path / "it-was-this-one").exists()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("{hosts: 3, processes: 2}", {"hosts": 1, "processes": 6}), ("{processes: 2}", {"processes": 2}), ("null", {})],
)
def test_the_processes_of_other_machines_run_here(given: str, wanted: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(f"runtime: {given}\n")
    record_nothing(tmp_path)
    assert read_yaml(tmp_path / "params.yaml")["runtime"] == {
        **wanted, "resume": "never", "tracking": {"enabled": False},
    }  # fmt: skip
